import random
from itertools import product

import pytest

from hf_ext.suites.scorers import (
    SlotLink,
    duie_scores,
    join_slots,
    read_aliases,
    read_duie_schema,
    spo_of_relation,
    with_types,
)
from hf_ext.suites.scorers.duie import check_duie_row


def spo(subject, predicate, value, **slots):
    return {"subject": subject, "predicate": predicate, "object": {"@value": value, **slots}}


def row(text, *listed):
    return {"text": text, "spo_list": list(listed)}


def numbers(predictions, references, aliases=None):
    scores = duie_scores(predictions, references, aliases)
    return [scores[name] for name in ("right", "predicted", "found", "expected")]


def slow_numbers(predictions, references, aliases):
    """Right, predicted, found and expected triples, as the script goes about it."""

    def plain(text):
        text = text.lower()
        return text[1:-1] if text[:1] == "《" and text[-1:] == "》" else text

    def means(word, other):
        return other in {word} | aliases.get(word, set())

    def same(looked_for, listed):
        (subject, predicate, slots), (other, of, others) = looked_for, listed
        if predicate != of or not means(subject, other) or set(slots) != set(others):
            return False
        return all(means(slots[name], others[name]) and means(others[name], slots[name]) for name in slots)

    def different(triples):
        kept = []
        for triple in triples:
            if not any(same(triple, one) for one in kept):
                kept.append(triple)
        return kept

    sides = []
    for rows in (predictions, references):
        side = {}
        for one in rows:
            side[one["text"]] = [
                (plain(s["subject"]), s["predicate"], {name: plain(v) for name, v in s["object"].items()})
                for s in one["spo_list"]
            ]
        sides.append(side)
    counts = [0, 0, 0, 0]
    for text, triples in sides[1].items():
        mine, true = sides[0].get(text, []), different(triples)
        counts[0] += sum(any(same(one, other) for other in true) for one in different(mine))
        counts[1] += len(different(mine))
        counts[2] += sum(any(same(one, other) for other in mine) for one in true)
        counts[3] += len(true)
    return counts


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        # Title marks and case do not matter, of subject or value.
        ([spo("甲", "作者", "Bob")], [spo("《甲》", "作者", "《bob》")], [1, 1, 1, 1]),
        # One pair of marks goes, and only a whole pair.
        ([spo("甲", "作者", "b")], [spo("《《甲》》", "作者", "b")], [0, 1, 0, 1]),
        ([spo("甲", "作者", "b")], [spo("《甲", "作者", "b")], [0, 1, 0, 1]),
        # The same triple twice counts once, on either side.
        ([spo("甲", "作者", "b"), spo("《甲》", "作者", "B")], [spo("甲", "作者", "b")], [1, 1, 1, 1]),
        ([spo("甲", "作者", "b")], [spo("甲", "作者", "b"), spo("甲", "作者", "b")], [1, 1, 1, 1]),
        # With a slot missing or too many it is wrong for both sides.
        ([spo("甲", "票房", "1亿")], [spo("甲", "票房", "1亿", inArea="中国")], [0, 1, 0, 1]),
        ([spo("甲", "票房", "1亿", inArea="中国")], [spo("甲", "票房", "1亿")], [0, 1, 0, 1]),
        ([spo("甲", "票房", "1亿", inArea="中国")], [spo("甲", "票房", "1亿", inArea="中国")], [1, 1, 1, 1]),
        # Predicates are compared as they stand.
        ([spo("甲", "CEO", "b")], [spo("甲", "ceo", "b")], [0, 1, 0, 1]),
        ([], [spo("甲", "作者", "b")], [0, 0, 0, 1]),
        ([spo("甲", "作者", "b")], [], [0, 1, 0, 0]),
    ],
)
def test_triples(found, true, expected):
    assert numbers([row("t", *found)], [row("t", *true)]) == expected


def test_types_are_not_compared():
    found = {**spo("甲", "作者", "b"), "subject_type": "人物", "object_type": {"@value": "地点"}}
    assert numbers([row("t", found)], [row("t", spo("甲", "作者", "b"))]) == [1, 1, 1, 1]


