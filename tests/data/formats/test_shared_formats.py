"""Files of annotation tools and published sets, each told by its content and read by every task that it serves."""

import json

import pytest

from hf_ext.data.formats.registry import formats
from hf_ext.data.formats.source import Source
from hf_ext.tasks.base.task_files import task_files

TEXT = "小林在南山大学教书😀，住在南山。"
# Places in code points; label-studio counts two for the emoji.
ENTITIES = [(0, 2, "人"), (3, 7, "校"), (13, 15, "地")]


def entities_of(examples):
    return [(x["text"], [(e["start"], e["end"], e["label"]) for e in x["entities"]]) for x in examples]


def surfaces(example, spans):
    return [example["text"][span["start"] : span["end"]] for span in spans]


def relation(subject, predicate, target, slots=()):
    (a, b), (c, d) = subject, target
    slots = [{"name": name, "start": e, "end": f, "text": TEXT[e:f]} for name, e, f in slots]
    return {
        "predicate": predicate,
        "subject": {"start": a, "end": b, "text": TEXT[a:b]},
        "object": {"start": c, "end": d, "text": TEXT[c:d]},
        "slots": slots,
    }


RELATIONS = [relation((0, 2), "任教", (3, 7), [("地点", 13, 15)]), relation((0, 2), "居住", (13, 15))]
EVENT = {
    "type": "任职",
    "arguments": [
        {"role": "触发词", "start": 7, "end": 9, "text": "教书"},
        {"role": "人员", "start": 0, "end": 2, "text": "小林"},
        {"role": "单位", "start": 3, "end": 7, "text": "南山大学"},
    ],
}


def utf16(place):
    return len(TEXT[:place].encode("utf-16-le")) // 2


def doccano_span(number, start, end, label):
    return {"id": number, "label": label, "start_offset": start, "end_offset": end}


def doccano_link(number, source, target, label):
    return {"id": number, "from_id": source, "to_id": target, "type": label}


def studio_span(name, start, end, label):
    value = {"start": utf16(start), "end": utf16(end), "text": TEXT[start:end], "labels": [label]}
    return {"id": name, "from_name": "label", "to_name": "text", "type": "labels", "value": value}


def studio_link(source, target, label, direction="right"):
    return {"from_id": source, "to_id": target, "type": "relation", "direction": direction, "labels": [label]}


def studio(*results, data=None, key="annotations", **more):
    return {"id": 7, "data": data or {"text": TEXT}, key: [{"id": 1, "result": list(results), **more}], "meta": {}}


SPANS = [doccano_span(n, *one) for n, one in enumerate(ENTITIES)]
LINKS = [doccano_link(0, 0, 1, "任教"), doccano_link(1, 1, 2, "任教|地点"), doccano_link(2, 0, 2, "居住")]
EVENT_SPANS = [
    doccano_span("t", 7, 9, "任职"),
    doccano_span("a", 0, 2, "argument"),
    doccano_span("b", 3, 7, "argument"),
]
EVENT_LINKS = [doccano_link(0, "t", "a", "人员"), doccano_link(1, "t", "b", "单位")]
STUDIO_SPANS = [studio_span(str(n), *one) for n, one in enumerate(ENTITIES)]
STUDIO_LINKS = [
    studio_link("0", "1", "任教"),
    studio_link("2", "1", "任教|地点", "left"),
    studio_link("0", "2", "居住"),
]
STUDIO_EVENT = [
    studio_span("t", 7, 9, "任职"),
    studio_span("a", 0, 2, "argument"),
    studio_span("b", 3, 7, "argument"),
    studio_link("t", "a", "人员"),
    studio_link("t", "b", "单位"),
]
SMALL = [{"start": utf16(a), "end": utf16(b), "text": TEXT[a:b], "labels": [label]} for a, b, label in ENTITIES]
TAGS = ["B-人", "I-人", "O", "B-校", "I-校", "I-校", "I-校", "O", "O", "O", "O", "O", "O", "B-地", "I-地", "O"]

