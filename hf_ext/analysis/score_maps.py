"""Maps of what a model thinks of each pair of tokens of a text: scores of spans, and weights of attention."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hf_ext.data.input_limit import input_limit
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.base.head import score_above


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
        is_cut: whether the text goes on after the tokens.

    Raises:
        ValueError: if ``values`` have not a row and a column for each token.
    """

    name: str
    tokens: Sequence[str]
    values: Tensor
    rows: str
    columns: str
    largest: float = 1.0
    marked: Sequence[tuple[int, int]] = field(default=())
    is_cut: bool = False

    def __post_init__(self) -> None:
        length = len(self.tokens)
        if self.values.shape != (length, length):
            shape = tuple(self.values.shape)
            raise ValueError(f"values must have a row and a column for each of {length} tokens, got shape {shape}")

    @property
    def darkest(self) -> float:
        """What is drawn darkest: the largest number, and never 0, as numbers are divided by it."""
        return max(self.largest, 1e-9)


def scored_labels(model: Any) -> list[str]:
    """The labels that a model scores spans of tokens for; none of a model that scores no spans by pairs of tokens."""
    labels = model.config.id2label or {}
    names = [str(labels[number]) for number in sorted(labels)]
    # By name, not by class: a model may be wrapped, as PEFT does, or come with a copy of our code.
    return {
        "ForSpanExtraction": names,
        "ForEventExtraction": names,
        "ForRelationExtraction": ["subject", "object"],
    }.get(getattr(model, "suffix", ""), [])


def span_score_maps(
    extract: Any, text: str, labels: Sequence[str] | None = None, whole: bool = True, around: bool = True
) -> list[ScoreMap]:
    """The score of each span of tokens, by its first and its last, for each label: what a pipeline of them sees.

    Args:
        extract: ``pipeline("span-extraction", model=folder)``, or one of another model that has `scored_labels`.
        text: one that a window holds, if ``whole``.
        labels: those to show, in this order; None: all, in that of the model.
        whole: whether to refuse a longer text, and not to take what its first window has.
        around: whether to have the tokens around the text, which have no characters in it.

    Returns:
        A map a label, of the logistic function of the scores, with those marked that are above the model's threshold.

    Raises:
        ValueError: if the model has no such scores or no such label, or the text is longer than a window.
    """
    model = extract.model
    names = scored_labels(model)
    if not names:
        raise ValueError(f"extract must have a model that scores spans of tokens, got {type(model).__name__}")
    chosen = names if labels is None else list(labels)
    for label in chosen:
        if label not in names:
            raise ValueError(f"labels must be among {', '.join(names)}, got {label}")
    windows = extract.windows([text])[0]
    if whole and len(windows) > 1:
        count = len(extract.tokenizer(text, verbose=False)["input_ids"])
        raise ValueError(f"text must have at most {extract.window_length(None)} tokens, got {count}")
    inputs, rest = extract.split(windows[0])
    with evaluation_mode(model), torch.no_grad():
        outputs = model(**{name: value.to(model.device) for name, value in inputs.items()}, output_logits=True)
    table = outputs.logits[0] if isinstance(outputs.logits, tuple) else outputs.logits
    offsets = rest["window"].offsets
    places = [place for place, (start, end) in enumerate(offsets) if around or end > start]
    entries = _texts(extract.tokenizer, inputs["input_ids"][0].tolist(), offsets, text)
    tokens = [entries[place] for place in places]
    above = score_above(model.config, None)
    maps = []
    for label in chosen:
        scores = table[0, names.index(label)].double().cpu()[places][:, places]
        values = torch.where(scores.isinf(), torch.nan, scores.sigmoid())
        marked = [(row, column) for row, column in (scores > above).nonzero().tolist()]
        maps.append(
            ScoreMap(label, tokens, values, "first token", "last token", marked=marked, is_cut=len(windows) > 1)
        )
    return maps


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
