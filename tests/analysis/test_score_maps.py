"""Maps of spans and of attention beside what models give, and pages and pictures of them."""

import json
from itertools import combinations
from typing import Any

import pytest
import torch
from page_parts import Page
from transformers import AutoModel, BertConfig, BertModel, RobertaConfig, RobertaModel, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.analysis import ScoreMap, attention_maps, span_score_maps, write_score_maps
from hf_ext.analysis.map_page import check_map_file
from hf_ext.analysis.score_maps import scored_labels

TEXT = "张三在北京 <b>"
SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 24,
    "initializer_range": 0.4,
}
TOKENIZER = build_char_tokenizer([TEXT], model_max_length=24)


HEADS = {
    "span-extraction": (hf_ext.AutoModelForSpanExtraction, ["人", "<地>"]),
    "relation-extraction": (hf_ext.AutoModelForRelationExtraction, ["作者", "<地>"]),
    "event-extraction": (hf_ext.AutoModelForEventExtraction, ["写|人", "写|<地>"]),
}


def scorer(task: str = "span-extraction", seed: int = 0, **fields: Any) -> Any:
    """The pipeline of a model that finds something, though it was never trained."""
    auto_class, names = HEADS[task]
    torch.manual_seed(seed)
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    config = BertConfig(vocab_size=len(TOKENIZER), span_head_size=8, **fields, **labels, **SIZE)
    model = auto_class.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.normal_(std=0.5)
    return pipeline(task, model=model, tokenizer=TOKENIZER, device="cpu")


@pytest.mark.parametrize("head", ["efficient_global_pointer", "global_pointer"])
@pytest.mark.parametrize("text", [TEXT, "张"])
def test_maps_of_spans_hold_the_pipelines_scores(head, text):
    extract = scorer(span_head=head)
    maps = span_score_maps(extract, text)
    assert [one.name for one in maps] == ["人", "<地>"]
    offsets = TOKENIZER(text, return_offsets_mapping=True)["offset_mapping"]
    # All spans, as the pipeline finds them, have their number at their place.
    found = extract(text, threshold=0.0)
    assert found
    for span in found:
        (one,) = [one for one in maps if one.name == span["label"]]
        first = next(place for place, (start, end) in enumerate(offsets) if end > start == span["start"])
        last = next(place for place, (start, end) in enumerate(offsets) if start < end == span["end"])
        assert float(one.values[first, last]) == pytest.approx(span["score"], abs=1e-6)
    for one in maps:
        length = len(offsets)
        assert one.tokens == ["[CLS]", *(text[start:end] for start, end in offsets[1:-1]), "[SEP]"]
        assert one.values.shape == (length, length)
        # No span ends before it starts.
        assert torch.equal(one.values.isnan(), torch.ones(length, length).tril(-1).bool())
        assert {*one.marked} == {*map(tuple, (one.values > 0.5).nonzero().tolist())}
    assert [one.name for one in span_score_maps(extract, text, ["<地>"])] == ["<地>"]


def test_maps_of_a_window_of_characters():
    """Of a long text its first window, of an empty one nothing, and no token that has no characters."""
    extract = scorer()
    maps = span_score_maps(extract, TEXT, whole=False, around=False)
    places = [(start, end) for start, end in TOKENIZER(TEXT, return_offsets_mapping=True)["offset_mapping"] if end]
    assert [(one.is_cut, one.tokens) for one in maps] == [(False, [TEXT[start:end] for start, end in places])] * 2
    marked = {(one.name, places[first][0], places[last][1]) for one in maps for first, last in one.marked}
    assert marked == {(span["label"], span["start"], span["end"]) for span in extract(TEXT)} != set()
    (one,) = span_score_maps(extract, TEXT * 9, ["人"], whole=False, around=False)
    assert (one.is_cut, one.tokens) == (True, [*filter(str.strip, TEXT * 9)][: 24 - 2])
    assert [one.values.shape for one in span_score_maps(extract, "", whole=False, around=False)] == [(0, 0)] * 2


LABELS = {
    "span-extraction": ["人", "<地>"],
    "relation-extraction": ["subject", "object", "作者", "<地>"],
    "event-extraction": ["写|人", "写|<地>", "same event"],
}


