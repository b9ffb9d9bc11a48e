"""The two Triton kernels: what they compute beside their readable twins, and their time beside what needs no Triton.

    python benchmarks/triton_kernels.py                                         # on a GPU
    TRITON_INTERPRET=1 python benchmarks/triton_kernels.py --device cpu         # in Triton's interpreter, nothing timed

Outputs and gradients are compared with the twin's in float64, of the same rounded inputs; an error is the largest
relative to the largest number of its tensor. In half precision it may be twice that of the twin in the same type, and
some roundings. The interpreter must be chosen before Triton is imported, so that it needs a process of its own.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import harness

from hf_ext.ops.gated_attention import dispatch as gated_dispatch, fused, gated_attention, naive_gated_attention
from hf_ext.ops.pointer import span_mask
from hf_ext.ops.pointer_loss import dispatch as pointer_dispatch, pointer_loss
from hf_ext.ops.pointer_loss.fused import dense_sums
from hf_ext.ops.rotary import rotary_cos_sin

FULL, HALF, BRAIN = torch.float32, torch.float16, torch.bfloat16

# In float32, and in what a GPU makes of it unless told otherwise, TF32: where the dispatch takes gated attention to the
# kernel, it is in half precision.
FULL_TOLERANCE, TF32_TOLERANCE = 2e-5, 1e-2

# Of each output and gradient, by name: the kernel's error, and the largest that is right.
Errors = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        kernel: "gated_attention" or "pointer_loss".
        shape: of gated attention B, L, I, K; of the pointers B, L, C, D.
        layout: which keys are seen, or which tokens are real.
        dtype: of the inputs.
    """

    kernel: str
    shape: tuple[int, int, int, int]
    layout: str
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """Kernel, shape, layout and type."""
        size = "x".join(str(n) for n in self.shape)
        return f"{self.kernel} {size} {self.layout} {str(self.dtype).removeprefix('torch.')}"


CASES = tuple(
    Case(kernel, shape, layout, dtype)
    for kernel, shape, layout, types in (
        ("gated_attention", (2, 70, 150, 24), "full", (FULL, HALF, BRAIN)),
        ("gated_attention", (1, 1, 8, 16), "full", (FULL, BRAIN)),
        ("gated_attention", (2, 70, 130, 128), "pairs", (FULL, BRAIN)),
        ("gated_attention", (3, 40, 20, 16), "padding", (FULL, BRAIN)),
        ("gated_attention", (1, 150, 20, 16), "packed", (FULL, BRAIN)),
        ("pointer_loss", (1, 1, 1, 2), "full", (FULL, BRAIN)),
        ("pointer_loss", (2, 70, 1, 24), "right", (FULL, HALF, BRAIN)),
        ("pointer_loss", (2, 130, 3, 66), "holes", (FULL, BRAIN)),
        ("pointer_loss", (3, 67, 3, 16), "unordered", (FULL, BRAIN)),
        ("pointer_loss", (1, 64, 2, 128), "full", (FULL, BRAIN)),
    )
    for dtype in types
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=5, help="timings of each side")
    parser.add_argument("--json", type=Path, default=None, help="write the errors to this file, and time nothing")
    parser.add_argument("--output", type=Path, default=harness.RESULTS / "triton_kernels.csv")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("no GPU here: nothing measured")
        return
    if arguments.device == "cpu":
        teach_interpreter_bfloat16()
    found = {case.name: errors(case, arguments.device) for case in CASES}
    for name, parts in found.items():
        told = ", ".join(f"{part} {error:.1e} ({limit:.0e})" for part, (error, limit) in parts.items())
        print(f"{name}: {told}", flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found), encoding="utf-8")
    elif arguments.device == "cuda":
        for name, calls in timed(arguments.device).items():
            measured = harness.compare(calls, arguments.rounds, 5, device=arguments.device)
            harness.report("triton_kernels", {"case": name}, measured, "triton", arguments.output, arguments.device)
    wrong = [name for name, parts in found.items() if not right(parts)]
    if wrong:
        raise SystemExit(f"other numbers than the twin's: {', '.join(wrong)}")


