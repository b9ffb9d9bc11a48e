"""The vision transformer: the original's numbers, other sizes of images, what is refused, half precision, files."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from rope_vit_original import original_logits, original_state
from torch import Tensor, nn
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    Trainer,
    TrainingArguments,
    pipeline,
    set_seed,
)

import hf_ext
from hf_ext.models.rope_vit.processing_rope_vit import vit_image_processor
from hf_ext.models.rope_vit.sizes_rope_vit import SIZES, rope_vit_config
from hf_ext.training.job_trainer import JobTrainer

KINDS: dict[str, dict[str, Any]] = {
    "axial": {"rope_theta": 100.0, "first_axis": "column"},
    "mixed": {"rope_kind": "mixed"},
    "none": {"rope_kind": "none"},
}


def tiny(kind: str = "axial", dtype: torch.dtype = torch.float64, **fields: Any) -> Any:
    """A classifier in eval mode, of which every parameter moves the outputs."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
    settings = {"initializer_range": 0.3, "layer_scale_init_value": 0.5, "image_size": 12, "patch_size": 4}
    config = hf_ext.RoPEViTConfig(**{**sizes, **settings, **KINDS[kind], **fields})
    return hf_ext.RoPEViTForImageClassification(config).to(dtype).eval()


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("back_end", ["eager", "sdpa"])
@pytest.mark.parametrize("use_ape", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_the_original(kind: str, use_ape: bool, back_end: str) -> None:
    """On images of pre-training's size, on larger ones and on those that are not square, also single patches."""
    state = {name: value.double() for name, value in original_state(kind, use_ape, width=32).items()}
    model = tiny(kind, use_ape=use_ape, num_labels=5, intermediate_size=128)
    names = {name: ("classifier." if name.startswith("head.") else "rope_vit.") + name.removeprefix("head.")
             for name in state if not name.startswith("freqs_t")}  # fmt: skip
    model.load_state_dict({own: state[name] for name, own in names.items()}, strict=True)
    model.set_attn_implementation(back_end)
    for height, width in ((12, 12), (20, 20), (8, 16), (16, 4), (4, 4)):
        pixels = images(2, 3, height, width)
        with torch.no_grad():
            found = model(pixels).logits
        torch.testing.assert_close(found, original_logits(state, pixels, 2, kind), atol=1e-11, rtol=0)


@pytest.mark.parametrize("coordinates", ["grid", "scaled"])
def test_rows_are_told_from_columns(coordinates: str) -> None:
    """An image on its side gives the same to the model that takes columns for rows, and something else to this one."""
    own, other = (tiny(first_axis=axis, rope_theta=50.0, coordinates=coordinates) for axis in ("row", "column"))
    other.load_state_dict(own.state_dict())
    kernel = other.rope_vit.patch_embed.proj.weight
    kernel.data = kernel.data.transpose(-1, -2).contiguous()
    pixels = images(2, 3, 8, 20)
    with torch.no_grad():
        wanted = own(pixels).logits
        torch.testing.assert_close(other(pixels.mT).logits, wanted, atol=1e-12, rtol=0)
        assert not torch.allclose(own(pixels.mT).logits, wanted, atol=1e-3)


def test_a_flat_rotation_is_that_of_a_text() -> None:
    """Whose first token is [CLS], and the patches come row by row."""
    model = tiny(rope_kind="flat", first_axis=None, rope_theta=None)
    (cos, sin), *_ = model.rope_vit.rotations(3, 4)
    angles = torch.arange(13)[:, None] * 10000.0 ** (-torch.arange(8) / 8)
    torch.testing.assert_close(cos[0].double(), angles.cos().double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(sin[0].double(), angles.sin().double(), atol=1e-6, rtol=0)


def test_scaled_coordinates_end_where_those_of_pretraining_do() -> None:
    """Twice as many patches lie in the same places and between them; whole numbers go on."""
    scaled, whole = (tiny(coordinates=name).rope_vit for name in ("scaled", "grid"))
    (small, _), *_ = scaled.rotations(3, 3)
    (large, _), *_ = scaled.rotations(6, 6)
    torch.testing.assert_close(large[0, 1:].unflatten(0, (6, 6))[::2, ::2].flatten(0, 1), small[0, 1:])
    (further, _), *_ = whole.rotations(6, 6)
    torch.testing.assert_close(further[0, 1:].unflatten(0, (6, 6))[:3, :3].flatten(0, 1), small[0, 1:])


def test_where_cls_stands() -> None:
    """Its query and key are as they were, and the model's vector of an image is its last state."""
    model = tiny("mixed")
    for cos, sin in model.rope_vit.rotations(2, 3):
        assert torch.equal(cos[:, 0], torch.ones_like(cos[:, 0]))
        assert not sin[:, 0].any()
    output = model.rope_vit(images(2, 3, 8, 12))
    assert output.last_hidden_state.shape == (2, 7, 32)
    assert torch.equal(output.pooler_output, output.last_hidden_state[:, 0])


def test_images_do_not_depend_on_their_batch() -> None:
    model, pixels = tiny("mixed", use_ape=True), images(3, 3, 8, 16)
    with torch.no_grad():
        together = model(pixels).logits
        for row in range(3):
            torch.testing.assert_close(model(pixels[[row]]).logits[0], together[row], atol=1e-12, rtol=0)


def test_inner_states() -> None:
    model = tiny("mixed").eval()
    model.set_attn_implementation("eager")
    output = model(images(2, 3, 8, 12), output_hidden_states=True, output_attentions=True)
    assert [state.shape for state in output.hidden_states] == [(2, 7, 32)] * 3
    assert [weights.shape for weights in output.attentions] == [(2, 2, 7, 7)] * 2
    for weights in output.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    torch.testing.assert_close(output.logits, model(images(2, 3, 8, 12)).logits)


@pytest.mark.parametrize("shape", [(1, 3, 12, 14), (1, 3, 10, 12), (2, 3, 3, 8), (1, 3, 0, 4)])
def test_sides_that_are_no_multiple_of_the_patch_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"multiples of patch_size=4, got {shape[2]} and {shape[3]}"):
        tiny()(images(*shape))


@pytest.mark.parametrize("shape", [(1, 1, 12, 12), (3, 12, 12)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixel_values must have shape \[B, num_channels=3, height, width\]"):
        tiny()(images(*shape))


def test_arguments_without_an_effect_are_refused() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['position_ids'\]"):
        tiny()(images(1, 3, 12, 12), position_ids=torch.zeros(1, 10))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rope_kind": "spiral"}, "rope_kind must be one of .*got 'spiral'"),
        ({"first_axis": "x"}, "first_axis must be one of .*got 'x'"),
        ({"coordinates": "centred"}, "coordinates must be one of .*got 'centred'"),
        ({"rope_kind": "mixed", "first_axis": "row"}, "first_axis goes with rope_kind=\"axial\".*'mixed'"),
        ({"rope_kind": "flat", "coordinates": "scaled"}, "coordinates must be \"grid\" with rope_kind='flat'"),
        ({"rope_kind": "none", "rope_theta": 10.0}, "rope_theta has no effect with .*got 10.0"),
        ({"rope_theta": 0.0}, "rope_theta must be positive, got 0.0"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "hidden_size must be a multiple of num_attention_heads"),
        ({"hidden_size": 24, "num_attention_heads": 4}, "must be a multiple of 4 with rope_kind='axial', got 6"),
        ({"image_size": 100}, "image_size must be a multiple of patch_size=16, got 100"),
        ({"image_size": [224, 100]}, "image_size must be a multiple of patch_size=16"),
        ({"image_size": [224]}, "image_size must be a side, or height and width"),
        ({"patch_size": 0}, "patch_size must be at least 1, got 0"),
        ({"num_register_tokens": 4}, "num_register_tokens must be 0 in a RoPEViTConfig, got 4"),
        ({"use_gated_mlp": True}, "use_gated_mlp must be False"),
    ],
)
def test_settings_that_mean_nothing_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(StrictDataclassError, match=message):
        hf_ext.RoPEViTConfig(**fields)


def test_defaults() -> None:
    axial, mixed, none = (hf_ext.RoPEViTConfig(rope_kind=kind) for kind in ("axial", "mixed", "none"))
    assert (axial.rope_theta, axial.first_axis, axial.grid) == (10000.0, "row", (14, 14))
    assert (mixed.rope_theta, mixed.first_axis) == (10.0, None)
    assert (none.rope_theta, none.first_axis) == (None, None)
    assert hf_ext.RoPEViTConfig(image_size=[32, 64]).grid == (2, 4)


@pytest.mark.parametrize(("size", "millions"), [("tiny", 0.355), ("small", 22.0), ("base", 86.5), ("large", 304.3)])
def test_sizes(size: str, millions: float) -> None:
    with torch.device("meta"):
        model = AutoModelForImageClassification.from_config(
            rope_vit_config(size, num_labels=1000 * (size != "tiny") or 2)
        )
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.01)
    with pytest.raises(ValueError, match=f"one of the sizes {', '.join(SIZES)}, got 'huge'"):
        rope_vit_config("huge")


