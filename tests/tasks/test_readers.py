"""What all readers of files share: encodings, line ends, JSON lines and arrays, and errors that name file and line."""

import json
import random
from functools import partial

import pytest

from hf_ext.data.text_lines import texts_of
from hf_ext.tasks.autoencoding import read_texts
from hf_ext.tasks.classification import read_labelled_texts
from hf_ext.tasks.dialogue import read_dialogues
from hf_ext.tasks.entities import read_entities
from hf_ext.tasks.events import read_event_schema, read_events
from hf_ext.tasks.multiple_choice import read_choices
from hf_ext.tasks.paraphrase import read_paraphrases
from hf_ext.tasks.reading_comprehension import read_questions
from hf_ext.tasks.relations import read_relation_schema, read_relations
from hf_ext.tasks.similarity import read_text_pairs, read_texts_alone
from hf_ext.tasks.summarization import read_summaries

# What ends a line elsewhere, and characters beyond 16 bits, inside a text.
TEXT = "甲\u2028乙\u0085丙\r丁\x00\x0b戊😀己"
SPAN = {"start": 0, "end": 1}
# A reader, and a JSON line that it reads.
READERS = {
    "entities": (read_entities, {"text": TEXT, "entities": [{**SPAN, "label": "x"}]}),
    "cluener": (read_entities, {"text": TEXT, "label": {"x": {"甲": [[0, 0]]}}}),
    "doccano": (read_entities, {"id": 1, "text": TEXT, "label": [[0, 1, "x"]]}),
    "doccano with relations": (
        read_relations,
        {
            "text": TEXT,
            "entities": [{"id": n, "label": "x", "start_offset": n, "end_offset": n + 1} for n in (0, 2)],
            "relations": [{"id": 0, "from_id": 0, "to_id": 2, "type": "p"}],
        },
    ),
    "doccano's classes": (read_labelled_texts, {"id": 1, "text": TEXT, "label": ["x"]}),
    "label-studio": (
        read_entities,
        {
            "data": {"text": TEXT},
            "annotations": [{"result": [{"type": "labels", "value": {**SPAN, "text": "甲", "labels": ["x"]}}]}],
        },
    ),
    "cmeee": (read_entities, {"text": TEXT, "entities": [{"start_idx": 0, "end_idx": 0, "type": "x", "entity": "甲"}]}),
    "token lists": (read_entities, {"tokens": ["甲", "乙"], "ner_tags": ["B-x", "O"]}),
    "classes": (read_labelled_texts, {"text": TEXT, "label": "x"}),
    "pairs of a class": (read_labelled_texts, {"sentence1": TEXT, "sentence2": "乙", "label": 3}),
    "any number of classes": (read_labelled_texts, {"text": TEXT, "labels": ["x", "y"]}),
    "pairs": (read_text_pairs, {"text1": TEXT, "text2": "乙", "score": 0.5}),
    "texts alone": (read_texts_alone, {"text": TEXT}),
    "summaries": (read_summaries, {"text": TEXT, "summary": "甲"}),
    "paraphrases": (read_paraphrases, {"text": TEXT, "synonyms": ["乙"]}),
    "dialogues": (read_dialogues, {"turns": [TEXT, "乙"]}),
    "messages": (read_dialogues, {"messages": [{"message": TEXT}, {"message": "乙"}]}),
    "relations": (
        read_relations,
        {"text": TEXT, "relations": [{"predicate": "p", "subject": SPAN, "object": SPAN, "slots": []}]},
    ),
    "duie": (
        read_relations,
        {"text": TEXT, "spo_list": [{"predicate": "p", "subject": "甲", "object": {"@value": "乙", "s": "丁"}}]},
    ),
    "events": (read_events, {"text": TEXT, "events": [{"type": "t", "arguments": [{"role": "r", **SPAN}]}]}),
    "duee": (
        read_events,
        {
            "text": TEXT,
            "event_list": [{"event_type": "t", "trigger": "甲", "trigger_start_index": 0, "arguments": []}],
        },
    ),
    "relation schema": (read_relation_schema, {"predicate": "p", "object_type": {"@value": "v", "s": "w"}}),
    "event schema": (read_event_schema, {"event_type": "t", "role_list": [{"role": "r"}]}),
    "questions": (
        read_questions,
        {"question": "谁", "context": TEXT, "answers": {"text": ["甲"], "answer_start": [0]}},
    ),
    "choices": (read_choices, {"text": TEXT, "question": "谁", "choices": ["甲", "乙"], "label": 1}),
    "chid": (read_choices, {"candidates": ["甲", "乙"], "content": f"{TEXT}#idiom#", "answer": 1}),
    "texts to code": (read_texts, {"text": TEXT}),
    "texts": (lambda path: list(texts_of(path)), {"text": TEXT}),
}
each_reader = pytest.mark.parametrize(("read", "record"), READERS.values(), ids=READERS)
dump = partial(json.dumps, ensure_ascii=False)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "data"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@each_reader
def test_lines_and_arrays_say_the_same(read, record, write):
    wanted = read(write(f"{dump(record)}\n{dump(record)}\n"))
    assert wanted
    forms = [
        f"\n \n{dump(record)}\n\n{dump(record)}",
        f"{json.dumps(record)}\n{json.dumps(record)}",
        dump([record, record]),
        dump([record, record], indent=1),
        f"[{dump(record)},\n{dump(record)}]\n",
    ]
    for form in forms:
        for content in (form, "\ufeff" + form, form.replace("\n", "\r\n")):
            assert read(write(content)) == wanted
    (alone, pretty) = (read(write(dump(record, indent=indent))) for indent in (None, 2))
    assert alone == pretty == read(write(f"{dump(record)}\n\n"))


