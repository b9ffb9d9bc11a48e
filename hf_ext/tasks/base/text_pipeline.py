"""What all pipelines share: a model with a tokenizer alone, run as in evaluation."""

from typing import Any, ClassVar

from transformers.pipelines.base import Pipeline

from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.base.pipeline_registration import module_imported


class TextPipeline(Pipeline):
    """A pipeline of texts, with a tokenizer and no other processor."""

    found: ClassVar[str]
    """What it finds in a text: ``"entities"``."""

    # Transformers declares these as None and its tokenizers as the slow ones.
    model: Any
    tokenizer: Any
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = True

    def forward(self, model_inputs: Any, **forward_params: Any) -> Any:
        """Run the model, whatever mode it is in, as in evaluation."""
        with evaluation_mode(self.model):
            return super().forward(model_inputs, **forward_params)


module_imported(__name__)
