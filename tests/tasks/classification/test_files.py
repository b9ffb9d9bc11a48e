"""Files of texts with classes, in each format."""

import csv
import json
import random

import pytest

from hf_ext.tasks.classification.files import label_names, labels_of, read_labelled_texts


def lines_of(file):
    return [line for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]


@pytest.mark.parametrize("name", ["tnews/dev.tsv", "thucnews_titles/dev.txt"])
def test_two_columns(shared, name):
    file = shared / "data" / name
    examples = read_labelled_texts(file)
    assert set(label_names(examples)) == {line.split("\t")[1].strip() for line in lines_of(file)}
    assert [f"{e['text']}\t{e['label']}" for e in examples] == [
        "\t".join(column.strip() for column in line.split("\t")) for line in lines_of(file)
    ]


def test_columns_under_a_header(shared):
    file = shared / "data" / "chnsenticorp" / "dev.tsv"
    assert [e["label"] for e in read_labelled_texts(file)] == [line.split("\t")[0] for line in lines_of(file)[1:]]


def test_pairs_in_three_columns(shared):
    file = shared / "data" / "afqmc" / "dev.txt"
    examples = read_labelled_texts(file)
    assert [[e["text"], e["text2"], e["label"]] for e in examples] == [
        [column.strip() for column in line.split("\t")] for line in lines_of(file)
    ]


def test_pairs_without_agreement_are_left_out_and_counted(shared, caplog):
    file = shared / "data" / "ocnli" / "dev.json"
    records = [json.loads(line) for line in lines_of(file)]
    wanted = [(r["sentence1"].strip(), r["sentence2"].strip(), r["label"]) for r in records if r["label"] != "-"]
    examples = read_labelled_texts(file)
    assert [(e["text"], e["text2"], e["label"]) for e in examples] == wanted
    assert f"{len(records) - len(wanted)} rows labelled '-' are left out" in caplog.text


def test_labels_joined_before_a_comma(shared):
    file = shared / "data" / "duee_event_multilabel" / "test.csv"
    examples = read_labelled_texts(file)
    with open(file, encoding="utf-8", newline="") as stream:
        first = [row[0] for row in csv.reader(stream, quoting=csv.QUOTE_NONE)][1:]
    assert [set(example["labels"]) for example in examples] == [set(joined.split("|")) for joined in first]
    assert any("," in example["text"] for example in examples)


def test_documents_of_sentences(shared):
    file = shared / "data" / "cail2019_elements" / "labor.train.json"
    records = [record for line in lines_of(file) for record in json.loads(line)]
    examples = read_labelled_texts(file)
    assert len(examples) == len(records)
    assert [set(example["labels"]) for example in examples] == [set(record["labels"]) for record in records]
    assert set(label_names(examples)) == {label for record in records for label in record["labels"]}
    assert sum(not example["labels"] for example in examples) > len(examples) / 2


