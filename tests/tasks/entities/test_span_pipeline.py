import fresh_process
import pytest
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoTokenizer, BertTokenizer, pipeline
from transformers.pipelines.pt_utils import KeyDataset

import hf_ext  # noqa: F401  (registers)
from hf_ext.tasks.entities import SpanExtractionPipeline
from hf_ext.tasks.entities.span_head import AutoModelForSpanExtraction

CHARACTERS = "小明在北京大学读书，a b c d e f g h i j k l m n o p q r s t u v w x y z".replace(" ", "")
TEXTS = ["小明在北京大学读书", "北京", "ABC小明DEF", "", "  ", "小明 在 北京"]
KEYS = {"start", "end", "label", "score", "text"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model that finds about every third span, with a lower-casing character tokenizer."""
    path = tmp_path_factory.mktemp("spans")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHARACTERS)]
    (path / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizer(str(path / "vocab.txt"), do_lower_case=True).save_pretrained(path)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.5,
        id2label={0: "person", 1: "school"},
        label2id={"person": 0, "school": 1},
    )
    model = AutoModelForSpanExtraction.from_config(config, span_head_size=8)
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipe(folder):
    return pipeline("span-extraction", model=str(folder))


def by_hand(pipe, text, threshold=0.5):
    """Spans of a short text from the scores of every pair of tokens."""
    encoded = pipe.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    probabilities = pipe.model(**encoded, output_logits=True).logits[0].sigmoid()
    spans = []
    for label, first, last in (probabilities > threshold).nonzero().tolist():
        (start, left), (right, end) = offsets[first], offsets[last]
        if left > start and end > right:
            score = probabilities[label, first, last].item()
            name = pipe.model.config.id2label[label]
            spans.append({"start": start, "end": end, "label": name, "score": score, "text": text[start:end]})
    return sorted(spans, key=lambda span: (span["start"], span["end"], span["label"]))


def same(got, want):
    assert [{**span, "score": 0} for span in got] == [{**span, "score": 0} for span in want]
    assert [span["score"] for span in got] == pytest.approx([span["score"] for span in want], abs=1e-5)
    return True


def test_task_is_known(pipe):
    assert type(pipe) is SpanExtractionPipeline
    assert type(pipe.model).__name__ == "BertForSpanExtraction"


@pytest.mark.parametrize("threshold", [0.5, 0.6, 0.2, 0.0])
def test_spans_are_those_of_the_scores(pipe, threshold):
    counts = []
    for text in TEXTS:
        got = pipe(text, threshold=threshold)
        assert all(set(span) == KEYS for span in got)
        assert same(got, by_hand(pipe, text, threshold))
        counts.append(len(got))
    assert counts[0] > 0
    assert counts[3] == counts[4] == 0


def test_offsets_point_into_the_text_as_given(pipe):
    text = "ABC小明İstanbul DEF"
    spans = pipe(text, threshold=0.0)
    assert spans
    assert all(span["text"] == text[span["start"] : span["end"]] for span in spans)
    assert any("ABC" in span["text"] for span in spans)


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize("padding_side", ["right", "left"])
def test_every_kind_of_input(pipe, batch_size, padding_side):
    want = [pipe(text) for text in TEXTS]
    dataset = Dataset.from_dict({"text": TEXTS})
    side, pipe.tokenizer.padding_side = pipe.tokenizer.padding_side, padding_side
    try:
        results = [
            pipe(TEXTS, batch_size=batch_size),
            pipe(tuple(TEXTS), batch_size=batch_size),
            pipe(dataset["text"], batch_size=batch_size),
            list(pipe(KeyDataset(dataset, "text"), batch_size=batch_size)),
            list(pipe((text for text in TEXTS), batch_size=batch_size)),
        ]
    finally:
        pipe.tokenizer.padding_side = side
    for result in results:
        assert all(same(got, wanted) for got, wanted in zip(result, want, strict=True))
    assert pipe([]) == []


def test_left_padding_of_a_model_without_absolute_positions(folder):
    """RoFormer scores a left-padded row as it does the row alone, so the spans must be the same."""
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "roformer",
        vocab_size=len(tokenizer),
        embedding_size=16,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.5,
    )
    model = AutoModelForSpanExtraction.from_config(config, span_head_size=8).eval()
    pipe = SpanExtractionPipeline(model=model, tokenizer=tokenizer)
    want = [pipe(text) for text in TEXTS]
    assert any(want)
    assert all(same(got, wanted) for got, wanted in zip(pipe(TEXTS, batch_size=3), want, strict=True))


def test_long_texts_are_read_in_windows(pipe):
    text = "小明在北京大学读书，" * 20
    window = pipe(text, max_length=42, stride=10, threshold=0.3)
    assert max(span["end"] for span in window) > 150
    assert window == sorted(window, key=lambda span: (span["start"], span["end"], span["label"]))
    assert len({(span["start"], span["end"], span["label"]) for span in window}) == len(window)
    assert all(span["text"] == text[span["start"] : span["end"]] for span in window)
    batched = pipe([text, "北京", text], max_length=42, stride=10, threshold=0.3, batch_size=4)
    assert same(batched[0], window)
    assert same(batched[2], window)
    assert same(batched[1], pipe("北京", threshold=0.3))
    # More than the positions of the model, with the default window.
    assert isinstance(pipe(text * 4), list)


def test_saved_pipeline_reloads_without_trust(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    assert "custom_pipelines" not in (tmp_path / "config.json").read_text()
    again = pipeline("span-extraction", model=str(tmp_path), threshold=0.9)
    assert same(again(TEXTS[0]), pipe(TEXTS[0], threshold=0.9))


@pytest.mark.parametrize(
    ("inputs", "options", "error", "message"),
    [
        ("北京", {"threshold": 1.0}, ValueError, r"threshold must be in \[0, 1\), got 1.0"),
        ("北京", {"threshold": -0.1}, ValueError, "got -0.1"),
        ("北京", {"max_length": 10, "stride": 8}, ValueError, "less than the 8 tokens of a window, got 8"),
        ([3], {}, TypeError, "texts, got int"),
        ([None], {}, TypeError, "texts, got NoneType"),
    ],
)
def test_bad_input(pipe, inputs, options, error, message):
    with pytest.raises(error, match=message):
        pipe(inputs, **options)


def test_other_models_are_refused(pipe):
    config = AutoConfig.for_model(
        "bert", vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    from transformers import AutoModelForTokenClassification

    with pytest.raises(ValueError, match="got BertForTokenClassification"):
        SpanExtractionPipeline(model=AutoModelForTokenClassification.from_config(config), tokenizer=pipe.tokenizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "imports",
    [
        "import transformers.pipelines",
        "import hf_ext.tasks.entities.span_pipeline",
        "import hf_ext.tasks.events.pipeline",
        "import hf_ext.tasks.base.linked_span_pipeline",
    ],
)
def test_registered_in_whatever_order_of_imports(imports):
    code = (
        f"{imports}; from hf_ext.tasks.entities import SpanExtractionPipeline; "
        "from transformers.pipelines import PIPELINE_REGISTRY; "
        "assert PIPELINE_REGISTRY.supported_tasks['span-extraction']['impl'] is SpanExtractionPipeline; "
        "assert not hasattr(SpanExtractionPipeline, '_registered_impl')"
    )
    done = fresh_process.run(code)
    assert done.returncode == 0, done.stderr


def test_registered_without_importing_pipelines(folder):
    code = (
        "import hf_ext, sys; assert 'transformers.pipelines' not in sys.modules; from transformers import pipeline; "
        "print(len(pipeline('span-extraction', model=sys.argv[1])('小明在北京大学读书')))"
    )
    done = fresh_process.run(code, str(folder))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0
