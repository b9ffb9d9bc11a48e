import pytest
import torch
from torch.utils.data import Dataset
from transformers import AutoConfig, pipeline

import hf_ext
from hf_ext.tasks.reading_comprehension import ReadingComprehensionPipeline, ReadingEncoder, decode_answer_dataset
from hf_ext.tasks.reading_comprehension.head import ANSWER_HEADS

CONTEXT = " 林一舟写了《长河》，何远写了《春江》。Henry 写了 River。\n周小满没有写书 "
QUESTIONS = ["谁写了《长河》？", "谁写了《春江》？"]


def reader(head="global_pointer", side="right", family="roformer", **fields):
    tokenizer = hf_ext.build_char_tokenizer([CONTEXT, *QUESTIONS], padding_side=side)
    torch.manual_seed(1)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **size)
    fields = {"answer_head": head, "answer_head_size": 8, "max_answer_tokens": 6, **fields}
    model = hf_ext.AutoModelForReadingComprehension.from_config(config, **fields)
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter.mul_(20)
    return pipeline("reading-comprehension", model=model.eval(), tokenizer=tokenizer)


@pytest.fixture(scope="module", params=ANSWER_HEADS)
def answer(request):
    return reader(request.param)


def test_offsets_point_into_the_text_as_given(answer):
    found = answer(question=QUESTIONS[0], context=CONTEXT, top_k=20)
    assert isinstance(answer, ReadingComprehensionPipeline)
    assert len(found) == 20
    for one in found:
        assert CONTEXT[one["start"] : one["end"]] == one["answer"] == one["answer"].strip() != ""
        assert list(one) == ["score", "start", "end", "answer"]
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-6
    assert answer(question=QUESTIONS[0], context=CONTEXT) == found[0]
    assert len({(one["start"], one["end"]) for one in found}) == 20


