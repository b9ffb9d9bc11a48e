"""Folders for the suites of public samples in the official form: CLUE, FewCLUE, LIC2020, SIMILARITY.

    python benchmarks/suite_samples.py samples

They are much smaller than the benchmarks: what can be had without a registration, cut to at most ``--most`` training
and half as many validation rows, of long passages to fewer. Where a part was not to be had, it is cut from another. Of
CLUE's tasks of classes and entities, texts of the validation file are taken out of the training file. No score on them
is one of the benchmark.
"""

import argparse
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to put the folders, which must not be there yet")
    parser.add_argument("--most", type=int, default=2000, help="training rows of a task")
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    arguments = parser.parse_args()
    if arguments.folder.exists():
        parser.error(f"folder {arguments.folder} must not be there yet")
    Samples(arguments.data, arguments.folder, arguments.most).write()


class Samples:
    """The samples of the shared data, and the folders that they go into."""

    def __init__(self, data: Path, folder: Path, most: int) -> None:
        self.data, self.folder, self.most = data, folder, most

    def write(self) -> None:
        """Write the four folders."""
        self.clue_classes()
        self.clue_reading()
        self.clue_entities()
        shutil.copytree(self.data / "fewclue", self.folder / "FewCLUE")
        self.lic2020()
        self.similarity()

    def clue_classes(self) -> None:
        """CLUE's tasks of classes."""
        pairs = ("sentence1", "sentence2", "label")
        afqmc = [dict(zip(pairs, cells, strict=True)) for cells in self.cells("afqmc/dev.txt")]
        questions = [dict(zip(pairs, cells, strict=True)) for cells in self.cells("afqmc/train.txt")]
        self.parts("afqmc", questions, afqmc[:-500], without("label", numbered(afqmc[-500:])))

        codes = {row["label_desc"]: row["label"] for row in self.lines("clue/tnews/labels.json")}
        news = [
            [
                {"label": codes[name], "label_desc": name, "sentence": title, "keywords": ""}
                for title, name in self.cells(f"tnews/{part}.tsv")
            ]
            for part in ("train", "dev")
        ]
        self.parts("tnews", news[0], news[1][:-500], without("label", numbered(news[1][-500:])))

        apps = [{**row, "label": str(row["label"])} for row in self.lines("fewclue/iflytek/train_0.json")]
        self.parts("iflytek", apps, self.lines("clue/iflytek/dev_part.json"), self.lines("clue/iflytek/test_part.json"))

        inferences = self.lines("clue/cmnli/dev_part.json")
        self.parts("cmnli", inferences[:400], inferences[400:], self.lines("clue/cmnli/test_sample.json"))
        self.copy("clue/diagnostics/diagnostics_test_sample.json", "CLUE/diagnostics/diagnostics_test.json")
        ocnli = [self.lines(f"ocnli/{part}.json") for part in ("train.3k", "dev")]
        self.parts("ocnli", *ocnli, self.lines("clue/ocnli/test_part.json"))

        wsc = [self.lines(f"clue/wsc/{part}.json") for part in ("train_part", "dev_part", "test1.0")]
        self.parts("wsc", *wsc, test="test1.0")

        abstracts = [
            row
            for part in ("train_few_all", "dev_few_all", "test_public")
            for row in self.lines(f"fewclue/csl/{part}.json")
        ]
        self.parts("csl", abstracts, self.lines("clue/csl/dev_part.json"), self.lines("clue/csl/test_part.json"))

    def clue_reading(self) -> None:
        """CLUE's tasks of reading comprehension."""
        squad = self.document("cmrc2018/cmrc2018_dev_first250.json")
        self.document_to("CLUE/cmrc2018/train.json", {**squad, "data": squad["data"][: self.most // 40]})
        squad = self.document("cmrc2018/cmrc2018_trial.json")
        self.document_to("CLUE/cmrc2018/dev.json", {**squad, "data": squad["data"][: self.most // 50]})
        self.copy("clue/cmrc2018/test_part.json", "CLUE/cmrc2018/test.json")

        for kind, name, train in (("m", "c3-m-dev", self.most // 8), ("d", "c3-d-dev_first400", self.most // 20)):
            passages = self.document(f"c3/{name}.json")
            evaluated = passages[-self.most // 20 :]
            texts = [passage for passage, *_ in evaluated]
            learnt = [passage for passage in passages[: -len(evaluated)] if passage[0] not in texts]
            self.document_to(f"CLUE/c3/{kind}-train.json", learnt[:train])
            self.document_to(f"CLUE/c3/{kind}-dev.json", evaluated)
        self.copy("clue/c3/test1.0_part.json", "CLUE/c3/test1.0.json")

        for name in ("train", "train_answer", "dev", "dev_answer"):
            self.copy(f"clue/chid/derived_{name}.json", f"CLUE/chid/{name}.json")
        self.copy("clue/chid/official_test.json", "CLUE/chid/test1.0.json")

    def clue_entities(self) -> None:
        """CLUENER."""
        entities = [self.lines(f"cluener2020/{part}.json") for part in ("train", "valid")]
        self.parts("cluener", *entities, self.lines("clue/cluener/test.json"))

    def lic2020(self) -> None:
        """LIC2020's tasks, each cut from one file."""
        squad = self.document("clue/dureader_robust/dev_part.json")
        (article,) = squad["data"]
        paragraphs = article["paragraphs"]
        for name, part in zip(("train", "dev", "test1"), cut(paragraphs, 350, 100), strict=True):
            if name == "test1":
                for asked in (asked for paragraph in part for asked in paragraph["qas"]):
                    asked["answers"] = [{"text": "", "answer_start": -1}]
            document = {"data": [{**article, "paragraphs": part}]}
            self.document_to(f"LIC2020/dureader_robust/{name}.json", document)

        train, dev, test = cut(self.lines("duie2_subset/train_part.json"), 2200, 500)
        names = ("duie_train", "duie_dev", "duie_test1")
        for name, rows in zip(names, (train[: self.most], dev, without("spo_list", test)), strict=True):
            self.lines_to(f"LIC2020/duie/{name}.json", rows)
        self.copy("duie2_subset/duie_schema.json", "LIC2020/duie/duie_schema.json")

        train, dev, test = cut(self.lines("duee1/duee_dev.json"), 1100, 300)
        names = ("duee_train", "duee_dev", "duee_test1")
        for name, rows in zip(names, (train[: self.most], dev, without("event_list", test)), strict=True):
            self.lines_to(f"LIC2020/duee/{name}.json", rows)
        self.copy("duee1/duee_event_schema.json", "LIC2020/duee/duee_event_schema.json")

    def similarity(self) -> None:
        """The two of the five tasks of similarity that can be had."""
        pairs = [self.text(f"stsb_zh/STS-B.{part}.data").splitlines(keepends=True) for part in ("train", "valid")]
        stsb = [pairs[0], pairs[1][:500], pairs[1][500:]]
        pawsx = cut(self.text("pawsx_zh/PAWSX.valid.data").splitlines(keepends=True), 1000, 300)
        for task, parts in (("STS-B", stsb), ("PAWSX", pawsx)):
            for part, lines in zip(("train", "valid", "test"), parts, strict=True):
                self.write_text(f"SIMILARITY/{task}/{task}.{part}.data", "".join(lines))

    def parts(
        self, task: str, train: Sequence[Row], dev: Sequence[Row], unlabelled: Iterable[Row], test: str = "test"
    ) -> None:
        """Write the files of a task of CLUE; what is evaluated is not learnt."""
        dev = dev[: self.most // 2]
        evaluated = {key for row in dev for key in texts_of(row)}
        learnt = [row for row in train if not evaluated.intersection(texts_of(row))]
        for name, rows in (("train", learnt[: self.most]), ("dev", dev), (test, unlabelled)):
            self.lines_to(f"CLUE/{task}/{name}.json", rows)

    def text(self, name: str) -> str:
        return (self.data / name).read_text(encoding="utf-8")

    def lines(self, name: str) -> list[Row]:
        return [json.loads(line) for line in self.text(name).split("\n") if line.strip()]

    def cells(self, name: str) -> list[list[str]]:
        return [line.split("\t") for line in self.text(name).split("\n") if line]

    def document(self, name: str) -> Any:
        return json.loads(self.text(name))

    def copy(self, source: str, target: str) -> None:
        self.write_text(target, self.text(source))

    def document_to(self, target: str, value: Any) -> None:
        self.write_text(target, json.dumps(value, ensure_ascii=False, indent=1))

    def lines_to(self, target: str, rows: Iterable[Row]) -> None:
        self.write_text(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def write_text(self, target: str, text: str) -> None:
        path = self.folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def cut(rows: Sequence[Any], first: int, second: int) -> list[list[Any]]:
    """The first so many rows, the next so many, and those that are left."""
    return [list(rows[:first]), list(rows[first : first + second]), list(rows[first + second :])]


def numbered(rows: Iterable[Row]) -> list[Row]:
    """Rows of a test file, whose ids count from 0."""
    return [{"id": number, **row} for number, row in enumerate(rows)]


def without(key: str, rows: Iterable[Row]) -> list[Row]:
    """Rows of a test file, without their answers."""
    hidden = {key, "label_desc"}
    return [{name: value for name, value in row.items() if name not in hidden} for row in rows]


def texts_of(row: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What makes two rows alike: both texts of a pair, or its one text."""
    if "sentence1" in row:
        return {(row["sentence1"], row["sentence2"])}
    return {(row[key], "") for key in ("sentence", "text", "abst") if key in row}


if __name__ == "__main__":
    main()