# A JSON record, the format that it is in, and what the tasks read in it.
ALL = [{"text": TEXT, "entities": [dict(zip(("start", "end", "label"), one)) for one in ENTITIES]}]
RECORDS = {
    "doccano": ({"id": 1, "text": TEXT, "label": [list(one) for one in ENTITIES]}, "doccano", {"ner": ALL}),
    "doccano's old labels": ({"data": TEXT, "labels": [list(one) for one in ENTITIES]}, "doccano", {"ner": ALL}),
    "doccano before 1": ({"text": TEXT, "annotations": SPANS, "meta": {}}, "doccano", {"ner": ALL}),
    "doccano with relations": (
        {"text": TEXT, "entities": SPANS, "relations": LINKS, "Comments": []},
        "doccano",
        {"ner": ALL, "relations": [{"text": TEXT, "relations": RELATIONS}]},
    ),
    "doccano with events": (
        {"text": TEXT, "entities": EVENT_SPANS, "relations": EVENT_LINKS},
        "doccano",
        {"events": [{"text": TEXT, "events": [EVENT]}]},
    ),
    "doccano, intents": (
        {"text": TEXT, "entities": [list(one) for one in ENTITIES], "cats": ["住", "教"]},
        "doccano",
        {"ner": ALL, "classification": [{"text": TEXT, "labels": ["住", "教"]}]},
    ),
    "doccano, a class": (
        {"text": TEXT, "label": ["住"]},
        "doccano",
        {
            "classification": [{"text": TEXT, "label": "住"}],
            "summarization": [{"text": TEXT, "summary": "住"}],
            "paraphrase": [{"text": TEXT, "synonyms": ["住"]}],
        },
    ),
    "doccano, several": (
        {"text": TEXT, "label": ["住", "教"]},
        "doccano",
        {
            "classification": [{"text": TEXT, "labels": ["住", "教"]}],
            "summarization": [{"text": TEXT, "summary": "住"}, {"text": TEXT, "summary": "教"}],
            "paraphrase": [{"text": TEXT, "synonyms": ["住", "教"]}],
        },
    ),
    "doccano, a class before 1": (
        {"text": TEXT, "annotations": [{"label": 3, "user": 1}]},
        "doccano",
        {"classification": [{"text": TEXT, "label": "3"}]},
    ),
    "doccano, a text before 1": (
        {"text": TEXT, "annotations": [{"text": "住", "user": 1}]},
        "doccano",
        {"summarization": [{"text": TEXT, "summary": "住"}]},
    ),
    "label-studio": (
        studio(*STUDIO_SPANS, *STUDIO_LINKS),
        "label-studio",
        {"ner": ALL, "relations": [{"text": TEXT, "relations": RELATIONS}]},
    ),
    "label-studio before 1": (studio(*STUDIO_SPANS, key="completions"), "label-studio", {"ner": ALL}),
    "label-studio's events": (studio(*STUDIO_EVENT), "label-studio", {"events": [{"text": TEXT, "events": [EVENT]}]}),
    "label-studio's choices": (
        studio({"type": "choices", "value": {"choices": ["住"]}}, data={"title": TEXT}),
        "label-studio",
        {"classification": [{"text": TEXT, "label": "住"}]},
    ),
    "label-studio's choices of a pair": (
        studio({"type": "choices", "value": {"choices": ["是", "否"]}}, data={"text1": TEXT, "text2": "住", "n": 3}),
        "label-studio",
        {"classification": [{"text": TEXT, "text2": "住", "labels": ["否", "是"]}]},
    ),
    "label-studio's texts": (
        studio({"type": "textarea", "value": {"text": ["住", "教"]}}),
        "label-studio",
        {"paraphrase": [{"text": TEXT, "synonyms": ["住", "教"]}]},
    ),
    "label-studio, small": (
        {"text": TEXT, "id": 7, "label": SMALL, "annotator": 1, "annotation_id": 4, "created_at": "2024"},
        "label-studio",
        {"ner": ALL},
    ),
    "label-studio, a small choice": (
        {"text": TEXT, "id": 7, "sentiment": "好", "annotator": 1, "annotation_id": 4, "updated_at": "2024"},
        "label-studio",
        {"classification": [{"text": TEXT, "label": "好"}], "paraphrase": [{"text": TEXT, "synonyms": ["好"]}]},
    ),
    "label-studio, small choices": (
        {"sentence1": TEXT, "sentence2": "住", "topic": {"choices": ["好", "坏"]}, "annotation_id": 4},
        "label-studio",
        {"classification": [{"text": TEXT, "text2": "住", "labels": ["坏", "好"]}]},
    ),
    "cmeee": (
        {
            "text": TEXT,
            "entities": [{"start_idx": a, "end_idx": b - 1, "type": x, "entity": TEXT[a:b]} for a, b, x in ENTITIES],
        },
        "cmeee",
        {"ner": ALL},
    ),
    "cmeee, ends behind": (
        {
            "text": TEXT,
            "entities": [{"start_idx": a, "end_idx": b, "type": x, "entity": TEXT[a:b]} for a, b, x in ENTITIES],
        },
        "cmeee",
        {"ner": ALL},
    ),
    "imcs": (
        {"10001": {"dialogue": [{"sentence": TEXT, "BIO_label": " ".join(TAGS)}], "report": []}},
        "imcs",
        {"ner": ALL},
    ),
    "chid": (
        {"candidates": ["甲", "乙"], "content": [f"{TEXT}#idiom01#，#idiom02#"]},
        "chid",
        {
            "multiple-choice": [
                {"text": f"{TEXT}#idiom01#，#idiom02#", "blank": one, "choices": ["甲", "乙"], "group": 0}
                for one in ("#idiom01#", "#idiom02#")
            ]
        },
    ),
    "chid of FewCLUE": (
        {"id": 5, "candidates": ["甲", "乙"], "content": f"{TEXT}#idiom#", "answer": 1},
        "chid",
        {
            "multiple-choice": [
                {"text": f"{TEXT}#idiom#", "blank": "#idiom#", "choices": ["甲", "乙"], "id": 5, "label": 1}
            ]
        },
    ),
    "token lists": ({"tokens": [*TEXT], "ner_tags": TAGS}, "token-lists", {"ner": ALL}),
    "lists under other names": ({"id": 3, "text": [*TEXT], "labels": TAGS}, "token-lists", {"ner": ALL}),
}
# The same of files of text.
FILES = {
    "msra's columns": (f"text_a\tlabel\n{chr(2).join(TEXT)}\t{chr(2).join(TAGS)}\n", "token-lists", {"ner": ALL}),
    "msra's words": (
        "今天/o 小林/nr 到/o 南山市/ns 的/o 晚报/nt\n",
        "tagged-words",
        {"ner": [("今天小林到南山市的晚报", [(2, 4, "nr"), (5, 8, "ns"), (9, 11, "nt")])]},
    ),
    "people's daily": (
        "19980101-01-001-001/m  林/nr  小山/nr  在/p  [南山/ns  电台/n]nt  、/w  [大/a 海/n]nz\n\n"
        "19980101-01-001-002/m  好/a\n",
        "tagged-words",
        {
            "ner": [
                ("林小山在南山电台、大海", [(0, 3, "nr"), (4, 6, "ns"), (4, 8, "nt"), (9, 11, "nz")]),
                ("好", []),
            ]
        },
    ),
    "conll of four columns": (
        "-DOCSTART- -X- -X- O\n\n# id 1\nKim NNP B-NP B-PER\nlives VBZ B-VP O\nin IN B-PP O\nNew NNP B-NP B-LOC\n"
        "York NNP I-NP I-LOC\n. . O O\n",
        "conll",
        {"ner": [("Kim lives in New York.", [(0, 3, "PER"), (13, 21, "LOC")])]},
    ),
}


