import copy
import pickle

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, Trainer, TrainingArguments

from hf_ext.losses import span_softmax_loss
from hf_ext.ops.answer_spans import best_answer_spans
from hf_ext.tasks.base.head import head_class
from hf_ext.tasks.reading_comprehension import head as module, reading_compute_metrics
from hf_ext.tasks.reading_comprehension.head import (
    ANSWER_HEADS,
    RANKINGS,
    AutoModelForReadingComprehension,
    ReadingComprehension,
)

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
FAMILIES = {
    "bert": {},
    "roformer": {"embedding_size": 16},
    "electra": {"embedding_size": 8},
    "gau_alpha": {"attention_key_size": 8},
    "modernbert": {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
}
families = pytest.mark.parametrize("family", FAMILIES)
heads = pytest.mark.parametrize("head", ANSWER_HEADS)
sides = pytest.mark.parametrize("left", [False, True], ids=["right", "left"])


def model_of(family="bert", head="global_pointer", dtype=torch.float32, **options):
    sizes = {k: v for k, v in SMALL.items() if family != "gau_alpha" or k != "num_attention_heads"}
    config = AutoConfig.for_model(family, **{**sizes, **FAMILIES[family]})
    torch.manual_seed(0)
    fields = {"answer_head": head, "answer_head_size": 8, "answer_top_k": 6, **options}
    return AutoModelForReadingComprehension.from_config(config, **fields).to(dtype).eval()


def batch(lengths=(9, 6, 7, 5), question=2, left=False):
    """Rows of a first token, a question, one mark, a context and another mark; labels one of each kind."""
    longest = max(lengths)
    generator = torch.Generator().manual_seed(3)
    rows = {"input_ids": [], "attention_mask": [], "context_mask": [], "token_type_ids": []}
    for length in lengths:
        pad = longest - length
        place = torch.arange(length)
        context = ((place > question + 1) & (place < length - 1)).long()
        own = {
            "input_ids": torch.randint(3, 40, (length,), generator=generator),
            "attention_mask": torch.ones(length, dtype=torch.long),
            "context_mask": context,
            "token_type_ids": (place > question + 1).long(),
        }
        for name, values in own.items():
            rows[name].append(F.pad(values, (pad, 0) if left else (0, pad)))
    labels = [[question + 2, length - 2] for length in lengths]
    labels[1:] = [[0, 0], *labels[2:-1], [-100, -100]][: len(labels) - 1]
    return {name: torch.stack(values) for name, values in rows.items()} | {"labels": torch.tensor(labels)}


@torch.no_grad()
def naive(model, inputs, limit=10**9, table=False, raw=False):
    """Log-probabilities of all spans of each row, {(start, end): value}, in float64 by loops; (0, 0) is no answer.

    With ``table`` those in the loss, and with ``raw`` the scores that they are made of.
    """
    names = ("input_ids", "attention_mask", "token_type_ids", "inputs_embeds")
    hidden = model.encode(*(inputs.get(name) for name in names)).last_hidden_state
    rows = []
    for row, real in enumerate(inputs["attention_mask"].bool()):
        first = int(real.nonzero()[0])
        places = [p for p in range(len(real)) if inputs["context_mask"][row, p]]
        spans = [(i, j) for i in places for j in places if i <= j < i + limit] + [(first, first)]
        if "pointer" in model.config.answer_head:
            query, key = (part[row, :, 0].double() for part in model.classifier.project(hidden))
            scores = {span: float(query[span[0]] @ key[span[1]]) / 8**0.5 for span in spans}
            # What the softmax of the loss is over beside what may be returned.
            beside = [(first, j) for j in places if table and model.config.answer_head == "pointer_table"]
            shares = [*scores.values(), *(float(query[i] @ key[j]) / 8**0.5 for i, j in beside)]
            total = 0.0 if raw else torch.tensor(shares, dtype=torch.float64).logsumexp(0)
            rows.append({(i - first, j - first): value - float(total) for (i, j), value in scores.items()})
        else:
            start, end = model.classifier.dense(hidden[row]).double().unbind(-1)
            every = model.config.answer_head == "start_end_row"
            kept = [place for place in range(len(real)) if real[place]] if every else [first, *places]
            starts, ends = (values - values[kept].logsumexp(0) for values in (start, end))
            rows.append({(i - first, j - first): float(starts[i] + ends[j]) for i, j in spans})
    return rows


@families
@heads
@sides
@pytest.mark.parametrize("ranking", RANKINGS)
def test_spans_and_loss_are_those_of_all_spans_one_by_one(family, head, left, ranking):
    dtype = torch.float64 if family != "modernbert" else torch.float32
    model = model_of(family, head, dtype, max_answer_tokens=2, answer_ranking=ranking)
    inputs = batch(left=left)
    labels = inputs["labels"]
    out = model(**inputs)
    assert list(out) == ["loss", "spans", "null_scores"]
    assert (out.spans.shape, out.spans.dtype, out.null_scores.shape) == ((4, 6, 3), torch.float32, (4,))
    for row, values in enumerate(naive(model, inputs, limit=2, raw=ranking == "score")):
        null = values.pop((0, 0))
        torch.testing.assert_close(float(out.null_scores.detach()[row]), null, rtol=1e-4, atol=1e-5)
        best = sorted(values.items(), key=lambda item: -item[1])[:6]
        found = [tuple(span) for span in out.spans[row].tolist() if span[0] >= 0]
        assert [(int(i), int(j)) for i, j, _ in found] == [span for span, _ in best]
        torch.testing.assert_close([score for _, _, score in found], [s for _, s in best], rtol=1e-4, atol=1e-5)
        assert out.spans[row, len(best) :].tolist() == [[-1.0, -1.0, -torch.inf]] * (6 - len(best))
    every = naive(model, inputs, table=True)
    want = [-every[row][tuple(label)] for row, label in enumerate(labels.tolist()) if label[0] >= 0]
    scale = 1 if "pointer" in head else 2
    torch.testing.assert_close(float(out.loss.detach()), sum(want) / len(want) / scale, rtol=1e-4, atol=1e-5)


@heads
@sides
def test_padding_and_its_side_change_nothing(head, left):
    model = model_of("roformer", head, torch.float64)
    inputs = batch(left=left)
    together = model(**inputs)
    for row, length in enumerate(inputs["attention_mask"].sum(1).tolist()):
        own = {name: value[row : row + 1] for name, value in inputs.items()}
        keep = slice(-length, None) if left else slice(length)
        own = {name: value if name == "labels" else value[:, keep] for name, value in own.items()}
        alone = model(**{name: value for name, value in own.items() if name != "attention_mask"})
        torch.testing.assert_close(alone.spans[0], together.spans[row])
        torch.testing.assert_close(alone.null_scores[0], together.null_scores[row])


@heads
def test_gradients_are_those_of_the_plain_formula(head):
    model = model_of("bert", head, torch.float64)
    inputs = batch()
    labels = inputs.pop("labels")
    model.train()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    logits = model(**inputs).logits
    assert logits.shape == (4, 9, 9)
    rows = torch.arange(2)
    chosen = logits[rows, labels[:2, 0], labels[:2, 1]]
    if "pointer" in head:
        total = logits[:3].flatten(1).exp().sum(1).log()
        want = ((total[:2] - chosen).sum() + total[2] - logits[2, labels[2, 0], labels[2, 1]]) / 3
    else:
        want = -(chosen.sum() + logits[2, labels[2, 0], labels[2, 1]]) / 6
    loss = model(**inputs, labels=labels).loss
    torch.testing.assert_close(loss, want)
    parameters = [p for p in model.parameters() if p.requires_grad]
    ours, theirs = (torch.autograd.grad(value, parameters, retain_graph=True) for value in (loss, want))
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@heads
def test_gradcheck(head):
    model = model_of("bert", head, torch.float64)
    inputs = batch((7, 6), question=1)
    embeds = torch.randn(2, 7, 16, dtype=torch.float64, requires_grad=True)
    del inputs["input_ids"]
    assert torch.autograd.gradcheck(lambda x: model(**inputs, inputs_embeds=x).loss, (embeds,), fast_mode=True)


@heads
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_with_large_scores_is_finite(head, dtype):
    model = model_of("bert", head, dtype)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.mul_(300)
    out = model(**batch())
    assert out.loss.dtype == torch.float32
    assert out.loss.isfinite()
    assert out.null_scores.isfinite().all()
    real = out.spans[out.spans[..., 0] >= 0]
    assert len(real)
    assert real.isfinite().all()


@heads
def test_a_context_of_one_token_and_none(head):
    model = model_of("bert", head, torch.float64)
    one = batch((5,), question=1)
    out = model(**one)
    assert out.spans[0, 0, :2].tolist() == [3.0, 3.0]
    assert (out.spans[0, 1:, 0] == -1).all()
    one["context_mask"] = torch.zeros_like(one["context_mask"])
    one["labels"] = torch.tensor([[0, 0]])
    out = model(**one)
    # The others' softmax is over no answer alone.
    assert (float(out.loss.detach()) == pytest.approx(0.0, abs=1e-12)) == (head != "start_end_row")
    assert (float(out.null_scores.detach()) == pytest.approx(0.0, abs=1e-6)) == (head != "start_end_row")
    assert (out.spans[..., 0] == -1).all()


@heads
def test_loss_of_no_label_is_zero_and_accumulation_does_not_change_it(head):
    model = model_of("bert", head, torch.float64)
    inputs = batch()
    alone = {**inputs, "labels": torch.full((4, 2), -100)}
    model(**alone).loss.backward()
    assert float(model(**alone).loss.detach()) == 0.0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())
    items = inputs["labels"].ne(-100).sum()
    parts = [{name: value[half] for name, value in inputs.items()} for half in (slice(1), slice(1, None))]
    split = sum(model(**part, num_items_in_batch=items).loss for part in parts)
    torch.testing.assert_close(split, model(**inputs).loss)


