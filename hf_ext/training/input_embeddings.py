"""Adds to what a model's input embeddings give, and takes the gradient there, without touching a weight.

The perturbation of a matrix of embeddings is one vector for each token, of which every place of that token has the
same; that of their output is one vector for each place. Neither reaches an output layer that is tied to the matrix.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hf_ext.ops.gather import gather_rows, sum_of_processes
from hf_ext.ops.precision import at_least_float32

NORMS = ("matrix", "batch", "row")
"""What has the norm of a perturbation: the matrix of embeddings, their output for a batch, or that for each row."""

# Of norms, as in the original's code.
_LEAST = 1e-8


def unit_vectors(
    values: Tensor,
    norm: str = "batch",
    rows: Tensor | None = None,
    total: Callable[[Tensor], Tensor] = lambda squares: squares,
) -> Tensor:
    """``values / (|values| + 1e-8)``, 0 where all are 0.

    Args:
        values: ``[..., H]``.
        norm: ``"row"``: of each row by itself; else of all.
        rows: integers ``[...]``, the row of each vector; None: their first dimension.
        total: what makes the sum of squares of all processes of that of this one.

    Returns:
        The same shape, in float32 or better.
    """
    values = at_least_float32(values)
    if norm != "row":
        return values / (total(values.square().sum()).sqrt() + _LEAST)
    if rows is None:
        rows = torch.arange(len(values), device=values.device)
        rows = rows.view(-1, *[1] * (values.ndim - 2)).expand(values.shape[:-1])
    count = int(rows.max()) + 1 if rows.numel() else 0
    squares = values.new_zeros(count).index_add_(0, rows.flatten(), values.square().sum(-1).flatten())
    return values / (squares.sqrt() + _LEAST)[rows].unsqueeze(-1)


class InputEmbeddings:
    """The input embeddings of a model.

    Args:
        model: with ``get_input_embeddings``, and perhaps with adapters around it.

    Raises:
        ValueError: if these are not embeddings of tokens.
    """

    def __init__(self, model: nn.Module) -> None:
        own = model.get_input_embeddings()  # type: ignore[operator]
        weight = getattr(own, "weight", None)
        if not isinstance(weight, Tensor) or weight.dim() != 2:
            raise ValueError(f"model must have input embeddings of tokens, got a {type(own).__name__}")
        within = set(own.modules())
        others = (module for module in model.modules() if module not in within and isinstance(module, nn.Embedding))
        # Encoder and decoder may have modules of their own around one matrix.
        self._modules = [own, *(module for module in others if module.weight is weight)]
        self.vocabulary = weight.shape[0]

    @contextmanager
    def adding(self, addition: Callable[[Tensor, Tensor], Tensor]) -> Iterator[None]:
        """Add to what the embeddings give, each time that the model asks them.

        Args:
            addition: of the tokens ``[...]`` and the output ``[..., H]`` to what is added, ``[..., H]``.

        Raises:
            ValueError: if the model does not ask them, as where it is given ``inputs_embeds``.
        """
        called = False

        def hook(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Tensor) -> Tensor:
            nonlocal called
            called = True
            tokens = arguments[0] if arguments else next(iter(named.values()))
            return output + addition(tokens, output).to(output.dtype)

        handles = [module.register_forward_hook(hook, with_kwargs=True) for module in self._modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if not called:
            raise ValueError("model must be given tokens as input_ids, got inputs for which it looked up no embeddings")

    @contextmanager
    def watched(self, inputs: Mapping[str, Any]) -> Iterator["EmbeddingCalls"]:
        """Take down what the embeddings are asked for in a pass.

        Args:
            inputs: what the model is given, with ``input_ids`` and ``attention_mask``.
        """
        calls = EmbeddingCalls(inputs)
        with self.adding(calls.take):
            yield calls

    @contextmanager
    def moved(self, by: Iterable[Tensor]) -> Iterator[None]:
        """Add tensors, one for each time that the embeddings are asked, in their order."""
        additions = iter(by)
        with self.adding(lambda tokens, output: next(additions)):
            yield


class EmbeddingCalls:
    """What the input embeddings were asked for in a pass, call by call.

    Args:
        inputs: what the model was given.
    """

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self._ids: Tensor | None = inputs.get("input_ids")
        mask = inputs.get("attention_mask")
        self.mask: Tensor | None = mask if self._ids is not None and mask is not None and mask.dim() == 2 else None
        self.tokens: list[Tensor] = []
        self.zeros: list[Tensor] = []

    def take(self, tokens: Tensor, output: Tensor) -> Tensor:
        """Take a call down; zeros to be added to its output, whose gradient is the output's."""
        zeros = torch.zeros_like(output, dtype=torch.promote_types(output.dtype, torch.float32), requires_grad=True)
        self.tokens.append(tokens)
        self.zeros.append(zeros)
        return zeros

    def gradients(self, loss: Tensor, scale: float = 1.0, create_graph: bool = False) -> list[Tensor]:
        """The gradient of a loss at the output of each call.

        Args:
            loss: scalar.
            scale: what the loss is multiplied by for the backward pass, so that half precision holds it.
            create_graph: whether the gradients are to be differentiated in turn.
        """
        found = torch.autograd.grad(loss * scale, self.zeros, create_graph=create_graph, allow_unused=True)
        # A call may be one that the loss does not depend on.
        return [
            torch.zeros_like(zeros) if gradient is None else gradient / scale
            for zeros, gradient in zip(self.zeros, found)
        ]

    def real(self, call: int) -> Tensor | None:
        """Where the tokens of a call are not padding, bool of their shape; None where that is not known."""
        tokens = self.tokens[call]
        if self.mask is None or self._ids is None or tokens.data_ptr() != self._ids.data_ptr():
            return None
        return self.mask.to(tokens.device).bool().view(tokens.shape) if tokens.numel() == self.mask.numel() else None

    def packed(self, call: int) -> bool:
        """Whether the tokens of a call are the real ones of all rows, one row after the other."""
        tokens, mask = self.tokens[call], self.mask
        return mask is not None and len(tokens) != len(mask) and tokens.numel() == int((mask != 0).sum())

    def rows(self, call: int) -> Tensor:
        """The number of the row of each token of a call.

        Raises:
            ValueError: if its tokens are no rows of the batch.
        """
        tokens = self.tokens[call]
        count = 0 if self._ids is None else len(self._ids)
        if self.packed(call):
            assert self.mask is not None
            return self.mask.to(tokens.device).nonzero()[:, 0].view(tokens.shape)
        if tokens.shape[0] != count:
            raise ValueError(
                f"norm must be matrix or batch for a model that embeds tokens {tuple(tokens.shape)} for {count} rows, "
                "got row"
            )
        return torch.arange(count, device=tokens.device).view(-1, *[1] * (tokens.ndim - 1)).expand(tokens.shape)