def teach_interpreter_bfloat16() -> None:
    """Let Triton's interpreter multiply bfloat16, whose bits it takes for integers, in float32 as the hardware does.

    Raises:
        RuntimeError: if Triton was imported without its interpreter.
    """
    if os.environ.get("TRITON_INTERPRET") != "1":
        raise RuntimeError("without a GPU the kernels run in Triton's interpreter only: set TRITON_INTERPRET=1")
    import triton.language as tl
    from triton.runtime.interpreter import InterpreterBuilder

    plain = InterpreterBuilder.create_dot

    def create_dot(self: Any, a: Any, b: Any, *rest: Any) -> Any:
        a, b = (self.create_fp_ext(x, tl.float32) if x.dtype.scalar == tl.bfloat16 else x for x in (a, b))
        return plain(self, a, b, *rest)

    InterpreterBuilder.create_dot = create_dot


def right(found: Errors) -> bool:
    """Whether every error is within its limit; NaN is not."""
    return all(error <= limit for error, limit in found.values())


def errors(case: Case, device: str) -> Errors:
    """The error of each output and gradient of the kernel, and its limit."""
    compared = {"gated_attention": gated_errors, "pointer_loss": pointer_errors}
    return compared[case.kernel](case, device)


def gated_errors(case: Case, device: str) -> Errors:
    rows, length, inner, size = case.shape
    generator = torch.Generator().manual_seed(0)
    shapes = ((rows, length, 2 * inner + size), (size,), (size,))
    leaves = [torch.randn(shape, generator=generator).to(case.dtype) for shape in shapes]
    cos, sin = (x.float() for x in rotary_cos_sin(torch.arange(length)[None], size))
    rotations = ((cos * 0.3, sin * 0.3), (cos, sin))
    lengths = torch.linspace(length, 1, rows).long()
    settings: dict[str, Any] = {
        "full": {},
        "pairs": {
            "mask": (torch.rand(rows, 1, length, length, generator=generator) > 0.4)
            | torch.eye(length, dtype=torch.bool)
        },
        "padding": {"mask": (torch.arange(length) < lengths[:, None])[:, None, None]},
        "packed": {"lengths": [3, length - 60, 1, 56]},
    }[case.layout]
    moved = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in settings.items()}

    def in_triton(*tensors: Tensor) -> Tensor:
        turned = [tuple(x.to(device) for x in pair) for pair in rotations]
        return fused.fused_gated_attention(*tensors, *turned, **moved, in_triton=True)

    def twin(*tensors: Tensor) -> Tensor:
        turned = [tuple(x.to(tensors[0].dtype) for x in pair) for pair in rotations]
        return naive_gated_attention(*tensors, *turned, **settings)

    # Kept, the attended values that the kernel gives go into the gradients too.
    limit, fused._KEEP_ATTENDED = fused._KEEP_ATTENDED, 1
    try:
        return compare(in_triton, twin, leaves, device, ("gated", "projected", "query_scale", "key_scale"))
    finally:
        fused._KEEP_ATTENDED = limit


