"""Whether a graph is being made of what runs: it has to hold for other inputs than those at hand."""

import zlib

import torch


def in_graph() -> bool:
    """Whether the code is compiled, exported or traced, so that neither values nor sizes may decide what runs."""
    return torch.compiler.is_compiling() or is_exported()


def is_exported() -> bool:
    """Whether the graph is to run without this code (``torch.export``, ``torch.jit.trace``).

    A compiled graph may hand over to Python where it ends; such a one has no place for loops over what the data holds.
    """
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def op_namespace(module: str) -> str:
    """The namespace of a module's own operations for compiled graphs.

    A copy of the module that goes along with a checkpoint has its own: of two operations of one name the first is lost.

    Args:
        module: the module's ``__name__``.
    """
    return "hf_ext" if module.startswith("hf_ext.") else f"hf_ext_{zlib.crc32(module.encode()):08x}"
