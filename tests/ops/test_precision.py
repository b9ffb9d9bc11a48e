"""Which numbers a model runs in."""

from pathlib import Path

import pytest
import torch

from hf_ext import inference_dtype
from hf_ext.ops import precision
from hf_ext.ops.precision import has_fast_bfloat16


@pytest.mark.parametrize("fast", [True, False])
def test_auto_is_bfloat16_where_it_is_fast(fast, monkeypatch):
    asked = []
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: asked.append(str(device)) or fast)
    wanted = torch.bfloat16 if fast else torch.float32
    # As a pipeline takes a device.
    for device in ("cpu", "cuda:0", torch.device("cpu"), -1, 0):
        assert inference_dtype("auto", device) == wanted
    assert asked == ["cpu", "cuda:0", "cpu", "cpu", "cuda"]
    assert inference_dtype() == wanted
    assert asked[-1] == str(torch.accelerator.current_accelerator() or "cpu")
    names = ("float32", "bfloat16", "float16")
    assert [inference_dtype(name, "cpu") for name in names] == [torch.float32, torch.bfloat16, torch.float16]
    with pytest.raises(ValueError, match="dtype must be auto, float32, bfloat16, float16, got 'int8'"):
        inference_dtype("int8")


def test_the_processor_says_what_it_has():
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        pytest.skip("no /proc/cpuinfo tells what the processor has")
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this PyTorch does not say what the processor has")
    flags = {*next((line for line in info.read_text().splitlines() if line.startswith("flags")), "").split()}
    assert has_fast_bfloat16("cpu") == bool(flags & {"avx512_bf16", "amx_bf16"})
    assert not has_fast_bfloat16("meta")
