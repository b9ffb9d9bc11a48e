"""The autoencoder job: train a UniVAE on texts, score it, say what its latents are worth, save it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from datasets import Dataset
from transformers import (
    AutoConfig,
    EvalPrediction,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_ext.data.model_name import is_checkpoint
from hf_ext.extras import MissingExtraError
from hf_ext.metrics.comparison import Comparison
from hf_ext.metrics.latent_report import latent_table, per_latent, plot_latents
from hf_ext.metrics.perplexity import next_token_sums, perplexity_metrics
from hf_ext.models.roformer.sizes_roformer import SIZES
from hf_ext.models.univae import UniVAEConfig, UniVAEForTextAutoencoding
from hf_ext.tasks.autoencoding.collator import DataCollatorForTextAutoencoding
from hf_ext.tasks.autoencoding.files import read_texts
from hf_ext.tasks.autoencoding.metrics import diagnose
from hf_ext.tasks.base.encoder_job import EncoderJob
from hf_ext.tasks.base.job import Files
from hf_ext.tasks.base.option import option
from hf_ext.training.run_steps import predict_in_order

logger = logging.getLogger(__name__)

PICTURE = "latents.png"
# Texts that are compared with one another.
_DIAGNOSED = 1000


@dataclass
class AutoencoderJob(EncoderJob):
    """A variational autoencoder of texts: UniVAE, which samples, interpolates and mixes them.

    Files are as :func:`hf_ext.tasks.autoencoding.read_texts` takes them.
    """

    train_file: Path = option('A text a line, or JSON lines {"text"}.', None, group="Files")
    model: str | None = option(
        "RoFormer or UniVAE to fine-tune: a name on the Hub or a folder. Either this or a config.",
        None,
        group="Start from",
    )
    max_length: int = option(
        "Tokens of a text; what is beyond is cut off. It is half_length of a new UniVAE.", 32, group="Lengths"
    )
    latent: Literal["vmf", "gaussian", "none"] | None = option(
        "Latents on a sphere, Gaussian, or without a distribution; else vmf.",
        None,
        group="Latents",
        config_field="latent",
    )
    num_latent_layers: int | None = option(
        "Last layers that have a latent; else a third of all.", None, group="Latents", config_field="num_latent_layers"
    )
    latent_size: int | None = option("Numbers of a latent; else 16.", None, group="Latents", config_field="latent_size")
    kappa: float | None = option(
        "Concentration of latents on a sphere; else 32.", None, group="Latents", config_field="kappa"
    )
    latent_norm: Literal["batch"] | None = option(
        "Normalise Gaussian latents over the batch, so that they cannot forget the text.",
        None,
        group="Latents",
        config_field="latent_norm",
    )
    kl: Literal["gaussian", "geometric"] | None = option(
        "What holds Gaussian latents to the prior; else gaussian.", None, group="Loss", config_field="kl"
    )
    kl_weight: float | None = option("Factor of that; else 1.", None, group="Loss", config_field="kl_weight")
    kl_warmup_steps: int = option("Steps over which that factor grows from 0.", 0, group="Loss")

    refused_methods: ClassVar[Mapping[str, str]] = {
        "r_drop": "latents are drawn anew in each pass, so that two are not to agree",
        "adversarial=vat": "latents are drawn anew in each pass, so that two are not to agree",
        "lora": "layers of the latents are new, and would stay as they were drawn",
    }
    auto_class: ClassVar[Any] = UniVAEForTextAutoencoding
    command: ClassVar[str] = "autoencoder"
    metric: ClassVar[str] = "perplexity"
    plotted_metric: ClassVar[str | None] = "accuracy"
    written: ClassVar[tuple[str, ...]] = (PICTURE,)
    next_steps: ClassVar[tuple[str, ...]] = ("sample {output_dir}", *EncoderJob.next_steps)
    defaults: ClassVar[Mapping[str, Any]] = {
        **EncoderJob.defaults,
        "metric_for_best_model": "perplexity",
        "greater_is_better": False,
        "per_device_train_batch_size": 128,
    }
    defaults_from_scratch: ClassVar[Mapping[str, Any]] = {"learning_rate": 1e-3, "num_train_epochs": 20}
    # Of the original the rate.
    defaults_fine_tuning: ClassVar[Mapping[str, Any]] = {"learning_rate": 2e-5, "num_train_epochs": 10}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_warmup_steps < 0:
            raise ValueError(f"kl_warmup_steps must be at least 0, got {self.kl_warmup_steps}")
        if self.latent not in (None, "vmf") and self.kappa is not None:
            raise ValueError(f"kappa goes with latent=vmf, got {self.kappa} with {self.latent}")

    def read(self) -> Files:
        """Texts."""
        return Files(read_texts(self.train_file), read_texts(self.validation_file))

    def read_evaluation(self, path: Path, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Texts."""
        return read_texts(path)

    def new_config(self, tokenizer: PreTrainedTokenizerBase, **fields: Any) -> Any:
        """The config that a model from scratch is made from."""
        name = str(self.config)
        fields |= {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
        if is_checkpoint(name):
            return UniVAEConfig.from_pretrained(name, **fields)
        if name not in SIZES:
            raise ValueError(f"config must be a folder or one of the sizes {', '.join(SIZES)}, got {name!r}")
        return UniVAEConfig(**{"unpad": True, **SIZES[name], **fields})

    def load_model(self, tokenizer: PreTrainedTokenizerBase, files: Files) -> PreTrainedModel:
        """The model that the job names.

        Raises:
            ValueError: if it is of a family that has no latents, takes fewer tokens than ``max_length``, or an option
                does not fit.
        """
        fields: dict[str, Any] = {
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
            **self.head_options(tokenizer),
        }
        if self.model is None:
            model = UniVAEForTextAutoencoding(self.new_config(tokenizer, half_length=self.max_length, **fields))
        else:
            config: Any = AutoConfig.from_pretrained(self.model)
            if config.model_type not in (UniVAEConfig.model_type, *UniVAEConfig.readable_types):
                raise ValueError(f"model must be one of roformer, univae, got {config.model_type}")
            if config.model_type != UniVAEConfig.model_type:
                fields["half_length"] = self.max_length
            model = UniVAEForTextAutoencoding.from_pretrained(self.model, **fields)
            self.check_length(model)
        if self.kl_warmup_steps and model.config.latent != "gaussian":
            raise ValueError(
                f"kl_warmup_steps goes with latent=gaussian, got {self.kl_warmup_steps} with {model.config.latent}"
            )
        return model

    def encode(
        self, examples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel
    ) -> Dataset:
        """Tokens of each text."""
        texts = [example["text"] for example in examples]
        encoded: Any = tokenizer(
            texts,
            truncation=True,
            max_length=self.max_length,
            return_token_type_ids=False,
            return_attention_mask=False,
        )
        return Dataset.from_dict({"input_ids": encoded["input_ids"]})

    def trainer_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, files: Files, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Also the warm-up of the divergence."""
        options = self.evaluation_options(tokenizer, model, arguments)
        return {**options, "callbacks": [KLWarmUp(self.kl_warmup_steps)]} if self.kl_warmup_steps else options

    def evaluation_options(
        self, tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, arguments: TrainingArguments
    ) -> dict[str, Any]:
        """Collator and metrics."""
        config: Any = model.config
        return {
            "data_collator": DataCollatorForTextAutoencoding(tokenizer, config.half_length),
            "preprocess_logits_for_metrics": next_token_sums,
            "compute_metrics": perplexity_metrics,
        }

    def find(self, trainer: Trainer, rows: Any, examples: Sequence[Mapping[str, Any]]) -> Any:
        """Sums of each text, its latents being their means, and the diagnostics of the first thousand texts."""
        sums = predict_in_order(trainer, rows)
        collate: Any = trainer.data_collator
        size = trainer.args.per_device_eval_batch_size
        return sums, diagnose(trainer.model, rows.select(range(min(len(rows), _DIAGNOSED))), collate, size)

    def score(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel) -> dict[str, Any]:
        """Perplexity and accuracy of tokens, the losses of a token by how latents are read, and their diagnostics."""
        sums, report = found
        latents = report["latents"]
        told = ("kl", "mutual_information", "total_correlation", "aggregate_kl", "active_units", "spread")
        return {
            **perplexity_metrics(EvalPrediction(predictions=sums, label_ids=sums)),
            **{f"loss_{name}": value for name, value in report["reconstruction"].items()},
            **{name: latents[name] for name in told if name in latents},
            "per_latent": per_latent(report),
        }

    def compare(
        self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel
    ) -> Sequence[Comparison]:
        """The loss of a token of each text, the greatest first."""
        return [
            Comparison(
                {"text": example["text"]},
                measures={"loss": (loss, asked), "accuracy": (right, asked)},
                badness=loss / asked if asked else 0.0,
            )
            for example, (loss, right, asked) in zip(examples, found[0].tolist())
        ]

    def write(self, found: Any, examples: Sequence[Mapping[str, Any]], model: PreTrainedModel, folder: Path) -> None:
        """Draw the latents; without matplotlib the picture is left out, with a warning."""
        try:
            plot_latents(found[1], folder / PICTURE)
        except MissingExtraError as error:
            # That of a run before would be taken for this one's.
            (folder / PICTURE).unlink(missing_ok=True)
            logger.warning("%s is left out: %s", PICTURE, error)

    def show(self, scores: Mapping[str, Any], source: str) -> list[Any]:
        """Lines of the reconstruction and of all latents, and a table of each."""
        told = [
            f"{name.replace('_', ' ')} {scores[name]:.4g}"
            for name in ("kl", "mutual_information", "total_correlation", "aggregate_kl", "active_units")
            if name in scores
        ]
        return [
            source,
            f"perplexity {scores['perplexity']:.2f}, accuracy of the next token {scores['accuracy']:.4f}",
            f"loss of a token: latents as means {scores['loss_mean']:.3f}, drawn {scores['loss_sampled']:.3f}, of "
            f"another text {scores['loss_permuted']:.3f}",
            *([", ".join(told)] if told else []),
            latent_table(scores["per_latent"]),
        ]


class KLWarmUp(TrainerCallback):
    """Lets the divergence of a `UniVAEForTextAutoencoding` count for more with each step, up to all of it.

    Without it the divergence may win before the decoder has learnt to read the latents.

    Args:
        steps: after which it counts in full.

    Raises:
        ValueError: if ``steps`` is below 1.
    """

    def __init__(self, steps: int):
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        self.steps = steps

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Set the factor of the step."""
        model.kl_factor = min(1.0, state.global_step / self.steps)

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Set it to 1."""
        model.kl_factor = 1.0
