"""Heads of a family's own, as mixins over its ``PreTrainedModel``; each class of a family is two lines.

Shapes: B batch, L tokens, K choices, H hidden, E embedding size, V vocabulary, C labels.
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers.modeling_outputs import (
    MaskedLMOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils.generic import can_return_tuple

from hf_ext.losses.classification import classification_loss
from hf_ext.modules.adapters import takes_prefix
from hf_ext.modules.encoder_config import EncoderConfig
from hf_ext.modules.encoder_model import EncoderPreTrainedModel, one_input
from hf_ext.modules.output_layers import ClassificationHead, Predictions, classifier_dropout, num_labels
from hf_ext.ops.pooling import first_token

if TYPE_CHECKING:

    class _Base(EncoderPreTrainedModel):
        """What the mixins are mixed into."""

        base_model: Any

else:
    _Base = object


class VocabularyHead(_Base):
    """What the models with a head over the vocabulary share.

    They carry the pooler of their checkpoint along, for those that come after. One that does not read it, which
    ``reads_pooler`` says, does not train it either: a trained parameter that no loss reaches stops plain distributed
    training.
    """

    reads_pooler = False
    _tp_plan: dict[str, str] | None = {"cls.predictions.decoder": "colwise_gather_output"}  # noqa: RUF012

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        tied = {"cls.predictions.decoder.weight": f"{self.base_model_prefix}.embeddings.word_embeddings.weight"}
        if not config.bare_lm_head:
            tied["cls.predictions.decoder.bias"] = "cls.predictions.bias"
        self._tied_weights_keys = tied
        build_base_model(self, config, add_pooling_layer=True)
        self.cls = Predictions(config)
        self.post_init()
        self._freeze_unread_pooler()

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint.

        Arguments and result are those of `transformers.PreTrainedModel.from_pretrained`.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        # Parameters that come from a file are new ones, which all are to be trained.
        (loaded[0] if isinstance(loaded, tuple) else loaded)._freeze_unread_pooler()
        return loaded

    def _freeze_unread_pooler(self) -> None:
        pooler = self.base_model.pooler
        if pooler is not None and not self.reads_pooler:
            pooler.requires_grad_(False)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """Which parameters are another one: the output matrix if the config says so, the two names of its bias always.

        The library unties all at once, and would save two biases of which one is used.
        """
        tied = super().get_expanded_tied_weights_keys(all_submodels)
        bias = "cls.predictions.decoder.bias"
        return tied if all_submodels or bias not in self._tied_weights_keys else tied | {bias: "cls.predictions.bias"}

    def get_output_embeddings(self) -> nn.Linear:
        """The output matrix, tied to the token embedding."""
        return self.cls.predictions.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Replace the output matrix and its bias."""
        self.cls.predictions.decoder = new_embeddings
        if new_embeddings.bias is not None:
            self.cls.predictions.bias = new_embeddings.bias


class MaskedLMHead(VocabularyHead):
    """An encoder with the head that predicts masked tokens."""

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MaskedLMOutput:
        """Predict tokens: ``logits`` ``[B, L, V]``; ``labels`` ``[B, L]`` are ids, -100 where nothing is asked."""
        outputs = self.base_model(input_ids, attention_mask, token_type_ids, inputs_embeds, return_dict=True, **kwargs)
        logits = self.cls(outputs.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class SequenceClassificationHead(_Base):
    """An encoder that classifies or scores a text or a pair."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        build_base_model(self, config)
        self.classifier = ClassificationHead(config)
        self.post_init()

    @property
    def smooths_labels(self) -> bool:
        """Whether Trainer can smooth the labels: classes of which each text has one."""
        return self.config.problem_type in (None, "single_label_classification") and num_labels(self.config) > 1

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify: ``logits`` ``[B, C]``.

        ``labels`` are ``[B]`` class ids, ``[B, C]`` floats of several classes each, or ``[B]`` (``[B, C]``) targets of
        a regression; ``config.problem_type`` says which, or their type and ``num_labels`` do.
        """
        outputs = self.base_model(input_ids, attention_mask, token_type_ids, inputs_embeds, return_dict=True, **kwargs)
        logits = self.classifier(first_token(outputs.last_hidden_state, attention_mask))
        loss = None
        if labels is not None:
            loss = classification_loss(logits, labels, self.config.problem_type, kwargs.get("num_items_in_batch"))
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class MultipleChoiceHead(_Base):
    """An encoder that picks one of several texts, each scored by its first token."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        build_base_model(self, config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> MultipleChoiceModelOutput:
        """Score ``[B, K, L]`` choices: ``logits`` ``[B, K]``; ``labels`` ``[B]`` are the right ones."""
        choices = one_input(input_ids, inputs_embeds, "B, K, L").shape[1]
        flat = [
            None if x is None else x.flatten(0, 1)
            for x in (input_ids, attention_mask, token_type_ids, inputs_embeds, position_ids)
        ]
        outputs = self.base_model(*flat, return_dict=True, **kwargs)
        logits = self.classifier(self.dropout(first_token(outputs.last_hidden_state, flat[1]))).view(-1, choices)
        loss = None
        if labels is not None:
            num_items = kwargs.get("num_items_in_batch")
            loss = classification_loss(logits, labels, "single_label_classification", num_items)
        return MultipleChoiceModelOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class TokenClassificationHead(_Base):
    """An encoder that labels each token on its own."""

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        build_base_model(self, config)
        self.dropout = classifier_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, num_labels(config))
        self.post_init()

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> TokenClassifierOutput:
        """Label tokens: ``logits`` ``[B, L, C]``; ``labels`` ``[B, L]`` are class ids, -100 where nothing is asked."""
        outputs = self.base_model(input_ids, attention_mask, token_type_ids, inputs_embeds, return_dict=True, **kwargs)
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            num_items = kwargs.get("num_items_in_batch")
            loss = classification_loss(logits.flatten(0, 1), labels.flatten(), "single_label_classification", num_items)
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class QuestionAnsweringHead(_Base):
    """An encoder that scores each token as the start and the end of the answer."""

    # Its labels are not called `labels`, by which Trainer would count the items of a batch, and smooth them.
    accepts_loss_kwargs = False
    smooths_labels = False

    def __init__(self, config: EncoderConfig):
        super().__init__(config)
        config.num_labels = 2
        build_base_model(self, config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    @takes_prefix
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> QuestionAnsweringModelOutput:
        """Find the answer: ``start_logits`` and ``end_logits`` ``[B, L]``.

        ``start_positions`` and ``end_positions`` ``[B]`` are token positions, the end inclusive; those outside the
        text count for nothing.
        """
        outputs = self.base_model(input_ids, attention_mask, token_type_ids, inputs_embeds, return_dict=True, **kwargs)
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(start_logits, end_logits, start_positions, end_positions)
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


def build_base_model(model: EncoderPreTrainedModel, config: EncoderConfig, add_pooling_layer: bool = False) -> None:
    """Give a head the encoder of its family, under the family's name."""
    make: Any = model.base_model_class
    setattr(model, model.base_model_prefix, make(config, add_pooling_layer=add_pooling_layer))
