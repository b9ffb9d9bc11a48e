"""What LIC2020's scorers say of predictions, and what its contests take of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_ext.suites.scorers.duee import duee_scores
from hf_ext.suites.scorers.duie import duie_scores
from hf_ext.suites.scorers.dureader_robust import dureader_robust_scores
from hf_ext.suites.submission.entries import events_entry, relations_entry

ANSWERS = "F1 of DuReader-robust's script"
EQUAL_ANSWERS = "EM of DuReader-robust's script"
TRIPLES = "F1 of DuIE's script"
ARGUMENTS = "F1 of characters, as DuEE describes it"

Predictions = Sequence[Mapping[str, Any]]


def answer_entry(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a question."""
    return {str(prediction["id"]): prediction["answer"]}


def relations_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a text with relations."""
    return relations_entry(prediction["text"], prediction["relations"])


def events_line(prediction: Mapping[str, Any]) -> dict[str, Any]:
    """The line of a text with events."""
    return events_entry(prediction["id"], prediction["text"], prediction["events"])


def answer_scores(predictions: Predictions, examples: Predictions) -> dict[str, float]:
    """F1, which ranks, and EM of answers."""
    found = {key: answer for one in predictions for key, answer in answer_entry(one).items()}
    true = {str(example["id"]): [answer["text"] for answer in example["answers"]] for example in examples}
    scores = dureader_robust_scores(found, true)
    return {ANSWERS: scores["f1"], EQUAL_ANSWERS: scores["exact_match"]}


def triple_scores(predictions: Predictions, examples: Predictions) -> dict[str, float]:
    """F1 of relations with all their slots, those whose strings are not in their text included."""
    return {TRIPLES: duie_scores(map(relations_line, predictions), examples)["f1"]}


def argument_scores(predictions: Predictions, examples: Predictions) -> dict[str, float]:
    """F1 of arguments by their characters."""
    return {ARGUMENTS: duee_scores(map(events_line, predictions), examples)["f1"]}
