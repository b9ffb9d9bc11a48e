"""Files of columns: by tabs, with or without a header, or by commas, with the quotes that writers of CSV put."""

import re
from collections.abc import Iterator, Mapping, Sequence

from hf_ext.data.text_lines import FileLine, JoinedLines, fail

_QUOTED = re.compile(r'"([^"]*(?:""[^"]*)*)"')
# Of a column in quotes; one more column is an error.
_LINE_END = re.compile(r",|\r?(?:\n|\Z)")
# A row with one of these, or with one of the next before its last column, is a header: no data say so.
_LABEL_NAMES = {
    "label", "labels", "gold_label", "text1", "text2", "text_a", "text_b", "sentence1", "sentence2", "标签"
}  # fmt: skip
_TEXT_NAMES = {"text", "sentence", "content", "文本", "句子", "内容"}
# So is a row of nothing but these.
_OTHER_NAMES = {
    "id", "qid", "idx", "index", "guid", "premise", "hypothesis", "query", "title", "question", "answer", "review",
    "comment", "utterance", "document", "passage", "abstract", "article", "summary", "target", "source", "class",
    "category", "sentiment", "polarity", "intent", "topic", "stars", "rating", "score", "similarity", "duplicate",
    "is_duplicate", "quality", "emotion", "gold", "tweet", "post", "message", "body", "news", "headline", "user",
    "assistant", "prompt", "response", "input", "output", "reply", "context", "sent", "类别", "分类", "标题", "摘要",
    "分数", "相似度", "编号", "序号", "正文", "原文", "新闻", "评论", "问题", "回答", "答案", "情感", "意图", "主题",
}  # fmt: skip
# Of the columns of a pair, as in question1 and question_2.
_PLACE_IN_PAIR = re.compile(r"_?[12]$")


def tab_records(
    lines: Sequence[tuple[FileLine, str]], *names: tuple[str, ...]
) -> Iterator[tuple[FileLine, dict[str, str]]]:
    """Rows of columns separated by tabs as mappings, each after its place.

    The names of the columns are those of a header, if the first line is one, else those of as many columns; all rows
    have as many as the first. Quotes of CSV writers are taken away, see :func:`split_columns`.

    Args:
        lines: those of the file that are not blank.
        names: the names that a row without a header may have.

    Raises:
        TextFileError: naming the file and the line, if a row has another number of columns.
    """
    if not lines:
        return
    first = [column.strip().casefold() for column in split_columns(lines[0][1])]
    header = is_header(first)
    choices = {len(choice): choice for choice in ((tuple(first),) if header else names)}
    if header and len({*first}) < len(first):
        fail(lines[0][0], "a header must name each column once", ", ".join(first))
    for where, line in lines[header:]:
        columns = split_columns(line, across=True)
        if len(columns) not in choices:
            columns = split_columns(line)
        if len(columns) not in choices:
            wanted = " or ".join(f"{count} ({', '.join(choice)})" for count, choice in choices.items())
            fail(where, f"a line must have {wanted} columns separated by tabs, not {len(columns)}", line)
        # All rows are of the kind of the first.
        choices = {len(columns): choices[len(columns)]}
        yield where, dict(zip(choices[len(columns)], columns))


def split_columns(line: str, across: bool = False) -> list[str]:
    """Columns separated by tabs, without the quotes that a CSV writer puts around them.

    Published files have quotes of their own as well. A writer puts quotes around a column that has quotes, and doubles
    those, or around every column.

    Args:
        line: the row.
        across: read a tab between the quotes of a column as part of it, too.
    """
    columns: list[tuple[str, str | None]] = []
    at = 0
    while at <= len(line):
        quoted = _QUOTED.match(line, at)
        end = quoted.end() if quoted else -1
        if quoted is None or line[end : end + 1] not in ("\t", "") or ("\t" in quoted[1] and not across):
            quoted, end = None, line.find("\t", at)
            end = len(line) if end < 0 else end
        columns.append((line[at:end], quoted and quoted[1]))
        at = end + 1
    every = len(columns) > 1 and all(inner is not None for _, inner in columns)
    return [
        inner.replace('""', '"') if inner is not None and (every or '""' in inner or "\t" in inner) else column
        for column, inner in columns
    ]


def comma_records(
    lines: Sequence[tuple[FileLine, str]], names: tuple[str, str]
) -> Iterator[tuple[FileLine, Mapping[str, str]]]:
    """Rows of two columns separated by a comma as mappings, each after its place.

    A column in quotes, as CSV writers put them, may have commas, doubled quotes and line breaks. The second may have
    commas without quotes too.

    Args:
        lines: all of the file after its header, blank ones included, with their carriage returns.
        names: of the two columns.

    Raises:
        TextFileError: naming the file and the line, if a row does not have two columns.
    """
    if not lines:
        return
    content = JoinedLines(lines)
    at = 0
    while at < len(content.text):
        end = content.text.find("\n", at)
        end = len(content.text) if end < 0 else end
        line = content.text[at:end]
        if line.strip():
            where = content.where(at)
            first, at = _comma_column(content.text, at, end)
            if content.text[at : at + 1] != ",":
                fail(where, f"a line must be {names[0]}, a comma and {names[1]}", line)
            second, at = _comma_column(content.text, at + 1, end, last=True)
            if content.text[at : at + 1] == ",":
                fail(where, f"a line must have 2 columns ({', '.join(names)}), not more", line)
            yield where, dict(zip(names, (first, second)))
            end = at
        at = end + 1


def _comma_column(text: str, at: int, end: int, last: bool = False) -> tuple[str, int]:
    """The column at a place of a text, and where it ends; one without quotes lies before ``end``."""
    quoted = _QUOTED.match(text, at)
    if quoted and (_LINE_END.match(text, quoted.end()) if last else text.startswith(",", quoted.end())):
        return quoted[1].replace('""', '"'), quoted.end()
    comma = -1 if last else text.find(",", at, end)
    stop = end if comma < 0 else comma
    return text[at:stop], stop


def is_header(columns: Sequence[str]) -> bool:
    """Whether the columns of a file's first row are their names."""
    if len(columns) < 2:
        return False
    names = [column.strip().casefold() for column in columns]
    bare = [_PLACE_IN_PAIR.sub("", name) for name in names]
    known = _LABEL_NAMES | _TEXT_NAMES | _OTHER_NAMES
    return bool(_LABEL_NAMES.intersection(names) or _TEXT_NAMES.intersection(bare[:-1]) or known.issuperset(bare))