class PlaceVectors:
    """Perturbations that are a vector for each place of a pass, ``[N, H]`` over all calls of the embeddings.

    Args:
        calls: of the pass.
        norm: ``"batch"`` or ``"row"``.
    """

    def __init__(self, calls: EmbeddingCalls, norm: str) -> None:
        self.calls = calls
        rows = torch.cat([calls.rows(call).flatten() for call in range(len(calls.tokens))]) if norm == "row" else None
        self.unit = partial(unit_vectors, norm=norm, rows=rows, total=sum_of_processes)

    def gather(self, gradients: Sequence[Tensor]) -> Tensor:
        """The gradient ``[N, H]`` of that of each call, 0 at padding."""
        return torch.cat([_kept(one, self.calls.real(call)).flatten(0, -2) for call, one in enumerate(gradients)])

    def spread(self, vectors: Tensor) -> list[Tensor]:
        """What is added in each call."""
        ends = torch.tensor([0] + [tokens.numel() for tokens in self.calls.tokens]).cumsum(0).tolist()
        parts = [vectors[start:end] for start, end in pairwise(ends)]
        return [part.view(*tokens.shape, -1) for part, tokens in zip(parts, self.calls.tokens)]

    def noise(self, generator: torch.Generator) -> Tensor:
        """Normal numbers, 0 at padding; those of one process if there are several."""
        return self.gather([self._noise(call, zeros, generator) for call, zeros in enumerate(self.calls.zeros)])

    def _noise(self, call: int, zeros: Tensor, generator: torch.Generator) -> Tensor:
        """Those of a call; drawn for the rows of all processes, as if they were padded to one length."""
        mask = self.calls.mask if self.calls.packed(call) else None
        shape = zeros.shape[:-1] if mask is None else mask.shape
        own = torch.tensor([shape], device=zeros.device)
        every = gather_rows(own)
        process = dist.get_rank() if len(every) > 1 else 0
        first, count = int(every[:process, 0].sum()), int(every[:, 0].sum())
        widest = [int(size) for size in every[:, 1:].amax(0)]
        drawn = torch.randn(
            count, *widest, zeros.shape[-1], generator=generator, device=zeros.device, dtype=zeros.dtype
        )
        drawn = drawn[(slice(first, first + shape[0]), *(slice(size) for size in shape[1:]))]
        return drawn if mask is None else drawn[mask.to(drawn.device) != 0].view(zeros.shape)


