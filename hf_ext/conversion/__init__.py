"""Original TensorFlow releases to folders that `from_pretrained` loads, and back."""

from hf_ext.conversion.convert import convert_release, load_state_dict
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.export import export_release
from hf_ext.conversion.families import Family, register_conversion
from hf_ext.conversion.report import ConversionReport, ExportReport

__all__ = [
    "ConversionError",
    "ConversionReport",
    "ExportReport",
    "Family",
    "convert_release",
    "export_release",
    "load_state_dict",
    "register_conversion",
]