def test_rows_go_by_their_texts():
    """Of equal texts the last counts; a text that is not asked for does not."""
    one, other = spo("甲", "作者", "b"), spo("乙", "作者", "b")
    assert numbers([row("t", one), row("t", other)], [row("t", one)]) == [0, 1, 0, 1]
    assert numbers([row("t", other), row("t", one)], [row("t", one)]) == [1, 1, 1, 1]
    assert numbers([row("t", one)], [row("t", one, other), row("t", one)]) == [1, 1, 1, 1]
    scores = duie_scores([row("t", one), row("u", other)], [row("t", other), row("t", one)])
    assert [scores[name] for name in ("f1", "texts", "repeated_texts", "unknown_texts")] == [1.0, 1, 1, 1]
    assert duie_scores([row("T", one)], [row("t", one)])["f1"] == 0.0


@pytest.mark.parametrize(
    ("aliases", "subject", "value", "expected"),
    [
        # Named in both lines, aliases are right.
        ({"北京": {"京城"}, "京城": {"北京"}}, "京城", "京城", [1, 1, 1, 1]),
        # Named in one line alone they do nothing for values, and for subjects help the side that is looked for.
        ({"北京": {"京城"}}, "北京", "京城", [0, 1, 0, 1]),
        ({"京城": {"北京"}}, "北京", "京城", [0, 1, 0, 1]),
        ({"北京": {"京城"}}, "京城", "北京", [0, 1, 1, 1]),
        ({"京城": {"北京"}}, "京城", "北京", [1, 1, 0, 1]),
        ({}, "京城", "北京", [0, 1, 0, 1]),
    ],
)
def test_aliases(aliases, subject, value, expected):
    true = [row("t", spo("北京", "p", "北京"))]
    assert numbers([row("t", spo(subject, "p", value))], true, aliases) == expected
    if "京城" in aliases and "北京" in aliases:
        # The same in other words, twice.
        twice = [row("t", spo("京城", "p", "京城"), spo("北京", "p", "京城"))]
        assert numbers(twice, true, aliases) == [1, 1, 1, 1]


def test_file_of_aliases(tmp_path):
    path = tmp_path / "alias.txt"
    path.write_text("Beijing\tPeking\t北京\n\n北京\t京城 \nlone\nbeijing\tBJ\n", encoding="utf-8")
    assert read_aliases(path) == {"beijing": {"bj"}, "北京": {"京城"}, "lone": set()}


@pytest.mark.parametrize("aliases", [{}, {"a": {"b"}, "b": {"a", "c"}, "c": {"b"}}, {"a": {"b"}, "c": {"a"}}])
def test_scores_are_those_of_the_definition(aliases):
    draw = random.Random(len(aliases))
    words = ["a", "B", "c", "《a》"]
    every = [
        spo(subject, predicate, value, **slots)
        for subject, predicate, value, slots in product(words, "pq", words, ({}, {"s": "a"}, {"s": "b"}))
    ]
    for _ in range(150):
        rows = [
            [row(draw.choice("tuv"), *draw.choices(every, k=draw.randint(0, 6))) for _ in range(draw.randint(0, 4))]
            for _ in range(2)
        ]
        assert numbers(*rows, aliases) == slow_numbers(*rows, aliases)
        scores = duie_scores(*rows, aliases)
        assert scores["precision"] == (scores["right"] / scores["predicted"] if scores["predicted"] else 0.0)
        assert scores["recall"] == (scores["found"] / scores["expected"] if scores["expected"] else 0.0)
        # Each text once, the order of the rows does not matter.
        rows = [list({one["text"]: one for one in side}.values()) for side in rows]
        scores = duie_scores(*rows, aliases)
        for side in rows:
            draw.shuffle(side)
        assert duie_scores(*rows, aliases) == scores
        # Nor, without aliases, does that of the triples, or how often they come.
        if not aliases:
            for one in rows[0]:
                one["spo_list"] = draw.sample(one["spo_list"] * 2, k=2 * len(one["spo_list"]))
            assert duie_scores(*rows) == scores


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"spo_list": []}, "an object with a string 'text'"),
        ([], "an object with a string 'text'"),
        ({"text": "t"}, "a list 'spo_list'"),
        ({"text": "t", "spo_list": "p"}, "a list 'spo_list'"),
        (row("t", ["a", "p", "b"]), "must be an object, got list"),
        (row("t", {"subject": "a", "predicate": "p"}), "object of an entry of spo_list must be an object of slots"),
        (row("t", {"subject": "a", "predicate": "p", "object": "b"}), "must be an object of slots, got 'b'"),
        (row("t", {"subject": 1, "predicate": "p", "object": {}}), "subject of .* must be a string, got 1"),
        (row("t", {"subject": "a", "object": {}}), "predicate of .* must be a string, got None"),
        (row("t", spo("a", "p", 3)), "slots of an object must be strings, got 3"),
    ],
)
def test_rows_that_stop_the_script(wrong, message):
    fine = row("s", spo("a", "p", "b"))
    with pytest.raises(ValueError, match=f"row 2 of predictions: .*{message}"):
        duie_scores([fine, wrong], [fine])
    with pytest.raises(ValueError, match="row 1 of references"):
        duie_scores([fine], [wrong])
    assert check_duie_row(wrong) is not None
    assert check_duie_row(fine) is None


