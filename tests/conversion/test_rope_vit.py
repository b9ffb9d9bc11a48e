"""Published rope-vit files to folders: the same parameters and numbers, and clear errors for what is none."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from rope_vit_original import original_logits, original_state
from transformers import AutoImageProcessor, AutoModelForImageClassification
from typer.testing import CliRunner

import hf_ext
from hf_ext.cli import app
from hf_ext.conversion.errors import ConversionError

RELEASES: dict[str, dict[str, Any]] = {
    "rope_axial_deit_small_patch16_LS": {"kind": "axial"},
    "rope_mixed_deit_small_patch16_LS": {"kind": "mixed"},
    "rope_axial_ape_deit_base_patch16_LS": {"kind": "axial", "use_ape": True},
    "rope_mixed_ape_deit_large_patch16_LS": {"kind": "mixed", "use_ape": True},
    "deit_small_patch16_LS": {"kind": "none", "use_ape": True},
}


def release(folder: Path, name: str, state: Any = None, **more: Any) -> Path:
    """A folder as it is published, with what the training left in the file."""
    (folder / name).mkdir(parents=True)
    state = original_state(**RELEASES[name]) if state is None else state
    torch.save({"model": state, "epoch": 400, "args": Namespace(lr=1e-3), **more}, folder / name / "pytorch_model.bin")
    return folder / name


@pytest.mark.parametrize("name", RELEASES)
def test_published_layout(name: str, tmp_path: Path) -> None:
    """Exactly the parameters, and the original's logits, on square images and others."""
    kind = RELEASES[name]["kind"]
    state = original_state(**RELEASES[name])
    report = hf_ext.convert_release(release(tmp_path, name), tmp_path / "model")
    assert set(report.ignored) == {one for one in state if one.startswith("freqs_t")}
    assert set(report.variables) == state.keys() - set(report.ignored)
    model = AutoModelForImageClassification.from_pretrained(tmp_path / "model")
    assert type(model) is hf_ext.RoPEViTForImageClassification
    own = model.state_dict()
    for one in report.variables:
        assert torch.equal(
            own[one if one in own else f"rope_vit.{one}".replace("rope_vit.head", "classifier")], state[one]
        )
    assert len(own) == len(report.variables)
    model = model.double().eval()
    exact = {one: value.double() for one, value in state.items()}
    for height, width in ((12, 12), (8, 20)):
        pixels = torch.randn(2, 3, height, width, dtype=torch.float64)
        with torch.no_grad():
            found = model(pixels).logits
        torch.testing.assert_close(found, original_logits(exact, pixels, 2, kind), atol=1e-11, rtol=0)
    config = model.config
    assert (config.rope_kind, config.use_ape) == (kind, RELEASES[name].get("use_ape", False))
    stated = config.use_ape or kind == "mixed"
    assert config.image_size == (12 if stated else 224)


def test_image_processor(tmp_path: Path) -> None:
    """That of the evaluation: ImageNet's mean, bicubic, the middle of the image whose shorter side is resized."""
    import numpy as np
    import PIL.Image

    hf_ext.convert_release(release(tmp_path, "rope_mixed_deit_small_patch16_LS"), tmp_path / "model")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "model")
    pixels = np.random.default_rng(0).integers(0, 255, (24, 36, 3), dtype=np.uint8)
    image = PIL.Image.fromarray(pixels)
    found = processor(images=image, return_tensors="pt")["pixel_values"][0]
    resized = np.asarray(image.resize((18, 12), PIL.Image.Resampling.BICUBIC))[:, 3:15] / 255
    wanted = (resized - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    torch.testing.assert_close(found.double(), torch.from_numpy(wanted).permute(2, 0, 1), atol=1e-5, rtol=0)


def test_command(tmp_path: Path) -> None:
    folder = release(tmp_path, "rope_mixed_deit_small_patch16_LS")
    result = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    assert "rope-vit or DeiT-III" in result.output
    assert "rope_kind=mixed" in result.output
    again = CliRunner().invoke(app, ["convert", str(folder), str(tmp_path / "model")])
    assert again.exit_code != 0
    assert "is not empty" in str(again.exception)


def without(name: str) -> dict[str, Any]:
    state = original_state()
    del state[name]
    return state


@pytest.mark.parametrize(
    ("name", "state", "options", "message"),
    [
        ("some_model", original_state(use_ape=True), {}, "the folder's name must be that of the release"),
        ("rope_x", without("blocks.0.gamma_1"), {}, "must have those of rope-vit or DeiT-III under 'model', got"),
        ("rope_x", without("blocks.1.norm1.bias"), {}, "do not fill a RoPEViTForImageClassification.*norm1.bias"),
        ("rope_x", original_state() | {"dist_token": torch.zeros(1)}, {}, "do not fill a .*dist_token"),
        ("rope_x", original_state(width=96), {}, "the width must be a multiple of the size of a head, 64, got 96"),
        ("rope_x", original_state() | {"cls": 3}, {}, "has what is no parameter: cls"),
        ("rope_x", original_state(), {"family": "bert"}, "one of rope_vit is expected"),
        ("rope_x", original_state(), {"pooler": "tanh"}, "pooler='tanh' has no effect on .*leave it out"),
    ],
)
def test_what_is_not_understood(name: str, state: Any, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=message):
        hf_ext.convert_release(release(tmp_path, name, state), tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("content", [b"", b"not of PyTorch"])
def test_damaged_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "rope").mkdir()
    (tmp_path / "rope" / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ConversionError, match=r"pytorch_model\.bin cannot be read as a file of PyTorch"):
        hf_ext.convert_release(tmp_path / "rope", tmp_path / "model")


def test_other_classes_are_not_unpickled(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="cannot be read"):
        hf_ext.convert_release(
            release(tmp_path, "rope_mixed_deit_small_patch16_LS", path=Path("x")), tmp_path / "model"
        )
