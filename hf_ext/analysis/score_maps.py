"""Maps of what a model thinks of each pair of tokens of a text: scores of spans, and weights of attention."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hf_ext.data.input_limit import input_limit
from hf_ext.modules.evaluation_mode import evaluation_mode


@dataclass(frozen=True)
class ScoreMap:
    """A number for each pair of tokens.

    Attributes:
        name: of a label, or of a layer and a head.
        tokens: L texts, of the rows and of the columns.
        values: ``[L, L]`` in [0, 1], NaN where there is none.
        rows: what a row stands for.
        columns: what a column stands for.
        largest: the number that is drawn darkest.
        marked: rows and columns of the cells that are to be framed.
    """

    name: str
    tokens: Sequence[str]
    values: Tensor
    rows: str
    columns: str
    largest: float = 1.0
    marked: Sequence[tuple[int, int]] = field(default=())


def span_score_maps(extract: Any, text: str, labels: Sequence[str] | None = None) -> list[ScoreMap]:
    """The score of each span of tokens, by its first and its last, for each label: what `SpanExtractionPipeline` sees.

    Args:
        extract: ``pipeline("span-extraction", model=folder)``.
        text: one that a window holds.
        labels: those to show, in this order; None: all, in that of the model.

    Returns:
        A map a label, of the logistic function of the scores, with spans marked that the pipeline finds.

    Raises:
        ValueError: if the text is longer than a window, or the model has no such label.
    """
    model = extract.model
    names = [model.config.id2label[number] for number in range(len(model.config.id2label))]
    chosen = names if labels is None else list(labels)
    for label in chosen:
        if label not in names:
            raise ValueError(f"labels must be among {', '.join(names)}, got {label}")
    windows = extract.windows([text])[0]
    if len(windows) > 1:
        count = len(extract.tokenizer(text, verbose=False)["input_ids"])
        raise ValueError(f"text must have at most {extract.window_length(None)} tokens, got {count}")
    inputs, rest = extract.split(windows[0])
    with evaluation_mode(model), torch.no_grad():
        outputs = model(**{name: value.to(model.device) for name, value in inputs.items()}, output_logits=True)
    scores = outputs.logits[0].double().cpu()
    found = [(int(label), int(first), int(last)) for label, first, last, _ in outputs.spans[0].tolist() if label >= 0]
    tokens = _texts(extract.tokenizer, inputs["input_ids"][0].tolist(), rest["window"].offsets, text)
    values = torch.where(scores.isinf(), torch.nan, scores.sigmoid())
    return [
        ScoreMap(
            label,
            tokens,
            values[names.index(label)],
            "first token",
            "last token",
            marked=[(first, last) for number, first, last in found if names[number] == label],
        )
        for label in chosen
    ]


def attention_maps(model: Any, tokenizer: Any, text: str, layer: int = -1, head: int | None = None) -> list[ScoreMap]:
    """The weights by which each token of a text looks at each other.

    Args:
        model: an encoder, or a decoder, with ``attn_implementation="eager"``, which keeps its weights.
        tokenizer: of the model, a fast one.
        text: one that the model takes whole.
        layer: from 0, or from -1 backwards.
        head: from 0; None: all, and first their mean.

    Returns:
        A map a head, each as dark as its largest weight.

    Raises:
        ValueError: if the text is too long, the model has no such layer or head, or no weights to show.
    """
    kind = type(model).__name__
    encoding = tokenizer(text, return_tensors="pt", return_offsets_mapping=True, verbose=False)
    offsets = encoding.pop("offset_mapping")[0].tolist()
    limit = input_limit(tokenizer, model.config, None)
    if not 0 < len(offsets) <= limit:
        raise ValueError(f"text must have 1 to {limit} tokens, got {len(offsets)}")
    inputs = {name: value.to(model.device) for name, value in encoding.items()}
    try:
        with evaluation_mode(model), torch.no_grad():
            layers = model(**inputs, output_attentions=True).attentions
    except ValueError as error:
        # The family's own sentence, which says why it has none.
        raise ValueError(f"model must have attention weights to show, got {kind}: {error}") from error
    if not layers or layers[0] is None:
        raise ValueError(f"model must have attention weights to show, got {kind}, which gives none")
    if not -len(layers) <= layer < len(layers):
        raise ValueError(f"layer must be below the {len(layers)} of the model, got {layer}")
    layer %= len(layers)
    weights = layers[layer][0].double().cpu()
    heads = len(weights)
    if head is not None and not 0 <= head < heads:
        raise ValueError(f"head must be from 0 to {heads - 1}, got {head}")
    tokens = _texts(tokenizer, inputs["input_ids"][0].tolist(), offsets, text)
    named = {f"layer {layer}, head {number}": weights[number] for number in range(heads)}
    if head is not None:
        named = {f"layer {layer}, head {head}": weights[head]}
    elif heads > 1:
        named = {f"layer {layer}, mean of {heads} heads": weights.mean(0), **named}
    return [
        ScoreMap(name, tokens, values, "token that looks", "token looked at", largest=float(values.max()))
        for name, values in named.items()
    ]


def _texts(tokenizer: Any, ids: Sequence[int], offsets: Sequence[Sequence[int]], text: str) -> list[str]:
    """What each token is in the text; of one around it, its entry in the vocabulary."""
    entries = tokenizer.convert_ids_to_tokens(ids)
    return [text[start:end] if end > start else entry for entry, (start, end) in zip(entries, offsets)]