@families
def test_save_reload_pickle_and_the_encoder(family, tmp_path):
    model = model_of(family, "start_end", max_answer_tokens=3, null_threshold=0.5)
    model.save_pretrained(tmp_path)
    again, info = AutoModelForReadingComprehension.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert type(again) is type(model)
    assert type(model).__name__.endswith("ForReadingComprehension")
    fields = [getattr(again.config, name) for name in ReadingComprehension.fields]
    assert fields == ["start_end", 8, 6, 3, 0.5, "odds"]
    inputs = batch()
    want = model(**inputs)
    for other in (again.eval(), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other(**inputs).spans, want.spans)
    back, info = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert all("pooler" in name for name in info["missing_keys"])
    assert all(name.startswith("classifier.") for name in info["unexpected_keys"])
    assert getattr(module, type(model).__name__) is type(model) is head_class(type(back.config), ReadingComprehension)


@heads
def test_trainer_learns_and_predicts(head, tmp_path):
    model = model_of("roformer", head)
    inputs = batch((9, 6, 7, 8), left=False)
    rows = [{name: value[i] for name, value in inputs.items()} for i in range(4)]
    options = {"report_to": "none", "use_cpu": True, "disable_tqdm": True, "logging_strategy": "no"}
    arguments = TrainingArguments(
        str(tmp_path), max_steps=60, learning_rate=5e-3, lr_scheduler_type="constant", save_strategy="no",
        gradient_accumulation_steps=2, per_device_train_batch_size=2, dataloader_pin_memory=False, **options
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, compute_metrics=reading_compute_metrics(0.0))
    trainer.train()
    predicted = trainer.predict(rows)
    spans, null_scores = predicted.predictions
    assert spans.shape == (4, 6, 3)
    assert null_scores.shape == (4,)
    scores = {name.removeprefix("test_"): value for name, value in predicted.metrics.items()}
    assert (scores["exact_match"], scores["f1"], scores["no_answer_accuracy"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_mask": None}, "context_mask must mark the tokens of the context, got None"),
        ({"context_mask": torch.ones(4, 8)}, r"context_mask must have shape \[4, 9\], got \[4, 8\]"),
        ({"context_mask": torch.ones(4, 9)}, "neither padding nor the first real token, got that in row 0"),
        ({"labels": torch.zeros(4, 3, dtype=torch.long)}, r"labels must be integers of shape \[4, 2\]"),
        ({"labels": torch.zeros(4, 2)}, r"got torch.float32 of shape \[4, 2\]"),
        ({"labels": torch.tensor([[4, 7], [4, 5], [0, 0], [0, 0]])}, r"labels\[1\] must be .* 1 tokens .*\(4, 5\)"),
        ({"labels": torch.tensor([[5, 4]] * 4)}, r"labels\[0\] must be .* start <= end"),
        ({"labels": torch.tensor([[0, 4]] * 4)}, r"labels\[0\] must be"),
        ({"labels": torch.tensor([[4, 99]] * 4)}, r"labels\[0\] must be .*\(4, 99\)"),
        ({"labels": torch.tensor([[-100, 4]] * 4)}, r"labels\[0\] must be"),
        ({"attention_mask": None, "position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]] * 4)}, "must not restart"),
        ({"max_answer_tokens": 0}, "max_tokens must be at least 1, got 0"),
    ],
)
def test_wrong_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        model_of()(**batch() | change)


@heads
def test_nan_is_refused_with_and_without_labels(head):
    model = model_of("bert", head)
    inputs = batch()
    with torch.no_grad():
        model.classifier.dense.weight[0] = torch.nan
    with pytest.raises(ValueError, match="scores must be numbers or -inf, got nan"):
        model(**inputs)
    del inputs["labels"]
    with pytest.raises(ValueError, match="scores must not be NaN, got NaN in row 0"):
        model(**inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answer_head": "crf"}, "answer_head must be one of global_pointer, pointer_table, start_end"),
        ({"answer_ranking": "best"}, "answer_ranking must be one of odds, score, got 'best'"),
        ({"answer_top_k": 0}, "answer_top_k must be at least 1"),
        ({"max_answer_tokens": 0}, "max_answer_tokens must be at least 1"),
        ({"answer_head_size": 7}, "head_size must be positive, and even"),
    ],
)
def test_wrong_fields_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        model_of(**fields)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 150])
@pytest.mark.parametrize("max_tokens", [1, 7, 200])
def test_best_spans_of_tiles_are_those_of_the_whole_table(length, max_tokens):
    torch.manual_seed(length)
    table = torch.randn(3, length, length, dtype=torch.float64)
    allowed = torch.rand(3, length) < 0.8
    allowed[1] = False
    found, total = best_answer_spans(lambda i, j: table[:, i, j], allowed, 5, max_tokens)
    place = torch.arange(length)
    gap = place - place[:, None]
    inside = (gap >= 0) & (gap < max_tokens) & allowed[:, :, None] & allowed[:, None, :]
    flat = table.masked_fill(~inside, -torch.inf).flatten(1)
    torch.testing.assert_close(total, flat.logsumexp(1))
    for row in range(3):
        values, order = flat[row].sort(descending=True)
        want = [(int(i) // length, int(i) % length, float(v)) for v, i in zip(values, order) if v > -torch.inf][:5]
        assert [tuple(one) for one in found[row].tolist()] == want + [(-1.0, -1.0, -torch.inf)] * (5 - len(want))


def test_span_softmax_loss_reductions():
    scores = torch.randn(3, 4, 4, dtype=torch.float64)
    labels = torch.tensor([[0, 1], [-100, -100], [2, 3]])
    each = span_softmax_loss(scores, labels, "none")
    assert each[1] == 0
    torch.testing.assert_close(span_softmax_loss(scores, labels), each.sum() / 2)
    torch.testing.assert_close(span_softmax_loss(scores, labels, "sum"), each.sum())
    assert span_softmax_loss(scores, torch.full((3, 2), -100)) == 0
