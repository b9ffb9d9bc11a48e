"""The version of hf_ext, in a module of its own so that building reads it without importing torch."""

__version__ = "0.1.0"
