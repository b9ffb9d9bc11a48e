"""Libraries that only some uses need, and the extras of the package that install them."""

from collections.abc import Iterator
from contextlib import contextmanager


class MissingExtraError(ImportError):
    """A library of an extra is not installed; the message is one sentence that says what installs it."""


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """What stands around the imports of an extra's libraries.

    Args:
        name: of the extra, such as "plots".
        purpose: what needs it, such as "drawing the curves".

    Raises:
        MissingExtraError: if what is imported is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        raise MissingExtraError(
            f'{purpose} needs {library}, which is not installed: pip install "hf-ext[{name}]"', name=library
        ) from error
