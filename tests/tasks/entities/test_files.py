"""Reading and writing entity files: formats, counts of the published sets, errors with their line."""

import copy
import itertools
import json
import logging
import pickle
import random
from collections import Counter

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from hf_ext.tasks.entities import EntityDataError, EntityExample, entity_labels, read_entities, write_entities
from hf_ext.tasks.entities.example import check_labels


def write(folder, content, name="file"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def spans(examples):
    return [[(e["start"], e["end"], e["label"]) for e in example["entities"]] for example in examples]


def counts(examples):
    return Counter(entity["label"] for example in examples for entity in example["entities"])


def labels_of_cluener(lines):
    """The label of each entity of each line."""
    labels = [json.loads(line)["label"] for line in lines]
    return [[name for name, texts in each.items() for places in texts.values() for _ in places] for each in labels]


def labels_of_conll(lines):
    """The label of each entity of each sentence, and of those alone that no tag opens: they begin as in conlleval."""
    begun, unopened = [], 0
    for blank, block in itertools.groupby(lines, lambda line: not line.strip()):
        tags = ["O"] if blank else ["O", *(line.split()[-1] for line in block)]
        starts = [
            (tag[0], tag[2:])
            for before, tag in itertools.pairwise(tags)
            if tag != "O" and (tag[0] in "BS" or before[0] in "OES" or before[2:] != tag[2:])
        ]
        if not blank:
            begun.append([label for _, label in starts])
            unopened += sum(prefix not in "BS" for prefix, _ in starts)
    return begun, unopened


@pytest.mark.slow
@pytest.mark.parametrize(
    "file",
    [
        "cluener2020/train.json",
        "cluener2020/valid.json",
        "weibo_ner/weiboNER_2nd_conll.train",
        "weibo_ner/weiboNER_2nd_conll.dev",
        "weibo_ner/weiboNER_2nd_conll.test",
        "resume_ner/train.char.bmes",
        "resume_ner/dev.char.bmes",
        "resume_ner/test.char.bmes",
        "peoples_daily_ner/example.test",
        "literature_ner/validation.txt",
    ],
)
def test_published_sets_have_all_their_entities(shared, caplog, file):
    lines = (shared / "data" / file).read_text(encoding="utf-8").split("\n")
    if file.endswith(".json"):
        labels, unopened = labels_of_cluener(filter(None, lines)), 0
    else:
        labels, unopened = labels_of_conll(lines)
    examples = read_entities(shared / "data" / file)
    assert [sorted(e["label"] for e in example["entities"]) for example in examples] == [*map(sorted, labels)]
    assert any(labels)
    assert len(caplog.records) == (1 if unopened else 0)
    assert all(0 <= e["start"] < e["end"] <= len(x["text"]) for x in examples for e in x["entities"])


def test_weibo_positions_are_cut(shared):
    examples = read_entities(shared / "data/weibo_ner/weiboNER_2nd_conll.train")
    assert examples[3]["text"] == "今年拜年不短信，就在微博拜大年寻龙记"


@pytest.mark.parametrize("name", ["file.txt", "file.json", "file"])
def test_the_three_formats_agree_whatever_the_name(tmp_path, name):
    expected = [[(0, 2, "PER"), (3, 6, "LOC")], []]
    texts = ["小明去北京市", "没有人"]
    ours = "".join(
        json.dumps({"text": t, "entities": [{"start": a, "end": b, "label": x} for a, b, x in s]}) + "\n"
        for t, s in zip(texts, expected)
    )
    cluener = [
        {"text": texts[0], "label": {"LOC": {"北京市": [[3, 5]]}, "PER": {"小明": [[0, 1]]}}},
        {"text": texts[1], "label": {}},
    ]
    tags = {
        "bio": "B-PER I-PER O B-LOC I-LOC I-LOC",
        "iob1": "I-PER I-PER O I-LOC I-LOC I-LOC",
        "bio_": "B_PER I_PER O B_LOC I_LOC I_LOC",
        "bmes": "B-PER E-PER O B-LOC M-LOC E-LOC",
        "bioes": "B-PER E-PER O B-LOC I-LOC E-LOC",
    }
    files = [ours, "\n".join(map(json.dumps, cluener))]
    for row in tags.values():
        for separator in (" ", "\t", "   ", " \t"):
            lines = [f"{c}{separator}{t}" for c, t in zip(texts[0], row.split())]
            files.append("\n".join([*lines, "", *(f"{c}{separator}O" for c in texts[1])]))
    files.append("\n".join([f"{c}{i}\tO" for i, c in enumerate("小明")] + ["", "去0\tO"]))
    for content in files[:-1]:
        for variant in (
            content,
            content + "\n\n\n",
            "\ufeff" + content,
            content.replace("\n", "\r\n"),
            "\n\n" + content,
        ):
            examples = read_entities(write(tmp_path, variant, name))
            assert [x["text"] for x in examples] == texts
            assert spans(examples) == expected
    assert [x["text"] for x in read_entities(write(tmp_path, files[-1], name))] == ["小明", "去"]


@pytest.mark.parametrize("content", ["", "\n \r\n\n", "\ufeff", "-DOCSTART- -X- O O\n\n"])
def test_files_without_examples(tmp_path, content):
    assert read_entities(write(tmp_path, content)) == []


def test_empty_text_and_ignored_keys(tmp_path):
    lines = '{"text": "", "entities": []}\n{"id": 7, "text": "啊", "entities": [], "label": {}}\n'
    assert read_entities(write(tmp_path, lines)) == [{"text": "", "entities": []}, {"text": "啊", "entities": []}]


def test_documents_blanks_as_tokens_and_odd_line_separators(tmp_path):
    content = "-DOCSTART-\tO\n\n新 B-LOC\n  I-LOC\n\u3000 I-LOC\n\u2028 I-LOC\n加 I-LOC\n-DOCSTART- O\n坡 O\n"
    examples = read_entities(write(tmp_path, content))
    assert [x["text"] for x in examples] == ["新 \u3000\u2028加", "坡"]
    assert spans(examples) == [[(0, 5, "LOC")], []]


def test_positions_of_any_length(tmp_path):
    digits = "0" * 5000
    assert read_entities(write(tmp_path, f"甲{digits} O\n"))[0]["text"] == "甲"
    assert read_entities(write(tmp_path, f"甲{digits}1 O\n"))[0]["text"] == f"甲{digits}1"


def test_labels_of_examples(tmp_path):
    assert entity_labels(read_entities(write(tmp_path, "北 B-LOC\n\n他 S-PER\n去 S-LOC\n"))) == ["LOC", "PER"]
    assert entity_labels([]) == []


def test_labels_must_be_valid_unicode(tmp_path):
    with pytest.raises(EntityDataError, match=r"out:1: a text must be valid Unicode, got '.ud800'"):
        write_entities(tmp_path / "out", [{"text": "北京", "entities": [entity(label="a\ud800")]}])


def test_conll_that_begins_with_a_brace_is_not_json(tmp_path):
    assert read_entities(write(tmp_path, "{ O\n[ O\n} O\n"))[0]["text"] == "{[}"


def test_words_of_alphabetic_scripts_are_parted_by_a_space(tmp_path):
    tokens = [("EU", "B-ORG"), ("rejects", "O"), ("German", "B-MISC"), ("beef", "O"), (".", "O")]
    tokens += [("在", "O"), ("CSOL", "B-GAME"), ("里", "O"), ("1", "O"), ("9", "O")]
    example = read_entities(write(tmp_path, "\n".join(" ".join(row) for row in tokens)))[0]
    assert example["text"] == "EU rejects German beef.在CSOL里19"
    assert [example["text"][e["start"] : e["end"]] for e in example["entities"]] == ["EU", "German", "CSOL"]


def tokens_of(example):
    return [example["text"][e["start"] : e["end"]] for e in example["entities"]]


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ('He said , " I am a B . " ( twice ) - don\'t', 'He said, "I am a B." (twice) - don\'t'),
        ("It 's 5 % of $ 3 ; she did n't `` go ''", "It's 5% of $3; she didn't ``go''"),
        ("Nguyễn sống ở Hà Nội .", "Nguyễn sống ở Hà Nội."),
        ("김철수는 이 집 에 산다 .", "김철수는 이 집 에 산다."),
        ("김 철 수 가 서 울 에", "김철수가서울에"),
        ("กรุงเทพ สวย มาก", "กรุงเทพสวยมาก"),
        ("東京 に 住む", "東京に住む"),
        ("我 在 IBM Watson 工 作 A B 1 2", "我在IBM Watson工作AB12"),
    ],
)
def test_tokens_are_joined_as_their_language_is_written(tmp_path, tokens, text):
    words = tokens.split(" ")
    (example,) = read_entities(write(tmp_path, "\n".join(f"{word} S-x" for word in words)))
    assert example["text"] == text
    assert tokens_of(example) == words


