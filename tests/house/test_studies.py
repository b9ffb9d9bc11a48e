"""The study: every experiment runs from start to end, goes on where it stopped, and draws what its file says."""

import csv
import math
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies import crf_learning_rate, entities, exact_loss, label_imbalance, ngram_classifier
from studies.__main__ import EXPERIMENTS, main
from studies.drawing import save_figure
from studies.r_drop_entities import draw_of_every_type
from studies.sources import Sources
from studies.study import Experiment, Results, mean_and_spread, run_experiment

pytestmark = pytest.mark.slow


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_runs_on_generated_sentences(name, tmp_path, capsys):
    main(["--quick", "--only", name, "--seeds", "1", "--results", str(tmp_path)])
    experiment = EXPERIMENTS[name][0].quick()
    rows = read(tmp_path / f"{name}.csv")
    assert len(rows) == len(experiment.tuning()) + len(experiment.cases) * len(experiment.sides)
    assert {row[experiment.side] for row in rows} == set(experiment.sides)
    assert all(row["machine"] and row["date"] and row["seed"] == "0" for row in rows)
    assert (tmp_path / f"study_{name}.png").read_bytes().startswith(b"\x89PNG")
    assert f"| {experiment.sides[0]} |" in capsys.readouterr().out


def test_quick_numbers_go_nowhere_by_themselves(capsys):
    with pytest.raises(SystemExit):
        main(["--quick"])
    assert "--results" in capsys.readouterr().err


class Counted:
    """An experiment whose runs are counted: the score of side "a" is best at the rate 0.1, of "b" at 0.2."""

    def __init__(self):
        self.runs = []
        self.experiment = Experiment(
            name="counted",
            cases=[{"data": "x"}, {"data": "y"}],
            side="side",
            sides=("a", "b"),
            rates=(0.1, 0.2),
            score="score",
            run=self.run,
            draw=lambda figure, results: None,
            measures=("score",),
        )

    def run(self, setting, seed, sources):
        self.runs.append((*setting.values(), seed))
        best = {"a": 0.1, "b": 0.2}[setting["side"]]
        return {"score": 0.5 + seed - abs(setting["learning_rate"] - best)}


def test_runs_are_made_once_with_the_rate_that_was_best_for_their_side(tmp_path):
    counted = Counted()
    results = Results(counted.experiment, tmp_path)
    run_experiment(counted.experiment, Sources(tmp_path), results, range(2))
    tuning = [("x", side, "dev", rate, 0) for side in "ab" for rate in (0.1, 0.2)]
    rates = {"a": 0.1, "b": 0.2}
    tests = [(data, side, "test", rates[side], seed) for seed in (0, 1) for data in "xy" for side in "ab"]
    assert counted.runs == tuning + tests
    assert results.rates() == rates
    assert results.values("score", data="y", side="b") == [0.5, 1.5]
    assert "| y | b | 1.000 ± 0.707 |" in results.table()

    run_experiment(counted.experiment, Sources(tmp_path), results, range(3))
    assert counted.runs[12:] == [(data, side, "test", rates[side], 2) for data in "xy" for side in "ab"]


def test_each_side_may_choose_from_strengths_of_its_own(tmp_path):
    strengths = {"a": (0.0,), "b": (1.0, 2.0)}
    experiment = replace(
        Counted().experiment,
        rates=strengths,
        tunes="strength",
        run=lambda setting, seed, sources: {"score": setting["strength"]},
    )
    results = Results(experiment, tmp_path)
    run_experiment(experiment, Sources(tmp_path), results, range(1))
    assert results.rates() == {"a": 0, "b": 2}
    assert [results.values("score", data=data, side="b") for data in "xy"] == [[2], [2]]
    assert [one["strength"] for one in experiment.quick().tuning()] == [0, 1]
    assert replace(experiment, rates=()).quick().tuning() == []


def test_mean_and_spread():
    assert mean_and_spread([]) == ""
    assert mean_and_spread([0.25]) == "0.250"
    assert mean_and_spread([0.25, 0.75]) == "0.500 ± 0.354"
    assert mean_and_spread([10.0, 20.0]) == "15 ± 7"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_plots_are_drawn_of_the_file_alone(name, tmp_path):
    """Of made-up numbers, also where some runs are missing."""
    experiment = EXPERIMENTS[name][0]
    results = Results(experiment, tmp_path)
    invented = dict.fromkeys(experiment.measures, 0.5) | {
        "f1": 0.5, "precision": 0.5, "recall": 0.5, "nested_recall": 0.25, "cpu_s": 9, "accuracy": 0.75,
        "accuracy_in_training": 0.9, "bias": -0.2, "illegal_per_1000": 1, "moved": 0.1, "allowed_minus_forbidden": 0.2,
        "exact": 0.5, "permuted_gain": 1, "mutual_information": 2, "active_units": 8, "kl": 3,
        "early_topic": 0.1, "early_template": 0.9, "late_topic": 0.9, "late_template": 0.1, "topic_deeper": 0.5,
        **{f"{factor}_{number}": 0.5 for factor in ("topic", "template") for number in range(6)},
        "grammatical": 0.5, "different": 0.4, "fitted_grammatical": 0.5, "fitted_different": 0.4, "mean_moment": 0.1,
        "second_moment": 1, "uniformity": -3,
        "threshold": 0, "micro_f1": 0.5, "macro_f1": 0.5, "micro_f1_calibrated": 0.5, "macro_f1_calibrated": 0.5,
        "masked_accuracy": 0.2, "masked_loss": 5, "most_frequent_class": 0.1,
        "within": 1, "beyond": 0.5, "majority": 0.25, "at_64": 0.5, "at_128": 0.5, "at_256": 0.5, "at_512": 0.5,
        "ms": 3.0, "pll": -5.0, "spearman": 0.5, "mean_cosine": 0.5, "auc": 0.8, "train_s": 60.0,
    }  # fmt: skip
    settings = experiment.tests(dict.fromkeys(experiment.sides, 0.1))[:-1]
    with results.path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*settings[0], "seed", *invented])
        writer.writeheader()
        writer.writerows({**setting, "seed": seed, **invented} for setting in settings for seed in range(3))
    drawn = []
    save_figure(lambda figure: drawn.append((figure, experiment.draw(figure, results))), tmp_path / "plot.png", name)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert len(drawn[0][0].legends) == 1
    assert drawn[0][0].get_suptitle() == name
    assert results.table().count("\n") == 1 + len(experiment.cases) * len(experiment.sides)