@each_reader
def test_files_without_a_line(read, record, write):
    for content in ("", "\n\r\n \n", "\ufeff", "\ufeff\n", "[]", "[\n]"):
        try:
            assert read(write(content)) == []
        except ValueError as error:
            # A schema must name something.
            assert "must have at least one" in str(error)  # noqa: PT017


HALF = "\\ud83d"
BROKEN = {
    "half a pair": f'{{"text": "a{HALF}"}}',
    "the other half": '{"text": "\\udE00a"}',
    "half a pair in a key": f'{{"{HALF}": 1}}',
    "half a pair in a nested value": f'{{"id": [{{"a": "\\\\\\n\\ud83d\\ude00 {HALF}x"}}]}}',
    "a huge integer": '{"text": "a", "id": ' + "9" * 5000 + "}",
    # From Python 3.13 on some thousands can be read.
    "nested": '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "nested objects": '{"text": ' * 100_000 + "1" + "}" * 100_000,
    "nested, as deep as can be read": '{"text": ' + "[" * 900 + "]" * 900 + "}",
    "a trailing comma": '{"text": "a"},',
    "a trailing comma within": '{"text": "a",}',
    "not closed": '{"text": "a"',
    "a number": "3",
    "null": "null",
    "a list of numbers": "[1]",
    "an object without keys": "{}",
    "text": "甲乙",
}


@each_reader
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_errors_name_the_line(read, record, broken, write):
    path = write(f"{dump(record)}\n\n{broken}\n{dump(record)}\n")
    with pytest.raises(ValueError, match="data:3: "):
        read(path)
    if broken.startswith("{"):
        with pytest.raises(ValueError, match="data:1: "):
            read(write(broken))


@each_reader
@pytest.mark.parametrize("broken", ["half a pair", "a huge integer", "nested", "not closed", "a trailing comma within"])
def test_errors_in_an_array_name_the_line(read, record, broken, write):
    path = write(f"[\n{dump(record)},\n{BROKEN[broken]},\n\n{dump(record)}\n]\n")
    # What is not closed is seen where the next begins.
    with pytest.raises(ValueError, match="data:5: " if broken == "not closed" else "data:3: "):
        read(path)


@each_reader
def test_encodings(read, record, write):
    line = dump(record) + "\n"
    for encoding in ("gb18030", "big5"):
        with pytest.raises(ValueError, match=r"data:2: the file must be UTF-8"):
            read(write(line.encode() + '{"text": "龍年大吉"}\n'.encode(encoding)))
    ascii_line = json.dumps(record) + "\n"
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        with pytest.raises(ValueError, match=r"data:1: the file must be UTF-8"):
            read(write((ascii_line * 2).encode(encoding)))


JUNK = [
    *(None, True, False, 0, -1, 10**30, 1.5, float("nan"), float("inf"), "", " ", "甲", "-", "x" * 100),
    *([], [[]], [None], ["0", 1], [{"start": "0"}], {}, {"text": 1}, {"text": "甲"}, {"甲": {"甲": 1}}),
    {"@value": None},
]


def _mutated(value, source):
    if source.random() < 0.15:
        return source.choice(JUNK)
    if isinstance(value, dict):
        kept = {key: _mutated(one, source) for key, one in value.items() if source.random() > 0.05}
        return kept | ({"id": source.choice(JUNK)} if source.random() < 0.1 else {})
    if isinstance(value, list):
        return [_mutated(one, source) for one in value] + ([source.choice(JUNK)] if source.random() < 0.1 else [])
    return value


@each_reader
def test_any_value_is_read_or_refused_by_name(read, record, write):
    source = random.Random(0)
    outcomes = set()
    for _ in range(60):
        records = [record, *(_mutated(record, source) for _ in range(2))]
        form = (
            dump(records, indent=source.choice([None, 1])) if source.random() < 0.5 else "\n".join(map(dump, records))
        )
        path = write(form)
        try:
            read(path)
            outcomes.add("read")
        except ValueError as error:
            assert str(error).startswith(f"{path}:")  # noqa: PT017
            outcomes.add("refused")
    assert "refused" in outcomes


ESCAPES = [
    "\\ud83d",
    "\\uDE00",
    "\\ud83d\\ude00",
    "\\\\",
    "\\u0041",
    "a",
    "\\n",
    "\\\\ud83d",
    "\ud7ff",
    "\ue000",
    "\\ud7ff",
]


def test_half_pairs_are_found_as_by_decoding(write):
    source = random.Random(0)
    refused = 0
    for _ in range(300):
        line = '{"text": "甲' + "".join(source.choices(ESCAPES, k=source.randint(1, 6))) + '"}'
        text = json.loads(line)["text"]
        try:
            text.encode()
        except UnicodeEncodeError:
            refused += 1
            with pytest.raises(ValueError, match=r"data:1: a text must be valid Unicode"):
                list(texts_of(write(line)))
        else:
            assert list(texts_of(write(line))) == [text]
    assert 50 < refused < 250
