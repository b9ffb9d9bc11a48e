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

from hf_ext.serve import Limits, open_model, served_model as module

SIZE = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
PATH = "/models/images/predict"


def drawn(seed, form="PNG", mode="RGB"):
    image = PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 12, 3), dtype=np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, form)
    return image, base64.b64encode(stream.getvalue()).decode()


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


def test_a_large_image_is_not_decoded(seen, monkeypatch):
    monkeypatch.setattr(module, "_MOST_PIXELS", 239)

    async def talk(client):
        return await client.post(PATH, json={"inputs": {"image": PNG}})

    answer = asked({"images": seen}, talk)
    assert (answer.status_code, sentence(answer)) == (422, "an image must have at most 239 pixels, got 12 x 20")
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 10)
    answer = asked({"images": seen}, talk)
    assert (answer.status_code, sentence(answer)[:24]) == (422, "an image must be one of ")
