"""Opens models that have a head of their family's own, or the linear one of ours, by the head that they have."""

from typing import Any

from hf_ext.tasks.base.linear_head import LINEAR_POOLINGS, LinearHead
from hf_ext.tasks.base.saved_model import SavedModel
from hf_ext.transformers_private import has_class_for

OWN = "own"
HEADS = (OWN, *LINEAR_POOLINGS)
"""The choices of ``--head``: the family's own, or one linear layer over what of the tokens' vectors."""


def head_of(model: Any) -> str:
    """Which of `HEADS` a model has."""
    return str(model.config.linear_pooling) if isinstance(model, LinearHead) else OWN


def either_class(own: Any, ours: Any, default: str) -> Any:
    """What opens and makes models with either head, as an Auto class does.

    ``from_pretrained(name, head=None)`` opens a model with the head that it has; an encoder alone gets ``head``, or
    the default. ``from_config(config, head=None)`` makes one from random weights.

    Args:
        own: the Auto class of Transformers.
        ours: the Auto class of a `LinearHead`.
        default: one of `HEADS`.
    """

    def chosen(head: str | None, trained: str | None) -> tuple[Any, dict[str, str]]:
        """The Auto class with its fields; a trained head of ours keeps its pooling unless another is asked for."""
        if head not in (None, *HEADS):
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head!r}")
        if head is None and trained is not None:
            return (own if trained == OWN else ours), {}
        head = head or default
        return (own, {}) if head == OWN else (ours, {"linear_pooling": head})

    class Either:
        suffixes = own.__name__.removeprefix("AutoModel"), ours.head.suffix
        """How the names of the classes end that it opens."""

        @classmethod
        def suffixes_of(cls, head: str | None) -> tuple[str, ...]:
            """How the names of the classes with such a head end."""
            return cls.suffixes if head is None else cls.suffixes[:1] if head == OWN else cls.suffixes[1:]

        @classmethod
        def from_pretrained(
            cls, pretrained_model_name_or_path: Any, *args: Any, head: str | None = None, **kwargs: Any
        ) -> Any:
            """The model of a folder, or of a name on the Hub."""
            name = pretrained_model_name_or_path
            classes = SavedModel.read(str(name)).class_names
            trained = next(
                (one for one, end in zip((OWN, "ours"), cls.suffixes) for each in classes if each.endswith(end)), None
            )
            auto_class, fields = chosen(head, trained)
            return auto_class.from_pretrained(name, *args, **fields, **kwargs)

        @classmethod
        def from_config(cls, config: Any, head: str | None = None, **kwargs: Any) -> Any:
            """A model of random weights."""
            auto_class, fields = chosen(head, None)
            if auto_class is own and not has_class_for(own, config):
                raise ValueError(
                    f"head must be one of {', '.join(LINEAR_POOLINGS)} for a {config.model_type}, which has no "
                    f"{own.__name__} of its own, got {OWN!r}"
                )
            return auto_class.from_config(config, **fields, **kwargs)

    Either.__name__ = Either.__qualname__ = f"Either{own.__name__.removeprefix('Auto')}"
    return Either
