"""The card of any Trainer's run: what it says, that the Hub reads it, and what it leaves of others' text."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import metadata_load
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import hf_ext
from hf_ext.training import CardFacts, CardFile, ModelCardCallback, rename_card
from hf_ext.training.model_card.readme import write_readme
from hf_ext.training.model_card.results import (
    Evaluation,
    cell,
    evaluations,
    hub_metrics,
    measured_by,
    origin_of_scores,
    readable_size,
    results_table,
    shown,
)

SIZE = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
CARD = "---\ntags:\n- ours\nlibrary_name: hf-ext\n---\n# Model\n\n```\nhf-ext predict model text\n```\n"


def classifier() -> Any:
    config = BertConfig(**SIZE, id2label={0: "好", 1: "a|b", 2: "b"})
    return BertForSequenceClassification(config)


def metrics(prediction: Any) -> dict[str, float]:
    right = prediction.predictions.argmax(-1) == prediction.label_ids
    return {"accuracy": float(right.mean()), "f1_好": 0.5, "f1_a|b": 0.25, "f1_b": 0.75}


def trainer(folder: Path, model: Any = None, **more: Any) -> Trainer:
    """A run of four steps over rows of made-up tokens, evaluated every two."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, 20, (8, 5), generator=generator)
    rows = [{"input_ids": row, "labels": torch.tensor(int(row[0]) % 3)} for row in tokens]
    settings = {"use_cpu": True, "report_to": "none", "disable_tqdm": True, "max_steps": 4, "logging_steps": 1}
    settings |= {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "no", "per_device_train_batch_size": 4}
    arguments = TrainingArguments(str(folder), **(settings | more))
    return Trainer(model or classifier(), arguments, train_dataset=rows, eval_dataset=rows[:5], compute_metrics=metrics)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Any model under any Trainer, with the callback."""
    run = trainer(tmp_path_factory.mktemp("trained") / "news")
    run.add_callback(ModelCardCallback(run, CardFacts(license="mit", language="zh, en", datasets=["org/set"])))
    run.train()
    run.save_model()
    return run


def text_of(run: Trainer) -> str:
    return (Path(str(run.args.output_dir)) / "README.md").read_text(encoding="utf-8")


def code_of(text: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(code)


def test_any_trainer_gets_a_card(trained: Trainer) -> None:
    folder = Path(str(trained.args.output_dir))
    card = ModelCard.load(folder / "README.md")
    data: Any = card.data
    assert data.to_dict() == metadata_load(folder / "README.md")
    assert (data.language, data.license, data.datasets) == (["zh", "en"], "mit", ["org/set"])
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    last = [entry for entry in trained.state.log_history if "eval_accuracy" in entry][-1]
    results = {one.metric_name: one for one in data.eval_results}
    assert data.model_name == "news"
    assert results.keys() == {"loss", "accuracy"}
    assert results["accuracy"].metric_value == pytest.approx(last["eval_accuracy"], abs=1e-6)
    assert results["accuracy"].dataset_split == "validation"
    assert f"| accuracy | {last['eval_accuracy']:.4f} |" in card.text
    # By label below a fold: the label "b" is not taken for the end of "a|b".
    fold = card.text.partition("<details>")[2].partition("</details>")[0]
    assert re.findall(r"^\| (.*) \| (0\.\d+) \|$", fold, re.MULTILINE) == [
        ("好", "0.5000"),
        (r"a\|b", "0.2500"),
        ("b", "0.7500"),
    ]
    assert "no score has chosen it" in card.text
    assert "trained from scratch on [org/set]" in card.text
    assert "| learning rate | 5e-05 |" in card.text
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "](curves.png)" in card.text


def test_the_card_of_an_upload_is_ours(trained: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Trainer.push_to_hub`` writes a card of its own last of all."""
    pushed = {}

    def upload_folder(folder_path: str, **_: Any) -> None:
        pushed["card"] = (Path(folder_path) / "README.md").read_text(encoding="utf-8")

    monkeypatch.setattr("transformers.trainer.hf_api", lambda: SimpleNamespace(upload_folder=upload_folder))
    monkeypatch.setattr(trained, "hub_model_id", "org/news-2")
    before = text_of(trained)
    trained.push_to_hub(license="apache-2.0", tags="mine", finetuned_from="org/base")
    card = ModelCard(pushed["card"])
    data: Any = card.data
    assert (data.license, data.base_model, data.language) == ("apache-2.0", "org/base", ["zh", "en"])
    assert {"hf_ext", "mine"} <= set(data.tags)
    assert "fine-tuned from [org/base](https://huggingface.co/org/base)" in card.text
    assert 'model="org/news-2"' in code_of(card.text)
    with pytest.raises(ValueError, match=r"arguments of a card must be among language, .*, got tasks"):
        trained.push_to_hub(tasks="text-classification")
    (Path(str(trained.args.output_dir)) / "README.md").write_text(before, encoding="utf-8")