def test_real_relations_score_all_against_themselves(shared):
    import json

    path = shared / "data" / "duie2_subset" / "train_part.json"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:300]]
    scores = duie_scores(rows, rows)
    assert scores["f1"] == 1.0
    assert scores["right"] == scores["predicted"] == scores["found"] == scores["expected"] > 300


def test_each_value_is_an_entry_of_its_own():
    links = [
        SlotLink("片", "配音", "inWork", "戏", "乙"),
        SlotLink("片", "主演", "@value", "甲"),
        SlotLink("片", "配音", "@value", "甲"),
        SlotLink("片", "配音", "@value", "乙"),
        SlotLink("片", "主演", "@value", "乙"),
        SlotLink("片", "主演", "@value", "甲"),
        SlotLink("他", "票房", "inArea", "中国"),
    ]
    assert join_slots(links) == [
        spo("片", "主演", "甲"),
        spo("片", "主演", "乙"),
        spo("片", "配音", "甲"),
        spo("片", "配音", "乙", inWork="戏"),
    ]
    # Not said with which, or with what is not there: the first.
    for value in (None, "丙"):
        joined = join_slots([*links[1:4], links[0]._replace(value=value), links[0]._replace(text="剧", value=None)])
        assert joined[1:] == [spo("片", "配音", "甲", inWork="戏"), spo("片", "配音", "乙")]
    assert join_slots([]) == []


def test_relations_of_ours_as_entries():
    relation = {
        "predicate": "票房",
        "subject": {"start": 0, "end": 2, "text": "某片"},
        "object": {"start": 3, "end": 6, "text": "10亿"},
        "slots": [{"name": "inArea", "text": "中国"}, {"name": "inArea", "text": "美国"}],
    }
    entry = spo_of_relation(relation)
    assert entry == spo("某片", "票房", "10亿", inArea="中国")
    assert spo_of_relation({key: relation[key] for key in relation if key != "slots"}) == spo("某片", "票房", "10亿")
    schema = {"票房": {"subject_type": "影视作品", "object_type": {"@value": "Number", "inArea": "地点"}}}
    types = {"subject_type": "影视作品", "object_type": {"@value": "Number", "inArea": "地点"}}
    assert with_types(entry, schema) == {**entry, **types}
    with pytest.raises(ValueError, match="among @value, inArea, got inWork"):
        with_types(spo("某片", "票房", "10亿", inWork="a"), schema)
    with pytest.raises(ValueError, match="one of the schema, got '导演'"):
        with_types(spo("某片", "导演", "a"), schema)


@pytest.mark.parametrize("separator", ["\n", ",\n"])
def test_schema_as_lines_and_as_a_list(tmp_path, separator):
    lines = separator.join(
        f'{{"predicate": "{predicate}", "subject_type": "人物", "object_type": {{"@value": "地点"}}}}'
        for predicate in ("出生地", "祖籍")
    )
    path = tmp_path / "schema.json"
    path.write_text(lines if separator == "\n" else f"[{lines}]", encoding="utf-8")
    schema = read_duie_schema(path)
    types = {"subject_type": "人物", "object_type": {"@value": "地点"}}
    assert schema == {"出生地": types, "祖籍": types}
    path.write_text('{"predicate": "p", "subject_type": "人物", "object_type": "地点"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"schema\.json:1: .* 'object_type'"):
        read_duie_schema(path)


def test_real_schema(shared):
    schema = read_duie_schema(shared / "data" / "duie2_subset" / "duie_schema.json")
    assert schema["配音"]["object_type"] == {"inWork": "影视作品", "@value": "人物"}