def test_json_lines_byte_order_mark_line_ends_and_blank_lines(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [{"text": " 好\u2028的 ", "label": 1, "id": 7}, {"text": "不好", "label": "0"}]
    content = "\ufeff" + "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    file.write_bytes(content.encode())
    assert read_labelled_texts(file) == [{"text": "好\u2028的", "label": "1"}, {"text": "不好", "label": "0"}]
    file.write_text('{"text": "a", "text2": null, "labels": ["x", "w", "x"]}\n{"sentence": "b", "labels": []}')
    examples = read_labelled_texts(file)
    assert examples == [{"text": "a", "labels": ["w", "x"]}, {"text": "b", "labels": []}]
    assert [list(labels_of(example)) for example in examples] == [["w", "x"], []]
    file.write_bytes(b"")
    assert read_labelled_texts(file) == []


def test_names_are_sorted_integers_by_value():
    assert label_names([{"label": label} for label in ("10", "9", "-1", "9")]) == ["-1", "9", "10"]
    assert label_names([{"label": label} for label in ("10", "9", "a")]) == ["10", "9", "a"]
    assert label_names([{"labels": ["b", "a"]}, {"labels": []}]) == ["a", "b"]
    huge = "9" * 5000
    assert label_names([{"label": label} for label in (huge, "1", "-1")]) == ["-1", "1", huge]


def test_names_of_equal_numbers_have_one_order():
    names = ["-1", "-01", "0", "-0", "1", "01", "001", "１", "2", "02"]
    wanted = ["-01", "-1", "-0", "0", "001", "01", "1", "１", "02", "2"]
    for seed in range(20):
        random.Random(seed).shuffle(names)
        assert label_names([{"label": name} for name in names]) == wanted


def test_single_texts_have_a_class_called_minus(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text("味道很好\t+\n等了一小时\t-\n一般般\t0\n上错菜\t-\n", encoding="utf-8")
    assert [example["label"] for example in read_labelled_texts(file)] == ["+", "-", "0", "-"]
    file.write_text("a\tb\t+\na\tc\t-\n", encoding="utf-8")
    assert [example["label"] for example in read_labelled_texts(file)] == ["+"]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("qid\tlabel\ttext_a\n0\t1\t早餐\n1\t0\t隔音\n", [("早餐", "1"), ("隔音", "0")]),
        ("content\tlabel\n早餐\t好\n", [("早餐", "好")]),
        ("Label\tOther\tSentence\n好\t3\t早餐\n", [("早餐", "好")]),
        ('"label"\t"text"\n"好"\t"早餐"\n', [("早餐", "好")]),
        ("label\ttext\n", []),
        ("早餐\ttext\n房间\tquestion\n", [("早餐", "text"), ("房间", "question")]),
    ],
)
def test_headers(content, wanted, tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text(content, encoding="utf-8")
    assert [(example["text"], example["label"]) for example in read_labelled_texts(file)] == wanted


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("review\tsentiment", "a row must have 'label'"),
        ("tweet\tsentiment", "a row must have a text"),
        ("question1\tquestion2\tis_duplicate", "a row must have a text"),
        ("review_body\tlabel", "a row must have a text"),
        ("qid\ttext_a", "a row must have 'label'"),
        ("text\tintent", "a row must have 'label'"),
        ("sentence1\tsentence2\tgold_label", "a row must have 'label'"),
        ("标签\t文本", "a row must have a text"),
        ("text\tlabel\tlabel", "a header must name each column once"),
    ],
)
def test_headers_that_are_not_known_are_refused(header, message, tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text(header + "\n" + "\t".join("甲乙丙"[: header.count("\t") + 1]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"a\.tsv:[12]: {message}"):
        read_labelled_texts(file)


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 0, 0], [0, 1, 0], [1, 0, 1]],
        [[0, 0], [0, 1]],
        [["1", "0", "0"]],
        [[1], [0, 0]],
        [[0, 1], [1, 0]],
        [["1.0", "0.0", "0.0"]],
        [["0.0", "1.0"], ["1.0", "0.0"]],
        [["[0, 1]"]],
    ],
)
def test_vectors_are_no_labels(rows, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"text": "甲", "labels": row}) for row in rows), encoding="utf-8")
    with pytest.raises(ValueError, match=r"a\.jsonl:[12]: labels must be the names of a text's classes, not a row"):
        read_labelled_texts(file)


@pytest.mark.parametrize("vector", ["0 1 0", "[0, 1, 0]", "1.0,0.0", "(0;1)", "1|0|0"])
def test_vectors_in_a_column_are_no_labels(vector, tmp_path):
    file = tmp_path / "a.tsv"
    for content in (f"甲\t{vector}\n", f"label,content\n{vector},甲\n", f"LABEL,Content\n{vector},甲\n"):
        file.write_text(content, encoding="utf-8")
        # In the file with commas, what is before the first one is the label.
        if vector == "1.0,0.0" and "content" in content.lower():
            continue
        with pytest.raises(ValueError, match=r"a\.tsv:[12]: labels must be the names of a text's classes, not a row"):
            read_labelled_texts(file)
    file.write_text("甲\t0\n乙\t1.0\n丙\t0-1\n丁\t[一]\n", encoding="utf-8")
    assert [example["label"] for example in read_labelled_texts(file)] == ["0", "1.0", "0-1", "[一]"]


