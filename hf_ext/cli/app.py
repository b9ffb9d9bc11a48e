"""The program and what it runs; it stands beside the package, which need not be imported for its help."""

from hf_ext_cli import app, main

__all__ = ["app", "main"]
