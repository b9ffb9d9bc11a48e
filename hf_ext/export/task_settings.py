"""What the answers of a task depend on beside graphs, by the name of its pipeline."""

import copy
from dataclasses import asdict
from typing import Any

from transformers.cache_utils import DynamicCache

from hf_ext.export.drawing_settings import DrawingSettings
from hf_ext.export.writing_settings import WritingSettings
from hf_ext.models.t5_pegasus.configuration_t5_pegasus import T5PegasusConfig
from hf_ext.tasks.dialogue.chat import Chat
from hf_ext.tasks.dialogue.encoding import speakers_of


def task_settings(name: str, opened: Any) -> dict[str, Any]:
    """The settings of a loaded pipeline.

    Args:
        name: of the pipeline.
        opened: it.

    Raises:
        ValueError: if the model is one that is not exported, or writes as is not done.
    """
    model = opened.model
    if name == "reading-comprehension":
        return {"has_pointer": model.has_pointer}
    if name == "summary-generation":
        if model.config.model_type != T5PegasusConfig.model_type:
            raise ValueError(
                f"a model that writes must be {T5PegasusConfig.model_type} to be exported to ONNX, got "
                f"{model.name_or_path}, which is {model.config.model_type}"
            )
        return asdict(WritingSettings.of(model.generation_config))
    if name == "text-autoencoding":
        generation = copy.deepcopy(model.generation_config)
        generation.update(decoder_start_token_id=None, **opened.generation_settings())
        if generation.max_new_tokens is None:
            generation.max_length = model.config.half_length
        return asdict(WritingSettings.of(generation))
    if name in ("paraphrase-generation", "dialogue-reply"):
        if type(model.base_model.new_cache()) is not DynamicCache:
            raise ValueError(
                "a model that writes must keep keys and values of each token to be exported to ONNX, got "
                f"{model.name_or_path}, which is {model.config.model_type}"
            )
        speaks = name == "dialogue-reply"
        told = Chat(model, opened.tokenizer).settings if speaks else opened.generation_settings()
        generation = copy.deepcopy(model.generation_config)
        # The end stands for the prompt's last token.
        generation.update(decoder_start_token_id=opened.tokenizer.sep_token_id, **told)
        own = asdict(DrawingSettings.of(generation))
        return {**own, "speakers": speakers_of(model.config)} if speaks else own
    return {}
