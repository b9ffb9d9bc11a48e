"""UniVAE; importing registers it with the Auto classes."""

from hf_ext.models.univae.autoencoding_univae import UniVAEForTextAutoencoding
from hf_ext.models.univae.configuration_univae import UniVAEConfig
from hf_ext.models.univae.modeling_univae import UniVAEModel
from hf_ext.registration import register_family
from hf_ext.tokenization import register_tokenizers

__all__ = [
    "UniVAEConfig",
    "UniVAEForTextAutoencoding",
    "UniVAEModel",
]

register_family(
    UniVAEConfig,
    {"AutoModel": UniVAEModel, "AutoModelForTextEncoding": UniVAEModel},
    adapter_targets=("query", "value"),
)
register_tokenizers(UniVAEConfig)
