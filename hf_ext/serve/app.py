"""The application of a server: its paths, and what stands around all of them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from hf_ext.extras import extra
from hf_ext.serve.limits import Limits
from hf_ext.serve.model_answers import answered
from hf_ext.serve.openai_routes import add_openai_routes
from hf_ext.serve.request_forms import (
    ErrorAnswer,
    PredictAnswer,
    predict_form,
    validation_sentence,
    wanted_inputs,
)
from hf_ext.serve.request_guard import RequestGuard, error_body
from hf_ext.serve.served_model import ServedModel
from hf_ext.serve.server_metrics import CONTENT_TYPE, ServerMetrics
from hf_ext.version import __version__

with extra("serve", "serving models"):
    from fastapi import FastAPI, Request
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse, Response
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException

_REFUSALS = {
    400: "The body cannot be read.",
    408: "The body does not arrive in time.",
    413: "The body is too large.",
    422: "What is asked makes no sense, or is too much.",
    500: "The server failed.",
    503: "There is no room, or the server stops; Retry-After says when to come again.",
    504: "The answer takes too long.",
}


def make_app(predictors: Mapping[str, Any], limits: Limits | None = None) -> FastAPI:
    """An application of FastAPI that serves models; its end answers what was accepted.

    Args:
        predictors: as `open_model` gives them, by the names that requests call them by.
        limits: of the server; default those of `Limits`.

    Raises:
        MissingExtraError: if a library of the extra "serve" is not installed.
    """
    limits = limits or Limits()
    metrics = ServerMetrics()
    models = {name: ServedModel(name, predictor, limits, metrics.batch(name)) for name, predictor in predictors.items()}
    for name, model in models.items():
        metrics.watch(name, lambda model=model: model.batcher.waiting)  # type: ignore[misc]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for model in models.values():
            await run_in_threadpool(model.batcher.close)

    refusals: Any = {code: {"model": ErrorAnswer, "description": told} for code, told in _REFUSALS.items()}
    # Their pages would load scripts from elsewhere.
    app = FastAPI(
        title="hf-ext serve",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(RequestGuard, limits=limits, observe=metrics.request)
    app.state.models, app.state.limits, app.state.metrics = models, limits, metrics
    # What fields must be that may be several things, of each path.
    wanted: dict[str, dict[str, str]] = {}
    _add_failures(app, wanted)
    _add_state_routes(app, models, metrics)
    for model in models.values():
        if model.predicts:
            path = f"/models/{model.name}/predict"
            wanted[path] = {"inputs": wanted_inputs(model.predictor, limits)}
            app.post(path, response_model=PredictAnswer, responses=refusals, summary=model.purpose)(
                _predict(model, limits)
            )
    add_openai_routes(app, models, limits, refusals, wanted)
    return app


def _predict(model: ServedModel, limits: Limits) -> Callable[..., Any]:
    async def predict(asked: Any) -> JSONResponse:
        inputs = asked.inputs if isinstance(asked.inputs, list) else [asked.inputs]
        documents = [{"text": one} if isinstance(one, str) else one.model_dump(exclude_none=True) for one in inputs]
        options = asked.parameters.model_dump(exclude_none=True)
        results = await answered(lambda: model.predict(documents, options), limits)
        return JSONResponse({"model": model.name, "results": results})

    predict.__annotations__["asked"] = predict_form(model.predictor, limits)
    return predict


def _add_state_routes(app: FastAPI, models: Mapping[str, ServedModel], metrics: ServerMetrics) -> None:
    @app.get("/health", summary="Whether the server lives.", response_model=dict[str, str])
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/ready",
        summary="Whether all models take requests.",
        response_model=dict[str, Any],
        responses={503: {"model": dict[str, Any], "description": "Some do not."}},
    )
    async def ready() -> JSONResponse:
        states = {name: model.batcher.works for name, model in models.items()}
        works = all(states.values())
        return JSONResponse({"status": "ready" if works else "stopping", "models": states}, 200 if works else 503)

    @app.get("/metrics", summary="Measurements for Prometheus.", response_class=Response)
    async def measurements() -> Response:
        return Response(metrics.page(), media_type=CONTENT_TYPE)


def _add_failures(app: FastAPI, wanted: Mapping[str, Mapping[str, str]]) -> None:
    def failure(request: Request, status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
        return JSONResponse(error_body(status, message, request.state.request_id), status, headers)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        told = {404: "there is no such path; /openapi.json lists them", 405: "this path has another method"}
        plain = error.detail in ("Not Found", "Method Not Allowed")
        sentence = told.get(error.status_code, error.detail) if plain else error.detail
        return failure(request, error.status_code, sentence, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return failure(request, 422, validation_sentence(error.errors(), wanted.get(request.url.path, {})))