def write(folder, content, name="data"):
    path = folder / name
    path.write_bytes(content.encode())
    return path


def read(task, path):
    examples = [dict(one) for one in task_files()[task].read(path)]
    return entities_of(examples) if task == "ner" else examples


def wanted(task, expected):
    return entities_of(expected) if task == "ner" and isinstance(expected[0], dict) else expected


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_told_and_read_in_any_form(name, tmp_path):
    record, form, expected = RECORDS[name]
    line = json.dumps(record, ensure_ascii=False)
    whole = name in ("imcs", "chid")
    # A dialogue's number stands for all its sentences, once, and so does a blank's.
    twice = [line, f"[{line},\n{line}]", f"{line}\r\n \r\n{line}\r\n", f"\ufeff{json.dumps([record] * 2, indent=1)}"]
    for content in [line, f"\ufeff{json.dumps(record, indent=1)}"] if whole else twice:
        path = write(tmp_path, content)
        assert [one.name for one in formats().values() if one.found(Source(path))] == [form]
        for task, examples in expected.items():
            assert read(task, path) == wanted(task, examples * (1 if whole or content == line else 2))


@pytest.mark.parametrize("name", FILES)
def test_files_of_text_are_told_and_read(name, tmp_path):
    content, form, expected = FILES[name]
    for variant in (content, "\ufeff" + content, content.replace("\n", "\r\n")):
        path = write(tmp_path, variant)
        assert [one.name for one in formats().values() if one.found(Source(path))] == [form]
        for task, examples in expected.items():
            assert read(task, path) == wanted(task, examples)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "一句话。\n",
        '{"text": "甲"}\n',
        '{"text": "甲", "label": "x"}\n',
        '{"text": "甲", "labels": ["x"]}\n',
        '{"text": "甲", "label": {"x": {"甲": [[0, 0]]}}}\n',
        '{"text": "甲", "entities": [{"start": 0, "end": 1, "label": "x"}], "relations": []}\n',
        '{"text": "甲", "entities": []}\n',
        '{"data": [{"paragraphs": []}]}',
        "甲\tx\n",
        "甲\t乙\t1\n",
        "text_a\tlabel\n甲\tx\n",
    ],
)
def test_files_of_one_task_are_of_no_shared_format(content, tmp_path):
    assert [one.name for one in formats().values() if one.found(Source(write(tmp_path, content)))] == []


