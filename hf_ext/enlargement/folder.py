"""A folder of an enlarged model, made of that of a small one, as a whole or not at all."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedConfig

from hf_ext.atomic_file import atomic_write
from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.conversion.quiet import quiet
from hf_ext.data.model_name import check_model_name
from hf_ext.enlargement.enlarge import Enlargement, make_enlargement
from hf_ext.hub.saved_classes import class_named
from hf_ext.registration import FAMILIES
from hf_ext.tasks.base.job_file import JOB_FILE, read_job_file
from hf_ext.tokenization.registration import find_file
from hf_ext.training.model_card.readme import write_readme
from hf_ext.training.model_card.render import render_template


@dataclass(frozen=True)
class EnlargedFolder:
    """What has been made; as text, what a user wants to know of it.

    Attributes:
        enlargement: the model, and how near it comes.
        output: the folder.
        before: parameters of the small model.
        after: those of the large one.
        left_out: parameters of the checkpoint that its class has no place for.
        without_tokenizer: whether none was found beside the model.
    """

    enlargement: Enlargement
    output: Path
    before: int
    after: int
    left_out: tuple[str, ...] = ()
    without_tokenizer: bool = False

    def __str__(self) -> str:
        made = self.enlargement
        name, dtype = type(made.model).__name__, str(made.model.dtype).removeprefix("torch.")
        lines = [
            f"{name} of {self.before:,} parameters enlarged to {self.after:,} in {self.output}",
            f"Largest differences in float64: {shown(made.differences)}",
        ]
        if made.rounded is not made.differences:
            lines.append(f"With weights rounded to {dtype}: {shown(made.rounded)}")
        lines += [f"Not exact: {reason}" for reason in made.reasons]
        if made.untied:
            lines.append("The output matrix was the token embedding and is one of its own now")
        if self.left_out:
            lines.append(f"Left out, as {name} has no place for them: {', '.join(self.left_out)}")
        if self.without_tokenizer:
            lines.append("No tokenizer stood beside the model")
        return "\n".join(lines)


def shown(differences: Mapping[str, float]) -> str:
    """Differences in a line."""
    return ", ".join(f"{name} {value:.1e}" for name, value in differences.items())


def enlarge_folder(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    factor: int,
    grow: str = "heads",
    convention: str = "repeat",
    noise: float = 0.0,
    exact: bool = True,
    seed: int = 0,
    overwrite: bool = False,
) -> EnlargedFolder:
    """Enlarge a saved model, with its tokenizer and ``job.json``, and write a card beside it.

    Args:
        model: a folder, or a name on the Hub.
        output: the folder to write.
        factor: and the next five: as in :func:`hf_ext.enlarge`.
        grow: what grows.
        convention: what becomes of hidden states.
        noise: what makes copies differ.
        exact: whether to refuse what would change outputs.
        seed: to draw by.
        overwrite: replace a model folder that is there.

    Raises:
        ValueError: if there is no such model, it cannot be enlarged so, or ``output`` would destroy something.
    """
    source, target = os.fspath(model), Path(output)
    check_model_name(source)
    check_output(Path(source), target, overwrite)
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        advice = "; merge the adapter first" if (Path(source) / "adapter_config.json").is_file() else ""
        raise ValueError(f"model must have a config.json, got {source} without one{advice}")
    config = AutoConfig.from_pretrained(source)
    with quiet():
        small, info = _class_of(source, config).from_pretrained(source, dtype="auto", output_loading_info=True)
    if absent := sorted(map(str, info["missing_keys"])):
        raise ValueError(f"model must hold all parameters of {type(small).__name__}, got none for {', '.join(absent)}")
    options = {"factor": factor, "grow": grow, "convention": convention, "noise": noise, "exact": exact, "seed": seed}
    made = make_enlargement(small, **options)  # type: ignore[arg-type]
    companion, job = _companion(source, small), read_job_file(source)
    with quiet(), whole_folder(target) as draft:
        made.model.save_pretrained(draft)
        if companion is not None:
            companion.save_pretrained(draft)
        if job is not None:
            with atomic_write(draft / JOB_FILE) as file:
                json.dump(dict(job), file, ensure_ascii=False, indent=2)
        before, after = (sum(one.numel() for one in model.parameters()) for model in (small, made.model))
        facts = {"source": Path(source).name if Path(source).exists() else source, "on_hub": not Path(source).exists()}
        card = render_template(
            "enlargement/card.md.jinja",
            name=target.resolve().name,
            class_name=type(small).__name__,
            before=before,
            after=after,
            made=made,
            differences=shown(made.differences),
            **facts,
            **options,
        )
        write_readme(draft, card, target.resolve().name)
    left_out = tuple(sorted(map(str, info["unexpected_keys"])))
    return EnlargedFolder(made, target, before, after, left_out, companion is None)


def _class_of(name: str, config: Any) -> Any:
    """The class of a checkpoint, which a config of another family's folder may name otherwise; or ``AutoModel``."""
    for architecture in PreTrainedConfig.get_config_dict(name)[0].get("architectures") or ():
        try:
            found = class_named(architecture)
        except AttributeError:
            found = getattr(transformers, architecture, None)
        if found is not None and found.config_class is type(config):
            return found
        ending = "For" + architecture.partition("For")[2]
        for one in FAMILIES.get(type(config), {}).values():
            if one.__name__.endswith(ending):
                return one
        raise ValueError(f"model must be of a class that is known, got {architecture} in {name}")
    return AutoModel


def _companion(name: str, model: Any) -> Any:
    """The tokenizer or image processor beside a model; None where there is none."""
    if model.main_input_name == "pixel_values":
        images: Any = transformers.AutoImageProcessor
        return images.from_pretrained(name) if find_file(name, "preprocessor_config.json") else None
    # Transformers would make one without a vocabulary.
    found = any(find_file(name, file) for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"))
    return AutoTokenizer.from_pretrained(name) if found else None
