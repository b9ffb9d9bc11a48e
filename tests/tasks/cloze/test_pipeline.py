"""The pipeline: without training it is fill-mask restricted to the words; ensembles, decoding, and what is refused."""

import itertools
import json
import logging
import re

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, pipeline

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.cloze import ClozeClassificationPipeline, ClozePattern, ensemble_scores

TOKENIZER = build_char_tokenizer(["很不满意好房间干净今天去北京上海体育军事新闻。，甲乙丙丁戊"])
TEXTS = ["房间很干净", "今天去北京，好", "甲[MASK]乙", ""]
SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
PATTERN = ClozePattern("{mask}满意。{text}", {"good": "很", "bad": "不", "so": "好"})
TWO = ClozePattern("{mask}新闻。{text}", {"sport": ["体育", "北京"], "war": "军事", "room": "房间"})


def made(kind=BertForMaskedLM, config=BertConfig):
    torch.manual_seed(0)
    return kind(config(vocab_size=len(TOKENIZER), max_position_embeddings=64, initializer_range=0.3, **SHAPE)).eval()


@pytest.fixture(scope="module")
def model():
    return made()


def cloze(model, **options):
    return pipeline("cloze", model=model, tokenizer=TOKENIZER, device="cpu", **options)


def probabilities(found):
    return {one["label"]: one["score"] for one in found}


@pytest.mark.parametrize("family", ["bert", "roformer"])
def test_without_training_it_is_fill_mask_restricted_to_the_words(model, family):
    own = model if family == "bert" else made(hf_ext.RoFormerForMaskedLM, hf_ext.RoFormerConfig)
    fill = pipeline("fill-mask", model=own, tokenizer=TOKENIZER, device="cpu")
    words = {word: label for label, (word,) in PATTERN.words.items()}
    for text, found in zip(TEXTS, cloze(own, pattern=PATTERN)(TEXTS, top_k=3)):
        filled = fill(f"[MASK]满意。{text}", targets=[*words])
        # Of a text with a mask of its own, the first is the pattern's.
        filled = filled[0] if isinstance(filled[0], list) else filled
        total = sum(one["score"] for one in filled)
        wanted = {words[one["token_str"]]: one["score"] / total for one in filled}
        assert probabilities(found) == pytest.approx(wanted, rel=1e-4)
        assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)


def brute(model, pattern, text, decoding):
    """Scores of labels, each word put in by itself."""
    scores = []
    for words in pattern.words.values():
        totals = []
        for word in words:
            ids = TOKENIZER(f"{'[MASK]' * len(word)}新闻。{text}", return_tensors="pt")["input_ids"]
            tokens, waiting, total = TOKENIZER.convert_tokens_to_ids(list(word)), [*range(len(word))], 0.0
            with torch.no_grad():
                parallel = model(ids).logits[0].log_softmax(-1)
                while waiting:
                    now = parallel if decoding == "parallel" else model(ids).logits[0].log_softmax(-1)
                    own = {mask: float(now[mask + 1, tokens[mask]]) for mask in waiting}
                    mask = max(own, key=lambda one: own[one]) if decoding == "most_certain" else waiting[0]
                    total += own[mask]
                    ids[0, mask + 1] = tokens[mask]
                    waiting.remove(mask)
            totals.append(total)
        scores.append(sum(totals) / len(totals))
    return scores


@pytest.mark.parametrize("decoding", ["parallel", "most_certain", "left_to_right"])
def test_words_of_several_tokens_are_decoded_as_asked(model, decoding):
    classify = cloze(model, pattern=TWO, decoding=decoding)
    for text, scores in zip(TEXTS, classify.score_labels(TEXTS, batch_size=3)):
        assert scores.tolist() == pytest.approx(brute(model, TWO, text, decoding), rel=1e-4)
    (best,) = classify(TEXTS[0])
    scores = torch.tensor(brute(model, TWO, TEXTS[0], decoding)).softmax(-1)
    assert best == {"label": TWO.labels[int(scores.argmax())], "score": pytest.approx(float(scores.max()), rel=1e-4)}


