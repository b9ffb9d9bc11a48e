"""What makes Transformers and PEFT know a family: one call for each, public and repeatable."""

from collections.abc import Mapping, Sequence
from types import ModuleType

import transformers
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

from hf_ext.import_hooks import when_imported

FAMILIES: dict[type[PreTrainedConfig], Mapping[str, type[PreTrainedModel]]] = {}
"""The registered families: the class that each Auto class gives, by the class of their config."""


def register_family(
    config_class: type[PreTrainedConfig],
    models: Mapping[str, type[PreTrainedModel]],
    adapter_targets: Sequence[str],
    other_types: Sequence[str] = (),
) -> None:
    """Make the Auto classes and PEFT know a family, over a family of the same model type that they know already.

    Args:
        config_class: its ``model_type`` is the family's name.
        models: the class that each Auto class gives, by the Auto class's name (``"AutoModelForMaskedLM"``).
        adapter_targets: names of the linear layers that LoRA and its kin adapt unless told otherwise.
        other_types: model types that its folders have beside that of the config, as PEFT looks at.
    """
    FAMILIES[config_class] = models
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    for name, model_class in models.items():
        # Without `exist_ok`, registering under a known model type is a silent no-op.
        getattr(transformers, name).register(config_class, model_class, exist_ok=True)

    def add_adapter_targets(constants: ModuleType) -> None:
        # PEFT has a table for each kind of adapter; LoRA's targets hold in those that say of BERT what LoRA's says.
        tables = [table for name, table in vars(constants).items() if name.endswith("_TARGET_MODULES_MAPPING")]
        bert = constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING["bert"]
        for table in tables:
            if table.get("bert") == bert:
                table.update({name: list(adapter_targets) for name in (config_class.model_type, *other_types)})

    when_imported("peft.utils.constants", add_adapter_targets)
