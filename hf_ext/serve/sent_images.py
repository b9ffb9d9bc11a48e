"""Images that requests bring: how large they are, before anything is decoded, and their pixels."""

import base64
import binascii
import io
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.extras import extra

# Of an image, and of all of a request, by which their size in memory is bounded.
_MOST_PIXELS = 16_000_000
MOST_PIXELS_TOGETHER = 32_000_000
# Of the longer side to the shorter, by which models that resize the shorter are bounded.
_MOST_RATIO = 100
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")

# Even what stands before the pixels may take much memory, so that it is read of one image at a time.
_opening = threading.Lock()


def image_files(documents: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The documents with bytes of files in the place of base64, and the number of pixels of them all.

    Raises:
        ValueError: if an image is none, or they have too many pixels.
    """
    found, pixels = [], 0
    if any("image" in one for one in documents):
        with extra("images", "reading images"):
            import PIL.Image  # noqa: F401
    for document in documents:
        if "image" in document:
            file = _file(document["image"])
            pixels += _pixels(file)
            if pixels > MOST_PIXELS_TOGETHER:
                raise ValueError(f"the images of a request must have at most {MOST_PIXELS_TOGETHER} pixels together")
            document = {**document, "image": file}
        found.append(dict(document))
    return found, pixels


def decoded_image(file: bytes) -> Any:
    """The image of a file, in RGB.

    Raises:
        ValueError: if it cannot be decoded.
    """
    try:
        return _opened(file).convert("RGB")
    except Exception:
        # Of a broken file Pillow raises whatever it came upon.
        raise ValueError("an image must be whole, got one that cannot be decoded") from None


def _file(text: str) -> bytes:
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _no_image() from None


def _pixels(file: bytes) -> int:
    try:
        with _opening:
            width, height = _opened(file).size
    except Exception:
        # Of a broken file Pillow raises whatever it came upon.
        raise _no_image() from None
    if not width * height:
        raise _no_image()
    if max(width, height) > _MOST_RATIO * min(width, height):
        raise ValueError(f"an image must be at most {_MOST_RATIO} times as long as wide, got {width} x {height}")
    if width * height > _MOST_PIXELS:
        raise ValueError(f"an image must have at most {_MOST_PIXELS} pixels, got {width} x {height}")
    return int(width * height)


def _opened(file: bytes) -> Any:
    with extra("images", "reading images"):
        from PIL import Image
    return Image.open(io.BytesIO(file), formats=_FORMATS)


def _no_image() -> ValueError:
    return ValueError(f"an image must be one of {', '.join(_FORMATS)} in base64, got something else")
