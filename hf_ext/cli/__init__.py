"""The `hf-ext` command: one file a subcommand."""

from hf_ext.cli.app import app, main

__all__ = ["app", "main"]
