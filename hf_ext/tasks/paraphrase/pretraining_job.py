"""SimBERT's pre-training: the objectives of the paraphrase job on a stream of sentences with their synonyms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_ext.tasks.base.option import option
from hf_ext.tasks.base.pretraining_job import Objective, PretrainingJob
from hf_ext.tasks.paraphrase.files import DataCollatorForParaphrase, draw_pair, paraphrase_of
from hf_ext.tasks.paraphrase.job import METRIC, ParaphraseJob


@dataclass
class SimBERTPretrainingJob(PretrainingJob, ParaphraseJob):
    """Generation and retrieval of paraphrases, from sentences with their synonyms: SimBERT, RoFormer-Sim."""

    train_file: Path = option(
        'JSON lines {"text", "synonyms": [...]}, or a table of Parquet or Arrow; or a folder of such files.',
        None,
        group="Files",
    )

    program: ClassVar[str] = "pretrain"
    command: ClassVar[str] = "simbert"
    examples: ClassVar[str] = "sentences"
    metric: ClassVar[str] = METRIC
    plotted_metric: ClassVar[str | None] = METRIC
    defaults: ClassVar[Mapping[str, Any]] = {
        **PretrainingJob.defaults,
        "metric_for_best_model": "loss",
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 32,
    }

    # What is scored, and how, is the paraphrase job's.
    find = ParaphraseJob.find
    score = ParaphraseJob.score
    show = ParaphraseJob.show

    def example_of(self, record: Mapping[str, Any], where: Any) -> dict[str, Any]:
        """A sentence with its synonyms."""
        return paraphrase_of(record, where)

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Any) -> Any:
        """The model that the job names, with the words that are added to it."""
        model = ParaphraseJob.load_model(self, tokenizer, files)
        self.add_new_words(model, tokenizer)
        return model

    def objective(self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, training: bool) -> Objective:
        """Two sentences of each example, drawn anew each time; of one that is held out the first two."""
        collate = DataCollatorForParaphrase(tokenizer, self.max_length)
        return Objective(_sentences, draw_pair if training else _first_pair, collate)


def _sentences(examples: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [[example["text"], *example["synonyms"]] for example in examples]


def _first_pair(sentences: Sequence[str], number: int) -> tuple[str, str]:
    return sentences[0], sentences[1]