def test_scores_are_those_of_the_checkpoint_that_is_kept(tmp_path: Path) -> None:
    run = trainer(
        tmp_path / "best",
        save_strategy="steps",
        save_steps=2,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        learning_rate=0.5,
    )
    run.add_callback(ModelCardCallback(run, CardFacts(files=[CardFile("validation", "dev.json", 5)]), curves=False))
    run.train()
    losses = {entry["step"]: entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry}
    assert len(set(losses.values())) == 2
    best = min(losses, key=lambda step: losses[step])
    assert measured_by(run)["loss"] == losses[best]
    text = text_of(run)
    assert f"**by which the checkpoint was chosen**: that of step {best}, the best of 2 by loss" in text
    assert f"| loss | {losses[best]:.4f} |" in text
    assert "`dev.json` (5 texts)" in text
    # An evaluation after training is of the model that is saved.
    run.evaluate()
    assert measured_by(run)["loss"] == pytest.approx(losses[best])


def test_test_files_stand_first_and_are_said_to_be_so(tmp_path: Path) -> None:
    for name in ("dev.json", "test.json"):
        (tmp_path / name).write_text("x" * 1500, encoding="utf-8")
    files = [CardFile("train", "org/set", 9), CardFile("validation", tmp_path / "dev.json", 5)]
    facts = CardFacts(files=files, scores={tmp_path / "dev.json": {"f1": 0.5}, tmp_path / "test.json": {"f1": 0.25}})
    state = SimpleNamespace(best_model_checkpoint="checkpoint-8", best_global_step=8, global_step=12, max_steps=20)
    state.log_history = [{"step": step, "eval_f1": 0.1} for step in (4, 8, 12)]
    arguments = SimpleNamespace(load_best_model_at_end=True, metric_for_best_model="eval_f1")
    run: Any = SimpleNamespace(state=state, args=arguments, model=None)
    found = evaluations(run, facts)
    # As of an upload in between.
    going_on = origin_of_scores(run, found[1], facts)
    assert going_on == "`dev.json` (5 texts) is the validation data. Training goes on: this is step 12 of 20."
    state.log_history.append({"step": 12, "train_runtime": 1.0})
    assert results_table(found).splitlines() == [
        "|  | test.json (test) | dev.json (validation) |",
        "|---|---:|---:|",
        "| F1 | 0.2500 | 0.5000 |",
    ]
    first, second = (origin_of_scores(run, one, facts) for one in found)
    assert first == "`test.json` is a test file: it had no part in training or in choosing a checkpoint."
    assert second.startswith("`dev.json` (5 texts) is the validation data, **by which the checkpoint was chosen**")
    assert "step 8, the best of 3 by F1." in second


@pytest.mark.parametrize(
    ("keeps_best", "wanted"),
    [
        (True, "checkpoint was chosen**: that of step 8, the best of 1 by F1, and then the threshold. On data"),
        (False, "threshold was chosen** of the model at the end. On data"),
    ],
)
def test_a_threshold_is_chosen_by_the_validation_file_and_no_score(keeps_best: bool, wanted: str) -> None:
    scores = {"dev.json": {"f1": 0.5, "threshold": 0.02}, "test.json": {"f1": 0.25}}
    facts = CardFacts(files=[CardFile("validation", "dev.json")], scores=scores, options={"threshold": "best"})
    log = [{"step": 8, "eval_f1": 0.1}, {"step": 12, "train_runtime": 1.0}]
    state = SimpleNamespace(best_model_checkpoint="checkpoint-8", best_global_step=8, global_step=12, log_history=log)
    arguments = SimpleNamespace(load_best_model_at_end=keeps_best, metric_for_best_model="eval_f1")
    run: Any = SimpleNamespace(state=state, args=arguments, model=None)
    found = evaluations(run, facts)
    first, second = (origin_of_scores(run, one, facts) for one in found)
    assert first.endswith("in training or in choosing a checkpoint or a threshold.")
    assert f"`dev.json` is the validation data, **by which the {wanted}" in second
    assert "| threshold |  | 0.0200 |" in results_table(found)
    assert hub_metrics(found) == ["f1"]


