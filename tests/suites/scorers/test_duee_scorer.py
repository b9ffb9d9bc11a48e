import json
import random
from itertools import permutations

import pytest

from hf_ext.suites.scorers import character_f1, duee_event_list, duee_scores
from hf_ext.suites.scorers.duee import check_duee_row

KIND, ROLE = "产品行为-发布", "发布方"


def event(*arguments, kind=KIND, role=ROLE):
    return {
        "event_type": kind,
        "arguments": [{"role": role, "argument": text, "alias": list(aliases)} for text, *aliases in arguments],
    }


def row(*events, identifier="x"):
    return {"id": identifier, "text": "…", "event_list": list(events)}


def slow_common(one, other):
    """The most characters that can be paired, by trying all pairings."""
    short, long = sorted((one.lower(), other.lower()), key=len)
    return max(sum(a == b for a, b in zip(short, order)) for order in permutations(long, len(short)))


def test_part_of_an_argument():
    """某公司 for 某某公司: 3 in common, F1 6/7; with a wrong argument beside it, and three true ones: 12/35."""
    true = row(event(["某某公司"]))
    assert duee_scores([row(event(["某公司"]))], [true])["f1"] == pytest.approx(6 / 7)
    true = row(event(["某某公司"]), event(["甲"], ["乙"], kind="竞赛行为-胜负"))
    scores = duee_scores([row(event(["某公司"], ["丁戊"]))], [true])
    parts = [scores[name] for name in ("precision", "recall", "f1")]
    assert parts == [pytest.approx(3 / 7), pytest.approx(2 / 7), pytest.approx(12 / 35)]


@pytest.mark.parametrize(
    ("found", "true", "f1"),
    [
        ("哈", "哈哈哈", 1 / 2),
        ("公司某", "某公司", 1.0),
        ("iPhone", "IPHONE", 1.0),
        ("甲", "乙", 0.0),
        ("", "", 0.0),
        ("", "甲", 0.0),
    ],
)
def test_characters_in_common(found, true, f1):
    assert character_f1(found, true) == pytest.approx(f1)


def test_characters_in_common_are_those_that_can_be_paired():
    draw = random.Random(0)
    for _ in range(200):
        one, other = ("".join(draw.choices("甲乙aA", k=draw.randint(1, 5))) for _ in range(2))
        common = slow_common(one, other)
        precision, recall = common / len(one), common / len(other)
        f1 = 2 * precision * recall / (precision + recall) if common else 0.0
        assert character_f1(one, other) == pytest.approx(f1)
        assert character_f1(other, one) == character_f1(one, other)


def test_type_role_and_text_must_be_right():
    true = [row(event(["某公司"])), row(identifier="y")]
    for found in (event(["某公司"], kind="人生-死亡"), event(["某公司"], role="时间")):
        assert duee_scores([row(found)], true)["f1"] == 0.0
    assert duee_scores([row(event(["某公司"]), identifier="y")], true)["f1"] == 0.0
    assert duee_scores([], true) == {
        "precision": 0.0, "recall": 0.0, "f1": 0.0, "score": 0.0, "predicted": 0, "expected": 1, "repeated": 0
    }  # fmt: skip


def test_the_best_alias_counts():
    true = [row(event(["北京大学", "北大", "PKU"]))]
    assert duee_scores([row(event(["pku"]))], true)["f1"] == 1.0
    assert duee_scores([row(event(["北大"]))], true)["f1"] == 1.0
    assert duee_scores([row(event(["北京"]))], true)["f1"] == pytest.approx(2 / 3)


def test_one_event_an_argument_scores_as_one_event_of_all():
    true = [row(event(["甲公司"], ["乙公司"]))]
    whole, apart = row(event(["甲公司"], ["乙"])), row(event(["甲公司"]), event(["乙"]))
    assert duee_scores([whole], true) == duee_scores([apart], true)


def test_repeated_arguments_are_told():
    scores = duee_scores([row(event(["甲"]), event(["甲"]))], [row(event(["甲"]))])
    assert (scores["recall"], scores["repeated"]) == (2.0, 1)