def test_characters_of_korean_with_their_spaces(tmp_path):
    content = "".join(f"{character}\t{'B-x' if character == '서' else 'O'}\n" for character in "나는 서울에")
    (example,) = read_entities(write(tmp_path, content))
    assert example["text"] == "나는 서울에"


def test_a_chinese_sentence_among_english_ones_has_no_spaces(tmp_path):
    content = "\n\n".join("\n".join(f"{word} O" for word in row.split()) for row in ("All is well", "我 在 A B", "I m"))
    assert [x["text"] for x in read_entities(write(tmp_path, content))] == ["All is well", "我在AB", "I m"]


@pytest.mark.parametrize("extra", ["", "NN ", "NN B-NP ", "_ _ "])
@pytest.mark.parametrize("numbered", [False, True])
def test_columns_between_token_and_tag_comments_and_documents(tmp_path, extra, numbered):
    sentences = [[("#", "O"), ("Kim", "B-PER"), ("Lee", "I-PER")], [("Bo", "B-PER"), ("and", "O")]]
    lines = ["#begin document (x); part 000", "-DOCSTART- -X- O O", ""]
    for sentence in sentences:
        lines += ["# text = a comment", "# id 3"]
        numbers = [f"{n} " if numbered else "" for n in range(1, len(sentence) + 1)]
        lines += [f"{number}{token} {extra}{tag}" for number, (token, tag) in zip(numbers, sentence)]
        lines += ["# inside", ""]
    lines.append("#end document")
    # Two columns of a number and a tag are no numbered rows.
    for separator in (" ", "\t"):
        examples = read_entities(write(tmp_path, "\n".join(lines).replace(" ", separator)))
        assert [tokens_of(x) for x in examples] == [["Kim Lee"], ["Bo"]]
        assert examples[1]["text"] == "Bo and"


