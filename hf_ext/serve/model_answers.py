"""From a model's queue to an answer, or to the refusal that says why there is none."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

from hf_ext.client_sentence import client_sentence
from hf_ext.extras import extra
from hf_ext.serve.batcher import QueueFullError, StoppedError
from hf_ext.serve.limits import Limits
from hf_ext.serve.request_guard import RETRY_AFTER

with extra("serve", "serving models"):
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException


async def queued(submit: Callable[[], Any]) -> "asyncio.Future[list[Any]]":
    """A request that waits in a model's queue, as a future.

    Raises:
        HTTPException: 422 if what was asked makes no sense to the model, 503 if there is no room, or the server stops.
    """
    try:
        return asyncio.wrap_future(await run_in_threadpool(submit))
    except QueueFullError:
        raise HTTPException(503, "as many texts wait for this model as may; try again later", RETRY_AFTER) from None
    except StoppedError:
        raise HTTPException(503, "the server is stopping; try another", RETRY_AFTER) from None
    except Exception as error:
        raise refusal(error) from None


async def answered(submit: Callable[[], Any], limits: Limits, left: Event | None = None) -> list[Any]:
    """What a model answers.

    Args:
        submit: puts the request into the queue.
        limits: of the server.
        left: is set once nobody waits any more, be it for an answer, for lack of time, or as the client left.

    Raises:
        HTTPException: as of `queued`; 504 if the answer takes too long, and what waits for it then is not run.
    """
    future = await queued(submit)
    try:
        # Who leaves, leaves the queue.
        return await asyncio.wait_for(future, limits.seconds)
    except TimeoutError:
        raise too_late(limits) from None
    except Exception as error:
        raise refusal(error) from None
    finally:
        if left is not None:
            left.set()


def too_late(limits: Limits) -> Exception:
    """That an answer takes too long."""
    return HTTPException(504, f"there was no answer within {limits.seconds:g} seconds; ask for less, or later")


def refusal(error: Exception) -> Exception:
    """What is raised for an error of a model: 422 with its sentence if that is the client's, else the error itself."""
    sentence = client_sentence(error)
    return error if sentence is None else HTTPException(422, sentence)
