"""What the pipelines of texts share: a tokenizer alone, and rows that begin with their first token."""

from typing import Any

from hf_ext.ops.padding import padded_on_the_right
from hf_ext.tasks.base.pipeline_registration import module_imported
from hf_ext.tasks.base.task_pipeline import TaskPipeline


class TextPipeline(TaskPipeline):
    """A pipeline of texts, with a tokenizer and no other processor."""

    # Transformers declares these as None and its tokenizers as the slow ones.
    tokenizer: Any
    _load_processor: Any = False
    _load_image_processor: Any = False
    _load_feature_extractor: Any = False
    _load_tokenizer: Any = True

    def forward(self, model_inputs: Any, **forward_params: Any) -> Any:
        """Run the model as in evaluation, on rows that begin with their first real token.

        Padding on the left would shift positions, and whatever counts them.
        """
        return super().forward(padded_on_the_right(model_inputs), **forward_params)


module_imported(__name__)