def test_numbers_as_tokens_are_no_column_of_numbers(tmp_path):
    assert [x["text"] for x in read_entities(write(tmp_path, "1 O\n2 O\n"))] == ["12"]
    assert [x["text"] for x in read_entities(write(tmp_path, "1 CD O\n2 CD O\n\n7 CD O\n"))] == ["12", "7"]


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        ("B-A I-A L-A O U-A", "A"),
        ("B-A I-A E-A O S-A", "A"),
        ("B_A I_A L_A O U_A", "A"),
        ("B I I O B", "entity"),
        ("B I L O U", "entity"),
        ("I I I O I", "entity"),
        ("B M E O S", "entity"),
    ],
)
def test_biluo_and_tags_without_a_label(tmp_path, tags, label):
    rows = "\n".join(f"{token} {tag}" for token, tag in zip("甲乙丙丁戊", tags.split()))
    assert spans(read_entities(write(tmp_path, rows))) == [[(0, 3, label), (4, 5, label)]]


def test_labels_on_some_tags_alone_are_refused(tmp_path):
    with pytest.raises(
        EntityDataError, match=r"file:2: .*one scheme, that of '-' in line 1, got 'a tag without label'"
    ):
        read_entities(write(tmp_path, "甲 B-A\n乙 I\n"))


