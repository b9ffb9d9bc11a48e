"""What a page says where something cannot be done: one sentence, and nothing of the server."""

import logging
import re

from markupsafe import Markup

_LOG = logging.getLogger(__name__)

# The folders of an absolute path, of which the name alone is left.
_FOLDERS = re.compile(r"(?<![\w.:/<>])(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;]+)*[/\\](?=[^\s/\\'\":,;])")
_OURS = "This could not be answered: something went wrong here. The server's log says what."


def refusal(error: Exception) -> Markup:
    """The sentence for an error, as HTML.

    A ``ValueError`` says what to mend, which is shown without the folders of files; of any other only the log of the
    server has more than that it was there.
    """
    if isinstance(error, ValueError):
        message = " ".join(_FOLDERS.sub("", str(error)).split())
    else:
        _LOG.error("a page could not be made", exc_info=error)
        message = _OURS
    return Markup('<p class="hx-error" role="alert">{}</p>').format(message)
