"""CLUE's official files with a few rows of our own in each, for runs of the whole suite."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

WORDS = ("今天", "明天", "去年", "老王", "小李", "北京", "上海", "酸菜鱼", "钥匙", "天气")
IDIOMS = (
    "画蛇添足",
    "一心一意",
    "大手大脚",
    "明察暗访",
    "心怀鬼胎",
    "座无虚席",
    "交头接耳",
    "不亦乐乎",
    "有条有理",
    "化为泡影",
)


def write_lines(path: Path, rows: Iterable[Any]) -> None:
    """Write rows as lines of JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write one value as JSON over several lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def sentence(number: int) -> str:
    """Of other words for each number."""
    return "".join(WORDS[(number * step + step) % 10] for step in (1, 3, 7)) + str(number)


def write_clue(folder: Path) -> None:
    """Write a folder for each task, with parts of four to eight rows."""
    for start, part, labelled in ((0, "train", True), (8, "dev", True), (12, "test", False), (16, "test1.0", False)):
        numbers = range(start, start + (8 if part == "train" else 4))
        _write_classes(folder, part, numbers, labelled)
        _write_questions(folder, part, numbers, labelled)
    (folder / "ocnli" / "train.json").rename(folder / "ocnli" / "train.50k.json")


def _write_classes(folder: Path, part: str, numbers: Sequence[int], labelled: bool) -> None:
    def rows(of: Any, labels: Sequence[str]) -> list[Any]:
        own = [{"id": number, **of(number)} for number in numbers]
        return [
            {**row, "label": labels[number % len(labels)]} if labelled else row for number, row in zip(numbers, own)
        ]

    def text(number: int) -> Any:
        return {"sentence": sentence(number), "keywords": "a,b"}

    def pair(number: int) -> Any:
        return {"sentence1": sentence(number), "sentence2": sentence(number + 3)}

    def marked(number: int) -> Any:
        target = {"span1_text": "老王", "span1_index": 0, "span2_text": "他", "span2_index": 10}
        return {"text": f"老王把钥匙交给小李，他就走了{number}。", "target": target}

    def abstract(number: int) -> Any:
        return {"abst": f"{sentence(number)}。", "keyword": [WORDS[number % 10], "天气"]}

    def entity(number: int) -> Any:
        return {"text": f"{sentence(number)}李雷在明达银行上班"}

    names = ("entailment", "neutral", "contradiction")
    files = {
        "iflytek": rows(text, ("0", "118")),
        "tnews": rows(text, ("100", "116", "104")),
        "afqmc": rows(pair, ("0", "1")),
        "cmnli": rows(pair, names),
        "ocnli": rows(pair, (*names, "-")),
        "wsc": rows(marked, ("false", "true")),
        "csl": rows(abstract, ("0", "1")),
        "cluener": [{**entity(number), **({"label": _entities(number)} if labelled else {})} for number in numbers],
    }
    for task, own in files.items():
        # Of two versions.
        if part != "test1.0" or task in ("tnews", "wsc"):
            write_lines(folder / task / f"{part}.json", own)
    if part == "test":
        pairs = [{"index": number, "premise": sentence(number), "hypothesis": "是"} for number in numbers]
        write_lines(folder / "diagnostics" / "diagnostics_test.json", pairs)


def _entities(number: int) -> Any:
    at = len(sentence(number))
    return {"name": {"李雷": [[at, at + 1]]}, "company": {"明达银行": [[at + 3, at + 6]]}}


def _write_questions(folder: Path, part: str, numbers: Sequence[int], labelled: bool) -> None:
    if part != "test1.0":
        paragraphs = [_paragraph(number, part, labelled) for number in numbers]
        write_json(folder / "cmrc2018" / f"{part}.json", {"version": "v1.0", "data": [{"paragraphs": paragraphs}]})
    for kind in ("m", "d") if labelled else (None,):
        name = part.replace("test", "test1.1") if part == "test" else part
        passages = [_passage(number, kind, labelled) for number in numbers]
        write_json(folder / "c3" / (f"{kind}-{name}.json" if kind else f"{name}.json"), passages)
    lines = [_line(number) for number in numbers]
    name = "test1.1" if part == "test" else part
    write_lines(folder / "chid" / f"{name}.json", lines)
    if labelled:
        blanks = [f"#idiom{2 * number + other:06}#" for number in numbers for other in (0, 1)]
        answers = {blank: place % 10 for place, blank in enumerate(blanks)}
        write_json(folder / "chid" / f"{name}_answer.json", answers)


def _paragraph(number: int, part: str, labelled: bool) -> Any:
    name = WORDS[number % 10]
    context = f"{sentence(number)}，{name}在北京上班。"
    answers = [{"text": f"FAKE_ANSWER_{other}", "answer_start": -1} for other in (1, 2, 3)]
    if labelled:
        answers = [{"text": name, "answer_start": context.index(name)}]
    question = {"id": f"{part.upper()}_{number}_QUERY_0", "question": "谁在北京", "answers": answers}
    return {"id": f"{part.upper()}_{number}", "context": context, "qas": [question]}


def _passage(number: int, kind: str | None, labelled: bool) -> Any:
    """Of two to four choices; ids of a test are in no order."""
    choices = [WORDS[(number + other) % 10] for other in range(2 + number % 3)]
    question: dict[str, Any] = {"question": f"谁在北京{kind}", "choice": choices}
    question |= {"answer": choices[number % 2]} if labelled else {"id": 900 - number}
    return [[f"甲：{sentence(number)}", "乙：好"], [question], *([f"7-{number}"] if labelled else [])]


def _line(number: int) -> Any:
    """Two blanks, in one passage or two."""
    blanks = [f"#idiom{2 * number + other:06}#" for other in (0, 1)]
    content = [f"{sentence(number)}{blanks[0]}，也{blanks[1]}。"]
    if number % 2:
        content = [f"{sentence(number)}{blanks[0]}。", f"他{number}{blanks[1]}。"]
    return {"candidates": list(IDIOMS), "content": content}
