"""Columns separated by tabs, against the csv module."""

import csv
import io
import random

import pytest

from hf_ext.data.columns import column_records, split_columns
from hf_ext.data.header import is_header
from hf_ext.data.text_lines import FileLine

CHARACTERS = ["\t", "甲", "乙", ",", '"', "'", " ", "\u2028", "\u0085", "\x0b", "😀"]


def lines_of(content):
    return [(FileLine("f", number), line) for number, line in enumerate(content.split("\n"), start=1) if line]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_a_csv_writer_writes_is_read(quoting):
    source = random.Random(0)
    for _ in range(1000):
        row = ["".join(source.choices(CHARACTERS, k=source.randint(0, 5))) for _ in range(source.randint(2, 4))]
        stream = io.StringIO()
        csv.writer(stream, delimiter="\t", lineterminator="", quoting=quoting).writerow(row)
        assert split_columns(stream.getvalue(), across=True) == row


def test_quotes_of_the_text_stay():
    for line in ('"甲"', '"甲"\t1', '"甲"乙"\t1', '甲""乙\t"', '"甲"和"乙"\t1'):
        assert split_columns(line) == line.split("\t")


def test_names_are_those_of_a_header_or_of_the_number_of_columns():
    names = (("text", "label"), ("text1", "text2", "label"))
    assert [row for _, row in column_records(lines_of("甲\tx"), *names)] == [{"text": "甲", "label": "x"}]
    pairs = [row for _, row in column_records(lines_of("甲\t乙\tx\n" * 2), *names)]
    assert pairs == [{"text1": "甲", "text2": "乙", "label": "x"}] * 2
    assert [(str(where), row) for where, row in column_records(lines_of("Label \tx\n\n甲\t乙"), *names)] == [
        ("f:3", {"label": "甲", "x": "乙"})
    ]
    assert list(column_records([], *names)) == []
    with pytest.raises(ValueError, match=r"f:2: a line must have 2 .text, label. columns .* not 1, got '甲'"):
        list(column_records(lines_of("甲\tx\n甲"), *names))
    with pytest.raises(ValueError, match=r"f:2: a line must have 2 .text, label. columns separated by tabs, not 3"):
        list(column_records(lines_of("甲\tx\n甲\t乙\ty"), *names))
    with pytest.raises(ValueError, match=r"f:1: a line must have 2 .text, label. or 3 .* columns .* not 1, got '甲'"):
        list(column_records(lines_of("甲"), *names))


@pytest.mark.parametrize(
    ("row", "header"),
    [
        ("question1\tquestion2\tis_duplicate", True),
        ("ID\tsent_1\tsent_2\tscore", True),
        ("tweet\tsentiment", True),
        ("Text1\ttext2\tx", True),
        ("摘要\t原文", True),
        ("headline\tarticle", True),
        # Texts of one column, and words that a name only begins with.
        ("问题", False),
        ("question3\tanswer", False),
        ("问题很多\t评论", False),
        ("甲\tnews", False),
    ],
)
def test_a_row_of_names_is_a_header(row, header):
    assert is_header(row.split("\t")) == header


def test_tabs_in_quotes():
    names = (("text", "label"), ("text1", "text2", "label"))
    assert [row for _, row in column_records(lines_of('"甲\t乙"\tx'), *names)] == [{"text": "甲\t乙", "label": "x"}]
    # Of a file of pairs, these are quotes of the texts.
    pairs = [tuple(row.values()) for _, row in column_records(lines_of('甲\t乙\tx\n"甲\t乙"\ty'), *names)]
    assert pairs == [("甲", "乙", "x"), ('"甲', '乙"', "y")]
