"""Images come as base64 with a request, and nothing else is opened for one."""

import base64
import io
import json

import numpy as np
import PIL.Image
import pytest
import torch
from served import Echo, asked, post, sentence
from transformers import AutoImageProcessor, AutoModelForImageClassification, ViTConfig

from hf_ext.serve import Limits, ServedModel, open_model, sent_images as module

SIZE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
PATH = "/models/images/predict"


def drawn(seed, form="PNG", mode="RGB"):
    image = PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 12, 3), dtype=np.uint8)).convert(mode)
    return image, in_base64(image, form)


def in_base64(image, form="PNG"):
    stream = io.BytesIO()
    image.save(stream, form)
    return base64.b64encode(stream.getvalue()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    torch.manual_seed(0)
    config = ViTConfig(image_size=16, patch_size=8, id2label={0: "a", 1: "b"}, initializer_range=0.3, **SIZE)
    AutoModelForImageClassification.from_config(config).save_pretrained(made)
    (made / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}})
    )
    AutoImageProcessor.from_pretrained(made).save_pretrained(made)
    return made


def test_classes_are_those_of_the_image(folder):
    classify = open_model(str(folder))
    images = [drawn(1), drawn(2, "BMP", "L"), drawn(3)]
    wanted = [classify(image.convert("RGB")) for image, _ in images]
    inputs = [{"image": text} for _, text in images]
    inputs[2]["image"] = "data:image/png;base64," + inputs[2]["image"]
    # Longer than a text may be: the body has a limit of its own.
    answer = post({"images": classify}, PATH, {"inputs": inputs}, Limits(characters=10))
    found = [one["classes"] for one in answer.json()["results"]]
    assert [[one["label"] for one in own] for own in found] == [[one["label"] for one in own] for own in wanted]
    scores = [[one["score"] for one in own] for own in found]
    np.testing.assert_allclose(scores, [[one["score"] for one in own] for own in wanted], atol=1e-5)


@pytest.fixture
def seen():
    class Images(Echo):
        reads = (("image",),)

        def __call__(self, inputs, batch_size):
            return [[] for _ in super().__call__(inputs, batch_size)]

    return Images()


PNG = drawn(1)[1]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("/etc/hostname", "an image must be one of JPEG, PNG, WEBP, GIF, BMP in base64, got something else"),
        ("https://127.0.0.1/a.png", "an image must be one of JPEG"),
        ("file:///etc/hostname", "an image must be one of JPEG"),
        ("", "an image must be one of JPEG"),
        ("data:text/plain,abcd", "an image must be one of JPEG"),
        (drawn(1, "TIFF")[1], "an image must be one of JPEG"),
        (PNG[: len(PNG) // 8 * 4], "an image must be whole, got one that cannot be decoded"),
    ],
)
def test_what_is_no_image_is_refused(seen, image, message):
    answer = post({"images": seen}, PATH, {"inputs": {"image": image}})
    assert answer.status_code == 422
    assert sentence(answer).startswith(message)
    assert seen.batches == []


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_broken_files_are_the_clients(form):
    """Cut off anywhere, or with bytes that are others: an image or a refusal, and no error of the server."""
    random = np.random.default_rng(5)
    whole = np.frombuffer(base64.b64decode(drawn(2, form)[1]), np.uint8)
    for number in range(150):
        pixels = None
        file = whole.copy()
        # Most of what is read with care stands in front.
        places = random.integers(0, 40 if number % 3 else len(file), 4)
        file[places] = random.integers(0, 256, 4)
        text = base64.b64encode(file[: random.integers(1, len(file) + 1) if number % 2 else None].tobytes()).decode()
        try:
            ((document,), pixels) = module.image_files([{"image": text}])
            image = module.decoded_image(document["image"])
        except ValueError as error:
            found = str(error)[:17]
        else:
            found = (image.mode, image.width * image.height)
        assert found in ("an image must be ", ("RGB", pixels))


def test_what_pillow_raises_is_the_clients(seen, monkeypatch):
    def breaks(self, *args):
        raise IndexError("index out of range")

    monkeypatch.setattr(PIL.Image.Image, "convert", breaks)
    answer = post({"images": seen}, PATH, {"inputs": {"image": PNG}})
    assert (answer.status_code, sentence(answer)) == (422, "an image must be whole, got one that cannot be decoded")
    monkeypatch.setattr(PIL.Image, "open", breaks)
    answer = post({"images": seen}, PATH, {"inputs": {"image": PNG}})
    assert (answer.status_code, sentence(answer)[:24]) == (422, "an image must be one of ")


def test_images_have_few_pixels_together(seen, monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS_TOGETHER", 500)
    two = post({"images": seen}, PATH, {"inputs": [{"image": PNG}] * 2})
    three = post({"images": seen}, PATH, {"inputs": [{"image": PNG}] * 3})
    assert (two.status_code, seen.sizes) == (200, [2])
    assert three.status_code == 422
    assert sentence(three) == "the images of a request must have at most 500 pixels together"


def test_images_that_wait_are_not_decoded(seen, monkeypatch):
    """And what large ones wait with is no more than one request may have."""
    decoded = []
    monkeypatch.setattr("hf_ext.serve.served_model.decoded_image", lambda file: decoded.append(file) or "image")
    large = in_base64(PIL.Image.new("P", (1600, 1300)))
    assert len(large) < 3000
    seen.gate.clear()
    model = ServedModel("images", seen, Limits(wait_ms=0))
    futures = [model.predict([{"image": PNG}], {})]
    assert seen.entered.wait(30)
    futures += [model.predict([{"image": image}], {}) for image in (large, PNG, large, PNG)]
    assert len(decoded) == 1
    seen.gate.set()
    for future in futures:
        future.result(30)
    model.batcher.close()
    assert sorted(seen.sizes) == [1, 1, 1, 2]
    assert len(decoded) == 5


@pytest.mark.parametrize(("size", "fits"), [((100, 1), True), ((101, 1), False), ((2, 201), False)])
def test_an_image_is_no_line(seen, size, fits):
    answer = post({"images": seen}, PATH, {"inputs": {"image": in_base64(PIL.Image.new("L", size))}})
    assert answer.status_code == (200 if fits else 422)
    wanted = f"an image must be at most 100 times as long as wide, got {size[0]} x {size[1]}"
    assert fits or sentence(answer) == wanted


def test_a_large_image_is_not_decoded(seen, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PIXELS", 239)

    async def talk(client):
        return await client.post(PATH, json={"inputs": {"image": PNG}})

    answer = asked({"images": seen}, talk)
    assert (answer.status_code, sentence(answer)) == (422, "an image must have at most 239 pixels, got 12 x 20")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    answer = asked({"images": seen}, talk)
    assert (answer.status_code, sentence(answer)[:24]) == (422, "an image must be one of ")
