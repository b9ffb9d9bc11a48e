"""Heads over the encoder of any family that Transformers or a plug-in knows.

A head is a mixin over a family's own ``PreTrainedModel``. The class ``<Family>For<Task>`` is made when it is first
asked for: by an Auto class, by name from the head's module (which is how pickle and spawned workers find it), or by
`head_class`. The encoder sits under the family's own prefix and the head's layers under ``classifier``, so that a
checkpoint of the encoder loads into the head, one of the head loads back into ``AutoModel``, and PEFT trains and saves
the head.
"""

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING, MODEL_MAPPING_NAMES

from hf_ext.carried_code import ModelWithCode
from hf_ext.modules.adapters import CACHE_ARGUMENTS, refuse_adapted_head
from hf_ext.ops.graphs import in_graph
from hf_ext.ops.logit import logit
from hf_ext.ops.masks import document_ids
from hf_ext.transformers_private import BaseAutoModelClass, registered_models

if TYPE_CHECKING:

    class _Base(PreTrainedModel):
        """What the mixin is mixed into."""

else:
    _Base = object

_MADE: dict[tuple[type[PreTrainedConfig], type["EncoderHead"]], type["EncoderHead"]] = {}


class EncoderHead(ModelWithCode, _Base):
    """Mixin of a head: set ``suffix`` and ``fields``, build ``classifier`` from the config, and write ``forward``.

    A field is set by keyword in ``from_pretrained`` and ``from_config``, or is taken from the config, or has its
    default; it is saved with the config.
    """

    suffix: ClassVar[str]
    """End of the class names: ``"ForSpanExtraction"``."""
    fields: ClassVar[dict[str, Any]] = {}
    """Config fields of the head and their defaults."""
    backbone_class: ClassVar[type[PreTrainedModel] | None] = None
    """The family's model without a head; None: the one that `AutoModel` gives.

    Code that goes along with a checkpoint registers no class with `AutoModel`, which would then look no further.
    """

    dropout: nn.Dropout
    # None of our heads' losses is a cross-entropy of logits that it returns.
    smooths_labels = False

    # The encoder is built without the pooler of its pre-training.
    _keys_to_ignore_on_load_unexpected = [r"pooler\."]  # noqa: RUF012  (as Transformers declares it)

    def __init__(self, config: PreTrainedConfig, **fields: Any) -> None:
        for name in fields:
            if name not in self.fields:
                raise TypeError(f"{type(self).__name__} takes {', '.join(self.fields)}; got the keyword {name!r}")
        if config.is_encoder_decoder:
            raise ValueError(f"config must be that of an encoder or a decoder, got the pair {type(config).__name__}")
        for name, default in self.fields.items():
            values = (fields.get(name), getattr(config, name, None), default)
            setattr(config, name, next((value for value in values if value is not None), None))
        super().__init__(config)
        backbone = self.backbone_class or _backbone(type(config))
        options = {"add_pooling_layer": False} if "add_pooling_layer" in _parameters(backbone.__init__) else {}
        setattr(self, self.base_model_prefix, backbone(config, **options))
        self._encoder_arguments = _parameters(backbone.forward)
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = self.build_classifier(config)
        self.post_init()

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_adapted_head(name, value)
        super().__setattr__(name, value)

    def build_classifier(self, config: PreTrainedConfig) -> nn.Module:
        """The head's own layers."""
        raise NotImplementedError

    def check_one_text_a_row(self, attention_mask: Tensor | None, position_ids: Tensor | None) -> None:
        """Raise ValueError where a mask is not ``[B, L]``, or ``position_ids`` mark packed documents.

        The encoder would keep these apart, and a head that compares tokens would look for spans across them.
        """
        if attention_mask is not None:
            if attention_mask.ndim != 2:
                raise ValueError(f"attention_mask must have shape [B, L], got {tuple(attention_mask.shape)}")
        elif position_ids is None or in_graph():
            return
        elif bool(document_ids(position_ids)[:, -1].any()):
            raise ValueError("position_ids must not restart within a row; to save padding set unpad in the config")

    @staticmethod
    def own_columns(attention_mask: Tensor | None, length: int, arguments: Mapping[str, Any]) -> Tensor | None:
        """The mask ``[B, L]`` of the tokens at hand, of one ``[B, S]`` that has the columns of a cache in front."""
        cached = any(arguments.get(name) is not None for name in CACHE_ARGUMENTS)
        return attention_mask[:, -length:] if cached and attention_mask is not None else attention_mask

    def encode(
        self,
        input_ids: Tensor | None,
        attention_mask: Tensor | None,
        token_type_ids: Tensor | None,
        inputs_embeds: Tensor | None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        """Run the encoder; its ``last_hidden_state`` is ``[B, L, H]``.

        Token types go only to encoders that have them. Where the encoder runs in half precision and the head's layers
        are in float32, these get its vectors in float32.
        """
        if token_type_ids is not None and "token_type_ids" in self._encoder_arguments:
            kwargs["token_type_ids"] = token_type_ids
        if "use_cache" in self._encoder_arguments:
            kwargs.setdefault("use_cache", False)
        encoder: Any = self.base_model
        outputs: BaseModelOutput = encoder(
            input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds, return_dict=True, **kwargs
        )
        hidden: Any = outputs.last_hidden_state
        if hidden.dtype in (torch.float16, torch.bfloat16):
            # Of any other type, as of quantized layers, the layers themselves know what they take.
            own = next(self.classifier.parameters()).dtype
            outputs.last_hidden_state = hidden.to(own) if own == torch.float32 else hidden
        return outputs

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        # A layer of the head may know better than the family how it begins.
        if hasattr(module, "init_weights") and not isinstance(module, PreTrainedModel):
            module.init_weights()  # type: ignore[operator]

    def _initialize_weights(self, module: nn.Module, is_custom_code: bool = False) -> None:
        # Of code outside of Transformers, modules without parameters of their own are passed over, which is meant for
        # code that would overwrite loaded weights; all initialisers here spare them.
        super()._initialize_weights(module, is_custom_code=False)


def head_class(
    config_class: type[PreTrainedConfig], head: type[EncoderHead], backbone: type[PreTrainedModel] | None = None
) -> type[EncoderHead]:
    """The class of a head over the encoder of a family, always the same for the same arguments.

    Args:
        config_class: the family's config.
        head: the mixin.
        backbone: the family's model without a head; None: the one that ``AutoModel`` gives.

    Raises:
        KeyError: if ``AutoModel`` does not know the family.
    """
    if (made := _MADE.get((config_class, head))) is not None:
        return made
    backbone = backbone or _backbone(config_class)
    parents = (base for base in backbone.__mro__[1:] if base.__name__.endswith("PreTrainedModel"))
    parent: Any = next(parents)
    made = type(
        backbone.__name__.removesuffix("Model") + head.suffix,
        (head, parent),
        {
            "__module__": head.__module__,
            "__doc__": f"{backbone.__name__} with the head `{head.__name__}`.",
            "config_class": config_class,
            "backbone_class": backbone,
            "base_model_prefix": parent.base_model_prefix or "model",
        },
    )
    # Of two threads that make it at once both get the class of the first.
    return _MADE.setdefault((config_class, head), made)


def head_class_by_name(name: str, head: type[EncoderHead]) -> type[EncoderHead]:
    """The class of a head by its name; for the ``__getattr__`` of the head's module.

    Raises:
        AttributeError: if the name is not that of a known family with the head's suffix.
    """
    if name.endswith(head.suffix):
        wanted = name.removesuffix(head.suffix) + "Model"
        for config_class, model in registered_models():
            if _first(model).__name__ == wanted:
                return head_class(config_class, head)
        for model_type, model_name in MODEL_MAPPING_NAMES.items():
            if _first(model_name) == wanted:
                return head_class(CONFIG_MAPPING[model_type], head)
    raise AttributeError(f"module {head.__module__!r} has no attribute {name!r}")


class HeadMapping(Mapping[type[PreTrainedConfig], Any]):
    """From the config classes that ``AutoModel`` knows to the classes of one head, made when asked for.

    It stands in an Auto class, where Transformers has a mapping of its own.
    """

    def __init__(self, head: type[EncoderHead]) -> None:
        self.head = head
        self._registered: dict[type[PreTrainedConfig], Any] = {}

    def __getitem__(self, key: type[PreTrainedConfig]) -> Any:
        return self._registered[key] if key in self._registered else head_class(key, self.head)

    def __contains__(self, key: Any) -> bool:
        return key in self._registered or key in MODEL_MAPPING

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[type[PreTrainedConfig]]:
        return iter(self.keys())

    def keys(self) -> list[type[PreTrainedConfig]]:  # type: ignore[override]
        """The config classes."""
        return [*MODEL_MAPPING.keys(), *(key for key in self._registered if key not in MODEL_MAPPING)]

    def values(self) -> list[Any]:  # type: ignore[override]
        """The classes registered by hand; the others are made when asked for."""
        return list(self._registered.values())

    def register(self, key: type[PreTrainedConfig], value: Any, exist_ok: bool = False) -> None:
        """Take another class for a config, as ``AutoModel.register`` does.

        Raises:
            ValueError: if another has been registered, and ``exist_ok`` is not set.
        """
        if key in self._registered and not exist_ok:
            raise ValueError(f"exist_ok must be True to take another class for {key.__name__}, got {exist_ok}")
        self._registered[key] = value


def auto_class(head: type[EncoderHead], example: str) -> Any:
    """The Auto class of a head, with the attribute ``head``.

    Args:
        head: the mixin.
        example: arguments of ``from_pretrained`` beside the name.
    """
    what = (head.__doc__ or "").partition("\n")[0]
    text = f"""Any encoder that `AutoModel` knows, with a {what[:1].lower()}{what[1:]}

    ``from_pretrained(name, {example})`` opens a checkpoint of an encoder, a masked language model or a model with this
    head; ``from_config(config)`` starts from random weights. The class is ``<Family>{head.suffix}``; see
    `{head.__name__}` for the fields.
    """
    fields = {"__module__": head.__module__, "__doc__": text, "head": head, "_model_mapping": HeadMapping(head)}
    return type(f"AutoModel{head.suffix}", (BaseAutoModelClass,), fields)


def check_at_least_one(config: PreTrainedConfig, *names: str) -> None:
    """Raise ValueError where a field of the config is below 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ValueError(f"{name} must be at least 1, got {getattr(config, name)}")


def check_threshold(config: PreTrainedConfig) -> None:
    """Raise ValueError where the config's ``score_threshold`` is no probability below 1."""
    threshold: Any = config.score_threshold
    if not 0 <= threshold < 1:
        raise ValueError(f"score_threshold must be in [0, 1), got {threshold}")


def score_above(config: PreTrainedConfig, above: float | None) -> float:
    """The score that predictions are to be above: the one given, else that of the config's ``score_threshold``."""
    threshold: Any = config.score_threshold
    return logit(threshold) if above is None else above


def _backbone(config_class: type[PreTrainedConfig]) -> type[PreTrainedModel]:
    return _first(MODEL_MAPPING[config_class])


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value


def _parameters(function: Any) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _dropout(config: PreTrainedConfig) -> float:
    """The rate that the family's own classification heads use."""
    names = ("classifier_dropout", "cls_dropout", "seq_classif_dropout", "hidden_dropout_prob", "hidden_dropout")
    rates = (getattr(config, name, None) for name in names)
    return next((float(rate) for rate in rates if rate is not None), 0.0)
