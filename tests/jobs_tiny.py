"""A small run of every job, and its scores computed text by text by what a user has of the saved model."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import PIL.Image
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertConfig,
    Seq2SeqTrainingArguments,
    TrainingArguments,
    pipeline,
)

import hf_ext
from hf_ext.data import encode_summaries
from hf_ext.metrics import span_scores
from hf_ext.tasks.autoencoding import AutoencoderJob, DataCollatorForTextAutoencoding
from hf_ext.tasks.classification import ClassificationJob
from hf_ext.tasks.classification.metrics import classification_scores
from hf_ext.tasks.cloze import ClozeJob
from hf_ext.tasks.dialogue import DataCollatorForDialogue, DialogueEncoder, DialogueJob
from hf_ext.tasks.entities import SequenceLabelingJob, SpanExtractionJob
from hf_ext.tasks.events import EventExtractionJob, EventTaggingJob, read_events
from hf_ext.tasks.events.metrics import event_scores
from hf_ext.tasks.image_classification import ImageClassificationJob
from hf_ext.tasks.multiple_choice import MultipleChoiceJob
from hf_ext.tasks.paraphrase import DataCollatorForParaphrase, ParaphraseJob, paraphrase_retrieval_accuracy
from hf_ext.tasks.reading_comprehension import ReadingComprehensionJob
from hf_ext.tasks.reading_comprehension.metrics import reading_scores
from hf_ext.tasks.relations import HalfPointerRelationJob, RelationExtractionJob, read_relations
from hf_ext.tasks.relations.metrics import relation_scores
from hf_ext.tasks.similarity import SimilarityJob
from hf_ext.tasks.similarity.metrics import spearman
from hf_ext.tasks.summarization import SummarizationJob
from hf_ext.tasks.summarization.metrics import summary_scores

Rows = list[dict[str, Any]]
NAMES = ["张三", "李四", "王五六", "赵七", "孙八九", "周十", "吴一", "郑二三"]
PLACES = ["北京", "上海城", "天津"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def _texts(number: int) -> tuple[str, str, str]:
    """Of other lengths each: what comes before, a name, a place."""
    return "今天" * (number % 4), NAMES[number], PLACES[number % 3]


def _entity(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    start = len(before)
    end = start + len(name)
    spans = [(start, end, "人"), (end + 1, end + 1 + len(place), "地")]
    return {
        "text": f"{before}{name}在{place}",
        "entities": [{"start": first, "end": last, "label": label} for first, last, label in spans],
    }


def _relation(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    return {
        "text": f"{before}{name}在{place}",
        "spo_list": [{"predicate": "住", "subject": name, "object": place}],
    }


def _event(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    start = len(before)
    places = {"人": (name, start), "地": (place, start + len(name) + 1)}
    arguments = [{"role": role, "argument": own, "argument_start_index": at} for role, (own, at) in places.items()]
    event = {"event_type": "到", "trigger": "到", "trigger_start_index": start + len(name), "arguments": arguments}
    return {"text": f"{before}{name}到{place}", "event_list": [event]}


def _question(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    answers = [{"text": name, "start": len(before)}]
    return {"id": str(number), "question": f"谁在{place}", "context": f"{before}{name}在{place}", "answers": answers}


def _labelled(number: int) -> dict[str, Any]:
    return {"text": _entity(number)["text"], "label": PLACES[number % 3]}


def _many_labelled(number: int) -> dict[str, Any]:
    return {"text": _entity(number)["text"], "labels": [PLACES[number % 3], *["长"] * (number % 2)]}


def _question_with_choices(number: int) -> dict[str, Any]:
    """Of two to four choices."""
    before, name, place = _texts(number)
    others = [one for one in NAMES if one != name][: 1 + number % 3]
    label = (number // 2) % (len(others) + 1)
    choices = [*others[:label], name, *others[label:]]
    return {"text": f"{before}{name}在{place}", "question": f"谁在{place}", "choices": choices, "label": label}


def _blank(number: int) -> dict[str, Any]:
    """One of the two blanks of a text, two in a group."""
    before, name, place = _texts(number - number % 2)
    blanks = f"#idiom{number - number % 2}#", f"#idiom{number + 1 - number % 2}#"
    choices = [place, "去年", name, "南海"]
    text = f"{before}{blanks[0]}在{blanks[1]}有"
    row = {"text": text, "blank": blanks[number % 2], "choices": choices}
    return {**row, "group": number // 2, "label": (2, 0)[number % 2]}


def _pair(number: int) -> dict[str, Any]:
    first, second = _entity(number)["text"], _entity((3 * number + 1) % 8)["text"]
    return {"text1": first, "text2": second, "score": number % 4}


def _paraphrase(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    return {"text": f"{before}{name}在{place}", "synonyms": [f"{place}有{name}", f"{name}到了{place}", f"去{place}"]}


def _dialogue(number: int) -> dict[str, Any]:
    before, name, place = _texts(number)
    return {"turns": [f"{before}{name}呢", f"在{place}", "好"][: 2 + number % 2]}


def _summary(number: int) -> dict[str, Any]:
    return {"text": _entity(number)["text"], "summary": _texts(number)[1]}


# Goes away with the process.
_PICTURES = TemporaryDirectory()


def _picture(number: int) -> dict[str, Any]:
    """An image of its own size and colour, which is that of its class but for noise."""
    file = Path(_PICTURES.name) / f"{number}.png"
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 100, (10 + number, 12, 3), dtype=np.uint8)
    pixels[..., number % 3] += 100
    PIL.Image.fromarray(pixels).save(file)
    return {"image": str(file), "label": PLACES[number % 3]}


@dataclass
class JobCase:
    """A job.

    Attributes:
        job: its class.
        row: makes row i of a file.
        scores: of a folder with a model, the file of the evaluation and the rows in it, as the job names them.
        options: of the job.
        family: of the config: "bert", "roformer", "nezha", "rope_vit" or "t5_pegasus".
        compares: whether the loss compares the rows of a batch, which micro-batches do not add up to.
        steps: of training after which something that is found is right.
    """

    job: Any
    row: Callable[[int], dict[str, Any]]
    scores: Callable[[Path, Path, Rows], Mapping[str, Any]]
    options: Mapping[str, Any]
    family: str = "bert"
    compares: bool = False
    steps: int = 2

    @property
    def has_no_lengths(self) -> bool:
        """Whether it is known of no row, or must not count, how long it is."""
        return self.compares or self.family == "rope_vit" or self.job is MultipleChoiceJob

    def write(self, folder: Path, dropout: float = 0.0) -> None:
        """Write the files and the config of the job: eight rows to train on, five of them to evaluate on."""
        folder.mkdir()
        for name, count in (("train", 8), ("validation", 5)):
            lines = (json.dumps(self.row(number), ensure_ascii=False) + "\n" for number in range(count))
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        config(self.family, dropout).save_pretrained(folder / "config")

    def make(self, folder: Path) -> Any:
        """The job with what is written in the folder."""
        files = (folder / "train.jsonl", folder / "validation.jsonl")
        return self.job(*files, config=str(folder / "config"), **self.options)

    def arguments(self, folder: Path, **more: Any) -> Any:
        """Of a run on the CPU, whose batches of training have rows of like length, and those of evaluation two rows."""
        settings: dict[str, Any] = {
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "lr_scheduler_type": "constant",
            "logging_steps": 1,
            "save_strategy": "no",
            "per_device_eval_batch_size": 2,
            "dataloader_drop_last": True,
            # Rows of these are made to batches of tokens by their collators.
            "train_sampling_strategy": "random" if self.has_no_lengths else "group_by_length",
        }
        kind = Seq2SeqTrainingArguments if self.job is SummarizationJob else TrainingArguments
        return kind(str(folder), **(settings | more))


def config(family: str, dropout: float) -> Any:
    """A small config; jobs set its vocabulary."""
    if family == "t5_pegasus":
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2}
        return hf_ext.T5PegasusConfig(**sizes, dropout_rate=dropout)
    fields: dict[str, Any] = {**SIZE, "hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    fields["initializer_range"] = 0.2
    if family == "rope_vit":
        return hf_ext.RoPEViTConfig(**fields, image_size=8, patch_size=4, layer_scale_init_value=1.0)
    if family == "nezha":
        return hf_ext.NezhaConfig(**fields, attention_mode="causal")
    return (BertConfig if family == "bert" else hf_ext.RoFormerConfig)(**fields)


def _one_by_one(task: str, folder: Path, texts: Iterable[str]) -> list[Any]:
    pipe = pipeline(task, model=str(folder), device="cpu")
    return [pipe(text) for text in texts]


def _spans(task: str) -> Callable[[Path, Path, Rows], Mapping[str, Any]]:
    def scores(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
        found = _one_by_one(task, folder, (row["text"] for row in rows))
        return span_scores(found, [row["entities"] for row in rows], ["人", "地"])

    return scores


def _relations(task: str) -> Callable[[Path, Path, Rows], Mapping[str, Any]]:
    def scores(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
        found = _one_by_one(task, folder, (row["text"] for row in rows))
        return relation_scores(found, [example["relations"] for example in read_relations(file)])

    return scores


def _events(task: str) -> Callable[[Path, Path, Rows], Mapping[str, Any]]:
    def scores(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
        found = _one_by_one(task, folder, (row["text"] for row in rows))
        true = [example["events"] for example in read_events(file)]
        if task == "event-tagging":
            for event in (event for events in true for event in events):
                event["arguments"] = [one for one in event["arguments"] if one["role"] != "触发词"]
        return event_scores(found, true)

    return scores


def _answers(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    answer = pipeline("reading-comprehension", model=str(folder), device="cpu")
    found = [answer(question=row["question"], context=row["context"]) for row in rows]
    first = [row["answers"][0] for row in rows]
    right = [own["start"] == true["start"] and own["answer"] == true["text"] for own, true in zip(found, first)]
    scores = reading_scores([own["answer"] for own in found], [[one["text"] for one in row["answers"]] for row in rows])
    return {**scores, "span_accuracy": sum(right) / len(right)}


def _classes(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    classify = pipeline("text-classification", model=str(folder), device="cpu", top_k=None)
    names = list(classify.model.config.label2id)
    found: list[Sequence[str]] = []
    for row in rows:
        scores = {one["label"]: one["score"] for one in classify([row["text"]])[0]}
        best = max(scores, key=lambda name: scores[name])
        found.append([best] if "label" in row else [name for name in names if scores[name] > 0.5])
    return classification_scores(found, [row.get("labels") or [row["label"]] for row in rows], names)


def _classes_of_either(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    classify = pipeline("classification", model=str(folder), device="cpu")
    found = [[classify(row["text"])[0]["label"]] for row in rows]
    names = list(classify.model.config.label2id)
    return {**classification_scores(found, [[row["label"]] for row in rows], names), "head": "first_token"}


def _choices(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    pick = pipeline("multiple-choice", model=str(folder), device="cpu")
    ways = {"argmax", "greedy", "assignment"} if "group" in rows[0] else set()
    own = "assignment" if ways else "argmax"
    right = {
        way: np.mean([one[0]["index"] == row["label"] for one, row in zip(pick(rows, decoding=way), rows)])
        for way in {own} | ways
    }
    scores = {"accuracy": right[own], "decoding": own, "head": pick.model.config.linear_pooling}
    return {**scores, **{f"accuracy_{way}": right[way] for way in ways}}


def _cloze(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    classify = pipeline("cloze", model=str(folder), device="cpu")
    found = [[classify(row["text"])[0]["label"]] for row in rows]
    return classification_scores(found, [[row["label"]] for row in rows], list(classify.model.config.label2id))


def _classes_of_images(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    classify = pipeline("image-classification", model=str(folder), device="cpu")
    found = [[classify(row["image"])[0]["label"]] for row in rows]
    return classification_scores(found, [[row["label"]] for row in rows], list(classify.model.config.label2id))


def _similarity(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    embed = pipeline("text-embedding", model=str(folder), device="cpu")
    pairs = [[embed(row[name], normalize=True) for name in ("text1", "text2")] for row in rows]
    cosines = [float(np.asarray(first).ravel() @ np.asarray(second).ravel()) for first, second in pairs]
    return {"spearman": spearman(cosines, [row["score"] for row in rows])}


def _paraphrases(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    model = hf_ext.RoFormerForParaphrase.from_pretrained(folder).eval()
    collate = DataCollatorForParaphrase(AutoTokenizer.from_pretrained(folder), 64)
    loss, count, vectors = 0.0, 0, []
    for row in rows:
        batch = collate([(row["text"], row["synonyms"][0])])
        with torch.no_grad():
            outputs = model(**batch)
        loss, count = loss + float(outputs.lm_losses.sum()), count + int((batch["labels"] != -100).sum())
        vectors.append(outputs.pooler_output.numpy())
    return {"lm_loss": loss / count, "retrieval_accuracy": paraphrase_retrieval_accuracy(np.stack(vectors))}


def _perplexity(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoder = DialogueEncoder.for_config(model.config, tokenizer, max_length=64)
    loss, right, count = 0.0, 0, 0
    for row in rows:
        encoded = encoder({"turns": [row["turns"]]})
        batch = DataCollatorForDialogue(tokenizer)([{key: value[0] for key, value in encoded.items()}])
        labels = batch.pop("labels")[0, 1:]
        with torch.no_grad():
            logits = model(**batch).logits[0, :-1]
        asked = labels != -100
        loss += float(torch.nn.functional.cross_entropy(logits[asked], labels[asked], reduction="sum"))
        right, count = right + int((logits.argmax(-1) == labels)[asked].sum()), count + int(asked.sum())
    return {"perplexity": exp(loss / count), "accuracy": right / count}


def _reconstruction(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    model = hf_ext.UniVAEForTextAutoencoding.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    collate = DataCollatorForTextAutoencoding(tokenizer)
    loss, right, count = 0.0, 0, 0
    for row in rows:
        batch = collate([{"input_ids": tokenizer(row["text"])["input_ids"]}])
        with torch.no_grad():
            z = model.encode(batch["input_ids"])
            logits, labels = model.decode(z, batch["input_ids"])[0, :-1], batch["labels"][0, 1:]
        loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
        right, count = right + int((logits.argmax(-1) == labels).sum()), count + len(labels)
    return {"perplexity": exp(loss / count), "accuracy": right / count, "loss_mean": loss / count}


def _summaries(folder: Path, file: Path, rows: Rows) -> Mapping[str, Any]:
    model: Any = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    written = []
    for row in encode_summaries(rows, tokenizer, model.config.decoder_start_token_id, 64, 8):
        ids = model.generate(torch.tensor([row["input_ids"]]), attention_mask=torch.tensor([row["attention_mask"]]))
        written.append(tokenizer.decode(ids[0], skip_special_tokens=True).replace(" ", ""))
    return {"written": "|".join(written), **summary_scores(written, [row["summary"] for row in rows])}


_WINDOW = {"max_length": 64, "stride": 8}
_POINTER = {**_WINDOW, "span_head_size": 8}
_LENGTH = {"max_length": 64}
_CLOZE = {**_LENGTH, "pattern": "去{mask}，{text}", "verbalizer": {"上海城": "上", "北京": "北", "天津": "天"}}

JOBS = {
    "spans": JobCase(SpanExtractionJob, _entity, _spans("span-extraction"), _POINTER),
    "crf": JobCase(SequenceLabelingJob, _entity, _spans("sequence-labeling"), _WINDOW),
    "softmax": JobCase(
        SequenceLabelingJob,
        _entity,
        _spans("sequence-labeling"),
        {**_WINDOW, "head": "softmax"},
    ),
    "relations": JobCase(RelationExtractionJob, _relation, _relations("relation-extraction"), _POINTER, steps=50),
    "half pointers": JobCase(
        HalfPointerRelationJob, _relation, _relations("half-pointer-relation-extraction"), _WINDOW, steps=50
    ),
    "events": JobCase(EventExtractionJob, _event, _events("event-extraction"), _POINTER, steps=50),
    "tags of events": JobCase(EventTaggingJob, _event, _events("event-tagging"), _WINDOW, steps=50),
    "answers": JobCase(ReadingComprehensionJob, _question, _answers, _WINDOW),
    "classes": JobCase(ClassificationJob, _labelled, _classes, _LENGTH),
    "many classes": JobCase(ClassificationJob, _many_labelled, _classes, _LENGTH),
    "linear classes": JobCase(ClassificationJob, _labelled, _classes_of_either, {**_LENGTH, "head": "first_token"}),
    "choices": JobCase(MultipleChoiceJob, _question_with_choices, _choices, {**_LENGTH, "head": "mean"}, steps=4),
    "blanks": JobCase(MultipleChoiceJob, _blank, _choices, _LENGTH, steps=4),
    "cloze": JobCase(ClozeJob, _labelled, _cloze, _CLOZE),
    "cloze labels": JobCase(ClozeJob, _labelled, _cloze, {**_CLOZE, "predicts": "labels"}),
    "images": JobCase(ImageClassificationJob, _picture, _classes_of_images, {"mirror": True}, "rope_vit"),
    "cosent": JobCase(SimilarityJob, _pair, _similarity, _LENGTH, compares=True),
    "chunks": JobCase(SimilarityJob, _pair, _similarity, {**_LENGTH, "chunk_size": 3}, compares=True),
    "simcse": JobCase(SimilarityJob, _pair, _similarity, {**_LENGTH, "loss": "simcse"}, compares=True),
    "paraphrases": JobCase(ParaphraseJob, _paraphrase, _paraphrases, _LENGTH, "roformer", compares=True),
    # A text is drawn anew by each process where its latents have a distribution.
    "codes": JobCase(
        AutoencoderJob,
        lambda number: {"text": _entity(number)["text"]},
        _reconstruction,
        _LENGTH | {"latent": "none"},
        "roformer",
    ),
    "dialogue": JobCase(DialogueJob, _dialogue, _perplexity, _LENGTH, "nezha"),
    "summaries": JobCase(
        SummarizationJob, _summary, _summaries, {"max_source_length": 64, "max_target_length": 8}, "t5_pegasus"
    ),
}
