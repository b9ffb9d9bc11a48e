"""Embeddings and completions in OpenAI's form: the numbers and texts are those of the models themselves."""

import asyncio
import base64
import json
import random
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from served import Echo, asked, post, sentence
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    pipeline,
    set_seed,
)

from hf_ext.serve import Limits, open_model
from hf_ext.serve.text_completer import Completion, Sampling, TextCompleter
from hf_ext.tasks.base.head_guard import OtherHeadError

TEXTS = ["林一舟写了长河", "何远", "", "长河" * 50]
PROMPTS = ["林一舟写", "何远写了春江", "谁"]
GREEDY = {"model": "writer", "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def encoder(folders):
    return open_model(str(folders["encoder"]))


@pytest.fixture(scope="module")
def writer(folders):
    return open_model(str(folders["writer"]), "completion")


def by_hand(folder, prompt, count):
    """The likeliest tokens after a prompt, by the model alone: text, tokens read and written, whether it ended."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(prompt)["input_ids"][:-1]
    read, end = len(ids), tokenizer.sep_token_id
    never = sorted({*tokenizer.all_special_ids} - {end})
    while len(ids) < read + count and ids[-1] != end:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        logits[never] = -torch.inf
        ids.append(int(logits.argmax()))
    text = "".join(tokenizer.convert_ids_to_tokens([one for one in ids[read:] if one != end]))
    return text, read, len(ids) - read, ids[-1] == end


def test_embeddings_are_the_pipelines_at_length_one(folders, encoder):
    wanted = pipeline("text-embedding", model=str(folders["encoder"]))(TEXTS, normalize=True)
    answer = post({"encoder": encoder}, "/v1/embeddings", {"model": "encoder", "input": TEXTS}).json()
    assert (answer["object"], answer["model"]) == ("list", "encoder")
    assert [(one["object"], one["index"]) for one in answer["data"]] == [("embedding", n) for n in range(4)]
    np.testing.assert_allclose([one["embedding"] for one in answer["data"]], wanted, atol=1e-6)
    # [CLS] and [SEP] are read too, and no more than the model takes.
    assert answer["usage"] == {"prompt_tokens": 9 + 4 + 2 + 64, "total_tokens": 9 + 4 + 2 + 64}


def test_embeddings_in_base64_are_little_floats(encoder):
    async def talk(client):
        bodies = [{"model": "encoder", "input": "何远", **more} for more in ({}, {"encoding_format": "base64"})]
        answers = [await client.post("/v1/embeddings", json=body) for body in bodies]
        return [answer.json()["data"][0]["embedding"] for answer in answers]

    numbers, packed = asked({"encoder": encoder}, talk)
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), np.float32(numbers))


def test_a_model_of_pairs_embeds_too(folders):
    model = open_model(str(folders["encoder"]), "similarity")

    async def talk(client):
        pair = {"inputs": {"text1": "何远", "text2": "春江"}}
        found = (await client.post("/models/a/predict", json=pair)).json()["results"][0]["similarity"]
        body = {"model": "a", "input": ["何远", "春江"]}
        return found, [one["embedding"] for one in (await client.post("/v1/embeddings", json=body)).json()["data"]]

    similarity, vectors = asked({"a": model}, talk)
    assert np.dot(*vectors) == pytest.approx(similarity, abs=1e-6)


def test_vectors_of_another_kind_are_scaled():
    class Vectors(Echo):
        found = "vectors"
        tokenizer = AutoTokenizer

        def __call__(self, inputs, batch_size):
            return [np.array([3.0, 4.0]) * len(one) for one in inputs]

    class Characters:
        model_max_length = 5

        def __call__(self, texts, **options):
            return {"input_ids": [list(text) for text in texts]}

    made = Vectors()
    made.tokenizer = Characters()
    answer = post({"a": made}, "/v1/embeddings", {"model": "a", "input": ["ab", "abcdefg", ""]}).json()
    np.testing.assert_allclose([one["embedding"] for one in answer["data"]], [[0.6, 0.8], [0.6, 0.8], [0, 0]])
    assert answer["usage"]["prompt_tokens"] == 7


def test_models_are_listed(encoder, writer):
    async def talk(client):
        return (await client.get("/v1/models")).json()

    told = asked({"encoder": encoder, "writer": writer, "echo": Echo()}, talk)
    assert told["object"] == "list"
    assert [(one["id"], one["gives"]) for one in told["data"]] == [
        ("encoder", "vectors"),
        ("writer", "completions"),
        ("echo", "texts"),
    ]
    assert {(one["object"], one["owned_by"]) for one in told["data"]} == {("model", "hf-ext")}


def test_completions_take_the_likeliest_tokens(folders, writer):
    """Prompts of several lengths together, and each alone."""
    wanted = [by_hand(folders["writer"], prompt, 8) for prompt in PROMPTS]
    answer = post({"writer": writer}, "/v1/completions", {**GREEDY, "prompt": PROMPTS}).json()
    assert answer["object"] == "text_completion"
    assert answer["id"].startswith("cmpl-")
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    found = [(choice["text"], choice["finish_reason"]) for choice in answer["choices"]]
    assert found == [(text, "stop" if ended else "length") for text, _, _, ended in wanted]
    read, written = (sum(one[place] for one in wanted) for place in (1, 2))
    assert answer["usage"] == {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    for prompt, one in zip(PROMPTS, wanted):
        alone = post({"writer": writer}, "/v1/completions", {**GREEDY, "prompt": prompt}).json()
        assert alone["choices"][0]["text"] == one[0]


def bytes_writer(bos):
    """A small GPT-2 whose tokens are bytes, which may make up a character together."""
    letters = sorted(ByteLevel.alphabet())
    made = Tokenizer(BPE({letter: number for number, letter in enumerate(letters)}, []))
    made.pre_tokenizer, made.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    ends = {"eos_token": "<end>", **({"bos_token": "<end>"} if bos else {})}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=64, **ends)
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=257, n_positions=64, n_embd=16, n_layer=1, n_head=2, initializer_range=1.0,
        bos_token_id=256, eos_token_id=256,
    )  # fmt: skip
    scorer = SimpleNamespace(prediction="causal", model=GPT2LMHeadModel(config).eval(), tokenizer=tokenizer)
    return TextCompleter(scorer)


def test_tokens_that_are_bytes():
    """Texts keep their spaces, and no piece of a stream ends within a character."""
    model = bytes_writer(bos=True)
    ids = model.tokenizer("长 a", return_tensors="pt")["input_ids"]
    made = model.model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    pieces = []
    sampling = Sampling(max_tokens=12, temperature=0, listener=pieces.append)
    ((found,),) = model(["长 a"], sampling)
    assert found.text == model.tokenizer.decode(made)
    assert (found.prompt_tokens, found.tokens) == (5, 12)
    assert "".join(pieces) == found.text
    assert not any(piece.endswith("\ufffd") for piece in pieces[:-1])
    assert model(["长 a", "b"], replace(sampling, listener=None))[0] == [found]


def test_a_prompt_of_nothing():
    ((found,),) = bytes_writer(bos=True)([""], Sampling(max_tokens=3, temperature=0))
    assert (found.prompt_tokens, found.tokens) == (1, 3)
    with pytest.raises(ValueError, match="prompt 2 must have at least one token, got none"):
        bytes_writer(bos=False)(["a", ""], Sampling())
    ((found,),) = bytes_writer(bos=False)(["a"], Sampling(max_tokens=3, temperature=0))
    assert found.prompt_tokens == 1


def test_completions_of_many_clients(writer):
    wanted = [post({"w": writer}, "/v1/completions", {**GREEDY, "model": "w", "prompt": one}).json() for one in PROMPTS]

    async def talk(client):
        bodies = [{**GREEDY, "model": "w", "prompt": PROMPTS[number % 3]} for number in range(12)]
        return [one.json() for one in await asyncio.gather(*(client.post("/v1/completions", json=b) for b in bodies))]

    found = asked({"w": writer}, talk, Limits(wait_ms=50))
    assert [one["choices"] for one in found] == [wanted[number % 3]["choices"] for number in range(12)]


def test_a_seed_draws_the_same_again(writer):
    body = {"model": "w", "prompt": "何远", "max_tokens": 12, "n": 3, "seed": 5}

    async def talk(client):
        bodies = [body, body, {**body, "seed": 6}, {**body, "seed": None}]
        return [one.json() for one in await asyncio.gather(*(client.post("/v1/completions", json=b) for b in bodies))]

    same, again, other, _ = asked({"w": writer}, talk)
    assert same["choices"] == again["choices"] != other["choices"]
    assert len({choice["text"] for choice in same["choices"]}) > 1
    assert [choice["index"] for choice in same["choices"]] == [0, 1, 2]


def test_a_predictor_that_takes_a_seed_is_given_it():
    class Takes(Echo):
        predict_options: ClassVar = {"seed": "seed"}

        def __call__(self, inputs, batch_size, seed=None):
            return [[seed] for _ in inputs]

    async def talk(client):
        bodies = [{"inputs": ["a", "b"], "parameters": {"seed": 7}}, {"inputs": "a"}]
        return [(await client.post("/models/t/predict", json=body)).json()["results"] for body in bodies]

    found = asked({"t": Takes()}, talk)
    assert [[one["texts"] for one in results] for results in found] == [[[7], [7]], [[None]]]


def test_a_seed_is_for_its_own_request(writer):
    """Nothing that is drawn later depends on it, in Torch, NumPy or Python."""

    class Draws(Echo):
        predict_options: ClassVar = {"seed": ""}

        def __call__(self, inputs, batch_size):
            return [[random.random(), float(np.random.random()), float(torch.rand(()))] for _ in inputs]

    seeded = {"inputs": "a", "parameters": {"seed": 7}}
    plain = {"model": "w", "prompt": "何远", "max_tokens": 12}

    async def talk(client):
        rows = []
        for number in range(2):
            set_seed(3)
            if number:
                rows.append((await client.post("/models/d/predict", json=seeded)).json()["results"])
                await client.post("/v1/completions", json={**plain, "seed": 7})
                rows.append((await client.post("/models/d/predict", json=seeded)).json()["results"])
            free = (await client.post("/v1/completions", json=plain)).json()["choices"]
            rows.append([free, (await client.post("/models/d/predict", json={"inputs": "a"})).json()["results"]])
        return rows

    state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        before, first, again, after = asked({"w": writer, "d": Draws()}, talk)
    finally:
        random.setstate(state[0])
        np.random.set_state(state[1])
        torch.set_rng_state(state[2])
    assert before == after
    assert first == again != before[1]


def test_a_completion_ends_before_a_text_to_stop_at(folders, writer):
    whole = by_hand(folders["writer"], "林一舟写", 8)[0]
    stop = whole[3:5]
    place = whole.index(stop)
    body = {**GREEDY, "prompt": "林一舟写", "stop": ["不在", stop]}
    answer = post({"writer": writer}, "/v1/completions", body).json()
    assert answer["choices"][0]["text"] == whole[:place]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == place + 2


@pytest.mark.parametrize("options", [{"temperature": 0.01}, {"temperature": 2, "top_p": 1e-300}])
def test_the_least_that_may_be_asked_takes_the_likeliest(writer, options):
    answers = [
        post({"writer": writer}, "/v1/completions", {**GREEDY, "prompt": PROMPTS, **more}) for more in ({}, options)
    ]
    assert answers[0].json()["choices"] == answers[1].json()["choices"]


def streamed(predictor, body):
    """The events of a streamed completion."""
    answer = post({"writer": predictor}, "/v1/completions", {**body, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *events, last, rest = answer.text.split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


@pytest.mark.parametrize("more", [{}, {"stop": "长河"}, {"temperature": 1.5, "seed": 3}])
def test_a_stream_has_the_whole_in_pieces(writer, more):
    body = {**GREEDY, "prompt": "林一舟写", "max_tokens": 20, **more}
    whole = post({"writer": writer}, "/v1/completions", body).json()["choices"][0]
    events = streamed(writer, body)
    choices = [event["choices"][0] for event in events]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + [whole["finish_reason"]]
    assert len(choices) > 2
    assert len({event["id"] for event in events}) == 1


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        # As libraries write shortened words, once they know.
        (["do", "do n", "don't", "don't g", "don't go"], ["do", "n't", " g", "o"]),
        # What was sent is another now: all that is new goes out still.
        (["ab", "abc", "abcd", "aXcd", "aXcde"], ["ab", "c", "Xcd", "e"]),
        (["a", "ab", "abc", "a", "ad"], ["a", "b", "d"]),
        (["\ufffd", "\ufffd\ufffd", "长", "\ufffd" * 4, "\ufffd" * 4 + "a"], ["\ufffd" * 4 + "a"]),
    ],
)
def test_a_stream_drops_nothing_where_tokens_change_what_stands_before_them(texts, wanted):
    model, pieces = bytes_writer(bos=True), []
    model.decode = lambda ids: texts[len(ids) - 1]
    ((found,),) = model(["长 a"], Sampling(max_tokens=5, temperature=0, listener=pieces.append))
    assert (found.text, found.tokens) == (texts[-1], 5)
    assert pieces == wanted


@pytest.mark.parametrize("first", [False, True])
def test_pieces_hold_back_what_may_be_a_text_to_stop_at(folders, writer, first):
    whole = by_hand(folders["writer"], "林一舟写", 8)[0]
    # One begins the text, and is longer than most of what is written before it ends.
    stop = whole[:6] if first else whole[3:6]
    events = streamed(writer, {**GREEDY, "prompt": "林一舟写", "stop": [stop]})
    assert "".join(event["choices"][0]["text"] for event in events) == whole[: whole.index(stop)]


def test_nobody_writes_on_for_one_who_left(writer):
    pieces, left = [], threading.Event()

    def leave(piece):
        pieces.append(piece)
        left.set()

    ((made,),) = writer(["林一舟写"], Sampling(max_tokens=30, temperature=0, listener=leave), [left])
    # What was heard had stood there for a token, and the next was written by then.
    assert made.tokens == 3
    assert "".join(pieces) == made.text


def test_who_left_does_not_end_what_others_wait_for(writer):
    sampling = Sampling(max_tokens=8, temperature=0.7, n=2, seed=4)
    events = [threading.Event() for _ in PROMPTS]
    whole = writer(PROMPTS, sampling)
    assert writer(PROMPTS, sampling, events) == whole
    events[1].set()
    found = writer(PROMPTS, sampling, events)
    assert [found[0], found[2]] == [whole[0], whole[2]]
    assert [one.text for one in found[1]] == [one.text[:1] for one in whole[1]]


def test_what_is_late_is_written_no_further():
    """Of two requests that are written together, each tells for itself."""
    ended = []

    class Waits(Echo):
        found = "completions"

        def __call__(self, prompts, sampling, left):
            ended.append([prompts, left[0] is not left[2], left[0] is left[1], *(one.wait(20) for one in left)])
            return [[Completion("", "length", 1, 1)] for _ in prompts]

    async def talk(client):
        bodies = [{"model": "w", "prompt": prompt, "temperature": 0} for prompt in (["a", "b"], ["c"])]
        return await asyncio.gather(*(client.post("/v1/completions", json=body) for body in bodies))

    answers = asked({"w": Waits()}, talk, Limits(seconds=1.0, wait_ms=900, batch=3))
    assert [answer.status_code for answer in answers] == [504, 504]
    assert ended in ([[("a", "b", "c"), *[True] * 5]], [[("c", "a", "b"), True, False, *[True] * 3]])


def test_a_stream_that_is_late_says_so(writer):
    gate = threading.Event()

    class Slow(TextCompleter):
        def __init__(self):
            self.__dict__.update(writer.__dict__)

        def __call__(self, prompts, sampling, left):
            sampling.listener("何")
            assert gate.wait(20)
            return super().__call__(prompts, sampling, left)

    async def talk(client):
        body = {"model": "w", "prompt": "何远", "stream": True}
        answer = await client.post("/v1/completions", json=body)
        gate.set()
        return answer

    answer = asked({"w": Slow()}, talk, Limits(seconds=1.0))
    first, second, rest = answer.text.split("\n\n")
    assert (json.loads(first.removeprefix("data: "))["choices"][0]["text"], rest) == ("何", "")
    assert json.loads(second.removeprefix("data: "))["error"]["message"].startswith("there was no answer within 1 ")


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("embeddings", {"model": "other", "input": "a"}, 404, "model must be one of encoder"),
        ("embeddings", {"model": "writer", "input": "a"}, 404, "model must be one of encoder"),
        ("embeddings", {"model": "encoder", "input": [1, 2]}, 422,
         "input must be a text, or a list of 1 to 4 texts; tokens are not taken"),
        ("embeddings", {"model": "encoder", "input": "a", "dimensions": 8}, 422,
         "dimensions has no effect here; leave it out"),
        ("embeddings", {"model": "encoder", "input": "a", "encoding_format": "x"}, 422,
         "encoding_format: input should be 'float' or 'base64'"),
        ("completions", {"model": "encoder", "prompt": "a"}, 404, "model must be one of writer"),
        ("completions", {"model": "writer"}, 422,
         "prompt must be a text, or a list of 1 to 4 texts; tokens are not taken"),
        ("completions", {"model": "writer", "prompt": "a", "max_tokens": 33}, 422,
         "max_tokens: input should be less than or equal to 32"),
        ("completions", {"model": "writer", "prompt": "a", "temperature": 1e-300}, 422,
         "temperature: input should be 0, or at least 0.01"),
        ("completions", {"model": "writer", "prompt": "a", "temperature": 0.0099}, 422,
         "temperature: input should be 0, or at least 0.01"),
        ("completions", {"model": "writer", "prompt": "a", "temperature": -1}, 422,
         "temperature: input should be greater than or equal to 0"),
        ("completions", {"model": "writer", "prompt": "a", "stop": ""}, 422,
         "stop must be a text, or a list of at most 4, of 1 to 100 characters"),
        ("completions", {"model": "writer", "prompt": ["a", "b"], "n": 3}, 422,
         "prompts and n must make at most 4 completions"),
        ("completions", {"model": "writer", "prompt": "a", "n": 2, "stream": True}, 422,
         "stream goes with one prompt and n 1"),
        ("completions", {"model": "writer", "prompt": ["何", "何" * 50], "max_tokens": 20}, 422,
         "prompt 2 and max_tokens must be at most the model's 64 tokens together, got 51 and 20"),
        ("completions", {"model": "writer", "prompt": "何" * 50, "max_tokens": 20, "stream": True}, 422,
         "prompt 1 and max_tokens must be at most the model's 64 tokens together, got 51 and 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_refused(encoder, writer, path, body, status, message):
    answer = post({"encoder": encoder, "writer": writer}, f"/v1/{path}", body, Limits(texts=4, new_tokens=32))
    assert (answer.status_code, sentence(answer)) == (status, message)


def test_completions_need_a_causal_model(folders):
    for name in ("encoder", "classifier"):
        with pytest.raises(OtherHeadError, match=r"model must be one of .*ForCausalLM"):
            open_model(str(folders[name]), "completion")