def test_overlapping_entities_are_those_that_share_a_character():
    texts = [{"text": "abcdef", "entities": [{"start": a, "end": b, "label": c} for a, b, c in spans]} for spans in (
        [(0, 2, "x"), (2, 4, "x")],
        [(0, 4, "x"), (1, 2, "y"), (4, 6, "x")],
        [(0, 2, "x"), (0, 2, "y")],
    )]  # fmt: skip
    found = [[(one["start"], one["end"], one["label"]) for one in row] for row in entities.overlapping(texts)]
    assert found == [[], [(0, 4, "x"), (1, 2, "y")], [(0, 2, "x"), (0, 2, "y")]]


def test_fewer_positives_leave_the_texts_without_a_class(monkeypatch):
    texts = [{"text": str(number), "labels": ["a", "b"][: number % 3]} for number in range(300)]
    monkeypatch.setattr(Sources, "labelled", lambda *_: texts)
    whole, fewer = (label_imbalance.split(Sources(Path()), "divorce", fewer) for fewer in (False, True))
    assert [len(whole[part]) for part in ("train", "dev", "test")] == [180, 60, 60]
    assert whole["dev"] == fewer["dev"]
    counts = [Counter(bool(one["labels"]) for one in parts["train"]) for parts in (whole, fewer)]
    assert counts == [{False: 60, True: 120}, {False: 60, True: 24}]


def test_tagging_encoder_is_made_once(tmp_path):
    sources = Sources(tmp_path)
    folder = Path(crf_learning_rate.tagging_encoder(sources))
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert crf_learning_rate.tagging_encoder(sources) == str(folder)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written


def test_noise_shrinks_with_the_training():
    """Of a row that is right by 1, the error is the chance of a noise of more than that."""
    logits, labels = torch.tensor([[1.0, 0.0]]), torch.tensor([0])
    for done in (0.0, 0.5, 1.0):
        error = 1 - 0.5 * (1 + math.erf(1 / (10**-done * math.sqrt(2) * math.sqrt(2))))
        assert float(exact_loss.LOSSES["EXACT"](logits, labels, done)) == pytest.approx(error, abs=1e-6)


def test_ngram_classifier_learns_pairs_of_characters():
    texts = ["ab" * 4, "ba" * 3 + "a", "xaby", "baa"] * 8
    labels = torch.tensor([0, 1, 0, 1] * 8)
    torch.manual_seed(0)
    told = []

    def loss(logits, labels, done):
        told.append(done)
        return torch.nn.functional.cross_entropy(logits, labels)

    model = ngram_classifier.fit(texts, labels, 2, loss, epochs=60, learning_rate=0.03)
    assert told == [step / 60 for step in range(60)]
    logits = ngram_classifier.predict(model, texts)
    assert torch.equal(logits.argmax(-1), labels)
    torch.testing.assert_close(ngram_classifier.predict(model, texts[1:2]), logits[1:2])


@pytest.mark.parametrize("name", ["weibo", "resume", "people's daily", "cluener", "duie"])
def test_parts_of_a_data_set_are_apart(name, shared, tmp_path):
    sources = Sources(tmp_path, shared / "data")
    parts = {
        part: sources.entities(name, part) for part in ("train", "dev", "test") if (name, part) != ("cluener", "test")
    }
    assert all(parts.values())
    labels = {part: {one["label"] for text in texts for one in text["entities"]} for part, texts in parts.items()}
    assert all(found <= labels["train"] for found in labels.values())


def test_generated_parts_differ(tmp_path):
    sources = Sources(tmp_path, tmp_path)
    train, dev, test = (
        {one["text"] for one in sources.entities("generated", part)} for part in ("train", "dev", "test")
    )
    assert (len(train), len(dev), len(test)) == (1000, 200, 500)
    assert len(test & train) < 50


def test_a_draw_of_few_texts_has_every_type():
    """Rare ones too, in the place of texts that no type needs; nothing is lost or there twice."""
    texts = [{"text": str(number), "entities": [{"label": "common"}]} for number in range(50)]
    texts += [{"text": label, "entities": [{"label": label}]} for label in ("rare", "rarer")]
    for seed in range(20):
        drawn, others = draw_of_every_type([*texts], 5, seed)
        assert {entity["label"] for one in drawn for entity in one["entities"]} == {"common", "rare", "rarer"}
        assert len(drawn) == 5
        assert sorted(one["text"] for one in (*drawn, *others)) == sorted(one["text"] for one in texts)
    assert draw_of_every_type([*texts], 5, 0) == draw_of_every_type([*texts], 5, 0)