def test_several_patterns_are_an_ensemble_also_with_labels_in_another_order(model):
    other = ClozePattern("{text}，{mask}", {"so": "好", "good": "很", "bad": "不"})
    one, two = (cloze(model, pattern=each).score_labels(TEXTS) for each in (PATTERN, other))
    both = cloze(model, pattern=[PATTERN, other], weights=[3, 1])
    wanted = ensemble_scores([one, two[:, [1, 2, 0]]], [3, 1])
    torch.testing.assert_close(both.score_labels(TEXTS), wanted, rtol=1e-5, atol=1e-5)
    found = both(TEXTS, top_k=3)
    for own, scores in zip(found, wanted.softmax(-1).tolist()):
        assert probabilities(own) == pytest.approx(dict(zip(PATTERN.labels, scores)), rel=1e-4)


def test_each_text_has_its_labels_whatever_it_is_run_with(model):
    classify = cloze(model, pattern=PATTERN)
    assert isinstance(classify, ClozeClassificationPipeline)
    alone = [classify(text) for text in TEXTS]
    assert isinstance(alone[0], list)
    for size in (1, 3, 16):
        assert [probabilities(one) for one in classify(TEXTS, batch_size=size)] == [
            pytest.approx(probabilities(one), rel=1e-4) for one in alone
        ]
    assert [one[0]["label"] for one in classify(text for text in TEXTS)] == [one[0]["label"] for one in alone]
    assert classify([]) == []
    assert classify.score_labels([]).shape == (0, 3)
    assert classify({"text": TEXTS[0], "label": "bad"}) == alone[0]


def test_left_padding_and_training_mode_change_nothing(model):
    tokenizer = build_char_tokenizer(
        ["很不满意好房间干净今天去北京上海体育军事新闻。，甲乙丙丁戊"], padding_side="left"
    )
    model.train()
    classify = pipeline("cloze", model=model, tokenizer=tokenizer, device="cpu", pattern=PATTERN)
    torch.testing.assert_close(classify.score_labels(TEXTS), cloze(model, pattern=PATTERN).score_labels(TEXTS))
    assert model.training
    model.eval()


@pytest.mark.parametrize("decoding", ["parallel", "most_certain", "left_to_right"])
def test_texts_whose_candidates_are_of_other_lengths_run_together(model, decoding):
    pattern = ClozePattern("{content}", blank="#", candidates="words")
    classify = cloze(model, pattern=pattern, decoding=decoding)
    examples = [
        {"content": "今天去#，好", "words": ["北京", "上海"]},
        {"content": "房间#净", "words": ["很", "不", "干"]},
        {"content": "#", "words": ["体育新闻", "军事新闻"]},
    ]
    for found, example in zip(classify(examples, top_k=3), examples):
        assert probabilities(found) == pytest.approx(probabilities(classify(example, top_k=3)), rel=1e-4)


def test_pairs_and_candidates(model):
    pair = cloze(model, pattern="{text}和{text2}意思{mask}", verbalizer={"1": "好", "0": "不"})
    (found,) = pair({"text": "甲", "text2": "乙"})
    assert found["label"] in ("0", "1")
    pattern = ClozePattern("{content}", blank="#idiom#", candidates="candidates")
    candidates = ["北京", "上海", "体育", "军事"]
    examples = [
        {"content": "去#idiom#，好", "candidates": candidates},
        {"content": "#idiom#新闻", "candidates": candidates[:2]},
    ]
    every = cloze(model, pattern=pattern)(examples, top_k=9)
    assert [len(found) for found in every] == [4, 2]
    for example, found in zip(examples, every):
        assert {one["label"] for one in found} == {*example["candidates"]}
        assert sum(one["score"] for one in found) == pytest.approx(1)
        text = example["content"].replace("#idiom#", "[MASK][MASK]")
        ids = TOKENIZER(text, return_tensors="pt")["input_ids"]
        places = (ids[0] == TOKENIZER.mask_token_id).nonzero().flatten()
        with torch.no_grad():
            logs = model(ids).logits[0, places].log_softmax(-1)
        tokens = [TOKENIZER.convert_tokens_to_ids(list(word)) for word in example["candidates"]]
        scores = torch.tensor([float(logs[0, a] + logs[1, b]) for a, b in tokens]).softmax(-1)
        assert probabilities(found) == pytest.approx(dict(zip(example["candidates"], scores.tolist())), rel=1e-3)


def test_labels_that_share_a_word_tie_and_the_first_comes_first(model):
    pattern = ClozePattern("{mask}满意。{text}", {"b": "很", "a": "很", "c": "不"}, shared_words=True)
    found = cloze(model, pattern=pattern)(TEXTS[0], top_k=3)
    scores = probabilities(found)
    assert scores["a"] == scores["b"] != scores["c"]
    assert [one["label"] for one in found if one["label"] != "c"] == ["b", "a"]