def test_a_checkpoint_in_between_has_its_own_scores(tmp_path: Path) -> None:
    """Not those of the best one so far, which is not what is uploaded."""
    run = trainer(tmp_path / "going", save_strategy="steps", save_steps=2, load_best_model_at_end=True)
    run.add_callback(ModelCardCallback(run, curves=False))
    cards = []

    class Upload(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            # As Trainer does when it pushes a checkpoint.
            run.callback_handler.on_push_begin(args, state, control)
            cards.append(text_of(run))

    run.add_callback(Upload())
    run.train()
    losses = [entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry]
    for step, loss, card in zip((2, 4), losses, cards, strict=True):
        assert f"Training goes on: this is step {step} of 4." in card
        assert f"| loss | {loss:.4f} |" in card
    assert "Training goes on" not in text_of(run)


def test_a_run_without_an_evaluation_says_so(tmp_path: Path) -> None:
    run = trainer(tmp_path / "none", eval_strategy="no")
    run.add_callback(ModelCardCallback(run, curves=False))
    run.train()
    text = text_of(run)
    assert "The run made no evaluation." in text
    assert "model-index" not in metadata_load(Path(str(run.args.output_dir)) / "README.md")
    assert "curves.png" not in text


def test_a_head_of_ours_says_how_to_use_it(tmp_path: Path) -> None:
    model = hf_ext.AutoModelForSpanExtraction.from_config(BertConfig(**SIZE, id2label={0: "人"}))
    run = Trainer(model, TrainingArguments(str(tmp_path / "spans"), use_cpu=True, report_to="none"))
    run.add_callback(ModelCardCallback(run))
    run.create_model_card()
    card = ModelCard.load(tmp_path / "spans" / "README.md")
    data: Any = card.data
    assert (data.library_name, data.pipeline_tag) == ("hf-ext", "token-classification")
    assert 'pipeline("span-extraction", model="spans")' in code_of(card.text)
    assert "`efficient_global_pointer`" in card.text
    assert "Labels: 人." in card.text


def test_an_adapter_loads_as_its_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    classifier().save_pretrained("encoder")
    model = BertForSequenceClassification.from_pretrained("encoder")
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2))
    run = trainer(tmp_path / "adapter", adapted, learning_rate=0.1)
    run.add_callback(ModelCardCallback(run))
    run.train()
    # PEFT adds to the card whenever it saves, and the callback writes its part anew.
    for _ in range(2):
        run.save_model()
        run.create_model_card()
    text = text_of(run)
    assert metadata_load(tmp_path / "adapter" / "README.md")["library_name"] == "peft"
    assert "adapted from `encoder`" in text
    assert text.count("- PEFT ") == 1
    found: dict[str, Any] = {}
    exec(code_of(text), found)
    tokens = torch.arange(5)[None]
    with torch.no_grad():
        torch.testing.assert_close(found["model"].eval()(tokens).logits, adapted.eval()(tokens).logits)


def test_a_model_without_a_pipeline_loads_as_its_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Trainer(BertModel(BertConfig(**SIZE)), TrainingArguments("plain", use_cpu=True, report_to="none"))
    run.add_callback(ModelCardCallback(run))
    run.create_model_card()
    assert "from transformers import BertModel\n" in code_of(text_of(run))


