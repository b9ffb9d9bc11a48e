"""Which errors are told to who asks over a network, and which are the server's own."""

import traceback


def client_sentence(error: Exception) -> str | None:
    """The sentence that tells a client of an error that is its own; None for one of the server.

    Of its own are those that this package raises about arguments. What libraries raise may name anything, and what is
    said of a model's outputs is not the client's to mend.
    """
    if not isinstance(error, ValueError):
        return None
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    raised_here = bool(frames) and str(frames[-1].f_globals.get("__name__", "")).startswith("hf_ext.")
    if not raised_here or frames[-1].f_code.co_name == "postprocess":
        return None
    return " ".join(str(error).split())
