import json

import pytest

import hf_ext
from hf_ext.tasks.events import (
    DataCollatorForEventExtraction,
    EventEncoder,
    decode_event_dataset,
    event_labels,
    event_scores,
    read_event_schema,
    read_events,
)
from hf_ext.tasks.events.labels import TRIGGER

TEXT = "5月份在华裁员 900余人"
EVENT = {
    "event_type": "组织-裁员",
    "trigger": "裁员",
    "trigger_start_index": 5,
    "arguments": [{"role": "人数", "argument": " 900余人", "argument_start_index": 7}],
}


def write(path, *records):
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), encoding="utf-8")
    return path


def test_formats_say_the_same(tmp_path):
    (example,) = read_events(write(tmp_path / "duee.json", {"text": TEXT, "event_list": [EVENT]}))
    (event,) = example["events"]
    assert [(one["role"], one["start"], one["text"]) for one in event["arguments"]] == [
        (TRIGGER, 5, "裁员"),
        ("人数", 8, "900余人"),
    ]
    assert read_events(write(tmp_path / "own.jsonl", example)) == [example]
    assert event_labels([example]) == ["组织-裁员|人数", f"组织-裁员|{TRIGGER}"]
    assert read_events(write(tmp_path / "test.json", {"text": TEXT})) == [{"text": TEXT}]
    mixed = read_events(write(tmp_path / "train.json", {"text": TEXT}, {"text": TEXT, "event_list": [EVENT]}))
    assert mixed == [{"text": TEXT, "events": []}, example]


def test_events_without_places_or_triggers(tmp_path, caplog):
    fin = {"event_type": "组织-裁员", "trigger": "裁员", "arguments": [{"role": "人数", "argument": "900余人"}]}
    bare = {key: value for key, value in fin.items() if key != "trigger"}
    lost = {"role": "环节", "argument": "筹备"}
    events = [
        fin,
        bare,
        {**bare, "trigger": ""},
        {**fin, "trigger": "开除", "arguments": [*fin["arguments"], lost]},
        {**bare, "arguments": [lost]},
    ]
    (example,) = read_events(write(tmp_path / "fin.json", {"text": TEXT, "title": "题", "event_list": events}))
    arguments = [[(one["role"], one["text"]) for one in event["arguments"]] for event in example["events"]]
    assert arguments == [[(TRIGGER, "裁员"), ("人数", "900余人")], *[[("人数", "900余人")]] * 3]
    assert "3 of 8 triggers and arguments are strings that are not in their text" in caplog.text
    assert read_events(write(tmp_path / "own.jsonl", example)) == [example]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({**EVENT, "trigger_start_index": 4}, "must be '裁员'"),
        ({**EVENT, "trigger_start_index": 50}, "characters"),
        ({**EVENT, "trigger": None}, "must have a string"),
        ({**EVENT, "event_type": "别的"}, "must be one of"),
        ({**EVENT, "event_type": "a|b"}, "without"),
        ({"event_type": "组织-裁员"}, "list of objects"),
    ],
)
def test_errors_name_file_and_line(tmp_path, event, message):
    path = write(tmp_path / "bad.json", {"text": "", "event_list": []}, {"text": TEXT, "event_list": [event]})
    with pytest.raises(ValueError, match=message) as error:
        read_events(path, ["组织-裁员|人数", f"组织-裁员|{TRIGGER}"])
    assert str(error.value).startswith(f"{path}:2: ")


def test_schema(tmp_path):
    path = write(tmp_path / "schema", {"event_type": "a", "role_list": [{"role": "b"}]})
    assert read_event_schema(path) == [f"a|{TRIGGER}", "a|b"]
    with pytest.raises(ValueError, match="at least one type"):
        read_event_schema(write(tmp_path / "empty"))


def test_rows_hold_the_arguments_that_lie_in_them(tmp_path):
    (example,) = read_events(write(tmp_path / "a.json", {"text": TEXT, "event_list": [EVENT]}))
    tokenizer = hf_ext.build_char_tokenizer([TEXT])
    encoder = EventEncoder(tokenizer, {"组织-裁员|人数": 0, f"组织-裁员|{TRIGGER}": 1})
    rows = encoder({"text": [TEXT], "events": [example["events"]]})
    # The space between the two makes no token.
    assert rows["labels"] == [[[0, 1, 6, 7], [0, 0, 8, 12]]]
    batch = DataCollatorForEventExtraction(tokenizer)([{name: column[0] for name, column in rows.items()}])
    assert batch["labels"].shape == (1, 2, 4)
    table = [[[*label, 1.0] for label in rows["labels"][0]]]
    columns = {"example_id": [0], "offset_mapping": rows["offset_mapping"]}
    names = {0: "组织-裁员|人数", 1: f"组织-裁员|{TRIGGER}"}
    (found,) = decode_event_dataset(table, _Columns(columns), [TEXT], names)
    assert event_scores([found], [example["events"]])["event_f1"] == 1.0


class _Columns(dict):
    def __len__(self):
        return len(self["example_id"])