def test_a_format_without_the_content_is_named(tmp_path):
    path = write(tmp_path, "甲 B-x\n")
    with pytest.raises(
        ValueError, match=r"data:1: there must be relations, got 'a file in the format conll, which has"
    ):
        task_files()["relations"].read(path)


DOCCANO = {"text": TEXT, "label": [[0, 2, "人"]]}
LINKED = {"text": TEXT, "entities": SPANS, "relations": LINKS}
TOLD = {"text": TEXT, "entities": EVENT_SPANS, "relations": EVENT_LINKS}
STUDIO = studio(*STUDIO_SPANS)
CMEEE = {"text": TEXT, "entities": [{"start_idx": 0, "end_idx": 1, "type": "人", "entity": "小林"}]}
LISTS = {"tokens": ["小", "林"], "tags": ["B-人", "I-人"]}


def changed(record, **more):
    return {**record, **more}


def misplaced(**more):
    return studio({**STUDIO_SPANS[0], "value": {**STUDIO_SPANS[0]["value"], **more}})


BAD = [
    ("ner", DOCCANO, changed(DOCCANO, label=[[0, 99, "人"]]), "must lie within the text of 16"),
    ("ner", DOCCANO, changed(DOCCANO, label=[[0, 2]]), r"a span must be \[start, end, label\]"),
    ("ner", DOCCANO, changed(DOCCANO, label="人"), "label must be a list"),
    ("ner", DOCCANO, {"text": TEXT}, "a key 'entities' or 'label'"),
    ("ner", DOCCANO, {"label": []}, "a string 'text' or 'data'"),
    ("relations", LINKED, changed(LINKED, relations=[doccano_link(0, 0, 9, "任教")]), "spans that are there, got '9'"),
    ("relations", LINKED, changed(LINKED, relations=[doccano_link(0, [0], 1, "x")]), "spans that are there"),
    ("relations", LINKED, changed(LINKED, relations=[doccano_link(0, 0, 1, None)]), "a link must have a label"),
    ("relations", LINKED, changed(LINKED, relations=LINKS[1:]), "one relation '任教', not of 0"),
    ("relations", LINKED, changed(LINKED, relations=[*LINKS, doccano_link(3, 2, 1, "任教")]), "not of 2"),
    ("relations", LINKED, changed(LINKED, entities=[SPANS[0], *SPANS]), "a name of its own, and one label, got '0'"),
    ("events", TOLD, changed(LINKED, relations=[doccano_link(0, {}, [], "x")]), "spans that are there"),
    ("relations", LINKED, changed(LINKED, relations=[3]), "relations must be objects"),
    ("relations", LINKED, changed(LINKED, entities=[{"label": "x"}]), "entities must be objects with an 'id'"),
    ("relations", LINKED, DOCCANO, "lists 'entities' and 'relations'"),
    ("events", TOLD, changed(LINKED, relations=LINKS[:2]), "the argument of an event must not be the trigger"),
    ("ner", STUDIO, misplaced(end=3), "the text at 0 to 3 must be '小林', got '小林在'"),
    ("ner", STUDIO, misplaced(end=99), "within the text of 17 characters of UTF-16"),
    ("ner", STUDIO, misplaced(start="0"), "integers start and end"),
    ("ner", STUDIO, misplaced(labels=[]), "a list of labels"),
    ("ner", STUDIO, studio({"type": "rectanglelabels", "value": {}}), "results must be of the type labels"),
    ("ner", STUDIO, studio(3), "a result must be a list of objects"),
    (
        "ner",
        STUDIO,
        changed(STUDIO, annotations=[*STUDIO["annotations"]] * 2),
        "one annotation, .* got '2 annotations'",
    ),
    ("ner", STUDIO, studio(*STUDIO_SPANS, data={"a": "x", "b": "y"}), "a string 'text', or one string"),
    ("relations", STUDIO, studio(*STUDIO_SPANS, STUDIO_SPANS[0]), "a name of its own, and one label, got '0'"),
    ("relations", STUDIO, studio(*STUDIO_SPANS, studio_link("0", "9", "x")), "spans that are there"),
    ("relations", STUDIO, studio(*STUDIO_SPANS, {**STUDIO_LINKS[0], "labels": []}), "a relation must have one label"),
    ("relations", STUDIO, studio(*STUDIO_SPANS, studio_link("0", "1", "x", "bi")), "direction of a relation"),
    ("relations", STUDIO, {"text": TEXT, "label": SMALL, "annotation_id": 1}, "relations are in the full export"),
    ("ner", CMEEE, changed(CMEEE, entities=[{**CMEEE["entities"][0], "end_idx": 3}]), r"\[0, 3\] must be '小林'"),
    ("ner", CMEEE, changed(CMEEE, entities=[{"start_idx": 0, "end_idx": 1, "type": "x"}]), "its string entity"),
    ("ner", CMEEE, {"text": TEXT}, "a key 'entities' or 'label'"),
    ("ner", LISTS, changed(LISTS, tags=["O"]), "as many tags as tokens, got '2 and 1'"),
    ("ner", LISTS, changed(LISTS, tags=[1, 2]), "a name such as B-PER, not its number"),
    ("ner", LISTS, changed(LISTS, tags=["O", "X-人"]), "a tag must be O or a label after"),
    ("ner", LISTS, changed(LISTS, tokens=["小", ""]), "a token must be a string that is not empty"),
]