@pytest.mark.parametrize("prefixes", ["BI", "BMES", "BIES"])
def test_any_tag_sequence_is_read_as_seqeval_reads_it(tmp_path, caplog, prefixes):
    source = random.Random(0)
    tags = ["O", "O"] + [f"{p}-{label}" for p in prefixes for label in ("A", "B-C")]
    sentences = [source.choices(tags, k=source.randint(1, 12)) for _ in range(400)]
    content = "\n\n".join("\n".join(f"字 {tag}" for tag in row) for row in sentences)
    oracle = [
        sorted((s, e + 1, label) for label, s, e in get_entities([t.replace("M-", "I-") for t in row]))
        for row in sentences
    ]
    with caplog.at_level(logging.WARNING):
        assert spans(read_entities(write(tmp_path, content))) == oracle
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("tags", "invalid"),
    [
        ("B-A I-A O B-B", 0),
        ("B-A B-A I-A", 0),
        ("I-A I-A O I-B", 2),
        ("B-A I-B", 1),
        ("B-A M-A E-A S-B", 0),
        ("B-A M-A O S-B", 1),
        ("S-B B-A M-A", 1),
        ("B-A I-A S-A", 1),
        ("E-A E-A", 2),
    ],
)
def test_invalid_sequences_are_counted_in_one_log_record(tmp_path, caplog, tags, invalid):
    path = write(tmp_path, "\n".join(f"字 {tag}" for tag in tags.split()))
    with caplog.at_level(logging.WARNING):
        read_entities(path)
    assert [f"{path}: {invalid} invalid" in r.getMessage() for r in caplog.records] == ([True] if invalid else [])


def ours(*entities, text="北京大学"):
    return json.dumps({"text": text, "entities": list(entities)})


def entity(start=0, end=2, label="LOC"):
    return {"start": start, "end": end, "label": label}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (ours(entity(end=5)), "within the text of 4 characters"),
        (ours(entity(start=-1)), "within the text"),
        (ours(entity(0, 1), text=""), "within the text of 0"),
        (ours(entity(start=2)), "start must be less"),
        (ours(entity(start=3)), "start must be less"),
        (ours(entity(start=True)), "must be integers"),
        (ours(entity(end=2.0)), "must be integers"),
        (ours(entity(end="2")), "must be integers"),
        (ours({"start": 0, "label": "LOC"}), "must be integers"),
        (ours(entity(label="")), "label must be a string that is not blank"),
        (ours(entity(label=" ")), "not blank"),
        (ours(entity(label=3)), "label must be a string"),
        (ours([0, 2, "LOC"]), "an entity must be an object"),
        (ours(entity(), entity()), "listed once"),
        (ours(text=None), "text must be a string, got 'None'"),
        ('{"text": "\\ud800", "entities": []}', "valid Unicode"),
        ('{"text": "a", "entities": {}}', "entities must be a list"),
        ('{"text": "a"}', "a key 'entities' or 'label'"),
        ("[]", "must be a JSON object, got '[]'"),
        ('{"text": "a", ', "must be JSON"),
        ("北 O", "must be JSON"),
        ('{"text": 1' + "0" * 5000 + "}", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        ('{"text": "北京", "label": {"LOC": {"南京": [[0, 1]]}}}', "must be '南京', got '北京'"),
        ('{"text": "北京", "label": {"LOC": {"北京": [[0, 2]]}}}', "within the text of 2"),
        ('{"text": "北京", "label": {"LOC": {"北京": [[1, 0]]}}}', "start must be less"),
        ('{"text": "北京", "label": {"LOC": {"北京": [[0, 1], [0, 1]]}}}', "listed once"),
        ('{"text": "北京", "label": {"LOC": {"北京": [0, 1]}}}', "two integers"),
        ('{"text": "北京", "label": {"LOC": {"北京": [[0, 1, 2]]}}}', "two integers"),
        ('{"text": "北京", "label": {"LOC": {"北京": [[false, true]]}}}', "two integers"),
        ('{"text": "北京", "label": {"LOC": {"北京": 0}}}', "must be a list"),
        ('{"text": "北京", "label": {"LOC": [[0, 1]]}}', "must hold an object"),
        ('{"text": "北京", "label": "LOC"}', "label must be an object"),
        ('{"text": null, "label": {"LOC": {"北京": [[0, 1]]}}}', "text must be a string"),
        ('{"text": "北京", "label": {"": {"北京": [[0, 1]]}}}', "not blank"),
    ],
)
def test_bad_json_lines(tmp_path, bad, message):
    path = write(tmp_path, f"{ours(entity())}\n\n{bad}\n{ours()}\n")
    with pytest.raises(EntityDataError) as caught:
        read_entities(path)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:3: ")