def test_numbers_and_booleans_are_names_as_in_json(tmp_path):
    file = tmp_path / "a.jsonl"
    rows = [True, False, 0, 0.5, -1.0, 1e-7, "x"]
    file.write_text("\n".join(json.dumps({"text": "甲", "label": row}) for row in rows))
    assert [example["label"] for example in read_labelled_texts(file)] == [
        "true",
        "false",
        "0",
        "0.5",
        "-1.0",
        "1e-07",
        "x",
    ]
    file.write_text('{"text": "甲", "labels": [true, 0.5]}')
    assert read_labelled_texts(file) == [{"text": "甲", "labels": ["0.5", "true"]}]
    file.write_text("text,label\n甲,0.5\n乙,True\n")
    assert [example["label"] for example in read_labelled_texts(file)] == ["0.5", "True"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_headers_of_csv_and_tsv(quoting, delimiter, end, tmp_path):
    source = random.Random(1)
    # A line of a text with tabs may look like a row.
    characters = [one for one in CHARACTERS if one != delimiter or delimiter == ","]
    rows = [
        [
            number,
            "甲" + "".join(source.choices(characters, k=source.randint(0, 8))) + "乙",
            source.choice(["x", "y, z"]),
        ]
        for number in range(200)
    ]
    file = tmp_path / "a.csv"
    for names in (["id", "text", "label"], ["qid", "Sentence", "LABEL"], ["id", "text_a", "label"]):
        with open(file, "w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream, lineterminator=end, quoting=quoting, delimiter=delimiter)
            writer.writerow(names)
            writer.writerows(rows)
        assert read_labelled_texts(file) == [{"text": text, "label": label} for _, text, label in rows]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('label,review\nx,"你好, 再见"\n', [{"text": "你好, 再见", "label": "x"}]),
        ("text,label\n你好,x\n", [{"text": "你好", "label": "x"}]),
        ("id,text_a,text_b,label\n1,甲,乙,x\n", [{"text": "甲", "text2": "乙", "label": "x"}]),
        ('"sentence1","sentence2","label"\n"甲, 乙",乙,x\n', [{"text": "甲, 乙", "text2": "乙", "label": "x"}]),
        ("text,labels\n甲,x|y\n乙,\n", [{"text": "甲", "labels": ["x", "y"]}, {"text": "乙", "labels": []}]),
        ("1\t甲\tx\n2\t乙\ty\n", [{"text": "甲", "label": "x"}, {"text": "乙", "label": "y"}]),
        ("q-1\t甲\t乙\tx\n", [{"text": "甲", "text2": "乙", "label": "x"}]),
        ("甲||乙||x\n", [{"text": "甲", "text2": "乙", "label": "x"}]),
        ("7||甲||乙||x\n", [{"text": "甲", "text2": "乙", "label": "x"}]),
        # Texts that are alike, or no ids.
        ("1\t甲\tx\n1\t乙\ty\n", [{"text": "1", "text2": t, "label": x} for t, x in ("甲x", "乙y")]),
        ("a\t甲\tx\nb\t乙\ty\n", [{"text": a, "text2": t, "label": x} for a, t, x in ("a甲x", "b乙y")]),
        ("甲||乙\tx\n", [{"text": "甲||乙", "label": "x"}]),
    ],
)
def test_ids_bars_and_commas(content, wanted, tmp_path):
    file = tmp_path / "a"
    file.write_text(content, encoding="utf-8")
    assert read_labelled_texts(file) == wanted


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\n你好,世界,x\n", r"a:2: a line must have 2 columns \(text, label\) .* not more"),
        ("text,label\n你好\n", r"a:2: .* not 1"),
        ("id,text,label\n1,甲,x\n2,甲\n", r"a:3: .* 3 columns \(id, text, label\) .* not 2"),
        ("甲||乙||x\n甲||x\n", r"a:2: a line must have 3 \(text1, text2, label\) columns separated by '\|\|', not 2"),
        ("甲\t乙\t丙\tx\n", r"a:1: .* or an id before them, not 4"),
        ("你好,x\n", r"a:1: .* columns separated by tabs, not 1"),
    ],
)
def test_other_numbers_of_columns_are_refused(content, message, tmp_path):
    file = tmp_path / "a"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_labelled_texts(file)


def test_integers_may_be_names(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"text": "甲", "labels": row}) for row in ([0, 1], [1], [3, 3], [])))
    assert [example["labels"] for example in read_labelled_texts(file)] == [["0", "1"], ["1"], ["3"], []]


