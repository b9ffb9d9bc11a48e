"""The Triton kernels against their twins: in Triton's interpreter on any Linux, and as they are on a GPU."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import triton_kernels
from triton_kernels import CASES, Case

from hf_ext.ops.gated_attention.dispatch import fits_triton as fits_gated_attention
from hf_ext.ops.pointer_loss.dispatch import fits_triton as fits_pointer_loss

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, triton_kernels.Errors]:
    """The errors of every case, from one process, as the interpreter has to be chosen before Triton is imported."""
    beside = Path(sys.prefix) / "triton"
    if find_spec("triton") is None and not beside.is_dir():
        pytest.skip("Triton is not installed; `make` puts it beside the environment on Linux")
    file = tmp_path_factory.mktemp("interpreted") / "errors.json"
    command = [sys.executable, triton_kernels.__file__, "--device", "cpu", "--json", str(file)]
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(beside))))
    environment = os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert file.is_file(), done.stderr[-3000:]
    return json.loads(file.read_text(encoding="utf-8"))


@pytest.mark.slow
@cases
def test_in_the_interpreter(case: Case, interpreted: dict[str, triton_kernels.Errors]) -> None:
    assert len(interpreted[case.name]) == 4
    assert triton_kernels.right(interpreted[case.name]), interpreted[case.name]


@pytest.mark.gpu
@cases
def test_on_a_gpu(case: Case) -> None:
    found = triton_kernels.errors(case, "cuda")
    assert triton_kernels.right(found), found


def test_nan_is_not_right() -> None:
    assert triton_kernels.right({"x": (0.1, 0.2)})
    assert not triton_kernels.right({"x": (0.1, 0.2), "y": (float("nan"), 0.2)})


def test_no_kernel_is_taken_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether or not Triton is installed, and even where the kernels are asked for."""
    monkeypatch.setenv("HF_EXT_TRITON", "1")
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.zeros(2, 3, 4, 16, dtype=dtype)
        assert not fits_pointer_loss(x, x)
        assert not fits_gated_attention(x[:, :, 0], 4, None, 0.0)