@pytest.mark.parametrize(
    ("rows", "line", "message"),
    [
        (["北 B-LOC", "京"], 2, "two columns"),
        (["北 B-LOC", "京 NR I-LOC"], 2, "not 3"),
        (["北\tB-LOC", "京\tNR\tI-LOC"], 2, "not 3"),
        (["北 B-LOC", " I-LOC"], 2, "two columns"),
        (["北 B-LOC", "\tI-LOC"], 2, "two columns"),
        (["北 B-LOC", "京 X-LOC"], 2, "a tag must be"),
        (["北 B-LOC", "京 I-"], 2, "a tag must be"),
        (["北 B-LOC", "京 LOC"], 2, "a tag must be"),
        (["北 B-LOC", "京 I-LOC", "", "人 M-PER"], 4, "one scheme, that of 'I' in line 2, got 'M'"),
        (["北 B-LOC", "京 M-LOC", "市 E-LOC", "人 I-PER"], 4, "one scheme, that of 'M' in line 2, got 'I'"),
        (["北 B-LOC", "京 I-LOC", "", "人 B_PER"], 4, "one scheme, that of '-' in line 1, got '_'"),
    ],
)
def test_bad_conll(tmp_path, rows, line, message):
    path = write(tmp_path, "\n".join(rows))
    with pytest.raises(EntityDataError, match=message) as caught:
        read_entities(path)
    assert (caught.value.path, caught.value.line) == (str(path), line)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_a_file_that_is_not_utf8(tmp_path, start):
    path = write(tmp_path, start + ours().encode() + b"\n" + "北京 O".encode("gbk"))
    with pytest.raises(EntityDataError, match=r":2: the file must be UTF-8"):
        read_entities(path)


def test_the_error_survives_pickling():
    error = pickle.loads(pickle.dumps(EntityDataError("wrong", "file", 3)))
    assert (str(error), error.line) == ("file:3: wrong", 3)
    assert str(EntityDataError("wrong")) == "wrong"


def test_written_files_are_read_back(tmp_path):
    examples = [
        {"text": '"引号"\n\u2028\\ 😀\x00', "entities": [entity(0, 4, "甲"), entity(1, 3, "乙"), entity(1, 3, "甲")]},
        {"text": "", "entities": [], "id": 3},
    ]
    path = tmp_path / "out.txt"
    write_entities(path, iter(examples))
    assert read_entities(path) == [{"text": x["text"], "entities": x["entities"]} for x in examples[:1]] + [
        {"text": "", "entities": []}
    ]
    write_entities(path, [])
    assert read_entities(path) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.jsonl"
    write_entities(path, [{"text": "北京", "entities": [entity()]}])
    before = path.read_bytes()
    with pytest.raises(EntityDataError, match=r"out.jsonl:2: .*within the text"):
        write_entities(path, [{"text": "a", "entities": []}, {"text": "北", "entities": [entity()]}])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_writing_follows_a_link(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write_entities(link, [{"text": "a", "entities": []}])
    assert link.is_symlink()
    assert read_entities(tmp_path / "target") == [{"text": "a", "entities": []}]


def test_labels_that_training_lacks_are_named_with_file_and_line(tmp_path):
    train = read_entities(write(tmp_path, "北 B-LOC\n京 I-LOC\n\n他 B-PER\n", "train"))
    path = write(tmp_path, "北 B-LOC\n京 I-LOC\n\n他 B-PER\n去 O\n清 B-ORG\n华 I-ORG\n", "valid")
    validation = read_entities(path)
    assert check_labels(train, train) == ["LOC", "PER"]
    assert check_labels(train, []) == ["LOC", "PER"]
    for examples in (
        validation,
        list(reversed(validation)),
        pickle.loads(pickle.dumps(validation)),
        copy.deepcopy(validation),
    ):
        with pytest.raises(EntityDataError, match=rf"^{path}:6: validation label 'ORG' is not among .*'LOC', 'PER'"):
            check_labels(train, examples)
    with pytest.raises(EntityDataError, match=r"'ORG' .* \(validation example 1\)"):
        check_labels(train, [dict(example) for example in validation])


def test_examples_are_plain_to_datasets(tmp_path):
    import datasets

    examples = read_entities(write(tmp_path, ours(entity()) + "\n" + ours()))
    assert isinstance(examples[0], EntityExample)
    assert datasets.Dataset.from_list(examples).to_list() == examples
