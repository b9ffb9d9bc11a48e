"""T5-PEGASUS; importing registers it, also for folders typed mt5, as on the Hub, unless HF_EXT_KEEP_MT5=1."""

import os

from transformers import AutoConfig

from hf_ext.models.t5_pegasus.configuration_t5_pegasus import MT5Config, T5PegasusConfig
from hf_ext.models.t5_pegasus.modeling_t5_pegasus import (
    T5PegasusEncoderModel,
    T5PegasusForConditionalGeneration,
    T5PegasusModel,
)
from hf_ext.models.t5_pegasus.tokenization_t5_pegasus import register_tokenizers
from hf_ext.registration import register_family

__all__ = [
    "T5PegasusConfig",
    "T5PegasusEncoderModel",
    "T5PegasusForConditionalGeneration",
    "T5PegasusModel",
]

register_family(
    T5PegasusConfig,
    {
        "AutoModel": T5PegasusModel,
        "AutoModelForSeq2SeqLM": T5PegasusForConditionalGeneration,
        "AutoModelForTextEncoding": T5PegasusEncoderModel,
    },
    adapter_targets=("q", "v"),
)
if os.environ.get("HF_EXT_KEEP_MT5") != "1":
    AutoConfig.register("mt5", MT5Config, exist_ok=True)
register_tokenizers(T5PegasusConfig)
