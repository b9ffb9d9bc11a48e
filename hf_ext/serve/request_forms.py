"""What requests and answers look like, as OpenAPI tells it, and the sentence that says what is wrong with one."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from hf_ext.extras import extra
from hf_ext.serve.limits import Limits

with extra("serve", "serving models"):
    from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

# The options of ``hf-ext predict``, and what they may be.
_OPTIONS: Mapping[str, Any] = {
    "threshold": Annotated[float, Field(ge=0, lt=1)],
    "stride": Annotated[int, Field(ge=0, le=100_000)],
    "top_k": Annotated[int, Field(ge=1, le=1000)],
    # What NumPy takes.
    "seed": Annotated[int, Field(ge=0, le=2**32 - 1)],
}


class Form(BaseModel):
    """A request, or a part of one: what is unknown is refused, and nothing is taken for what it is not."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Failure(BaseModel):
    """What is wrong with a request, or with the server."""

    message: str
    type: str
    param: str | None
    code: str | None
    request_id: str


class ErrorAnswer(BaseModel):
    """The answer to a request that is refused or fails."""

    error: Failure


class PredictAnswer(BaseModel):
    """What was found in each of the inputs, in their order."""

    model: str
    results: list[dict[str, Any]]


def _text(limits: Limits) -> Any:
    return Annotated[str, Field(max_length=limits.characters)]


def _several(kind: Any, limits: Limits) -> Any:
    return Annotated[list[kind], Field(min_length=1, max_length=limits.texts)]


def predict_form(predictor: Any, limits: Limits) -> Any:
    """What a model is asked: one input or several, and options of ``hf-ext predict``.

    Args:
        predictor: as `hf_ext.serve.open_model` gives it.
        limits: of the server.
    """
    values = {
        "turns": _several(_text(limits), limits),
        "choices": _several(_text(limits), limits),
        "group": _text(limits) | int,
        # The body's limit is its own.
        "image": str,
    }
    kinds = []
    for keys in predictor.reads:
        fields: dict[str, Any] = {key: (values.get(key, _text(limits)), ...) for key in keys}
        fields |= {key: (values.get(key, _text(limits)) | None, None) for key in predictor.optional}
        kinds.append(create_model("With " + " and ".join(keys), __base__=Form, **fields))
    one: Any = _text(limits) if ("text",) in predictor.reads else kinds[0]
    for kind in kinds:
        one = one | kind
    options: dict[str, Any] = {name: (_OPTIONS[name] | None, None) for name in predictor.predict_options}
    parameters = create_model("Parameters", __base__=Form, **options)
    return create_model(
        "Predict",
        __base__=Form,
        inputs=(one | _several(one, limits), ...),
        parameters=(parameters, Field(default_factory=parameters)),
    )


def wanted_inputs(predictor: Any, limits: Limits) -> str:
    """What the inputs of a model are, for errors."""
    kinds = ["a text"] if ("text",) in predictor.reads else []
    kinds += [
        "an object with " + " and ".join(f'"{key}"' for key in keys) for keys in predictor.reads if keys != ("text",)
    ]
    return f"{', or '.join(kinds)}, or a list of 1 to {limits.texts} of these"


def embed_form(limits: Limits) -> Any:
    """What OpenAI's embeddings are asked with, texts alone."""
    fields: dict[str, Any] = {
        "model": (str, ...),
        "input": (_text(limits) | _several(_text(limits), limits), ...),
        "encoding_format": (Literal["float", "base64"], "float"),
        "user": (str | None, None),
    }
    return create_model("Embed", __base__=Form, **fields)


def _temperature(value: float) -> float:
    # What is divided by less has no numbers any more.
    if 0 < value < 0.01:
        raise ValueError("input should be 0, or at least 0.01")
    return value


def complete_form(limits: Limits) -> Any:
    """What OpenAI's completions are asked with, but for what no model here can do."""
    stop: Any = Annotated[str, Field(min_length=1, max_length=100)]
    fields: dict[str, Any] = {
        "model": (str, ...),
        "prompt": (_text(limits) | _several(_text(limits), limits), ...),
        "max_tokens": (Annotated[int, Field(ge=1, le=limits.new_tokens)], min(16, limits.new_tokens)),
        "temperature": (Annotated[float, Field(ge=0, le=2), AfterValidator(_temperature)], 1.0),
        "top_p": (Annotated[float, Field(gt=0, le=1)], 1.0),
        "n": (Annotated[int, Field(ge=1, le=8)], 1),
        "stop": (stop | Annotated[list[stop], Field(max_length=4)] | None, None),
        "seed": (_OPTIONS["seed"] | None, None),
        "stream": (bool, False),
        "user": (str | None, None),
    }
    return create_model("Complete", __base__=Form, **fields)


def validation_sentence(errors: Sequence[Mapping[str, Any]], wanted: Mapping[str, str]) -> str:
    """What is wrong with the body of a request, without a word of what was in it.

    Args:
        errors: of Pydantic, one or more.
        wanted: what fields must be that may be several things, by their names.
    """
    first = errors[0]
    place = [str(part) for part in first["loc"] if part != "body"]
    if first["type"] == "json_invalid" or not place:
        return "the body must be a JSON object, sent as application/json"
    if place[0] in wanted:
        own = [error for error in errors if error["loc"][1:2] == (place[0],)]
        long = [error for error in own if error["type"] == "string_too_long"]
        if long:
            return f"{place[0]} must have texts of at most {long[0]['ctx']['max_length']} characters, got a longer one"
        return f"{place[0]} must be {wanted[place[0]]}"
    if first["type"] == "extra_forbidden":
        return f"{'.'.join(place)[:100]} has no effect here; leave it out"
    message = first["msg"].removeprefix("Value error, ")
    return f"{'.'.join(place)[:100]}: {message[:1].lower()}{message[1:]}"