def test_new_weights() -> None:
    """Factors of the paper, vectors that are small, frequencies of directions that differ by head and layer."""
    set_seed(0)
    model = hf_ext.RoPEViTModel(
        hf_ext.RoPEViTConfig(
            hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, use_ape=True,
            rope_kind="mixed", image_size=64,
        )
    )  # fmt: skip
    assert torch.equal(model.blocks[2].gamma_1, torch.full((64,), 1e-4))
    for table in (model.cls_token, model.pos_embed):
        assert 0.01 < table.std() < 0.03
    frequencies = model.freqs.detach().unflatten(-1, (4, 8))
    torch.testing.assert_close(frequencies.norm(dim=0)[0, 0], (10.0 ** (-torch.arange(4) / 4)).repeat(2))
    assert len(torch.atan2(frequencies[1, ..., 0], frequencies[0, ..., 0]).unique()) == 12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_frequencies_stay_in_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    """However a model comes into half precision; and they keep the digits that they had."""
    model = tiny("mixed", torch.float32)
    model.save_pretrained(tmp_path)
    halves = [
        copy.deepcopy(model).to(dtype),
        AutoModelForImageClassification.from_pretrained(tmp_path, dtype=dtype),
        copy.deepcopy(model).half(),
        nn.Sequential(copy.deepcopy(model)).to(dtype)[0],
    ]
    for half in halves:
        assert torch.equal(half.rope_vit.freqs, model.rope_vit.freqs)
        assert half.rope_vit.cls_token.element_size() == 2
        torch.testing.assert_close(
            half(images(2, 3, 8, 20)).logits.float(), model(images(2, 3, 8, 20)).logits, atol=0.2, rtol=0.1
        )
    new = AutoModelForImageClassification.from_config(model.config, dtype=dtype)
    assert new.rope_vit.freqs.dtype == torch.float32


