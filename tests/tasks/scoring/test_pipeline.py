"""The pipelines "text-scoring" and "spelling-suspicions" against models run token by token."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForCausalLM,
    pipeline,
)

import hf_ext
from hf_ext import build_char_tokenizer
from hf_ext.tasks.base.head_guard import OtherHeadError
from hf_ext.tasks.scoring import ScoringPipeline, SpellingPipeline

TEXTS = ["天气", "今天的天气真不错，我们去公园吧", "好", "", "你好吗", "北京大学附属医院", "hello 天", "未知？"]
SIZE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.5,
    "max_position_embeddings": 32,
}
TYPELESS = {"model_input_names": ["input_ids", "attention_mask"]}


def tokenizer_of(**options: Any) -> Any:
    return build_char_tokenizer(TEXTS[:-1], **options)


def tta(**fields: Any) -> Any:
    tokenizer = tokenizer_of(**TYPELESS)
    config = hf_ext.TTAConfig(vocab_size=len(tokenizer), mask_token_id=tokenizer.mask_token_id, **SIZE, **fields)
    return hf_ext.TTAForMaskedLM(config), tokenizer


def roformer(head: str, **fields: Any) -> Any:
    tokenizer = tokenizer_of()
    return getattr(hf_ext, f"RoFormer{head}")(
        hf_ext.RoFormerConfig(vocab_size=len(tokenizer), **SIZE, **fields)
    ), tokenizer


def bert(model_class: Any = BertForMaskedLM) -> Any:
    tokenizer = tokenizer_of()
    return model_class(BertConfig(vocab_size=len(tokenizer), **SIZE)), tokenizer


def gpt2(**tokens: Any) -> Any:
    """Of a tokenizer without special tokens in a text, and without one for padding."""
    tokenizer = tokenizer_of(**TYPELESS, pad_token=None, **tokens)
    tokenizer.backend_tokenizer.post_processor = None
    size = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "initializer_range": 0.5}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **size)), tokenizer


def opt() -> Any:
    """Of a head that runs the decoder of its base model, and not the base model."""
    tokenizer = tokenizer_of(**TYPELESS)
    size = {"hidden_size": 16, "word_embed_proj_dim": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"ffn_dim": 24, "max_position_embeddings": 32, "init_std": 0.5}
    return OPTForCausalLM(OPTConfig(vocab_size=len(tokenizer), **size, **more)), tokenizer


MAKERS: dict[str, tuple[str, Callable[[], Any]]] = {
    "t-ta": ("one pass", tta),
    "roformer": ("masked", lambda: roformer("ForMaskedLM")),
    "bert": ("masked", bert),
    "causal roformer": ("causal", lambda: roformer("ForCausalLM", attention_mode="causal")),
    "gpt-2": ("causal", gpt2),
    "gpt-2 that begins": ("causal", lambda: gpt2(bos_token="[CLS]")),
    "opt": ("causal", opt),
}


def saved(made: Any, folder: Path) -> str:
    torch.manual_seed(0)
    model, tokenizer = made() if callable(made) else made
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=MAKERS)
def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ScoringPipeline:
    prediction, make = MAKERS[request.param]
    pipe = pipeline("text-scoring", model=saved(make, tmp_path_factory.mktemp("model")))
    assert isinstance(pipe, ScoringPipeline)
    assert pipe.prediction == prediction
    return pipe


def distributions(pipe: Any, text: str) -> tuple[list[int], dict[int, Tensor]]:
    """The ids of a text, and the log-probabilities at each place that can be predicted, run alone, token by token."""
    ids = pipe.tokenizer(text)["input_ids"]
    if (
        pipe.prediction == "causal"
        and pipe.tokenizer.bos_token_id is not None
        and ids[:1] != [pipe.tokenizer.cls_token_id]
    ):
        ids = [pipe.tokenizer.bos_token_id, *ids]
    found = {}
    for place in range(len(ids)):
        asked = list(ids)
        if pipe.prediction == "causal":
            asked = ids[:place]
        else:
            asked[place] = pipe.tokenizer.mask_token_id
        if asked:
            with torch.no_grad():
                logits = pipe.model(torch.tensor([asked])).logits[0, min(place, len(asked) - 1)]
            found[place] = logits.double().log_softmax(-1)
    return ids, found


def scored_places(pipe: Any, ids: list[int], special_tokens: bool) -> list[int]:
    added = {pipe.tokenizer.cls_token_id, pipe.tokenizer.sep_token_id}
    first = int(pipe.prediction == "causal")
    return [place for place, one in enumerate(ids) if place >= first and (special_tokens or one not in added)]


@pytest.mark.parametrize("tokens_per_batch", [1, 20, 2048])
@pytest.mark.parametrize("special_tokens", [False, True])
def test_scores_are_sums_of_runs_for_each_token(
    scorer: ScoringPipeline, special_tokens: bool, tokens_per_batch: int
) -> None:
    found = scorer(TEXTS, special_tokens=special_tokens, tokens_per_batch=tokens_per_batch)
    assert len(found) == len(TEXTS)
    for text, one in zip(TEXTS, found):
        ids, by_place = distributions(scorer, text)
        places = scored_places(scorer, ids, special_tokens)
        wanted = sum(float(by_place[place][ids[place]]) for place in places)
        assert one["tokens"] == len(places)
        assert one["score"] == pytest.approx(wanted, abs=1e-4)
        if places:
            assert one["perplexity"] == pytest.approx(math.exp(-wanted / len(places)), rel=1e-4)
        else:
            assert (one["score"], one["perplexity"]) == (0, None)


def test_one_text_no_texts_and_many(scorer: ScoringPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    assert scorer([]) == []
    together = scorer(TEXTS)
    monkeypatch.setattr("hf_ext.tasks.scoring.pipeline._SORTED", 3)
    for number, one in enumerate(scorer.stream(iter(TEXTS))):
        assert one["score"] == pytest.approx(together[number]["score"], abs=1e-4)
    assert scorer(TEXTS[1])["score"] == pytest.approx(together[1]["score"], abs=1e-4)


def test_tokens_and_their_places(scorer: ScoringPipeline) -> None:
    for text, plain in zip(TEXTS, scorer(TEXTS)):
        found = scorer(text, token_scores=True)
        own = found["token_scores"]
        assert found["score"] == pytest.approx(plain["score"], abs=1e-4)
        assert [one["text"] for one in own] == [text[one["start"] : one["end"]] for one in own]
        assert sum(one["score"] for one in own) == pytest.approx(plain["score"], abs=1e-4)
        assert len(own) == plain["tokens"]


def test_t_ta_is_scored_as_by_its_own_method(tmp_path: Path) -> None:
    pipe = pipeline("text-scoring", model=saved(tta, tmp_path), special_tokens=True)
    batch = pipe.tokenizer(TEXTS, padding=True, return_tensors="pt")
    wanted = pipe.model.score(**batch).tolist()
    assert [one["score"] for one in pipe(TEXTS)] == pytest.approx(wanted, abs=1e-4)
    named = pipe("天气", token_scores=True)["token_scores"]
    assert [one["text"] for one in named] == ["[CLS]", "天", "气", "[SEP]"]


def test_a_model_in_training_and_its_mode_are_left_alone(tmp_path: Path) -> None:
    model, tokenizer = tta(hidden_dropout_prob=0.5)
    pipe = pipeline("text-scoring", model=model.train(), tokenizer=tokenizer)
    assert pipe("天气") == pipe("天气")
    assert model.training
    assert not model.t_ta._forward_hooks


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", ["t-ta", "roformer", "bert"])
def test_suspicions_are_where_others_are_likelier(name: str, threshold: float, tmp_path: Path) -> None:
    pipe = pipeline("spelling-suspicions", model=saved(MAKERS[name][1], tmp_path))
    assert isinstance(pipe, SpellingPipeline)
    special = set(pipe.tokenizer.all_special_ids)
    number = 0
    for text, found in zip(TEXTS, pipe(TEXTS, threshold=threshold, top_k=2)):
        ids, by_place = distributions(pipe, text)
        wanted = []
        for place in scored_places(pipe, ids, False):
            likely = by_place[place].exp()
            order = [one for one in likely.argsort(descending=True).tolist() if one not in special][:2]
            score = float(likely[order[0]] - likely[ids[place]])
            if score > 0 and score >= threshold:
                wanted.append((score, [(pipe.tokenizer.decode([one]), float(likely[one])) for one in order]))
        assert len(found) == len(wanted)
        for one, (score, candidates) in zip(found, wanted):
            assert one["score"] == pytest.approx(score, abs=1e-5)
            assert one["text"] == text[one["start"] : one["end"]]
            assert [each["text"] for each in one["candidates"]] == [each for each, _ in candidates]
            assert [each["score"] for each in one["candidates"]] == pytest.approx([p for _, p in candidates], abs=1e-5)
        number += len(found)
    assert number or threshold


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no head": (lambda: bert(BertModel), "model must be one of .*ForMaskedLM.*, got BertModel"),
    "another head": (lambda: roformer("ForTokenClassification"), "got RoFormerForTokenClassification"),
    "a source and a target": (
        lambda: roformer("ForCausalLM", attention_mode="unilm"),
        'attention_mode must be "causal" to score a text by itself, got "unilm"',
    ),
    "a token that sees itself": (lambda: tta(self_mask=False), "self_mask must be True to score tokens"),
    "a causal head over both sides": (
        lambda: bert(BertLMHeadModel),
        "model must predict a token from those before it, got BertLMHeadModel, which sees those behind it too",
    ),
    "speakers": (
        lambda: (
            hf_ext.CDialGPTForCausalLM(hf_ext.CDialGPTConfig(vocab_size=len(tokenizer_of()), **SIZE)),
            tokenizer_of(),
        ),
        "model must read plain texts, got CDialGPTForCausalLM",
    ),
    "no mask token": (
        lambda: (bert()[0], tokenizer_of(mask_token=None)),
        "tokenizer must have a mask token, got .* without one",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_score_nothing(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    with pytest.raises((ValueError, OtherHeadError), match=message):
        pipeline("text-scoring", model=saved(make, tmp_path))


def test_suspicions_need_both_sides(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must predict a token from both sides.*got GPT2LMHeadModel"):
        pipeline("spelling-suspicions", model=saved(gpt2, tmp_path))


def test_refused_inputs(scorer: ScoringPipeline, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="text 2 must have at most 32 tokens, as many as the model takes, got 4"):
        scorer(["天", "天" * 40])
    with pytest.raises(TypeError, match="inputs must be texts, got int"):
        scorer([1])
    with pytest.raises(ValueError, match="tokens_per_batch must be at least 1, got 0"):
        scorer("天", tokens_per_batch=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threshold": 1}, "threshold must be in .0, 1., got 1"), ({"top_k": 0}, "top_k must be at least 1, got 0")],
)
def test_refused_options_of_suspicions(options: dict[str, Any], message: str) -> None:
    model, tokenizer = tta()
    with pytest.raises(ValueError, match=message):
        pipeline("spelling-suspicions", model=model, tokenizer=tokenizer)("天", **options)
