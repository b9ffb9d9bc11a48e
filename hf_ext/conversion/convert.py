"""The conversion of a release: every variable is used once, every parameter filled, and all or nothing written."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel

from hf_ext.conversion.choices import choose_tokenizer
from hf_ext.conversion.errors import ConversionError
from hf_ext.conversion.folder import check_output, whole_folder
from hf_ext.conversion.plan import Plan, make_plan
from hf_ext.conversion.quiet import quiet
from hf_ext.conversion.report import ConversionReport
from hf_ext.conversion.state_dict import convert_state_dict, is_state_dict_release
from hf_ext.conversion.table import to_parameters
from hf_ext.conversion.tokenizer import make_tokenizer


def convert_release(
    directory: str | Path,
    output: str | Path,
    family: str | None = None,
    *,
    attention_mode: str | None = None,
    pooler: str | None = None,
    tokenizer: str | None = None,
    overwrite: bool = False,
) -> ConversionReport:
    """Convert the folder of an original release, of TensorFlow or PyTorch, to one that `from_pretrained` loads.

    The folder is written whole or not at all. What the files of a release do not state is an option here; one left out
    is taken from the folder's name, the config and the vocabulary, and the report says so.

    Args:
        directory: the release: a config file, a checkpoint, vocab.txt; or pytorch_model.bin of a vision transformer,
            which has no other options than its family.
        output: the folder to write: config.json, model.safetensors, files of a tokenizer or an image processor.
        family: name of the family, such as "roformer".
        attention_mode: "bidirectional", "unilm" or "causal".
        pooler: activation of the pooler, "tanh" or "linear".
        tokenizer: "word" or "character".
        overwrite: replace a model folder that is there.

    Raises:
        ConversionError: the release is incomplete, damaged, contradicts itself or is not understood.
    """
    source, target = Path(directory), Path(output)
    check_output(source, target, overwrite)
    if is_state_dict_release(source):
        given = {"attention_mode": attention_mode, "pooler": pooler, "tokenizer": tokenizer}
        for name, value in given.items():
            if value is not None:
                raise ConversionError(f"{name}={value!r} has no effect on {source}, a vision transformer; leave it out")
        return convert_state_dict(source, target, family)
    plan = make_plan(source, family, attention_mode, pooler)
    tokenizer_choice = choose_tokenizer(tokenizer, plan.release.vocabulary)
    text_tokenizer = make_tokenizer(plan.release, tokenizer_choice, plan.config, plan.family.tokenizer_options)
    parameters = _read(plan)
    with quiet(), whole_folder(target) as draft:
        model = _load(plan, None, config=plan.config, state_dict=dict(parameters), dtype=plan.dtype)
        model.save_pretrained(draft)
        text_tokenizer.save_pretrained(draft)
        _check_written(_load(plan, draft), parameters)
        if type(text_tokenizer).from_pretrained(draft).get_vocab() != plan.release.vocabulary:
            raise ConversionError(f"{type(text_tokenizer).__name__} does not load with the ids it was saved with")
        files = {file.name: file.stat().st_size for file in sorted(draft.iterdir())}
    used = tuple(row.variable for row in plan.rows)
    return ConversionReport(
        title=plan.family.title,
        checkpoint=plan.checkpoint.prefix,
        output=target,
        architecture=plan.model.__name__,
        choices=(*plan.choices, tokenizer_choice),
        variables=used,
        ignored=tuple(sorted(plan.checkpoint.shapes.keys() - set(used))),
        parameters=tuple(parameters),
        elements=sum(tensor.numel() for tensor in parameters.values()),
        dtype=str(plan.dtype).removeprefix("torch."),
        files=files,
    )


def load_state_dict(
    directory: str | Path,
    family: str | None = None,
    *,
    attention_mode: str | None = None,
    pooler: str | None = None,
) -> tuple[PreTrainedConfig, dict[str, Tensor]]:
    """The config and the parameters of an original release, without writing; arguments as in `convert_release`.

    Tied parameters are given once, under the name that a saved checkpoint has.
    """
    plan = make_plan(Path(directory), family, attention_mode, pooler)
    return plan.config, _read(plan)


def _read(plan: Plan) -> dict[str, Tensor]:
    return to_parameters(plan.rows, {row.variable: plan.checkpoint.read(row.variable) for row in plan.rows})


def _load(plan: Plan, folder: Path | None, **arguments: Any) -> PreTrainedModel:
    """What `from_pretrained` makes, if it has nothing to fill in and nothing left over."""
    load: Any = plan.model.from_pretrained
    model, info = load(folder, output_loading_info=True, **arguments)
    if problems := {kind: sorted(map(str, found)) for kind, found in info.items() if found}:
        raise ConversionError(f"the parameters do not fill {plan.model.__name__}: {problems}")
    assert isinstance(model, PreTrainedModel)
    return model


def _check_written(model: PreTrainedModel, parameters: dict[str, Tensor]) -> None:
    state = model.state_dict()
    for name, tensor in parameters.items():
        if state[name].dtype != tensor.dtype or not torch.equal(state[name], tensor):
            raise ConversionError(f"{name} does not come back from the written file as it was read")