def test_what_does_not_decay(tmp_path: Path) -> None:
    model = tiny("mixed", use_ape=True)
    run = JobTrainer(model, TrainingArguments(str(tmp_path), use_cpu=True, report_to="none"))
    decaying = set(run.get_decay_parameter_names(model))
    spared = {"cls_token", "pos_embed", "freqs", "gamma_1", "gamma_2"}
    assert not {name for name in decaying if name.rpartition(".")[2] in {*spared, "bias"}}
    matrices = {name for name, p in model.named_parameters() if p.dim() in (2, 4)}
    assert decaying == matrices


def test_training_moves_frequencies(tmp_path: Path) -> None:
    """In float32 under bfloat16, with the inputs as Trainer gives them."""
    model = tiny("mixed", torch.float32)
    before = model.rope_vit.freqs.detach().clone()
    rows = [{"pixel_values": pixels.float(), "labels": n % 2} for n, pixels in enumerate(images(4, 3, 12, 12))]
    arguments = TrainingArguments(
        str(tmp_path), use_cpu=True, bf16=True, max_steps=2, report_to="none", save_strategy="no",
        dataloader_pin_memory=False, disable_tqdm=True, learning_rate=1e-2,
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=rows).train()
    assert model.rope_vit.freqs.dtype == torch.float32
    assert (model.rope_vit.freqs - before).abs().max() > 1e-3


@pytest.mark.slow
def test_one_graph_for_any_size() -> None:
    torch._dynamo.reset()
    model = tiny("mixed", use_ape=True)
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    with torch.no_grad():
        for height, width in ((12, 12), (8, 20), (24, 16)):
            pixels = images(2, 3, height, width)
            torch.testing.assert_close(compiled(pixels).logits, model(pixels).logits, atol=1e-10, rtol=0)


def picture(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    file = folder / "picture.png"
    PIL.Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(file)
    return file


def test_image_processor_and_pipelines(tmp_path: Path) -> None:
    """Those of the library read a folder as they read one of ViT's, and also images of another size."""
    model, file = tiny(dtype=torch.float32, id2label={0: "cat", 1: "dog"}), picture(tmp_path)
    model.save_pretrained(tmp_path / "model")
    vit_image_processor(12, 12).save_pretrained(tmp_path / "model")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "model")
    assert "ViTImageProcessor" in type(processor).__name__
    pixels = processor(images=PIL.Image.open(file), return_tensors="pt")
    with torch.no_grad():
        wanted = model(**pixels).logits.softmax(-1)[0]
    classify = pipeline("image-classification", model=str(tmp_path / "model"), device="cpu")
    found = {one["label"]: one["score"] for one in classify(str(file))}
    assert found == pytest.approx({"cat": wanted[0].item(), "dog": wanted[1].item()}, abs=1e-6)
    features = pipeline("image-feature-extraction", model=str(tmp_path / "model"), device="cpu")
    assert np.shape(features(str(file))) == (1, 10, 32)
    larger = AutoImageProcessor.from_pretrained(tmp_path / "model", size={"height": 16, "width": 24})
    assert model(**larger(images=PIL.Image.open(file), return_tensors="pt")).logits.shape == (1, 2)


def test_image_processor_of_a_folder_that_does_not_name_one(tmp_path: Path) -> None:
    """It is told by the config."""
    AutoModel.from_config(tiny().config).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 8, "width": 8}}', encoding="utf-8")
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    assert "ViTImageProcessor" in type(processor).__name__
    assert processor.size.height == 8