@pytest.mark.parametrize("side", ["right", "left"])
def test_every_way_of_asking_gives_the_same(side):
    answer = reader(side=side)
    contexts = [CONTEXT, CONTEXT * 3]
    rows = [{"question": one, "context": text} for one, text in zip(QUESTIONS, contexts)]
    want = [answer(row, max_seq_len=40) for row in rows]

    class Rows(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return rows[index]

    for found in (
        answer(rows, max_seq_len=40),
        answer(question=QUESTIONS, context=contexts, max_seq_len=40),
        answer(rows, max_seq_len=40, batch_size=4),
        list(answer(Rows(), max_seq_len=40, batch_size=2)),
        list(answer((row for row in rows), max_seq_len=40)),
    ):
        assert [one["answer"] for one in found] == [one["answer"] for one in want]
        assert [one["start"] for one in found] == [one["start"] for one in want]
        assert [one["score"] for one in found] == pytest.approx([one["score"] for one in want], rel=1e-3)
    same = answer(question=QUESTIONS, context=CONTEXT)
    assert [one["answer"] for one in same] == [answer(question=one, context=CONTEXT)["answer"] for one in QUESTIONS]
    assert answer([]) == []


def test_windows_are_those_of_the_encoder(answer):
    long = CONTEXT * 6
    encoder = ReadingEncoder(answer.tokenizer, 48, 10, 6)
    rows = encoder({"question": QUESTIONS[:1], "context": [long]}, [0])
    assert len(rows["input_ids"]) > 5
    outputs = []
    for number in range(len(rows["input_ids"])):
        own = {name: torch.tensor([rows[name][number]]) for name in ("input_ids", "attention_mask", "context_mask")}
        types = torch.tensor([rows["token_type_ids"][number]])
        with torch.no_grad():
            outputs.append(answer.model(**own, token_type_ids=types))
    spans, nulls = ([getattr(one, name)[0].tolist() for one in outputs] for name in ("spans", "null_scores"))
    predictions = [[row for row in own if row[0] >= 0] for own in spans], nulls

    class Encoded(dict):
        def __len__(self):
            return len(self["input_ids"])

    want = decode_answer_dataset(predictions, Encoded(rows), [long], 5, null=False)[0]
    options = {"max_seq_len": 48, "doc_stride": 10, "max_question_len": 6, "top_k": 5}
    found = answer(question=QUESTIONS[0], context=long, **options)
    assert [(one["start"], one["end"], one["answer"]) for one in found] == [
        (one["start"], one["end"], one["text"]) for one in want
    ]
    assert [one["score"] for one in found] == pytest.approx([one["probability"] for one in want], rel=1e-4)


def test_no_answer(answer):
    options = {"question": QUESTIONS[0], "context": CONTEXT, "top_k": 20}
    without = answer(**options)
    assert all(one["answer"] for one in without)
    found = answer(**options, handle_impossible_answer=True, null_threshold=-1e9)
    assert found[0] == {"score": found[0]["score"], "start": 0, "end": 0, "answer": ""}
    assert [one["answer"] for one in found[1:]] == [one["answer"] for one in without[:19]]
    never = answer(**options, null_threshold=1e9)
    assert [one["answer"] for one in never] == [one["answer"] for one in without]
    answer.model.config.null_threshold = -1e9
    try:
        assert answer(question=QUESTIONS[0], context=CONTEXT)["answer"] == ""
        assert answer(question=QUESTIONS[0], context=CONTEXT, handle_impossible_answer=False) == answer(
            question=QUESTIONS[0], context=CONTEXT, handle_impossible_answer=False, null_threshold=3.0
        )
    finally:
        answer.model.config.null_threshold = None


def test_longest_answer_holds(answer):
    for length in (1, 3):
        found = answer(question=QUESTIONS[0], context=CONTEXT, top_k=20, max_answer_len=length)
        assert max(len("".join(one["answer"].split())) for one in found) <= length
    assert len(answer(question=QUESTIONS[0], context="甲", top_k=5)) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"question": "a"}, ValueError, "context must be a string or a list of strings, got None"),
        ({"context": "a"}, ValueError, "question must be a string or a list of strings, got None"),
        ({"inputs": {"question": "a"}, "context": "a"}, ValueError, "give either inputs, or question and context"),
        ({"question": ["a", "b"], "context": ["c"]}, ValueError, "as many contexts as questions, 2, got 1"),
        ({"question": " ", "context": "c"}, ValueError, "question must be a string that is not blank, got ' '"),
        ({"inputs": {"question": "a", "context": 3}}, ValueError, "context must be a string that is not blank, got 3"),
        ({"inputs": "a"}, TypeError, "inputs must be mappings with question and context, got str"),
        ({"inputs": {}, "top_k": 21}, ValueError, r"top_k must be in \[1, 20\], the config's answer_top_k, got 21"),
        ({"inputs": {}, "max_answer_len": 0}, ValueError, "max_answer_len must be at least 1, got 0"),
        ({"question": "a", "context": "c", "max_seq_len": 4}, ValueError, "max_length must have room for 3 special"),
        ({"question": "a", "context": "c", "doc_stride": -1}, ValueError, "stride must be at least 0"),
    ],
)
def test_wrong_input_is_refused(answer, arguments, error, message):
    with pytest.raises(error, match=message):
        answer(**arguments)


def test_other_models_are_refused(answer):
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    model = hf_ext.AutoModelForSpanExtraction.from_config(hf_ext.RoFormerConfig(**sizes))
    with pytest.raises(ValueError, match="model must be one of AutoModelForReadingComprehension"):
        ReadingComprehensionPipeline(model=model, tokenizer=answer.tokenizer)


def test_saved_and_loaded(answer, tmp_path):
    answer.save_pretrained(tmp_path)
    again = pipeline("reading-comprehension", model=str(tmp_path))
    assert type(again.model) is type(answer.model)
    row = {"question": QUESTIONS[1], "context": CONTEXT}
    assert again(row) == answer(row)
