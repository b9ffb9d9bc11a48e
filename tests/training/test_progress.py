"""Curves and the progress of a run."""

import io

import pytest
from rich.console import Console
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from hf_ext.training.curves import plot_curves, sparkline
from hf_ext.training.progress import ProgressCallback, say
from hf_ext.training.run_steps import show_progress


@pytest.mark.parametrize(
    ("values", "line"),
    [([], ""), ([1.0], "▁"), ([2.0, 2.0], "▁▁"), ([0, 7], "▁█"), (list(range(8)), "▁▂▃▄▅▆▇█"), ([3, 0, 7], "▄▁█")],
)
def test_sparkline(values, line):
    assert sparkline(values) == line


def test_sparkline_averages_to_its_width():
    assert sparkline([0, 0, 7, 7], width=2) == "▁█"
    assert len(sparkline(list(range(1000)), width=40)) == 40


def test_curves_are_a_png(tmp_path):
    import matplotlib.image

    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "eval_loss": 1.5, "eval_f1": 0.5}]
    empty, full = tmp_path / "empty.png", tmp_path / "full.png"
    plot_curves([], empty)
    plot_curves(history, full)
    images = [matplotlib.image.imread(path) for path in (empty, full)]
    assert images[0].shape == images[1].shape
    # The lines are there.
    assert abs(images[0] - images[1]).sum() > 100


def run(callback, tmp_path, is_first, **more):
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **more)
    state = TrainerState(max_steps=2, epoch=1.0, is_world_process_zero=is_first)
    control = TrainerControl()
    callback.on_train_begin(args, state, control)
    for step, loss in ((1, 2.0), (2, 1.0)):
        state.global_step = step
        callback.on_step_end(args, state, control)
        callback.on_log(args, state, control, logs={"loss": loss, "learning_rate": 1e-3})
    callback.on_evaluate(args, state, control, metrics={"eval_f1": 0.25})
    callback.on_train_end(args, state, control)


def test_progress_shows_bar_evaluations_and_curves(tmp_path):
    stream = io.StringIO()
    run(ProgressCallback(console=Console(file=stream, width=120)), tmp_path, is_first=True)
    shown = stream.getvalue()
    assert "2/2" in shown
    assert "step 2 (epoch 1.0)  loss 1.0000  f1 0.2500" in shown
    assert "█▁ 2.0000 → 1.0000" in shown


@pytest.mark.parametrize(
    ("best", "line"),
    [
        (None, "f1 ▁█▄ 0.2000 → 0.5000"),
        (3, "f1 ▁█▄ 0.2000 → 0.5000"),
        (2, "f1 ▁█▄ 0.2000 → 0.8000 (step 2, the best; the last 0.5000)"),
    ],
)
def test_the_curve_ends_where_the_table_is_of(best, line, tmp_path):
    stream = io.StringIO()
    callback = ProgressCallback(console=Console(file=stream, width=120))
    saved = {} if best is None else {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"}
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, **saved)
    history = [{"eval_f1": score, "step": step, "epoch": float(step)} for step, score in ((1, 0.2), (2, 0.8), (3, 0.5))]
    state = TrainerState(max_steps=3, log_history=[{"loss": 1.0, "step": 1}, *history], best_global_step=best)
    callback.on_train_begin(args, state, TrainerControl())
    callback.on_train_end(args, state, TrainerControl())
    assert stream.getvalue().splitlines()[-1].strip() == line


def test_steps_are_counted_where_their_number_was_asked_for(tmp_path):
    stream = io.StringIO()
    run(ProgressCallback(console=Console(file=stream, width=120)), tmp_path, is_first=True, max_steps=2)
    assert "step 2 of 2  loss 1.0000  f1 0.2500" in stream.getvalue()


def test_only_the_first_process_shows_progress(tmp_path):
    stream = io.StringIO()
    run(ProgressCallback(console=Console(file=stream)), tmp_path, is_first=False)
    assert stream.getvalue() == ""


def test_progress_is_shown_once_however_often_it_is_asked_for(tmp_path):
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=8, **sizes))
    for silent in (False, True):
        trainer = Trainer(model, TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=silent))
        for _ in range(2):
            show_progress(trainer, "f1")
        shown = [one for one in trainer.callback_handler.callbacks if isinstance(one, ProgressCallback)]
        assert [one.metric for one in shown] == ([] if silent else ["f1"])


def test_what_is_said_is_a_line_as_it_is(capsys):
    line = "[bold]张三[/bold] :smile: " + "a b " * 100
    say(line)
    seen = capsys.readouterr()
    assert (seen.out, seen.err) == ("", f"{line}\n")
