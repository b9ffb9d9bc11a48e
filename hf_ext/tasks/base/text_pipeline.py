"""What all pipelines share: a model with a tokenizer alone, run as in evaluation."""

from typing import Any, ClassVar

from transformers.pipelines.base import Pipeline

from hf_ext.modules.evaluation import EvaluatingPipeline
from hf_ext.tasks.base.pipeline_registration import module_imported


class TextPipeline(EvaluatingPipeline, Pipeline):
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


module_imported(__name__)
