"""The paths of OpenAI's interface that models here can answer: models, embeddings and completions."""

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from threading import Event
from typing import Any

import numpy as np

from hf_ext.extras import extra
from hf_ext.serve.limits import Limits
from hf_ext.serve.model_answers import answered, queued, refusal, too_late
from hf_ext.serve.request_forms import complete_form, embed_form
from hf_ext.serve.request_guard import error_body
from hf_ext.serve.served_model import ServedModel
from hf_ext.serve.text_completer import Completion, Sampling

with extra("serve", "serving models"):
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response, StreamingResponse
    from starlette.exceptions import HTTPException


def add_openai_routes(
    app: FastAPI,
    models: Mapping[str, ServedModel],
    limits: Limits,
    refusals: Mapping[int | str, Any],
    wanted: dict[str, dict[str, str]],
) -> None:
    """Add them to an application; embeddings and completions where a model gives some.

    Args:
        app: the application.
        models: by their names.
        limits: of the server.
        refusals: how a request may fail.
        wanted: what fields must be, for errors, by the paths; is added to.
    """
    began = int(time.time())

    @app.get("/v1/models", response_model=dict[str, Any], summary="The models.")
    async def list_models() -> JSONResponse:
        told = [
            {"id": one.name, "object": "model", "created": began, "owned_by": "hf-ext", "gives": one.predictor.found}
            for one in models.values()
        ]
        return JSONResponse({"object": "list", "data": told})

    texts = f"a text, or a list of 1 to {limits.texts} texts; tokens are not taken"
    known = {**refusals, 404: {**refusals[422], "description": "There is no such model."}}
    embedders = {name: model for name, model in models.items() if model.embeds}
    if embedders:
        wanted["/v1/embeddings"] = {"input": texts}
        route = _embeddings(embedders, limits)
        summary = "Vectors of texts, of length 1."
        app.post("/v1/embeddings", response_model=dict[str, Any], responses=known, summary=summary)(route)
    completers = {name: model for name, model in models.items() if model.completes}
    if completers:
        wanted["/v1/completions"] = {"prompt": texts, "stop": "a text, or a list of at most 4, of 1 to 100 characters"}
        route = _completions(completers, limits)
        summary = "What a causal model writes after prompts."
        app.post("/v1/completions", response_model=dict[str, Any], responses=known, summary=summary)(route)


def _named(models: Mapping[str, ServedModel], name: str) -> ServedModel:
    if name not in models:
        raise HTTPException(404, f"model must be one of {', '.join(models)}")
    return models[name]


def _listed(asked: str | list[str]) -> list[str]:
    return [asked] if isinstance(asked, str) else asked


def _embeddings(models: Mapping[str, ServedModel], limits: Limits) -> Callable[..., Any]:
    async def embeddings(asked: Any) -> JSONResponse:
        model = _named(models, asked.model)
        vectors = await answered(lambda: model.embed(_listed(asked.input)), limits)
        data = [
            {"object": "embedding", "index": index, "embedding": _numbers(one.numbers, asked.encoding_format)}
            for index, one in enumerate(vectors)
        ]
        tokens = sum(one.tokens for one in vectors)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return JSONResponse({"object": "list", "data": data, "model": model.name, "usage": usage})

    embeddings.__annotations__["asked"] = embed_form(limits)
    return embeddings


def _numbers(vector: Any, form: str) -> str | list[float]:
    if form == "base64":
        return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()
    return [float(number) for number in vector]


def _completions(models: Mapping[str, ServedModel], limits: Limits) -> Callable[..., Any]:
    async def completions(request: Request, asked: Any) -> Response:
        model = _named(models, asked.model)
        prompts = _listed(asked.prompt)
        options = asked.model_dump(include={"max_tokens", "temperature", "top_p", "n", "seed"})
        # What has no effect is no reason for a batch of its own.
        if asked.temperature == 0:
            options |= {"top_p": 1.0, "seed": None}
        options["stop"] = tuple(_listed(asked.stop)) if asked.stop else ()
        if len(prompts) * asked.n > limits.texts:
            raise HTTPException(422, f"prompts and n must make at most {limits.texts} completions")
        made = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model.name}
        if not asked.stream:
            left = Event()
            found = await answered(lambda: model.complete(prompts, Sampling(**options), left), limits, left)
            return JSONResponse({**_answer(made, found), "usage": _usage(found)})
        if len(prompts) * asked.n > 1:
            raise HTTPException(422, "stream goes with one prompt and n 1")
        events = _events(model, prompts, options, made, limits, request.state.request_id)
        # What fails before anything is written has a status of its own.
        first = await anext(events)
        return StreamingResponse(_from(first, events), media_type="text/event-stream")

    completions.__annotations__["asked"] = complete_form(limits)
    return completions


def _answer(made: Mapping[str, Any], found: Sequence[Sequence[Completion]]) -> dict[str, Any]:
    each = [one for own in found for one in own]
    choices = [
        {"text": one.text, "index": index, "logprobs": None, "finish_reason": one.finish_reason}
        for index, one in enumerate(each)
    ]
    return {"object": "text_completion", **made, "choices": choices}


def _usage(found: Sequence[Sequence[Completion]]) -> dict[str, int]:
    read = sum(own[0].prompt_tokens for own in found)
    written = sum(one.tokens for own in found for one in own)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


async def _from(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for one in rest:
        yield one


async def _events(
    model: ServedModel,
    prompts: Sequence[str],
    options: Mapping[str, Any],
    made: Mapping[str, Any],
    limits: Limits,
    request_id: str,
) -> AsyncIterator[str]:
    """The events of a completion: its pieces, how it ended, and [DONE]."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | None]()

    def hear(piece: str) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    left = Event()
    until = loop.time() + limits.seconds
    future = await queued(lambda: model.complete(prompts, Sampling(**options, listener=hear), left))
    future.add_done_callback(lambda _: pieces.put_nowait(None))
    began = False
    try:
        while True:
            try:
                piece = await asyncio.wait_for(pieces.get(), max(0.0, until - loop.time()))
            except TimeoutError:
                raise too_late(limits) from None
            if piece is None:
                break
            began = True
            yield _event(_answer(made, [[Completion(piece, "", 0, 0)]]), finished=False)
        try:
            ((whole,),) = future.result()
        except Exception as error:
            raise refusal(error) from None
        began = True
        yield _event(_answer(made, [[Completion("", whole.finish_reason, 0, 0)]]), finished=True)
        yield "data: [DONE]\n\n"
    except HTTPException as error:
        if not began:
            raise
        yield f"data: {json.dumps(error_body(error.status_code, error.detail, request_id), ensure_ascii=False)}\n\n"
    finally:
        left.set()
        future.cancel()


def _event(answer: dict[str, Any], finished: bool) -> str:
    if not finished:
        answer["choices"][0]["finish_reason"] = None
    return f"data: {json.dumps(answer, ensure_ascii=False)}\n\n"