@pytest.mark.parametrize(("task", "good", "bad", "message"), BAD)
def test_each_refused_part_has_file_and_line(task, good, bad, message, tmp_path):
    path = write(tmp_path, "\n\n".join(json.dumps(one, ensure_ascii=False) for one in (good, bad, good)))
    with pytest.raises(ValueError, match=message) as error:
        task_files()[task].read(path)
    assert str(error.value).startswith(f"{path}:3: ")


IMCS = """{"1": {"dialogue": [{"sentence": "好", "BIO_label": "O"}]},
"2": {"dialogue": [{"sentence": "好", "BIO_label": "O O"}]}}"""


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("南山/ns\n好 天/n\n", 2, "followed by a slash and its tag, got '好'"),
        ("[南山/ns\n", 1, "a bracket must be closed"),
        ("[南山/ns [好/a]nt\n", 1, "closed before the next"),
        ("南山/ns\n好/a]nt\n", 2, "opened before it is closed"),
        ("text_a\tlabel\n小\x02林\tO\x02O\n小\x02林\tO\n", 3, "as many tags as tokens"),
        ("小\x02林\tO\x02O\n小\x02林\n", 2, "2 columns separated by a tab"),
        (IMCS, 2, "as many tags as tokens, got '1 and 2'"),
    ],
)  # fmt: skip
def test_refused_lines_of_text(content, line, message, tmp_path):
    path = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        task_files()["ner"].read(path)
    assert str(error.value).startswith(f"{path}:{line}: ")


