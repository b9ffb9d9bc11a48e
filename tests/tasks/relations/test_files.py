import json

import pytest
from linked_spans_oracle import to_duie

import hf_ext
from hf_ext.tasks.relations import (
    DataCollatorForRelationExtraction,
    RelationEncoder,
    decode_relation_dataset,
    read_relation_schema,
    read_relations,
    relation_labels,
)
from hf_ext.tasks.relations.encoding import join_slots

TEXT = "周迅凭《如果爱》获金像奖"
SPO = {"predicate": "获奖", "subject": "周迅", "object": {"@value": "金像奖", "inWork": "如果爱"}}


def write(path, *records):
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    return path


def test_formats_say_the_same(tmp_path):
    duie = read_relations(write(tmp_path / "duie.json", {"text": TEXT, "spo_list": [SPO]}))
    assert to_duie(duie[0]["relations"][0]) == SPO
    assert read_relations(write(tmp_path / "own.jsonl", *duie)) == duie
    assert relation_labels(duie) == ["获奖", "获奖|inWork"]
    plain = {**SPO, "object": "金像奖"}
    one = read_relations(write(tmp_path / "one.json", {"text": TEXT, "spo_list": [plain]}))
    assert one[0]["relations"][0] == {**duie[0]["relations"][0], "slots": []}


def test_schemas(shared, tmp_path):
    data = shared / "data"
    lines = (data / "duie1_subset" / "all_50_schemas").read_text(encoding="utf-8").splitlines()
    predicates = dict.fromkeys(json.loads(line)["predicate"] for line in lines)
    assert read_relation_schema(data / "duie1_subset" / "all_50_schemas") == [*predicates]
    names = read_relation_schema(data / "duie2_subset" / "duie_schema.json")
    lines = (data / "duie2_subset" / "train_part.json").read_text(encoding="utf-8").splitlines()
    examples = read_relations(data / "duie2_subset" / "train_part.json", names)
    assert [example["text"] for example in examples] == [json.loads(line)["text"] for line in lines]
    with pytest.raises(ValueError, match="at least one predicate"):
        read_relation_schema(write(tmp_path / "empty"))
    other = tmp_path / "gbk.json"
    other.write_bytes('{"predicate": "国籍"}'.encode("gbk"))
    with pytest.raises(ValueError, match=r"gbk\.json:1: the file must be UTF-8"):
        read_relation_schema(other)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": TEXT, "spo_list": [{**SPO, "predicate": "其他"}]}, "must be one of"),
        ({"text": TEXT, "spo_list": [{**SPO, "object": {"inWork": "如果爱"}}]}, "@value"),
        ({"text": TEXT, "spo_list": [{**SPO, "object": {"@value": "金像奖", "": "如果爱"}}]}, "slot of an object"),
        ({"text": TEXT, "spo_list": "x"}, "list 'relations' or 'spo_list'"),
        ({"text": 3}, "string 'text'"),
        (
            {
                "text": TEXT,
                "relations": [
                    {"predicate": "获奖", "subject": {"start": 0, "end": 2}, "object": {"start": 9, "end": 99}}
                ],
            },
            "12 characters",
        ),
        (
            {
                "text": TEXT,
                "relations": [
                    {
                        "predicate": "获奖",
                        "subject": {"start": 0, "end": 2},
                        "object": {"start": 9, "end": 12},
                        "slots": [{"name": ["inWork"], "start": 4, "end": 7}],
                    }
                ],
            },
            "a string name",
        ),
        ({"text": TEXT, "relations": [{"predicate": " ", "subject": {"start": 0, "end": 2}}]}, "not blank"),
    ],
)
def test_errors_name_file_and_line(tmp_path, record, message):
    path = write(tmp_path / "bad.json", {"text": "", "relations": []}, record)
    with pytest.raises(ValueError, match=message) as error:
        read_relations(path, ["获奖", "获奖|inWork"])
    assert str(error.value).startswith(f"{path}:2: ")


def test_lines_without_relations_are_to_be_predicted_all_or_none(tmp_path):
    assert read_relations(write(tmp_path / "test.json", {"text": TEXT}, {"text": ""})) == [{"text": TEXT}, {"text": ""}]
    with pytest.raises(ValueError, match=r"a\.json:1: the object must have a list 'relations' or 'spo_list'"):
        read_relations(write(tmp_path / "a.json", {"text": TEXT}, {"text": TEXT, "spo_list": []}))
    with pytest.raises(ValueError, match=r"b\.json:1: .* of objects, got .*None"):
        read_relations(write(tmp_path / "b.json", {"text": TEXT, "relations": [None]}))


def test_strings_that_do_not_occur_are_counted(tmp_path, caplog):
    path = write(tmp_path / "lost.json", {"text": TEXT, "spo_list": [SPO, {**SPO, "subject": "无"}]})
    assert len(read_relations(path)[0]["relations"]) == 1
    assert "1 of 2 relations" in caplog.text


def test_windows_and_batches(tmp_path):
    (example,) = read_relations(write(tmp_path / "a.json", {"text": TEXT * 3, "spo_list": [SPO]}))
    tokenizer = hf_ext.build_char_tokenizer([TEXT])
    encoder = RelationEncoder(tokenizer, {"获奖": 0, "获奖|inWork": 1}, max_length=16, stride=4)
    rows = encoder({"text": [example["text"]], "relations": [example["relations"]]}, [0])
    assert rows["labels"][0] == [[0, 1, 2, 10, 12], [1, 10, 12, 5, 7]]
    assert rows["lost_entities"] == [0] * len(rows["labels"])
    batch = DataCollatorForRelationExtraction(tokenizer)(
        [{name: column[row] for name, column in rows.items()} for row in range(len(rows["labels"]))]
    )
    assert batch["labels"].shape[1:] == (2, 5)
    table = [[[*label, 2.0] for label in labels] for labels in rows["labels"]]
    (found,) = decode_relation_dataset(table, _Columns(rows), [example["text"]], {0: "获奖", 1: "获奖|inWork"})
    assert [to_duie(one) for one in found] == [SPO]
    with pytest.raises(ValueError, match="predicate must be one of"):
        encoder({"text": [TEXT], "relations": [[{**example["relations"][0], "predicate": "其他"}]]})


class _Columns(dict):
    def __len__(self):
        return len(self["labels"])


def test_slots_of_several_objects_stay_apart():
    def span(start):
        return {"start": start, "end": start + 1, "text": str(start)}

    def link(name, a, b):
        return {"predicate": name, "subject": span(a), "object": span(b), "score": 1.0}

    links = [link("演", 0, 1), link("演", 0, 2), link("演|戏", 1, 3), link("演|戏", 2, 4), link("演|戏", 5, 6)]
    found = [(one["object"]["text"], [slot["text"] for slot in one["slots"]]) for one in join_slots(links)]
    assert found == [("1", ["3"]), ("2", ["4"])]