class Own(torch.nn.Module):
    """A model that is none of Transformers'."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = torch.nn.Linear(5, 3)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.scores(input_ids.float())
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def test_a_module_of_ones_own_gets_a_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(tmp_path / "own", Own())
    run.add_callback(ModelCardCallback(run))
    run.train()
    run.save_model()
    monkeypatch.chdir(tmp_path / "own")
    exec(code_of(text_of(run)), {})
    text = text_of(run)
    assert "A `Own`." in text
    assert "18 parameters" in text
    assert "| accuracy | " in text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("license", "Apache 2.0", "license must be an identifier of the Hub, such as apache-2.0, got 'Apache 2.0'"),
        ("license", "", "license must be"),
        ("language", "Chinese", "language must be codes of two or three letters, such as zh or zh,en, got 'Chinese'"),
        ("language", "zh,", "got ''"),
    ],
)
def test_fields_that_the_hub_does_not_take_are_refused(field: str, value: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        CardFacts(**{field: value})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", r" a\|b "),
        ("*a* `b` [c] ~d $e", r" \*a\* \`b\` \[c\] \~d \$e "),
        ("<b>&amp;", " &lt;b&gt;&amp;amp; "),
        ("macro_f1 _x_ y_", r" macro_f1 \_x\_ y\_ "),
        ("two\nlines\\", " two lines\\\\ "),
        ("", "  "),
    ],
)
def test_labels_of_any_letters_stand_in_a_table(text: str, expected: str) -> None:
    assert cell(text) == expected


def test_numbers_are_readable() -> None:
    assert [shown(one) for one in (None, 0, 12345, 0.12345, 12.345, 1234.5)] == [
        "",
        "0",
        "12,345",
        "0.1235",
        "12.35",
        "1,234.50",
    ]
    assert [readable_size(one) for one in (0, 999, 1000, 1_234_567, 9_900_000_000)] == [
        "0 bytes",
        "999 bytes",
        "1.0 KB",
        "1.2 MB",
        "9.9 GB",
    ]


def test_what_is_counted_or_of_another_model_is_no_result() -> None:
    scores = {"f1": 0.5, "support": 3, "event_support": 2, "total": 9, "skipped": 0, "spearman_before": 0.1, "x": True}
    assert Evaluation(CardFile("test", "a"), scores).metrics == {"f1": 0.5}


def test_somebodys_own_text_is_kept(tmp_path: Path) -> None:
    assert write_readme(tmp_path, CARD, "model")
    path = tmp_path / "README.md"
    text = path.read_text(encoding="utf-8")
    begin, end = (line for line in text.splitlines() if line.startswith("<!-- hf-ext"))
    edited = text.replace("tags:\n", "license: mit\nbase_model: gone\ntags:\n- theirs\n")
    edited = edited.replace(begin, f"Read this 先.\n\n{begin}").replace(end, f"{end}\n\n## Data\n\nFrom our archive.")
    path.write_text(edited, encoding="utf-8")
    assert write_readme(tmp_path, CARD.replace("# Model", "# Other"), "model")
    again = path.read_text(encoding="utf-8")
    assert again.index("Read this 先.") < again.index("# Other") < again.index("From our archive.")
    assert "# Model" not in again
    # What is of the model as it is comes from the run alone.
    assert metadata_load(path) == {"license": "mit", "tags": ["ours", "theirs"], "library_name": "hf-ext"}
    assert write_readme(tmp_path, CARD.replace("# Model", "# Other"), "model")
    assert path.read_text(encoding="utf-8") == again


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "# My own card\n",
        lambda text: text.replace("# Model", "# My model"),
        lambda text: text.replace("library_name: hf-ext", "library_name: [hf-ext"),
        lambda text: "",
    ],
    ids=["another", "changed inside", "broken metadata", "empty"],
)
def test_what_somebody_wrote_is_not_replaced(change: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "README.md"
    write_readme(tmp_path, CARD, "model")
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    before = path.read_bytes()
    assert not write_readme(tmp_path, CARD, "model")
    assert path.read_bytes() == before
    assert write_readme(tmp_path, CARD, "model", overwrite=True)
    assert yaml.safe_load(path.read_text(encoding="utf-8").split("---")[1]) == metadata_load(path)
    assert "# Model\n" in path.read_text(encoding="utf-8")


def test_cards_of_trainer_and_peft_are_replaced(tmp_path: Path) -> None:
    run = trainer(tmp_path / "own")
    run.evaluate()
    (tmp_path / "own").mkdir(exist_ok=True)
    run.create_model_card()
    assert write_readme(tmp_path / "own", CARD, "model")
    get_peft_model(classifier(), LoraConfig(task_type="SEQ_CLS", r=2)).save_pretrained(tmp_path / "peft")
    assert write_readme(tmp_path / "peft", CARD, "model")
    for name in ("own", "peft"):
        assert metadata_load(tmp_path / name / "README.md")["library_name"] == "hf-ext"


def test_a_card_gets_the_name_on_the_hub(tmp_path: Path) -> None:
    assert not rename_card(tmp_path, "org/news")
    code = 'model = pipeline("x", model="model")\nmodel({"model": "model"})\nhf-ext predict model model'
    card = CARD.replace("hf-ext predict model text", code).replace("tags:", "model-index:\n- name: model\ntags:")
    card = card.replace("- name: model\n", "- name: model\n  results: []\n")
    write_readme(tmp_path, card + "\n# model\n\nThe model.\n", "model")
    assert rename_card(tmp_path, "org/*news")
    assert "\n# org/\\*news\n" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert rename_card(tmp_path, "org/news")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "\n# org/news\n" in text
    assert 'model = pipeline("x", model="org/news")\nmodel({"model": "model"})\n' in text
    assert "hf-ext predict org/news model\n" in text
    assert "\nThe model.\n" in text
    # And takes part in what comes after.
    assert rename_card(tmp_path, "org/other")
    assert write_readme(tmp_path, CARD, "model")
    assert json.dumps(metadata_load(tmp_path / "README.md")) == json.dumps(yaml.safe_load(CARD.split("---")[1]))