def pointer_errors(case: Case, device: str) -> Errors:
    from hf_ext.ops.pointer_loss.triton import triton_pointer_sums

    rows, length, types, size = case.shape
    generator = torch.Generator().manual_seed(0)
    leaves = [torch.randn(rows, length, types, size, generator=generator).to(case.dtype) for _ in range(2)]
    mask = torch.ones(rows, length, dtype=torch.long)
    if case.layout == "right":
        mask[-1, 3:] = 0
    if case.layout == "holes":
        mask[-1, 1::3] = 0
    ordered = case.layout != "unordered"
    if not ordered:
        mask[0] = 0
    allowed = span_mask(length, mask, ordered).expand(rows, -1, -1).nonzero()
    cells = allowed[torch.randint(len(allowed), (9 * rows,), generator=generator)]
    type_ = torch.randint(types, (len(cells), 1), generator=generator)
    cells = torch.cat((cells[:, :1], type_, cells[:, 1:]), dim=1).unique(dim=0)

    def in_triton(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return triton_pointer_sums(*tensors, cells.to(device), mask.to(device), ordered, size**-0.5)

    def twin(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return dense_sums(*tensors, cells, mask, ordered, size**-0.5)

    return compare(in_triton, twin, leaves, device, ("log_sums", "chosen", "query", "key"), ieee=True)


def compare(
    kernel: Callable[..., Any],
    twin: Callable[..., Any],
    leaves: list[Tensor],
    device: str,
    names: tuple[str, ...],
    ieee: bool = False,
) -> Errors:
    """Errors of the outputs, and of the gradients of a random weighting of them; ``ieee``: never in TF32."""
    dtype = leaves[0].dtype

    def run(function: Callable[..., Any], place: str, inside: torch.dtype) -> list[Tensor]:
        inputs = [x.to(place, inside).requires_grad_() for x in leaves]
        outputs = function(*inputs)
        outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        generator = torch.Generator().manual_seed(1)
        weights = [torch.randn(x.shape, generator=generator).to(dtype).to(x) for x in outputs]
        gradients = torch.autograd.grad(outputs, inputs, weights)
        return [x.detach().cpu().double() for x in (*outputs, *gradients)]

    exact = run(twin, "cpu", torch.float64)
    found: Errors = {}
    for name, want, got, rounded in zip(names, exact, run(kernel, device, dtype), run(twin, "cpu", dtype), strict=True):
        # A gradient of nothing but zeros, as those of a single token's scores are, is compared as it is.
        error, others = (float((x - want).abs().max() / want.abs().max().clamp_min(1e-2)) for x in (got, rounded))
        if dtype == FULL:
            limit = FULL_TOLERANCE if ieee or device == "cpu" else TF32_TOLERANCE
        else:
            limit = 2 * others + 4 * torch.finfo(dtype).eps
        found[name] = error, limit
    return found


def timed(device: str, small: bool = False) -> dict[str, dict[str, Callable[[], Any]]]:
    """Case to what is timed: forward and backward with the kernel, on a GPU; without it; and of the readable twin."""
    found = {}
    gated = [(2, 9, 20, 8)] if small else [(16, 512, 1536, 128), (2, 4096, 1536, 128)]
    for rows, length, inner, size in gated:
        projected = torch.randn(rows, length, 2 * inner + size, device=device, dtype=BRAIN, requires_grad=True)
        scales = [torch.ones(size, device=device, requires_grad=True) for _ in range(2)]
        rotation = tuple(x.float() for x in rotary_cos_sin(torch.arange(length, device=device)[None], size))
        inputs = (projected, *scales, rotation, rotation)
        fits = partial(gated_dispatch.fits_triton, projected, size, None, 0.0)
        sides = {} if device == "cpu" else {"triton": forward_and_backward(gated_attention, inputs, fits)}
        sides["without"] = forward_and_backward(gated_attention, inputs)
        sides["twin"] = forward_and_backward(naive_gated_attention, inputs)
        found[f"gated attention {rows}x{length}"] = sides
    pointers = [(2, 9, 3, 8)] if small else [(8, 512, 10, 64), (2, 2048, 10, 64)]
    for rows, length, types, size in pointers:
        vectors = [
            torch.randn(rows, length, types, size, device=device, dtype=BRAIN, requires_grad=True) for _ in range(2)
        ]
        labels = torch.stack([torch.arange(5) % types, torch.arange(5), torch.arange(5) + 2], dim=-1)
        labels = labels.expand(rows, -1, -1).to(device)
        inputs = (*vectors, labels)
        fits = partial(pointer_dispatch.fits_triton, *vectors)
        sides = {} if device == "cpu" else {"triton": forward_and_backward(pointer_loss, inputs, fits)}
        sides["without"] = forward_and_backward(pointer_loss, inputs)
        found[f"pointer loss {rows}x{length}, {types} types"] = sides
    return found


def forward_and_backward(
    function: Callable[..., Tensor], inputs: tuple[Any, ...], fits: Callable[[], bool] | None = None
) -> Callable[[], None]:
    """A call of both; where ``fits`` is given with the kernel, which it says takes the inputs."""
    leaves = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]

    def call() -> None:
        with mock.patch.dict(os.environ, {"HF_EXT_TRITON": "0" if fits is None else "1"}):
            if fits is not None and not fits():
                raise RuntimeError("the kernel does not take these inputs on this GPU")
            torch.autograd.grad(function(*inputs).sum(), leaves)

    return call


if __name__ == "__main__":
    main()