LABELS = ["灾害,火灾", "交通", '"引"号', "a b"]
CHARACTERS = ["甲", "乙", ",", '"', "\n", "|", "'", " ", "\u2028", "\r", "\t", "😀"]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_a_csv_writer_writes_is_read(quoting, end, tmp_path):
    source = random.Random(0)
    texts = ["甲" + "".join(source.choices(CHARACTERS, k=source.randint(0, 8))) + "乙" for _ in range(300)]
    labels = [sorted(source.sample(LABELS, source.randint(0, 3))) for _ in texts]
    file = tmp_path / "a.csv"
    with open(file, "w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.writer(stream, lineterminator=end, quoting=quoting)
        writer.writerow(["label", "content"])
        writer.writerows(zip(map("|".join, labels), texts))
    wanted = [{"text": text, "labels": own} for text, own in zip(texts, labels)]
    assert read_labelled_texts(file) == wanted


def test_commas_without_quotes_and_blank_lines(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text('label,content\n\nx|y,甲, 乙"丙",丁\n \nx,"甲"乙\n,甲\n')
    wanted = [('甲, 乙"丙",丁', ["x", "y"]), ('"甲"乙', ["x"]), ("甲", [])]
    assert [(example["text"], example["labels"]) for example in read_labelled_texts(file)] == wanted
    file.write_text('label,content\nx,甲\nx,"甲",乙\n')
    with pytest.raises(ValueError, match=r"a\.csv:3: a line must have 2 columns"):
        read_labelled_texts(file)
    file.write_text('label,content\nx,"甲\n乙"\ny\n')
    with pytest.raises(ValueError, match=r"a\.csv:4: a line must have 2 columns .label, content. .* not 1"):
        read_labelled_texts(file)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ('{"text": "a", "label": "x"}', "{", "must be JSON"),
        ('{"text": "a", "label": "x"}', "[1]", "a row must be a JSON object, got '1'"),
        ('{"text": "a", "label": "x"}', '{"label": "x"}', "a row must have a text"),
        ('{"text": "a", "label": "x"}', '{"text": "b"}', "must have 'label' or 'labels'"),
        ('{"text": "a", "label": "x"}', '{"text": "", "label": "x"}', "text must be a string that is not blank"),
        (
            '{"text": "a", "label": "x"}',
            '{"text": 3, "label": "x"}',
            "text must be a string that is not blank, got '3'",
        ),
        ('{"text": "a", "label": "x"}', '{"text": "b", "label": " "}', "label must be a string that is not blank"),
        ('{"text": "a", "label": "x"}', '{"text": "b", "label": NaN}', "label must be a string .* got 'nan'"),
        ('{"text": "a", "label": "x"}', '{"text": "b", "label": null}', "label must be a string .* got none"),
        ('{"text": "a", "label": "x"}', '{"text": "b", "labels": ["x"]}', "must have text, label as the first"),
        ('{"text": "a", "label": "x"}', '{"text": "b", "text2": "c", "label": "x"}', "got 'text, text2, label'"),
        ('{"text": "a", "labels": []}', '{"text": "b", "labels": "x"}', "labels must be a list, got 'x'"),
        ("a\tx", "b", "not 1, got 'b'"),
        ("a\tx", "b\tc\td\te", "not 4"),
        ("a\tx", "\tx", "text must be a string that is not blank"),
        ("a\tx", "b\t ", "label must be a string that is not blank"),
        ("label\ttext_a", "1\ta\tb", r"2 \(label, text_a\) columns separated by tabs, not 3"),
        ("label,content", "x", r"2 columns \(label, content\) separated by commas, or in quotes, not 1"),
    ],
)
def test_errors_name_file_and_line(first, second, message, tmp_path):
    file = tmp_path / "bad.txt"
    file.write_text(f"{first}\n{second}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=rf"bad\.txt:2: .*{message}"):
        read_labelled_texts(file)


def test_unknown_labels_are_refused_in_their_line(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text("a\tx\nb\ty\n")
    assert len(read_labelled_texts(file, ["x", "y"])) == 2
    with pytest.raises(ValueError, match=r"a\.tsv:2: label must be one of x, z, got 'y'"):
        read_labelled_texts(file, ["x", "z"])


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    file = tmp_path / "bad.tsv"
    file.write_bytes(b"a\tx\n" + "天\tx".encode("gbk"))
    with pytest.raises(ValueError, match=r"bad\.tsv:2: the file must be UTF-8"):
        read_labelled_texts(file)
