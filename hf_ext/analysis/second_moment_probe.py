"""How large the numbers of a model are, module by module, forwards and backwards (kexue.fm/archives/7180, 8620)."""

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hf_ext.atomic_file import atomic_write
from hf_ext.extras import extra
from hf_ext.modules.token_masks import mask_of, token_masks

if TYPE_CHECKING:
    from rich.table import Table

OUTPUT, GRADIENT, SCORES, WEIGHT = KINDS = ("output", "gradient", "scores", "largest weight")
"""What is measured: what a module gives; the gradient of the loss by that; attention scores before softmax; and the
largest attention weight of each query."""

# Masks add the least number of their type or -inf, of which half precision has the least.
_HIDDEN = -3e4
_SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax, torch.special.softmax)


@dataclass(frozen=True)
class Moments:
    """What is known of numbers in one place of a model.

    Attributes:
        module: name of the module; "" is the model itself.
        kind: one of `KINDS`.
        mean_square: mean of the squares.
        mean: mean.
        max: the largest absolute value.
        count: how many numbers there were.
    """

    module: str
    kind: str
    mean_square: float
    mean: float
    max: float
    count: int


class SecondMomentProbe:
    """Measures what passes through a model while it runs in a ``with``: mean square, mean and largest number.

    Of what each module gives (of several tensors the first), of its gradient where there is a backward pass, and of
    attention scores before softmax, whether written out or by `torch.nn.functional.scaled_dot_product_attention`;
    back ends that are not made of these, as flash and flex attention, have no scores here. Padding does not count: of
    what has the shape ``[B, L, ...]`` of the model's ``attention_mask``, and of queries, only real tokens do. Numbers
    are added up in float32 over all passes, and no graph is kept.

    Args:
        model: any module, with or without adapters.
        pattern: regular expression of the whole names of the modules to look at; None: all.

    Raises:
        ValueError: if the pattern matches no module.
    """

    def __init__(self, model: nn.Module, pattern: str | None = None) -> None:
        self.model = model
        self.modules = {
            name: module for name, module in model.named_modules() if pattern is None or re.fullmatch(pattern, name)
        }
        if not self.modules:
            raise ValueError(f"pattern must match the name of a module, got {pattern!r}, which matches none")
        self._sums: dict[tuple[str, str], list[float]] = {}
        self._hooks: list[Any] = []
        self._stack: list[str] = []
        self._masks: dict[str, Tensor] = {}
        self._mode = _Attention(self)

    def __enter__(self) -> "SecondMomentProbe":
        self._hooks.append(self.model.register_forward_pre_hook(self._begin, with_kwargs=True, prepend=True))
        for name, module in self.model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(partial(self._enter, name)))
            self._hooks.append(module.register_forward_hook(partial(self._leave, name), always_call=True))
        self._mode.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._stack = []

    @property
    def rows(self) -> list[Moments]:
        """What was measured, in the order in which modules gave it, then by kind."""
        rows = []
        for (name, kind), (squares, total, largest, count) in self._sums.items():
            rows.append(Moments(name, kind, squares / count, total / count, largest, int(count)))
        order = {name: place for place, name in enumerate(dict.fromkeys(row.module for row in rows))}
        return sorted(rows, key=lambda row: (KINDS.index(row.kind), order[row.module]))

    def table(self) -> "Table":
        """The rows as a table for the terminal."""
        from rich.table import Table

        table = Table("module", "what")
        for name in ("mean square", "mean", "max", "numbers"):
            table.add_column(name, justify="right")
        kind = None
        for row in self.rows:
            if kind not in (None, row.kind):
                table.add_section()
            kind = row.kind
            numbers = (f"{value:.4g}" for value in (row.mean_square, row.mean, row.max))
            table.add_row(row.module or "(model)", row.kind, *numbers, f"{row.count:,}")
        return table

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the rows as a table of comma-separated values."""
        with atomic_write(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(one.name for one in fields(Moments))
            writer.writerows(astuple(row) for row in self.rows)

    def plot(self, path: str | os.PathLike[str], title: str = "Mean square by module") -> None:
        """Draw the mean squares in the order of the modules, a line a kind, as a PNG.

        Raises:
            MissingExtraError: if matplotlib is not installed.
        """
        with extra("plots", "drawing the moments"):
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        for kind in KINDS[:3]:
            values = [row.mean_square for row in self.rows if row.kind == kind and row.mean_square > 0]
            if values:
                places = [place / max(len(values) - 1, 1) for place in range(len(values))]
                axes.plot(places, values, marker=".", label=kind)
        axes.set_yscale("log")
        axes.set_xlabel("modules from the first to the last")
        axes.set_ylabel("mean square")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
        figure.suptitle(title)
        with atomic_write(path, "wb") as file:
            figure.savefig(file, format="png", dpi=120)

    @torch.no_grad()
    def _add(self, name: str, kind: str, numbers: Tensor) -> None:
        if not numbers.numel() or name not in self.modules:
            return
        numbers = numbers.detach().float()
        sums = self._sums.setdefault((name, kind), [0.0, 0.0, 0.0, 0.0])
        sums[0] += float(numbers.square().sum())
        sums[1] += float(numbers.sum())
        # A number that is none must not be passed over by a comparison.
        sums[2] = float(torch.maximum(numbers.abs().max(), numbers.new_tensor(sums[2])))
        sums[3] += numbers.numel()

    def _begin(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> None:
        self._stack = []
        self._masks = token_masks({**_named(module, args), **kwargs})

    def _enter(self, name: str, module: nn.Module, args: Any) -> None:
        # What runs in a backward pass, as checkpointing makes it again, runs outside of the model.
        if name == "" or self._stack:
            self._stack.append(name)

    def _leave(self, name: str, module: nn.Module, args: Any, output: Any) -> None:
        runs = bool(self._stack)
        if runs:
            self._stack.pop()
        first = _first(output)
        if first is None or name not in self.modules:
            return
        mask = mask_of(name, first.shape[:2], self._masks) if first.dim() > 2 else None
        if runs:
            self._add(name, OUTPUT, _real(first.detach(), mask))
        if first.requires_grad:
            first.register_hook(partial(self._backward, name, mask))

    def _backward(self, name: str, mask: Tensor | None, gradient: Tensor) -> None:
        self._add(name, GRADIENT, _real(gradient, mask))

    @torch.no_grad()
    def attended(self, scores: Tensor) -> None:
        """Take scores ``[B, ..., Lq, Lk]`` of the module that runs, below -30000 where a key is hidden."""
        if not self._stack or scores.dim() < 3 or not scores.is_floating_point():
            return
        name, scores = self._stack[-1], scores.detach().float()
        seen = scores > _HIDDEN
        mask = mask_of(name, (scores.shape[0], scores.shape[-2]), self._masks)
        queries = seen.any(-1)
        if mask is not None:
            queries &= mask.to(scores.device).view(len(mask), *[1] * (scores.dim() - 3), -1)
        self._add(name, SCORES, scores[seen & queries.unsqueeze(-1)])
        self._add(name, WEIGHT, scores.softmax(-1).amax(-1)[queries])


class _Attention(TorchFunctionMode):
    """Sees the scores of attention as they go into softmax."""

    def __init__(self, probe: SecondMomentProbe) -> None:
        super().__init__()
        self.probe = probe

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention:
            self.probe.attended(_fused_scores(*args, **kwargs))
        elif function in _SOFTMAX:
            scores, dim = _softmax_of(*args, **kwargs)
            if dim in (-1, scores.dim() - 1):
                self.probe.attended(scores)
        return function(*args, **kwargs)


@torch.no_grad()
def _fused_scores(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The scores that the fused function makes inside."""
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    with torch.autocast(query.device.type, enabled=False):
        scores = query.float() @ key.float().mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = scores.masked_fill(~torch.ones_like(scores[..., :, :], dtype=torch.bool).tril(), -torch.inf)
    if attn_mask is None:
        return scores
    return scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask


def _softmax_of(input: Tensor, dim: int | None = None, *rest: Any, **kwargs: Any) -> tuple[Tensor, int | None]:
    return input, dim


def _real(numbers: Tensor, mask: Tensor | None) -> Tensor:
    return numbers if mask is None else numbers[mask.to(numbers.device)]


def _named(module: nn.Module, args: Any) -> dict[str, Any]:
    """Arguments that were given by their place, by their names."""
    names = [
        name for name, one in signature(module.forward).parameters.items() if one.kind == one.POSITIONAL_OR_KEYWORD
    ]
    return dict(zip(names, args))


def _first(output: Any) -> Tensor | None:
    """Of what a module gives, the tensor of floats, or the first of several."""
    values = output.values() if isinstance(output, Mapping) else output
    if isinstance(values, Tensor):
        values = [values]
    elif not hasattr(values, "__iter__"):
        return None
    return next((one for one in values if isinstance(one, Tensor) and one.is_floating_point()), None)
