"""CDial-GPT; importing registers it."""

from hf_ext.models.gpt_cdial.configuration_gpt_cdial import CDialGPTConfig
from hf_ext.models.gpt_cdial.modeling_gpt_cdial import (
    CDialGPTForCausalLM,
    CDialGPTModel,
)
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "CDialGPTConfig",
    "CDialGPTForCausalLM",
    "CDialGPTModel",
]

register_family(
    CDialGPTConfig,
    {
        "AutoModel": CDialGPTModel,
        "AutoModelForCausalLM": CDialGPTForCausalLM,
    },
    adapter_targets=("query", "value"),
)
register_tokenizers(CDialGPTConfig)