def test_label_studio_counts_in_utf16_or_code_points(tmp_path):
    text = "😀小林😀\n南山"
    spans = [(2, 4, "小林"), (1, 3, "小林"), (6, 9, "\\n南山"), (7, 9, "南山"), (5, 7, "南山")]
    results = [{"type": "labels", "value": {"start": a, "end": b, "text": t, "labels": [f"{a}"]}} for a, b, t in spans]
    path = write(tmp_path, json.dumps([studio(*results, data={"text": text})]))
    found = [(one["label"], one["start"], one["end"]) for one in task_files()["ner"].read(path)[0]["entities"]]
    assert found == [("1", 1, 3), ("2", 1, 3), ("6", 4, 7), ("5", 5, 7), ("7", 5, 7)]


def test_each_task_takes_its_results_of_label_studio(tmp_path):
    choice = {"type": "choices", "from_name": "mood", "value": {"choices": ["好"]}}
    written = {"type": "textarea", "from_name": "other", "value": {"text": ["教书"]}}
    path = write(tmp_path, json.dumps([studio(*STUDIO_SPANS, choice, written), studio()]))
    files = task_files()
    assert [len(one["entities"]) for one in files["ner"].read(path)] == [3, 0]
    assert [one["labels"] for one in files["classification"].read(path)] == [["好"], []]
    path = write(tmp_path, json.dumps([studio(), studio(choice, written)], indent=1))
    with pytest.raises(ValueError, match=r"data:\d+: there must be results of the type labels, got 'choices'"):
        files["ner"].read(path)
    path = write(tmp_path, json.dumps([studio(choice), studio({**choice, "from_name": "topic"})]))
    with pytest.raises(ValueError, match=r"those of one question, got 'mood and topic'"):
        files["classification"].read(path)
    small = {"text": TEXT, "source": "web", "mood": "好", "annotation_id": 4}
    with pytest.raises(ValueError, match=r"data:1: the choices .*, got 'source and mood'"):
        files["classification"].read(write(tmp_path, json.dumps(small)))


def test_label_studio_takes_what_holds(tmp_path, caplog):
    one, other = {"result": STUDIO_SPANS[:1]}, {"result": []}
    tasks = [
        changed(STUDIO, annotations=[{**other, "was_cancelled": True}, one]),
        changed(STUDIO, annotations=[other, {**one, "ground_truth": True}]),
        changed(STUDIO, annotations=[]),
        changed(STUDIO, annotations=[other]),
    ]
    examples = task_files()["ner"].read(write(tmp_path, json.dumps(tasks)))
    assert [len(example["entities"]) for example in examples] == [1, 1, 0]
    assert "1 tasks without an annotation are left out" in caplog.text


@pytest.mark.parametrize(
    ("task", "content"),
    [
        ("ner", {"id": 1, "text": TEXT}),
        ("relations", {"text": TEXT}),
        ("events", {"text": TEXT, "id": "3", "title": "题"}),
        ("ner", {"1": {"dialogue": [{"sentence": TEXT, "speaker": "x"}]}}),
    ],
)
def test_files_to_be_predicted_have_texts_alone(task, content, tmp_path):
    assert task_files()[task].read(write(tmp_path, json.dumps(content))) == [{"text": TEXT}]


def test_sentences_of_imcs_are_examples(tmp_path):
    turns = [
        {"sentence": "头疼 了", "BIO_label": "B-Symptom I-Symptom O O"},
        {"sentence": "", "BIO_label": ""},
        {"sentence": "好", "BIO_label": "O"},
    ]
    wanted = [("头疼 了", [(0, 2, "Symptom")]), ("好", [])]
    for value in ({"1": {"dialogue": turns}}, [{"dialogue": turns}], {"dialogue": turns}):
        assert read("ner", write(tmp_path, json.dumps(value))) == wanted
    assert read("ner", write(tmp_path, json.dumps({"1": {"dialogue": turns}, "2": {"dialogue": turns}}))) == wanted * 2