def test_scores_are_those_of_the_definition():
    draw = random.Random(0)
    for _ in range(150):
        sides = []
        for aliases in (0, 2):
            rows = []
            for number in range(4):
                events = []
                for _ in range(draw.randint(0, 3)):
                    strings = [
                        [
                            "".join(draw.choices("甲乙丙", k=draw.randint(1, 3)))
                            for _ in range(1 + draw.randint(0, aliases))
                        ]
                        for _ in range(draw.randint(0, 2))
                    ]
                    events.append(event(*strings, kind=draw.choice("KL"), role=draw.choice("RS")))
                rows.append(row(*events, identifier=str(number)))
            sides.append(rows)
        found, true = sides
        total, counts = 0.0, [0, 0]
        for mine, other in zip(found, true):
            flat = [
                [
                    (one["event_type"], a["role"], [a["argument"], *a["alias"]])
                    for one in side["event_list"]
                    for a in one["arguments"]
                ]
                for side in (mine, other)
            ]
            counts = [count + len(side) for count, side in zip(counts, flat)]
            for kind, role, strings in flat[0]:
                total += max(
                    (
                        2 * slow_common(strings[0], string) / (len(strings[0]) + len(string))
                        for of, as_role, others in flat[1]
                        if (of, as_role) == (kind, role)
                        for string in others
                    ),
                    default=0.0,
                )
        scores = duee_scores(found, true)
        assert scores["score"] == pytest.approx(total)
        assert [scores["predicted"], scores["expected"]] == counts
        assert scores["precision"] == pytest.approx(total / counts[0] if counts[0] else 0.0)
        assert scores["recall"] == pytest.approx(total / counts[1] if counts[1] else 0.0)
        draw.shuffle(found)
        draw.shuffle(true)
        assert duee_scores(found, true)["f1"] == pytest.approx(scores["f1"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"event_list": []}, "a string 'id'"),
        ({"id": "z"}, "a list 'event_list'"),
        ({"id": "z", "event_list": [{}]}, "a string 'event_type'"),
        ({"id": "z", "event_list": [{"event_type": "k"}]}, "a list 'arguments', got None"),
        ({"id": "z", "event_list": [{"event_type": "k", "arguments": [{"role": "r"}]}]}, "'role' and 'argument'"),
        (row(event(["甲"], role=3), identifier="z"), "'role' and 'argument'"),
        (
            {
                "id": "z",
                "event_list": [{"event_type": "k", "arguments": [{"role": "r", "argument": "a", "alias": "b"}]}],
            },
            "list of strings, got 'b'",
        ),
        (row(), "its id must be unlike that of another row, got 'x'"),
    ],
)
def test_rows_that_cannot_be_scored(wrong, message):
    with pytest.raises(ValueError, match=f"row 2 of references: .*{message}"):
        duee_scores([], [row(), wrong])
    assert check_duee_row(row()) is None


def test_unknown_ids_are_refused():
    with pytest.raises(ValueError, match="got the id 'y'"):
        duee_scores([row(identifier="y")], [row()])


def test_events_of_ours_as_a_submission():
    events = [
        {
            "type": KIND,
            "arguments": [
                {"role": "触发词", "text": "发布"},
                {"role": ROLE, "text": "某公司"},
                {"role": ROLE, "text": "某公司"},
                {"role": "时间", "text": "今"},
            ],
        },
        {"type": "人生-死亡", "arguments": [{"role": "触发词", "text": "死"}]},
    ]
    listed = duee_event_list(events)
    argument = {"role": ROLE, "argument": "某公司"}
    assert listed == [{"event_type": KIND, "arguments": [argument, {"role": "时间", "argument": "今"}]}]
    assert duee_event_list(listed) == listed
    assert duee_event_list(listed, shortest=2) == [{"event_type": KIND, "arguments": [argument]}]
    assert duee_event_list(listed, shortest=4) == []


def test_real_events_score_all_against_themselves(shared):
    path = shared / "data" / "duee1" / "duee_dev.json"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    scores = duee_scores(rows, rows)
    assert scores["f1"] == pytest.approx(1.0)
    assert scores["predicted"] > 3000
