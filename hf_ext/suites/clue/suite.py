"""CLUE's tasks of understanding Chinese, and its diagnostics: train, predict, pack, validate, report."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.suites.clue.published import EXACT_TOKEN_SPANS, MACRO_OF_STRINGS, MICRO_OF_SPANS, PUBLISHED
from hf_ext.suites.clue.rows import (
    blank_rows,
    choice_rows,
    entity_rows,
    keywords_and_abstracts,
    marked_texts,
    question_rows,
    sentence_pairs,
    sentences,
    sentences_with_keywords,
    spaced_keywords_and_abstracts,
)
from hf_ext.suites.presets import ARTICLE, FIRST_TOKEN, OFFICIAL, ONE_SEGMENT
from hf_ext.suites.scorers.cluener import TYPES, cluener_label, cluener_scores
from hf_ext.suites.submission.entries import entities_entry
from hf_ext.suites.suite import Suite, SuiteTask
from hf_ext.tasks.multiple_choice.decoding import DECODINGS

_CLASSES: Mapping[str, Any] = {"max_length": 128, "metric_for_best_model": "accuracy"}
_ARTICLE = {**ARTICLE, **FIRST_TOKEN}
_ARTICLE_PAIRS = {**_ARTICLE, **ONE_SEGMENT}
_NLI = ("entailment", "neutral", "contradiction")
_FILES = {"train": "train.json", "validation": "dev.json", "test": "test.json"}
_DIAGNOSTICS = (
    (
        "diagnostics/diagnostics_test.json",
        "diagnostics/test.json",
        "clue_diagnostics_public/diagnostics_test.json",
        "clue_diagnostics_public/test.json",
    ),
)
# TNEWS has neither 105 nor 111.
_TNEWS = tuple(str(code) for code in range(100, 117) if code not in (105, 111))


def _entity_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return entities_entry(prediction["id"], prediction["text"], prediction["entities"])


def _entity_scores(predictions: Sequence[Mapping[str, Any]], examples: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found, true = ([cluener_label(one["text"], one["entities"]) for one in texts] for texts in (predictions, examples))
    return {MACRO_OF_STRINGS: cluener_scores(found, true)["macro_f1_of_strings"]}


def _answer_entry(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {str(prediction["id"]): prediction["answer"]}


def _idiom_entry(prediction: Mapping[str, Any]) -> dict[str, Any]:
    return {str(prediction["id"]): int(prediction["label"])}


def _official(batch: int, rate: float, epochs: int, **more: Any) -> dict[str, Any]:
    """The official preset of a task."""
    own = {"per_device_train_batch_size": batch, "learning_rate": rate, "num_train_epochs": epochs}
    return {**OFFICIAL, **own, **more}


SUITE = Suite(
    "clue",
    tasks=(
        SuiteTask(
            name="iflytek",
            job="classification",
            files=_FILES,
            read=sentences,
            labels=tuple(map(str, range(119))),
            options=_CLASSES,
            presets={"article": _ARTICLE, "official": _official(32, 2e-5, 3)},
            counts={"train": 12_133, "validation": 2_599, "test": 2_600},
            submissions={"test": "iflytek_predict.json"},
        ),
        SuiteTask(
            name="tnews",
            job="classification",
            files={
                "train": "train.json",
                "validation": "dev.json",
                "test1.0": "test1.0.json",
                "test1.1": (("test.json", "test1.1.json"),),
            },
            read=sentences,
            variants={"keywords": sentences_with_keywords},
            labels=_TNEWS,
            options=_CLASSES,
            presets={"article": _ARTICLE, "official": _official(16, 2e-5, 3)},
            counts={"train": 53_360, "validation": 10_000, "test1.0": 10_000, "test1.1": 10_000},
            submissions={"test1.0": "tnews10_predict.json", "test1.1": "tnews11_predict.json"},
        ),
        SuiteTask(
            name="afqmc",
            job="classification",
            files=_FILES,
            read=sentence_pairs,
            labels=("0", "1"),
            options=_CLASSES,
            presets={"article": _ARTICLE_PAIRS, "official": _official(16, 2e-5, 3)},
            counts={"train": 34_334, "validation": 4_316, "test": 3_861},
            submissions={"test": "afqmc_predict.json"},
        ),
        SuiteTask(
            name="cmnli",
            job="classification",
            files={**_FILES, "diagnostics": _DIAGNOSTICS},
            read=sentence_pairs,
            labels=_NLI,
            no_label=("-",),
            options=_CLASSES,
            presets={"article": _ARTICLE_PAIRS, "official": _official(64, 3e-5, 2)},
            counts={"train": 391_783, "validation": 12_241, "test": 13_880, "diagnostics": 514},
            submissions={"test": "cmnli_predict.json", "diagnostics": "diagnostics_predict.json"},
            # No rule of the site names it.
            optional=("diagnostics_predict.json",),
        ),
        SuiteTask(
            name="ocnli",
            job="classification",
            files={**_FILES, "train": (("train.50k.json", "train.json"),)},
            read=sentence_pairs,
            labels=_NLI,
            no_label=("-",),
            options=_CLASSES,
            presets={"article": _ARTICLE_PAIRS, "official": _official(16, 3e-5, 2)},
            counts={"train": 50_437, "validation": 2_950, "test": 3_000},
            submissions={"test": "ocnli_50k_predict.json"},
        ),
        SuiteTask(
            name="wsc",
            job="classification",
            files={
                "train": "train.json",
                "validation": "dev.json",
                "test1.0": "test1.0.json",
                "test1.1": (("test.json", "test1.1.json"),),
            },
            read=marked_texts,
            labels=("false", "true"),
            folders=("cluewsc2020", "cluewsc"),
            options=_CLASSES,
            presets={"article": {**_ARTICLE, "num_train_epochs": 30}, "official": _official(8, 1e-5, 50)},
            counts={"train": 1_244, "validation": 304, "test1.0": 290, "test1.1": 2_574},
            submissions={"test1.0": "cluewsc10_predict.json", "test1.1": "cluewsc11_predict.json"},
        ),
        SuiteTask(
            name="csl",
            job="classification",
            files=_FILES,
            read=keywords_and_abstracts,
            variants={"spaces": spaced_keywords_and_abstracts},
            labels=("0", "1"),
            options=_CLASSES,
            presets={"article": _ARTICLE_PAIRS, "official": _official(4, 1e-5, 5, max_length=256)},
            counts={"train": 20_000, "validation": 3_000, "test": 3_000},
            submissions={"test": "csl_predict.json"},
        ),
        SuiteTask(
            name="cmrc2018",
            job="reading-comprehension",
            files=_FILES,
            read=question_rows,
            metric="EM",
            score="exact_match",
            also={"F1": "f1", EXACT_TOKEN_SPANS: "span_accuracy"},
            options={"max_length": 512},
            presets={
                "article": {
                    **ARTICLE,
                    **ONE_SEGMENT,
                    # One softmax over all spans, whose scores windows are compared by.
                    "head": "pointer_table",
                    "ranking": "score",
                    "window_step": 128,
                    "null_threshold": "never",
                    "max_answer_tokens": 512,
                    "per_device_train_batch_size": 16,
                    "gradient_accumulation_steps": 2,
                },
                "official": _official(32, 3e-5, 2, head="start_end"),
            },
            counts={"train": 10_142, "validation": 3_219, "test": 2_000},
            unlabelled={"answers": []},
            submissions={"test": "cmrc2018_predict.json"},
            submission="answers",
            submission_line=_answer_entry,
        ),
        SuiteTask(
            name="c3",
            job="multiple-choice",
            # The authors' own release and CLUE's name them differently.
            files={
                "train": (("m-train.json", "c3-m-train.json"), ("d-train.json", "c3-d-train.json")),
                "validation": (("m-dev.json", "c3-m-dev.json"), ("d-dev.json", "c3-d-dev.json")),
                "test1.0": "test1.0.json",
                "test1.1": (("test1.1.json", "test.json"),),
            },
            read=choice_rows,
            options={"max_length": 512},
            presets={
                "article": {
                    **ARTICLE,
                    **FIRST_TOKEN,
                    "per_device_train_batch_size": 4,
                    "gradient_accumulation_steps": 4,
                },
                "official": _official(24, 2e-5, 8, head="own"),
            },
            counts={"train": 11_869, "validation": 3_816, "test1.0": 3_892, "test1.1": 1_625},
            unlabelled={"label": 0},
            submissions={"test1.0": "c310_predict.json", "test1.1": "c311_predict.json"},
        ),
        SuiteTask(
            name="chid",
            job="multiple-choice",
            files={
                "train": ("train.json", "train_answer.json"),
                "validation": ("dev.json", "dev_answer.json"),
                "test1.0": "test1.0.json",
                "test1.1": (("test1.1.json", "test.json"),),
            },
            read=blank_rows,
            also={f"accuracy by {way}": f"accuracy_{way}" for way in DECODINGS},
            options={"max_length": 64},
            presets={
                "article": {
                    **ARTICLE,
                    **FIRST_TOKEN,
                    "num_train_epochs": 5,
                    "per_device_train_batch_size": 12,
                    "gradient_accumulation_steps": 2,
                },
                "official": _official(24, 2e-5, 3, head="own", warmup_steps=0.06, decoding="greedy"),
            },
            # Of lines, each with one blank or more.
            counted="group",
            counts={"train": 84_709, "validation": 3_218, "test1.0": 3_231, "test1.1": 3_447},
            unlabelled={"label": 0},
            submissions={"test1.0": "chid10_predict.json", "test1.1": "chid11_predict.json"},
            submission="idioms",
            submission_line=_idiom_entry,
        ),
        SuiteTask(
            name="cluener",
            job="ner",
            files=_FILES,
            read=entity_rows,
            metric=MICRO_OF_SPANS,
            score="f1",
            scorer=_entity_scores,
            folders=("cluener2020",),
            options={"max_length": 256, "head": "global_pointer"},
            presets={"article": ARTICLE, "official": _official(24, 2e-5, 5, head="crf")},
            counts={"train": 10_748, "validation": 1_343, "test": 1_345},
            unlabelled={"entities": []},
            submissions={"test": "cluener_predict.json"},
            submission="entities",
            submission_labels=TYPES,
            submission_line=_entity_line,
        ),
    ),
    published=PUBLISHED,
    averages={
        "classification": ("afqmc", "tnews", "iflytek", "cmnli", "wsc", "csl"),
        "reading": ("cmrc2018", "chid", "c3"),
    },
    zip_name="submit.zip",
)