def test_a_long_text_is_cut_and_not_the_pattern(model):
    pattern = ClozePattern("{text}，{mask}", PATTERN.words)
    classify = cloze(model, pattern=pattern)
    (row,) = classify.encoders[0]([{"text": "甲" * 500}])
    assert len(row["input_ids"]) == 64
    assert row["input_ids"][-2] == TOKENIZER.mask_token_id
    assert classify("甲" * 500) == [
        {"label": one["label"], "score": pytest.approx(one["score"])} for one in classify("甲" * 60)
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "pattern must be given, as the model has none in its config, got None"),
        ({"verbalizer": {"a": "很", "b": "不"}}, "pattern must be given, as the model has none"),
        ({"pattern": []}, "pattern must be one or several, got none"),
        ({"pattern": "{mask}{text}"}, "verbalizer must be given, with the word of each label"),
        ({"pattern": PATTERN, "verbalizer": {"a": "很", "b": "不"}}, "verbalizer must be left out where the pattern"),
        ({"pattern": [PATTERN, TWO]}, "patterns must have the same labels, got others of"),
        ({"pattern": PATTERN, "weights": [1, 2]}, "weights must be as many as patterns, 1, got 2"),
        ({"pattern": PATTERN, "top_k": 0}, "top_k must be at least 1, got 0"),
        ({"pattern": PATTERN, "decoding": "beam"}, "decoding must be one of parallel, most_certain, left_to_right"),
    ],
)
def test_what_does_not_fit_is_refused(model, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        cloze(model, **options)


def test_inputs_must_be_texts(model):
    classify = cloze(model, pattern=PATTERN)
    with pytest.raises(TypeError, match="inputs must be texts, or mappings with those of the pattern, got int"):
        classify([3])
    with pytest.raises(ValueError, match="an example must have a text under 'text'"):
        classify({"sentence": "甲"})


@pytest.mark.parametrize("kind", [BertModel, BertForMaskedLM])
def test_a_new_head_is_warned_of(kind, tmp_path, caplog):
    made(kind).save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        pipeline("cloze", model=str(tmp_path), pattern=PATTERN, device="cpu")
    said = [record.getMessage() for record in caplog.records if record.name == "hf_ext.tasks.cloze.masked_model"]
    if kind is BertForMaskedLM:
        assert said == []
    else:
        (line,) = said
        assert re.search(r"has no head over the vocabulary: \d of its parameters are new \(cls\.", line)


def test_a_model_has_its_pattern_in_its_config(model, tmp_path):
    model.config.cloze = TWO.as_json()
    model.save_pretrained(tmp_path)
    del model.config.cloze
    TOKENIZER.save_pretrained(tmp_path)
    assert list(json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["cloze"]) == [
        "pattern",
        "verbalizer",
    ]
    saved = pipeline("cloze", model=str(tmp_path), device="cpu")
    assert saved.encoders[0].pattern == TWO
    torch.testing.assert_close(saved.score_labels(TEXTS), cloze(model, pattern=TWO).score_labels(TEXTS))
    with pytest.raises(ValueError, match="verbalizer goes with a pattern that is given"):
        pipeline("cloze", model=str(tmp_path), device="cpu", verbalizer={"a": "很", "b": "不"})
    # With another pattern it is any model.
    other = pipeline("cloze", model=str(tmp_path), device="cpu", pattern=PATTERN)
    assert other(TEXTS[0]) == cloze(model, pattern=PATTERN)(TEXTS[0])


def test_every_word_that_is_decoded_is_run_once(model, monkeypatch):
    """Rows beyond those that are run at a time too."""
    pattern = ClozePattern(
        "{mask}新闻。{text}", {a + b: a + b for a, b in itertools.product("很不满意好", "房间干净今")}
    )
    wanted = cloze(model, pattern=pattern, decoding="most_certain").score_labels(TEXTS[:1])
    monkeypatch.setattr("hf_ext.tasks.cloze.pipeline._ROWS", 7)
    torch.testing.assert_close(
        cloze(model, pattern=pattern, decoding="most_certain").score_labels(TEXTS[:1]), wanted, rtol=1e-4, atol=1e-4
    )
