"""Dialogues as model inputs, talking with a model, its perplexity and its training."""

import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertTokenizer, Trainer, TrainingArguments, set_seed

from hf_ext import (
    CDialGPTConfig,
    CDialGPTForCausalLM,
    Chat,
    NezhaConfig,
    NezhaForCausalLM,
    NezhaForMaskedLM,
    build_char_tokenizer,
)
from hf_ext.conversion import load_state_dict
from hf_ext.metrics import next_token_sums, perplexity_metrics
from hf_ext.tasks.dialogue import DataCollatorForDialogue, DialogueEncoder
from hf_ext.tasks.dialogue.encoding import SPEAKERS
from hf_ext.tasks.dialogue.job import DialogueJob

DIALOGUES = [["你好", "你好啊", "今天天气怎么样", "很好"], ["在吗", "在"], ["吃了吗", "还没", "一起去"]]
LAYOUTS = {"nezha": None, "gpt_cdial": SPEAKERS}
SIZES = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip
MODELS = {"nezha": (NezhaConfig, NezhaForCausalLM), "gpt_cdial": (CDialGPTConfig, CDialGPTForCausalLM)}


@pytest.fixture(scope="module")
def tokenizer():
    made = build_char_tokenizer(turn for turns in DIALOGUES for turn in turns)
    made.add_special_tokens({"extra_special_tokens": list(SPEAKERS)})
    return made


def tiny(family, tokenizer, **fields):
    config_class, model_class = MODELS[family]
    torch.manual_seed(0)
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return model_class(config_class(**(SIZES | ids | {"attention_mode": "causal"} | fields))).eval()


def words(tokenizer, ids):
    return [tokenizer.convert_ids_to_tokens(i) if i >= 0 else "-" for i in ids]