class TokenVectors:
    """Perturbations that are a vector for each token: those ``[U, H]`` of the tokens of a pass, in all processes.

    Args:
        calls: of the pass.
        vocabulary: number of tokens there are.
    """

    def __init__(self, calls: EmbeddingCalls, vocabulary: int) -> None:
        self.calls = calls
        real = [calls.real(call) for call in range(len(calls.tokens))]
        kept = [tokens.flatten() if own is None else tokens[own] for tokens, own in zip(calls.tokens, real)]
        self.known = gather_rows(torch.cat(kept).unique()).unique()
        self.others = vocabulary - len(self.known)
        # The token of padding, which gets nothing, need not be among them.
        last = len(self.known) - 1
        self.places = [torch.searchsorted(self.known, tokens).clamp(max=last) for tokens in calls.tokens]

    def unit(self, vectors: Tensor) -> Tensor:
        """The direction ``[U, H]`` of the sum of all processes' vectors."""
        return unit_vectors(sum_of_processes(vectors))

    def gather(self, gradients: Sequence[Tensor]) -> Tensor:
        """The gradient ``[U, H]`` of the vectors of tokens, of that of each call."""
        summed = gradients[0].new_zeros(len(self.known), gradients[0].shape[-1])
        for call, (places, gradient) in enumerate(zip(self.places, gradients)):
            kept = _kept(gradient, self.calls.real(call))
            summed = summed.index_add(0, places.flatten(), kept.flatten(0, -2))
        return summed

    def spread(self, vectors: Tensor) -> list[Tensor]:
        """What is added in each call; at padding 0."""
        return [_kept(vectors[places], self.calls.real(call)) for call, places in enumerate(self.places)]

    def noise(self, generator: torch.Generator) -> Tensor:
        """Normal numbers ``[U + 1, H]``; the last row has the norm that those of all other tokens have on average."""
        like, tokens = self.calls.zeros[0], len(self.known)
        size = like.shape[-1]
        drawn = torch.randn(tokens + 1, size, generator=generator, device=like.device, dtype=like.dtype)
        # The sum of so many squares varies by less than a thousandth.
        drawn[-1] = max(self.others, 0) ** 0.5
        return drawn


def vectors_of(calls: EmbeddingCalls, norm: str, vocabulary: int) -> PlaceVectors | TokenVectors:
    """Where the perturbations of a pass live, under one of `NORMS`."""
    return TokenVectors(calls, vocabulary) if norm == "matrix" else PlaceVectors(calls, norm)


def _kept(values: Tensor, real: Tensor | None) -> Tensor:
    """Values ``[..., H]``, 0 at padding."""
    return values if real is None else values.masked_fill(~real.unsqueeze(-1), 0)
