"""The pipeline of tags: entities, confidences, windows, readings; and its way from files on the command line."""

import json
import sys

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, pipeline

import hf_ext
from hf_ext.cli import main
from hf_ext.data import tags_of_labels, tags_to_spans
from hf_ext.tasks.entities import SequenceLabelingPipeline, write_entities

TEXTS = ["小明在北京大学读书", "北京", "", "  ", "小明 在 北京"]
TAGS = tags_of_labels(["person", "place"], "BIO")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model with a constrained CRF and a character tokenizer."""
    path = tmp_path_factory.mktemp("tags")
    tokenizer = hf_ext.build_char_tokenizer(TEXTS)
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        initializer_range=0.5,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: number for number, tag in enumerate(TAGS)},
    )
    special = [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id]
    model = hf_ext.AutoModelForSequenceLabeling.from_config(
        config, constrained_transitions=True, untagged_token_ids=special
    )
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def pipe(folder):
    return pipeline("sequence-labeling", model=str(folder))


def by_hand(pipe, text):
    encoded = pipe.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping")[0].tolist()
    output = pipe.model(**encoded, output_logits=True)
    mask = output.tags != -100
    chances = pipe.model.classifier.chain.marginals(output.logits, mask).tags[0]
    kept = mask[0].nonzero().flatten().tolist()
    entities = []
    for label, first, last in tags_to_spans([TAGS[output.tags[0, place]] for place in kept]):
        places = kept[first : last + 1]
        start, end = offsets[places[0]][0], offsets[places[-1]][1]
        score = min(chances[place, output.tags[0, place]].item() for place in places)
        entities.append({"start": start, "end": end, "label": label, "score": score, "text": text[start:end]})
    return [entity for entity in entities if entity["text"].strip()]


def test_entities_are_those_of_the_tags(pipe):
    assert type(pipe) is SequenceLabelingPipeline
    singles = [pipe(text) for text in TEXTS]
    assert singles[0]
    for text, got in zip(TEXTS, singles):
        want = by_hand(pipe, text)
        assert [{**one, "score": 0} for one in got] == [{**one, "score": 0} for one in want]
        assert [one["score"] for one in got] == pytest.approx([one["score"] for one in want], abs=1e-5)
        assert all(0 < one["score"] <= 1 for one in got)
    together = pipe(TEXTS, batch_size=4)
    for got, want in zip(together, singles):
        assert [{**one, "score": 0} for one in got] == [{**one, "score": 0} for one in want]
    best = max(one["score"] for one in singles[0])
    assert all(one["score"] > best - 1e-3 for one in pipe(TEXTS[0], threshold=best - 1e-3))


def test_readings(pipe):
    readings = pipe(TEXTS[1], n_best=1000)
    assert readings[0]["entities"] == pipe(TEXTS[1])
    scores = [reading["score"] for reading in readings]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=1e-4)
    # Of two tokens, the sequences that BIO allows: I follows only its own kind.
    assert len(readings) == 3 * 3 + 2
    assert len(pipe(TEXTS[0], n_best=2)) == 2


def test_windows(pipe):
    long = TEXTS[0] * 10
    found = pipe(long, max_length=16, stride=6)
    assert found
    assert all(one["text"] == long[one["start"] : one["end"]] for one in found)
    with pytest.raises(ValueError, match="n_best needs a text that fits one window, got one of"):
        pipe(long, max_length=16, stride=6, n_best=2)


def test_wrong_options(pipe, folder):
    with pytest.raises(ValueError, match="n_best must be at least 1, got 0"):
        pipe("北京", n_best=0)
    with pytest.raises(ValueError, match="threshold"):
        pipe("北京", threshold=1.0)
    model = hf_ext.AutoModelForSpanExtraction.from_config(AutoConfig.from_pretrained(folder))
    del model.config.sequence_head
    with pytest.raises(ValueError, match="model must be one of AutoModelForSequenceLabeling, got BertForSpan"):
        SequenceLabelingPipeline(model=model, tokenizer=AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize(("head", "scheme"), [("crf", "BIOES"), ("memm", "BIO"), ("softmax", "BMES")])
def test_train_and_predict_on_the_command_line(tmp_path, monkeypatch, capsys, head, scheme):
    for name, seed, count in (("train", 0, 24), ("valid", 1, 8)):
        examples = [
            {**one, "entities": [e for e in one["entities"] if e["label"] in ("person", "time")]}
            for one in hf_ext.generate_samples(count, seed)
        ]
        write_entities(tmp_path / f"{name}.jsonl", examples)
    output = tmp_path / "model"
    options = (
        f"--config tiny --head {head} --tag-scheme {scheme} --constrained-transitions --max-steps 2 --disable-tqdm True"
    )
    files = f"--train-file {tmp_path}/train.jsonl --validation-file {tmp_path}/valid.jsonl --output-dir {output}"

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hf-ext", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        assert not done.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    run(
        "train",
        "ner",
        *options.split(),
        *files.split(),
        "--eval-strategy",
        "no",
        "--save-strategy",
        "no",
        "--load-best-model-at-end",
        "False",
    )
    config = json.loads((output / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RoFormerForSequenceLabeling"]
    assert (config["sequence_head"], config["tag_scheme"], config["head_lr_multiplier"]) == (head, scheme, 10.0)
    assert "f1" in json.loads((output / "scores.json").read_text(encoding="utf-8"))
    printed = json.loads(run("predict", str(output), "张明在上海工作。"))
    assert set(printed) == {"text", "entities"}