ROWS = {
    # Turns; what NEZHA-GPT and CDial-GPT read; the types; the tokens asked for under "all" and under "last".
    "nezha": (
        ["你好", "在", "吃了"],
        "[CLS] 你 好 [SEP] 在 [SEP] 吃 了 [SEP]",
        [0, 0, 0, 0, 1, 1, 0, 0, 0],
        "- 你 好 [SEP] 在 [SEP] 吃 了 [SEP]",
        "- - - - - - 吃 了 [SEP]",
    ),
    "gpt_cdial": (
        ["你好", "在", "吃了"],
        "[CLS] [speaker1] 你 好 [speaker2] 在 [speaker1] 吃 了 [SEP]",
        ["[CLS]", 1, 1, 1, 2, 2, 1, 1, 1, 1],
        "- - 你 好 - 在 - 吃 了 [SEP]",
        "- - - - - - - 吃 了 [SEP]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("train_on", ["all", "last", None])
@pytest.mark.parametrize("family", ROWS)
def test_rows_to_train_on(tokenizer, family, train_on):
    turns, tokens, types, all_turns, last_turn = ROWS[family]
    encoder = DialogueEncoder(tokenizer, LAYOUTS[family], train_on=train_on)
    rows = encoder({"turns": [turns, ["好"]]})
    assert words(tokenizer, rows["input_ids"][0]) == tokens.split()
    if family == "gpt_cdial":
        names = {1: SPEAKERS[0], 2: SPEAKERS[1]}
        types = [tokenizer.convert_tokens_to_ids(names.get(kind, kind)) for kind in types]
    assert rows["token_type_ids"][0] == types
    assert rows["attention_mask"][0] == [1] * len(types)
    asks_all = train_on == "all" or (train_on is None and family == "nezha")
    assert words(tokenizer, rows["labels"][0]) == (all_turns if asks_all else last_turn).split()
    assert words(tokenizer, rows["labels"][1])[-2:] == ["好", "[SEP]"]


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_context_is_what_training_sees_before_the_answer(tokenizer, family):
    encoder = DialogueEncoder(tokenizer, LAYOUTS[family], train_on="last")
    for turns in (*DIALOGUES, ["好"] * 9, ["好"] * 10):
        for said in range(1, len(turns)):
            context = encoder.encode_context(turns[:said])
            row = {name: column[0] for name, column in encoder({"turns": [turns[: said + 1]]}).items()}
            begin = next(i for i, label in enumerate(row["labels"]) if label != -100)
            for name in ("input_ids", "token_type_ids"):
                assert context[name] == row[name][:begin]
            assert {context["generated_token_type_ids"]} == set(row["token_type_ids"][begin:])


class OfIds(DialogueEncoder):
    """Takes turns as lists of ids."""

    def _tokenize(self, dialogues):
        return [list(map(list, turns)) for turns in dialogues]


def split(ids, separators, last):
    """The turns between separators; `last`: whether a separator ends the last one rather than begins it."""
    turns, turn = [], []
    for token in ids:
        if token in separators:
            turns.append(turn)
            turn = []
        else:
            turn.append(token)
    assert not turn
    return turns if last else turns[1:]


@pytest.mark.parametrize(("case", "family"), [("gpt_nezha_dialog", "nezha"), ("gpt_cdial", "gpt_cdial")])
def test_contexts_are_those_of_the_originals(golden, case, family):
    made = BertTokenizer(str(golden / case / "vocab.txt"))
    encoder = OfIds(made, LAYOUTS[family])
    records = json.loads((golden / case / "decode.json").read_text(encoding="utf-8"))["cases"]
    assert len(records) >= 8
    separators = [3] if family == "nezha" else made.convert_tokens_to_ids(list(SPEAKERS))
    for record in records:
        context = encoder.encode_context(split(record["token_ids"][1:], separators, family == "nezha"))
        assert context["input_ids"] == record["token_ids"]
        assert context["token_type_ids"] == record["segment_ids"]
        wanted = 1 - record["segment_ids"][-1] if family == "nezha" else record["token_ids"][-1]
        assert context["generated_token_type_ids"] == wanted


def kept_by_hand(turns, room, keep_beginning):
    """All ways to leave out turns and tokens, by the rule in words."""
    for first in range(len(turns)):
        if sum(len(turn) + 1 for turn in turns[first:]) <= room:
            if first == len(turns) - 1 and first > 0:
                left = room - len(turns[-1]) - 2
                return [turns[-2][-left:], turns[-1]] if left > 0 else [turns[-1]]
            return turns[first:]
    return [turns[-1][: room - 1] if keep_beginning else turns[-1][-(room - 1) :]]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("family", LAYOUTS)
def test_what_is_too_long_loses_its_beginning(tokenizer, family, seed):
    draw = random.Random(seed)
    sep, extra = tokenizer.sep_token_id, 2 if LAYOUTS[family] else 1
    for _ in range(10):
        turns = [[draw.randrange(10, 40) for _ in range(draw.randint(1, 9))] for _ in range(draw.randint(1, 6))]
        length, room = draw.randint(8, 30), draw.randint(0, 4)
        encoder = OfIds(tokenizer, LAYOUTS[family], max_length=length)
        context = encoder.encode_context(turns, room)
        kept = kept_by_hand(turns, length - room - extra, keep_beginning=False)
        assert context["input_ids"] == OfIds(tokenizer, LAYOUTS[family]).encode_context(kept)["input_ids"]
        assert len(context["input_ids"]) <= length - room

        row = {name: column[0] for name, column in encoder({"turns": [turns]}).items()}
        kept = kept_by_hand(turns, length - extra, keep_beginning=True)
        wanted = {name: column[0] for name, column in OfIds(tokenizer, LAYOUTS[family])({"turns": [kept]}).items()}
        if kept[-1] != turns[-1]:
            # It does not end there.
            assert wanted["input_ids"][-1] == sep
            wanted = {name: column[:-1] for name, column in wanted.items()}
        assert row == wanted
        assert len(row["input_ids"]) <= length


def test_text_is_never_a_special_token(tokenizer):
    for speakers in LAYOUTS.values():
        plain = DialogueEncoder(tokenizer, speakers).encode_context(["好"])["input_ids"]
        ids = DialogueEncoder(tokenizer, speakers).encode_context(["[SEP][CLS] [speaker1]好[PAD]"])["input_ids"]
        special = set(tokenizer.all_special_ids)
        assert sum(i in special for i in ids) == sum(i in special for i in plain)
        assert "".join(words(tokenizer, ids)).replace("##", "").lower().count("[sep]") == (1 if speakers else 2)


@pytest.mark.parametrize("turns", [[], [""], ["好", " "], ["好", "\u200b\x00"], ["好", None], "好"])
def test_empty_turns_are_refused(tokenizer, turns):
    encoder = DialogueEncoder(tokenizer)
    for call in (encoder.encode_context, lambda turns: encoder({"turns": [turns]})):
        with pytest.raises(ValueError, match=r"a (turn|dialogue) must"):
            call(turns)


def test_options_are_checked(tokenizer):
    bare = build_char_tokenizer(["好"])
    for arguments, message in (
        ((tokenizer, None, 512, "first"), "train_on must be 'all' or 'last', got 'first'"),
        ((tokenizer, None, 7), "max_length must be at least 8, got 7"),
        ((bare, SPEAKERS), r"it lacks \['\[speaker1\]', '\[speaker2\]'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            DialogueEncoder(*arguments)
    bare.sep_token = None
    with pytest.raises(ValueError, match="must have a sep_token"):
        DialogueEncoder(bare)
    with pytest.raises(ValueError, match="room must leave tokens for a turn in max_length=16, got 14"):
        DialogueEncoder(tokenizer, max_length=16).encode_context(["好"], room=14)
    with pytest.raises(ValueError, match="at least one dialogue"):
        DialogueEncoder(tokenizer).encode_dataset(Dataset.from_list([]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BertConfig(), "got model_type='bert'"),
        (NezhaConfig(), "must have attention_mode=\"causal\", got 'bidirectional'"),
        (NezhaConfig(attention_mode="unilm"), "got 'unilm'"),
        (NezhaConfig(attention_mode="causal", type_vocab_size=1), "two token types"),
    ],
)
def test_other_models_are_refused(tokenizer, config, message):
    with pytest.raises(ValueError, match=message):
        DialogueEncoder.for_config(config, tokenizer)


def test_positions_of_a_table_end(tokenizer):
    assert DialogueEncoder.for_config(NezhaConfig(attention_mode="causal", **SIZES), tokenizer, max_length=99)
    with pytest.raises(ValueError, match="at most the model's 64 positions, got 99"):
        DialogueEncoder.for_config(CDialGPTConfig(**SIZES), tokenizer, max_length=99)


@pytest.mark.parametrize("family", LAYOUTS)
def test_batches(tokenizer, family):
    """Each row of a batch gives what it gives alone, in training and in generation."""
    encoder = DialogueEncoder(tokenizer, LAYOUTS[family], train_on="all")
    collate = DataCollatorForDialogue(tokenizer, pad_to_multiple_of=8)
    columns = encoder({"turns": DIALOGUES})
    rows = [{name: column[i] for name, column in columns.items()} for i in range(len(DIALOGUES))]
    batch = collate(rows)
    assert batch["input_ids"].shape == batch["labels"].shape == (3, -(-max(len(r["labels"]) for r in rows) // 8) * 8)
    model = tiny(family, tokenizer)
    with torch.no_grad():
        logits = model(**batch).logits
        for i, row in enumerate(rows):
            n = len(row["input_ids"])
            assert batch["labels"][i].tolist() == row["labels"] + [-100] * (batch["labels"].shape[1] - n)
            torch.testing.assert_close(model(**collate([row])).logits[0, :n], logits[i, :n], atol=2e-5, rtol=0)

    contexts = [encoder.encode_context(turns) for turns in DIALOGUES]
    batch = collate(contexts)
    assert batch["attention_mask"][1].tolist() == sorted(batch["attention_mask"][1].tolist())
    assert batch["generated_token_type_ids"].shape == (3,)
    settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    together = model.generate(**batch, **settings)[:, batch["input_ids"].shape[1] :]
    for i, context in enumerate(contexts):
        alone = model.generate(**DataCollatorForDialogue(tokenizer)([context]), **settings)
        assert together[i].tolist() == alone[0, len(context["input_ids"]) :].tolist()


def greedy_by_hand(model, tokenizer, context, settings):
    """Without a cache and without the library's generation."""
    ids, types = list(context["input_ids"]), list(context["token_type_ids"])
    made = []
    while len(made) < settings["max_new_tokens"]:
        with torch.no_grad():
            logits = model(torch.tensor([ids]), token_type_ids=torch.tensor([types])).logits[0, -1]
        logits[settings["suppress_tokens"]] = -torch.inf
        if not made:
            logits[tokenizer.sep_token_id] = -torch.inf
        made.append(int(logits.argmax()))
        if made[-1] == tokenizer.sep_token_id:
            return made[:-1]
        ids.append(made[-1])
        types.append(context["generated_token_type_ids"])
    return made


@pytest.mark.parametrize("family", LAYOUTS)
def test_a_reply_is_the_greedy_answer_to_all_that_was_said(tokenizer, family):
    model = tiny(family, tokenizer)
    chat = Chat(model, tokenizer, num_beams=1, max_new_tokens=5)
    encoder = DialogueEncoder(tokenizer, LAYOUTS[family], max_length=64)
    said = []
    for text in ("你好", "在吗", "吃了吗", "天气怎么样", "很好", "一起去", "还没", "好"):
        said.append(text)
        context = encoder.encode_context(said, room=5)
        wanted = greedy_by_hand(model, tokenizer, context, chat.settings)
        answer = chat.reply(text)
        assert answer.replace(" ", "") == tokenizer.decode(wanted).replace(" ", "")
        said.append(answer)
        assert chat.turns == said
    # By then the first turns had to go.
    assert len(encoder.encode_context(said)["input_ids"]) < sum(map(len, said)) + len(said)
    first = chat.turns[1]
    chat.reset()
    assert chat.turns == []
    # Dropout is off even if the model is in training, where it stays.
    model.train()
    assert chat.reply("你好") == first
    assert model.training


@pytest.mark.parametrize(("case", "family"), [("gpt_nezha_dialog", "nezha"), ("gpt_cdial", "gpt_cdial")])
def test_replies_of_the_originals(golden, case, family):
    """The greedy records that hold no token which a reply never has."""
    config, state = load_state_dict(golden / case, family, attention_mode="causal")
    model = MODELS[family][1].from_pretrained(None, config=config, state_dict=dict(state), dtype=torch.float64)
    made = BertTokenizer(str(golden / case / "vocab.txt"))
    separators = [3] if family == "nezha" else made.convert_tokens_to_ids(list(SPEAKERS))
    compared = 0
    for record in json.loads((golden / case / "decode.json").read_text(encoding="utf-8"))["cases"]:
        chat = Chat(model, made, num_beams=1, max_new_tokens=record["maxlen"])
        never = set(record["output_ids"]) & set(chat.settings["suppress_tokens"])
        if record["topk"] > 1 or record["end_id"] != 3 or never:
            continue
        chat.encoder = OfIds(made, LAYOUTS[family], max_length=64)
        *chat.turns, said = split(record["token_ids"][1:], separators, family == "nezha")
        wanted = made.decode(record["output_ids"], skip_special_tokens=True)
        assert chat.reply(said).replace(" ", "") == wanted.replace(" ", "")
        compared += 1
    assert compared == 2


def test_sampling_and_beams(tokenizer):
    model = tiny("nezha", tokenizer)
    replies = []
    for seed in (0, 0, 1):
        set_seed(seed)
        chat = Chat(model, tokenizer, temperature=2.0, top_p=1.0, max_new_tokens=12)
        replies.append([chat.reply("你好"), chat.reply("在吗")])
    assert replies[0] == replies[1] != replies[2]
    assert all(turn for reply in replies for turn in reply)
    # One token is left to sample from.
    sampled, greedy = (Chat(model, tokenizer, max_new_tokens=6, **o) for o in ({"top_p": 1e-6}, {"num_beams": 1}))
    assert sampled.reply("你好") == greedy.reply("你好")

    # As many beams as there are tokens find the best reply of two tokens.
    chat = Chat(model, tokenizer, num_beams=len(tokenizer), max_new_tokens=2)
    context = chat.collate([chat.encoder.encode_context(["你好"], 2)])
    generated_type = context.pop("generated_token_type_ids")
    best, found = -math.inf, None
    allowed = sorted({*range(len(tokenizer))} - {*chat.settings["suppress_tokens"], tokenizer.sep_token_id})
    with torch.no_grad():
        first = model(**context).logits[0, -1].log_softmax(-1)
        for token in allowed:
            ids = torch.cat([context["input_ids"], torch.tensor([[token]])], 1)
            types = torch.cat([context["token_type_ids"], generated_type[:, None]], 1)
            scores = model(ids, token_type_ids=types).logits[0, -1].log_softmax(-1)
            scores[chat.settings["suppress_tokens"]] = -torch.inf
            if first[token] + scores.max() > best:
                best, found = first[token] + scores.max(), [token, int(scores.argmax())]
    assert chat.reply("你好") == tokenizer.decode(found, skip_special_tokens=True).replace(" ", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0}, r"top_p must be in \(0, 1\], got 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"temperature": math.nan}, "temperature must be positive, got nan"),
        ({"num_beams": 0}, "num_beams must be at least 1, got 0"),
        ({"num_beams": 1, "top_p": 0.5}, "top_p has no effect with num_beams.*, got 0.5"),
        ({"num_beams": 2, "temperature": 0.7}, "temperature has no effect with num_beams.*, got 0.7"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1, got 0"),
    ],
)
def test_options_of_a_chat_are_checked(tokenizer, options, message):
    with pytest.raises(ValueError, match=message):
        Chat(tiny("nezha", tokenizer), tokenizer, **options)


def test_an_empty_text_is_not_said(tokenizer):
    chat = Chat(tiny("nezha", tokenizer), tokenizer, num_beams=1, max_new_tokens=3)
    with pytest.raises(ValueError, match="a turn must not be empty"):
        chat.reply(" ")
    assert chat.turns == []


def test_a_folder_of_another_kind_is_refused(tokenizer, tmp_path):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    kinds = {
        "bert": (BertForMaskedLM(BertConfig(vocab_size=9, **size)), "got model_type='bert'"),
        "masked": (NezhaForMaskedLM(NezhaConfig(vocab_size=9, **size)), 'attention_mode="causal"'),
        "base": (tiny("nezha", tokenizer).nezha, r"trained head that generates, got \['NezhaModel'\]"),
    }
    for name, (model, message) in kinds.items():
        model.save_pretrained(tmp_path / name)
        with pytest.raises(ValueError, match=message):
            Chat.from_pretrained(tmp_path / name)


def test_perplexity_by_hand():
    torch.manual_seed(0)
    logits = torch.randn(4, 7, 11, dtype=torch.float64)
    labels = torch.randint(11, (4, 7))
    labels[:, 0] = labels[1, 3:] = labels[2] = -100
    losses, right = [], []
    for row, own in zip(logits, labels):
        for scores, label in zip(row[:-1], own[1:]):
            if label != -100:
                losses.append(-math.log(float(scores.exp()[label] / scores.exp().sum())))
                right.append(int(scores.argmax()) == label)
    parts = [next_token_sums((logits[rows], None), labels[rows]) for rows in (slice(0, 1), slice(1, 4))]
    found = perplexity_metrics(SimpleNamespace(predictions=torch.cat(parts).numpy()))
    assert found["perplexity"] == pytest.approx(math.exp(np.mean(losses)), rel=1e-6)
    assert found["accuracy"] == pytest.approx(np.mean(right))
    with pytest.raises(ValueError, match="at least one token"):
        perplexity_metrics(SimpleNamespace(predictions=np.zeros((2, 3))))
    assert perplexity_metrics(SimpleNamespace(predictions=np.array([[1e6, 0, 1]])))["perplexity"] == math.inf


def trainer_of(model, tokenizer, folder, **options):
    encoder = DialogueEncoder.for_config(model.config, tokenizer, max_length=32, train_on="all")
    data = encoder.encode_dataset(Dataset.from_list([{"turns": turns} for turns in [*DIALOGUES, ["好", "在"]]]))
    arguments = TrainingArguments(
        str(folder), use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, logging_steps=1, **options
    )
    return Trainer(
        model,
        arguments,
        DataCollatorForDialogue(tokenizer),
        data,
        data,
        compute_metrics=perplexity_metrics,
        preprocess_logits_for_metrics=next_token_sums,
    )


QUIET = pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning")


@QUIET
@pytest.mark.parametrize("family", LAYOUTS)
def test_perplexity_does_not_depend_on_the_batches(tokenizer, tmp_path, family):
    model = tiny(family, tokenizer)
    found = [
        trainer_of(model, tokenizer, tmp_path, per_device_eval_batch_size=size).evaluate()["eval_perplexity"]
        for size in (1, 3, 4)
    ]
    trainer = trainer_of(model, tokenizer, tmp_path)
    rows = [{name: row[name] for name in row} for row in trainer.eval_dataset]
    loss, count = 0.0, 0
    with torch.no_grad():
        for row in rows:
            batch = DataCollatorForDialogue(tokenizer)([row])
            scores = model(batch["input_ids"], token_type_ids=batch["token_type_ids"]).logits[0, :-1].double()
            loss += float(nn.functional.cross_entropy(scores, batch["labels"][0, 1:], reduction="sum"))
            count += int((batch["labels"] != -100).sum())
    assert found == pytest.approx([math.exp(loss / count)] * 3, rel=1e-5)


@QUIET
@pytest.mark.parametrize("family", LAYOUTS)
def test_accumulation_gives_the_same_step(tokenizer, tmp_path, family):
    logs = []
    for steps in (1, 2, 4):
        fields = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "unpad": True}
        trainer = trainer_of(
            tiny(family, tokenizer, **fields),
            tokenizer,
            tmp_path,
            max_steps=1,
            gradient_accumulation_steps=steps,
            per_device_train_batch_size=4 // steps,
        )
        trainer.train()
        logs.append(trainer.state.log_history[0])
    for name in ("loss", "grad_norm"):
        assert [log[name] for log in logs] == pytest.approx([logs[0][name]] * 3, rel=1e-4)


def write(path, dialogues=DIALOGUES):
    path.write_text("".join(json.dumps({"turns": turns}) + "\n" for turns in dialogues), encoding="utf-8")
    return path


@QUIET
@pytest.mark.parametrize("family", LAYOUTS)
def test_a_job_from_scratch_learns_to_answer(tmp_path, family):
    file = write(tmp_path / "dialogues.jsonl")
    job = DialogueJob(file, file, config="tiny", family=family, max_length=48, train_on="all")
    arguments = TrainingArguments(
        str(tmp_path / "model"), use_cpu=True, report_to="none", max_steps=60, learning_rate=3e-3, save_strategy="no"
    )
    scores = job.run(arguments)
    assert scores["perplexity"] < 2 < 20 < scores["perplexity_before"]
    assert json.loads((tmp_path / "model" / "scores.json").read_text(encoding="utf-8")) == scores
    assert (tmp_path / "model" / "curves.png").is_file()
    chat = Chat.from_pretrained(tmp_path / "model", num_beams=1, max_new_tokens=8)
    assert chat.encoder.max_length == 48
    said = DIALOGUES[0] if family == "nezha" else DIALOGUES[1]
    for text, answer in zip(said[::2], said[1::2]):
        assert chat.reply(text)[: len(answer)] == answer


@QUIET
def test_a_job_goes_on_from_an_encoder(tokenizer, tmp_path):
    fields = {"vocab_size": len(tokenizer), "hidden_dropout_prob": 0.0}
    encoder = NezhaForMaskedLM(NezhaConfig(**SIZES, **fields))
    for part in (encoder, tokenizer):
        part.save_pretrained(tmp_path / "nezha")
    file = write(tmp_path / "dialogues.jsonl")
    job = DialogueJob(file, file, model=str(tmp_path / "nezha"), max_length=48)
    arguments = TrainingArguments(
        str(tmp_path / "model"), use_cpu=True, report_to="none", max_steps=1, learning_rate=0.0, disable_tqdm=True
    )
    scores = job.run(arguments)
    assert scores["perplexity"] == pytest.approx(scores["perplexity_before"])
    model = Chat.from_pretrained(tmp_path / "model").model
    assert type(model) is NezhaForCausalLM
    assert model.config.attention_mode == "causal"
    assert model.config.eos_token_id == tokenizer.sep_token_id
    torch.testing.assert_close(model.state_dict(), encoder.state_dict())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "got neither"),
        ({"config": "tiny", "model": "x"}, "got both"),
        ({"config": "enormous"}, "config must be a folder or one of the sizes tiny, .*, got 'enormous'"),
        ({"config": "tiny", "family": "gpt2"}, "family must be one of nezha, gpt_cdial, got 'gpt2'"),
        ({"config": "tiny", "train_on": "some"}, "train_on must be"),
        ({"config": "tiny", "validation_file": "empty"}, "validation_file must have dialogues, got none in .*empty"),
        ({"model": "bert"}, "got model_type='bert'"),
        ({"model": "small", "tokenizer": "bert"}, "at most the model's 9 tokens, got"),
        ({"config": "bert"}, "got model_type='bert'"),
    ],
)
def test_jobs_that_cannot_be_done(tokenizer, tmp_path, options, message):
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **size)).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    NezhaForMaskedLM(NezhaConfig(vocab_size=9, **size)).save_pretrained(tmp_path / "small")
    (tmp_path / "empty").touch()
    for name, value in options.items():
        if (tmp_path / value).exists():
            options = options | {name: str(tmp_path / value)}
    file = write(tmp_path / "dialogues.jsonl")
    with pytest.raises(ValueError, match=message):
        DialogueJob(**({"train_file": file, "validation_file": file} | options)).run(
            TrainingArguments(str(tmp_path / "out"), use_cpu=True, report_to="none")
        )
