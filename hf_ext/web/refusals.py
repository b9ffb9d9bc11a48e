"""What a page says where something cannot be done: one sentence, and nothing of the server."""

import logging
import re

from markupsafe import Markup

from hf_ext.client_sentence import client_sentence

_LOG = logging.getLogger(__name__)

# The folders of an absolute path, of which the name alone is left. An address on the web and a tag's end stay.
_FOLDERS = re.compile(
    r"(?<![\w./\\])(?!(?<=:)//[^/])(?!(?<=<)/\w+>)(?:[A-Za-z]:)?"
    r"(?:[/\\]+[^\s/\\'\":,;]+)*[/\\]+(?=[^\s/\\'\":,;])"
)
_OURS = "This could not be answered: something went wrong here. The server's log says what."


def refusal(error: Exception) -> Markup:
    """The sentence for an error, as HTML.

    What a client can mend is shown, without the folders of files; of any other only the log of the server has more than
    that it was there.
    """
    message = client_sentence(error)
    if message is None:
        _LOG.error("a page could not be made", exc_info=error)
        message = _OURS
    message = _FOLDERS.sub("", message)
    return Markup('<p class="hx-error" role="alert">{}</p>').format(message)
