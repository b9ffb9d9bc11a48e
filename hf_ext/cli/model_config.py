"""The config of what a command counts, which has no weights."""

from pathlib import Path
from typing import Any


def config_of(model: str) -> Any:
    """The config of a folder or a name on the Hub, or of a size.

    Raises:
        ValueError: if the folder is none.
    """
    from transformers import AutoConfig

    from hf_ext.data.model_name import check_model_name
    from hf_ext.models.roformer.sizes_roformer import SIZES, config_of_size

    if model in SIZES and not Path(model).exists():
        return config_of_size(model)
    check_model_name(model)
    return AutoConfig.from_pretrained(model)