@pytest.mark.parametrize("task", HEADS)
def test_maps_hold_the_models_scores(task):
    """By label: its table of spans, or its tables of links of first and of last tokens."""
    extract = scorer(task, score_threshold=0.7)
    assert scored_labels(extract.model) == LABELS[task]
    with torch.no_grad():
        logits = extract.model(**TOKENIZER(TEXT, return_tensors="pt"), output_logits=True).logits
    spans, *links = (part[0].double() for part in (logits if isinstance(logits, tuple) else (logits,)))
    named = {label: [(label, table)] for label, table in zip(LABELS[task], spans)}
    for label, *tables in zip(LABELS[task][len(spans) :], *links, strict=True):
        named[label] = [(f"{label}: {end} tokens", table) for end, table in zip(("first", "last"), tables, strict=True)]
    expected = [one for label in LABELS[task] for one in named[label]]
    maps = span_score_maps(extract, TEXT)
    assert [one.name for one in maps] == [name for name, _ in expected]
    assert [one.of_spans for one in maps] == [not name.endswith(" tokens") for name, _ in expected]
    for one, (_, scores) in zip(maps, expected, strict=True):
        there = ~scores.isinf()
        assert torch.equal(~one.values.isnan(), there)
        assert torch.allclose(one.values[there], 1 / (1 + (-scores[there]).exp()), atol=1e-6)
        assert {*one.marked} == {*map(tuple, (one.values > 0.7).nonzero().tolist())}
    assert any(one.marked for one in maps)
    for label in LABELS[task]:
        assert [one.name for one in span_score_maps(extract, TEXT, [label])] == [name for name, _ in named[label]]


def cells(text: str, *things: Any) -> tuple[tuple[int, int], ...]:
    """The first tokens of things with characters, and their last."""
    offsets = TOKENIZER(text, return_offsets_mapping=True)["offset_mapping"]
    firsts = {start: place for place, (start, end) in enumerate(offsets) if end > start}
    lasts = {end: place for place, (start, end) in enumerate(offsets) if end > start}
    return tuple(firsts[one["start"]] for one in things), tuple(lasts[one["end"]] for one in things)


def check_rests_on(maps: dict[str, ScoreMap], rests_on: list[Any], score: float) -> None:
    """Assert that cells are framed, each in the map of a name, and that the least of them is a score."""
    assert all(tuple(cell) in maps[name].marked for name, cell in rests_on)
    least = min(float(maps[name].values[tuple(cell)]) for name, cell in rests_on)
    assert least == pytest.approx(score, abs=1e-6)


def test_relations_are_framed_in_the_four_maps_that_they_rest_on():
    extract = scorer("relation-extraction", seed=5, score_threshold=0.3)
    maps = {one.name: one for one in span_score_maps(extract, TEXT)}
    found = extract(TEXT)
    assert found
    for relation in found:
        pair = relation["subject"], relation["object"]
        heads, tails = cells(TEXT, *pair)
        rests_on: list[Any] = [(role, ends) for role, *ends in zip(("subject", "object"), heads, tails)]
        name = relation["predicate"]
        rests_on += [(f"{name}: first tokens", heads), (f"{name}: last tokens", tails)]
        check_rests_on(maps, rests_on, relation["score"])


def test_events_are_framed_in_the_maps_that_they_rest_on():
    extract = scorer("event-extraction")
    maps = {one.name: one for one in span_score_maps(extract, TEXT)}
    found = extract(TEXT)
    assert any(len(event["arguments"]) > 1 for event in found)
    for event in found:
        arguments = event["arguments"]
        heads, tails = cells(TEXT, *arguments)
        rests_on = [(f"{event['type']}|{one['role']}", ends) for one, *ends in zip(arguments, heads, tails)]
        for end, places in (("first", heads), ("last", tails)):
            rests_on += [(f"same event: {end} tokens", sorted(pair)) for pair in combinations(places, 2)]
        check_rests_on(maps, rests_on, event["score"])


def test_models_that_score_no_spans_are_refused():
    config = BertConfig(vocab_size=len(TOKENIZER), answer_head_size=8, **SIZE)
    model = hf_ext.AutoModelForReadingComprehension.from_config(config)
    assert scored_labels(model) == []
    with pytest.raises(ValueError, match="extract must have a model that scores pairs of tokens, got BertFor"):
        span_score_maps(pipeline("reading-comprehension", model=model, tokenizer=TOKENIZER), TEXT)


def test_values_of_other_tokens_are_refused():
    with pytest.raises(ValueError, match=r"a row and a column for each of 2 tokens, got shape \(3, 3\)"):
        ScoreMap("a", ["甲", "乙"], torch.zeros(3, 3), "row", "column")


def test_spans_that_cannot_be_shown_are_refused():
    extract = scorer()
    with pytest.raises(ValueError, match="labels must be among 人, <地>, got 物"):
        span_score_maps(extract, TEXT, ["物"])
    with pytest.raises(ValueError, match="text must have at most 24 tokens, got 42"):
        span_score_maps(extract, "张" * 40)


def encoder(name: str) -> Any:
    torch.manual_seed(0)
    small = {key: value for key, value in SIZE.items() if key != "num_attention_heads"}
    config: Any = {
        "bert": lambda: BertConfig(vocab_size=len(TOKENIZER), **SIZE),
        "roformer": lambda: hf_ext.RoFormerConfig(vocab_size=len(TOKENIZER), **SIZE),
        "nezha": lambda: hf_ext.NezhaConfig(vocab_size=len(TOKENIZER), **SIZE),
        "gau": lambda: hf_ext.GAUAlphaConfig(vocab_size=len(TOKENIZER), attention_key_size=8, **small),
    }[name]()
    return AutoModel.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("name", ["bert", "roformer", "nezha", "gau"])
