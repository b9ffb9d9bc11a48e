"""Maps of what a model thinks of each pair of tokens of a text: scores of spans, and weights of attention."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hf_ext.data.input_limit import input_limit
from hf_ext.modules.evaluation_mode import evaluation_mode
from hf_ext.tasks.base.head import score_above

SCORING = ("ForSpanExtraction", "ForRelationExtraction", "ForEventExtraction")
"""How the names of models end that score pairs of tokens."""


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
        of_spans: whether a cell stands for the tokens from its row to its column.
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
    of_spans: bool = False
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


class _Table(NamedTuple):
    """What is said of a table of scores ``[L, L]`` that a model gives: fields of its map, and the label it is for."""

    label: str
    name: str
    rows: str
    columns: str
    of_spans: bool


def _tables(model: Any) -> list[_Table]:
    """The tables of a model's scores, in their order: of spans, of links of first tokens, of links of last tokens."""
    # By name, not by class: a model may be wrapped, as PEFT does, or come with a copy of our code.
    suffix = getattr(model, "suffix", None)
    if suffix not in SCORING:
        return []
    names = [str(name) for _, name in sorted(model.config.id2label.items())]
    spans = ["subject", "object"] if suffix == "ForRelationExtraction" else names
    links, one, other = {
        "ForSpanExtraction": ([], "", ""),
        "ForRelationExtraction": (names, "subject", "object"),
        # Which two arguments it is, a link does not tell.
        "ForEventExtraction": (["same event"], "one argument", "another"),
    }[suffix]
    return [
        *(_Table(label, label, "first token", "last token", True) for label in spans),
        *(
            _Table(label, f"{label}: {end} tokens", f"{end} token of {one}", f"{end} token of {other}", False)
            for end in ("first", "last")
            for label in links
        ),
    ]


def scored_labels(model: Any) -> list[str]:
    """The labels of the pairs of tokens that a model scores, in its order: those of spans, and then those of links.

    A model of relations has "subject" and "object" and its predicates, and one of events its roles and "same event".

    Args:
        model: one with pointers, of `SCORING`; of any other there are none.
    """
    return list(dict.fromkeys(table.label for table in _tables(model)))


def span_score_maps(
    extract: Any, text: str, labels: Sequence[str] | None = None, whole: bool = True, around: bool = True
) -> list[ScoreMap]:
    """Maps of how likely a model with pointers thinks each pair of tokens, before anything is decided.

    There is a map for each label of spans: those of entities, "subject" and "object" of relations, roles of events.
    Its rows are first tokens, its columns last ones. And there are two for each label of links, between the first
    tokens of two spans and between their last: each predicate from subject to object, and of events "same event" from
    the smaller place to the larger. What a model finds scores above its threshold in all maps that it stands in.

    Args:
        extract: ``pipeline("span-extraction", model=folder)``, ``"relation-extraction"`` or ``"event-extraction"``.
        text: one that a window holds, if ``whole``.
        labels: those to show, in this order; None: all, in that of the model.
        whole: whether to refuse a longer text, and not to take what its first window has.
        around: whether to have the tokens around the text, which have no characters in it.

    Returns:
        Maps of the logistic function of the scores, in which those are marked that are above the model's threshold.

    Raises:
        ValueError: if the model has no such scores or no such label, or the text is longer than a window.
    """
    model = extract.model
    known = _tables(model)
    if not known:
        raise ValueError(f"extract must have a model that scores pairs of tokens, got {type(model).__name__}")
    names = scored_labels(model)
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
    logits = outputs.logits if isinstance(outputs.logits, tuple) else (outputs.logits,)
    scores = [table for part in logits for table in part[0]]
    offsets = rest["window"].offsets
    places = [place for place, (start, end) in enumerate(offsets) if around or end > start]
    entries = _texts(extract.tokenizer, inputs["input_ids"][0].tolist(), offsets, text)
    tokens = [entries[place] for place in places]
    above = score_above(model.config, None)

    def score_map(table: _Table, scores: Tensor) -> ScoreMap:
        scores = scores.double().cpu()[places][:, places]
        return ScoreMap(
            table.name,
            tokens,
            torch.where(scores.isinf(), torch.nan, scores.sigmoid()),
            table.rows,
            table.columns,
            marked=[(row, column) for row, column in (scores > above).nonzero().tolist()],
            of_spans=table.of_spans,
            is_cut=len(windows) > 1,
        )

    pairs = list(zip(known, scores, strict=True))
    return [score_map(*pair) for label in chosen for pair in pairs if pair[0].label == label]


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
