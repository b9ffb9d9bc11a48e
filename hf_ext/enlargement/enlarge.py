"""A model with wider layers that computes what a small one does (kexue.fm/archives/8444)."""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hf_ext.conversion.quiet import quiet
from hf_ext.enlargement.comparison import OutputComparison
from hf_ext.enlargement.families import layout_class
from hf_ext.enlargement.growth import Growth
from hf_ext.enlargement.layout import Layout
from hf_ext.enlargement.tensors import Enlarger
from hf_ext.transformers_private import attention_implementation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Enlargement:
    """An enlarged model, and how near it comes.

    Attributes:
        model: the model, in the type of the small one.
        differences: largest absolute difference of each output in float64, before weights were rounded.
        rounded: the same after they were rounded to the type of the small one.
        untied: whether the output matrix was the token embedding, and is one of its own now.
        reasons: why outputs are others, where that is known.
    """

    model: Any
    differences: Mapping[str, float]
    rounded: Mapping[str, float]
    untied: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def largest(self) -> float:
        """The largest of the differences in float64."""
        return max(self.differences.values())


def enlarge(
    model: PreTrainedModel,
    factor: int,
    grow: str = "heads",
    convention: str = "repeat",
    noise: float = 0.0,
    exact: bool = True,
    seed: int = 0,
) -> Any:
    """A model with wider layers that computes what a model does, so that training goes on where it was.

    The large model is run beside the small one, in float64 on random inputs, before it is returned. Without noise the
    copies of a number have equal gradients, and stay equal under training without dropout.

    Args:
        model: of a family of this package, BERT or RoBERTa, with a head or without.
        factor: by which widths grow, k.
        grow: ``"heads"``: hidden states and feed-forward layers get k times as wide, and attention k times as many
            heads; ``"head_size"``: heads k times as large instead; ``"feed_forward"``: the feed-forward layers alone.
        convention: ``"repeat"``: each number of hidden states k times; ``"orthogonal"``: and divided by the root of k,
            which keeps their length, with k times less epsilon (the article's).
        noise: deviation of what is added to kernels, as a part of their root mean square. It adds up to zero over the
            copies of an input, so that outputs stay, and makes copies learn different things.
        exact: refuse what would change outputs; else a warning says by how much they do.
        seed: to draw noise and the inputs of the comparison by.

    Returns:
        A new model of the same class, on the CPU, in the type of the small one.

    Raises:
        ValueError: if an argument has no meaning or no effect, a parameter is not known, or outputs would change.
    """
    return make_enlargement(model, factor, grow, convention, noise, exact, seed).model


def make_enlargement(
    model: PreTrainedModel,
    factor: int,
    grow: str = "heads",
    convention: str = "repeat",
    noise: float = 0.0,
    exact: bool = True,
    seed: int = 0,
) -> Enlargement:
    """What :func:`enlarge` does, with how near it came; arguments and errors are those."""
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise must be at least 0 and finite, got {noise}")
    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"model must be a PreTrainedModel, got a {type(model).__name__}; merge an adapter first")
    growth = Growth(factor, grow, convention)
    layout = _layout(model, growth)
    reasons = layout.reasons()
    if exact and reasons:
        raise ValueError(f"grow={grow!r} would change outputs, as {'; '.join(reasons)}; exact=False lets it")

    spaces = layout.spaces()
    written, read = spaces["embedded"], spaces["predicted"]
    untied = layout.tied and (written.copies != read.copies or _apart(written.scale * read.scale * read.copies, 1.0))
    state = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    tensors = Enlarger(layout, noise, seed).all_tensors(state, untie=untied)

    implementation = attention_implementation(model.config)
    # Those of a GPU have no float64.
    plain = "eager" if implementation.startswith(("flash", "flex", "paged")) else implementation
    small: Any = copy.deepcopy(model)
    small = small.to("cpu", torch.float64).eval()
    large = _load(type(model), _config(model, layout, untied), tensors)
    for one in (small, large):
        one.set_attn_implementation(plain)
    comparison = OutputComparison(small, layout, seed)
    found, same = comparison.differences(large)
    how = ", ".join(f"{name} by {value:.2g}" for name, value in found.items())
    if not same and exact:
        raise ValueError(f"model must keep its outputs, which would change: {how}; exact=False lets it")
    if not same:
        logger.warning("The large model gives other outputs than the small one: %s", how)

    rounded = found
    if any(value.is_floating_point() and value.dtype != torch.float64 for value in state.values()):
        cast = _round(large, {name: value.dtype for name, value in state.items()})
        rounded = comparison.differences(large)[0]
        for tensor, value in cast:
            tensor.data = value
    _hand_over(model, large, implementation)
    return Enlargement(large, found, rounded, untied, reasons)


def _layout(model: Any, growth: Growth) -> Layout:
    config, names = model.config, model.state_dict().keys()
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = output is not None and output.weight is getattr(embedding, "weight", None)
    # Of Transformers' heads, those that have a pooler read it.
    theirs = type(model).__module__.startswith("transformers.")
    pooled = theirs and any(name.endswith("pooler.dense.weight") for name in names)
    return layout_class(config.model_type)(config, growth, names, tied, pooled)


def _apart(one: float, other: float) -> bool:
    return abs(one - other) > 1e-12


def _config(model: Any, layout: Layout, untied: bool) -> Any:
    """The config of the large model."""
    config = copy.deepcopy(model.config)
    for name, value in layout.settings().items():
        setattr(config, name, value)
    if untied:
        config.tie_word_embeddings = False
    config.validate()
    return config


def _load(model_class: Any, config: Any, tensors: dict[str, Tensor]) -> Any:
    """The large model in float64.

    Raises:
        ValueError: if the tensors are not its own.
    """
    with quiet():
        loaded, info = model_class.from_pretrained(
            None, config=config, state_dict=tensors, dtype=torch.float64, output_loading_info=True
        )
    if problems := {kind: sorted(map(str, found)) for kind, found in info.items() if found}:
        raise ValueError(f"model must have the parameters of its config, got others: {problems}")
    return loaded.eval()


def _round(model: Any, types: Mapping[str, torch.dtype]) -> list[tuple[Tensor, Tensor]]:
    """Round the tensors of a model to types, still in float64; returns each with itself in its type."""
    made = []
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():
            made.append((tensor, tensor.data.to(types[name])))
            # In its own memory, as new memory takes longer than the rounding.
            tensor.data.copy_(made[-1][1])
    return made


def _hand_over(small: Any, large: Any, implementation: str) -> None:
    """What is left to take from the small model: what is trained, how it runs and generates."""
    trained = {name: parameter.requires_grad for name, parameter in small.named_parameters()}
    for name, parameter in large.named_parameters():
        parameter.requires_grad_(trained.get(name, True))
    large.config.dtype = small.config.dtype
    large.set_attn_implementation(implementation)
    large.train(small.training)
    if getattr(small, "generation_config", None) is not None:
        large.generation_config = copy.deepcopy(small.generation_config)