def test_maps_of_attention_are_the_models_weights(name):
    model = encoder(name)
    with torch.no_grad():
        weights = model(**TOKENIZER(TEXT, return_tensors="pt"), output_attentions=True).attentions[1][0]
    heads = len(weights)
    assert heads == (1 if name == "gau" else 2)
    maps = attention_maps(model, TOKENIZER, TEXT)
    if heads > 1:
        mean, *maps = maps
        assert torch.allclose(mean.values, weights.mean(0).double(), atol=1e-6)
    for number, one in enumerate(maps):
        assert one.name == f"layer 1, head {number}"
        assert torch.allclose(one.values, weights[number].double(), atol=1e-6)
        assert torch.allclose(one.values.sum(-1), torch.ones(len(one.tokens), dtype=torch.float64), atol=1e-5)
        assert one.largest == float(one.values.max())
    (alone,) = attention_maps(model, TOKENIZER, TEXT, layer=-2, head=0)
    assert alone.name == "layer 0, head 0"
    assert alone.tokens[:3] == ["[CLS]", "张", "三"]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("FLASH", "FLASHModel: .*as FLASH has no attention weights to show"),
        ("TokenMixer", "TokenMixerModel: .*as token mixers have no attentions to show"),
        ("Bert", "BertModel, which gives none"),
    ],
)
def test_models_without_weights_are_refused(kind, reason):
    size = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 24}
    if kind == "Bert":
        # Which computes them, and keeps none.
        model: Any = BertModel(BertConfig(num_attention_heads=2, attn_implementation="sdpa", **size))
    else:
        model = getattr(hf_ext, f"{kind}Model")(getattr(hf_ext, f"{kind}Config")(**size))
    with pytest.raises(ValueError, match=f"model must have attention weights to show, got {reason}"):
        attention_maps(model, TOKENIZER, TEXT)


def test_what_is_not_there_is_refused():
    model = encoder("bert")
    with pytest.raises(ValueError, match="layer must be below the 2 of the model, got 2"):
        attention_maps(model, TOKENIZER, TEXT, layer=2)
    with pytest.raises(ValueError, match="layer must be below the 2 of the model, got -3"):
        attention_maps(model, TOKENIZER, TEXT, layer=-3)
    for head in (2, -1):
        with pytest.raises(ValueError, match=f"head must be from 0 to 1, got {head}"):
            attention_maps(model, TOKENIZER, TEXT, head=head)
    with pytest.raises(ValueError, match="text must have 1 to 24 tokens, got 32"):
        attention_maps(model, TOKENIZER, "张" * 30)
    roberta = RobertaConfig(vocab_size=len(TOKENIZER), **SIZE, pad_token_id=1)
    with pytest.raises(ValueError, match="text must have 1 to 22 tokens, got 24"):
        attention_maps(RobertaModel(roberta), TOKENIZER, "张" * 22)


def some_maps(text: str = "</script><b>&\u2028$$") -> list[ScoreMap]:
    values = torch.tensor([[0.25, 1.0], [torch.nan, 0.5]])
    marked = ScoreMap("<i>", [text, "张"], values, "row", "column", marked=[(0, 1)])
    return [marked, ScoreMap("zero", ["a", "b"], torch.zeros(2, 2), "row", "column", largest=0.0)]


def test_page_is_whole_and_escaped(tmp_path):
    write_score_maps(tmp_path / "maps.html", some_maps(), text="<script>alert(1)</script>", title="<u>&")
    page = (tmp_path / "maps.html").read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 2
    assert "<b>" not in page
    assert "<i>" not in page
    assert "<u>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "http" not in page
    whole = Page(page)
    assert whole.is_whole
    first, second = json.loads(whole.texts("script")[0])
    assert first["tokens"] == ["</script><b>&\u2028$$", "张"]
    assert first["values"] == [[0.25, 1.0], [None, 0.5]]
    assert first["marked"] == [[0, 1]]
    assert second["largest"] > 0


@pytest.mark.parametrize("text", ["<b>$$", "\U00010384"])
def test_picture(text, tmp_path):
    """Also of what no font has."""
    write_score_maps(tmp_path / "maps.png", some_maps(text) * 2, title="$a$ <b>")
    assert (tmp_path / "maps.png").read_bytes()[:4] == b"\x89PNG"
    write_score_maps(tmp_path / "one.PNG", [ScoreMap("a", ["x"], torch.ones(1, 1), "row", "column")])
    assert (tmp_path / "one.PNG").read_bytes()[:4] == b"\x89PNG"


def test_files_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a file of maps must end in \.html or \.png, got maps\.svg"):
        write_score_maps("maps.svg", some_maps())
    with pytest.raises(ValueError, match="must be in a folder that exists"):
        check_map_file(tmp_path / "nowhere" / "maps.html")
    with pytest.raises(ValueError, match="maps must be at least one"):
        write_score_maps(tmp_path / "maps.html", [])
    assert list(tmp_path.iterdir()) == []
