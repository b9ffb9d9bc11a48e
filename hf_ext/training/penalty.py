"""Penalties of weights, and of what modules give, added to the loss of any model of Trainer."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.losses.orthogonality import KINDS, OrthogonalityPenalty, SelfOrthogonalityPenalty
from hf_ext.losses.rows import check_positive
from hf_ext.losses.weissi import WEISSIPenalty
from hf_ext.modules.named_matrices import NamedMatrix, named_matrices, plain_name
from hf_ext.modules.token_masks import mask_of, token_masks
from hf_ext.training.method_trainer import MethodTrainer

Penalty = Callable[[Tensor], Tensor]

PENALTIES: dict[str, Callable[..., nn.Module]] = {
    **{kind: partial(OrthogonalityPenalty, kind, "fewer") for kind in KINDS},
    "self_orthogonality": partial(SelfOrthogonalityPenalty, reduction="mean"),
    "weissi": WEISSIPenalty,
}
"""Penalties by name, for jobs: of a matrix the fewer of rows and columns, of outputs the mean over pairs of units."""

OF_OUTPUTS = frozenset({"self_orthogonality"})
"""Those of what modules give; the others are of parameters."""


def penalty_of_name(name: str, **options: Any) -> nn.Module:
    """A penalty of the table.

    Args:
        name: a key of `PENALTIES`.
        **options: of its function, such as ``sparsity``.

    Raises:
        ValueError: if the name or an option is unknown.
    """
    if name not in PENALTIES:
        raise ValueError(f"penalty must be one of {', '.join(PENALTIES)}, got {name!r}")
    known = [one for one in signature(PENALTIES[name]).parameters if one not in ("kind", "axis", "reduction")]
    if name in KINDS and name != "spectral":
        known = []
    unknown = sorted({*options} - {*known})
    if unknown:
        raise ValueError(
            f"options of the penalty {name!r} must be among {', '.join(known) or 'none'}, got {', '.join(unknown)}"
        )
    for option, value in options.items():
        if isinstance(value, str):
            raise ValueError(f"options of the penalty {name!r} must be numbers, got {option}={value!r}")
    made = PENALTIES[name](**options)
    # Options out of range are found before training.
    made(torch.eye(2))
    return made


class PenaltyTrainer(MethodTrainer):
    """Trainer that adds to the loss of a step ``penalty_weight`` times the sum of penalties, in training alone.

    A pattern is a regular expression that matches whole names, those of the model without adapters: of parameters
    (``r".*\\.(value|output\\.dense)\\.weight"``) or of modules (``r".*\\.value"``). The penalty of a parameter is given
    the matrix ``[outputs, inputs]`` as it acts, with the product of LoRA's two where there is an adapter; of a fused
    one (``qkv``) each by itself. That of a module is given what it gives for real tokens ``[T, K]``, without its bias,
    as a batch. A penalty is a mean over micro-batches and processes. Parameters whose penalty says so
    (``replaces_weight_decay``) have no weight decay.

    Trainers that run the model more than once a step, as R-Drop, come before this one in a class of both, and so take
    the loss of each pass with the penalty in it.

    Args:
        penalties: by pattern, functions to a scalar; one for each match, added up.
        penalty_weight: of their sum.
        *args: Trainer's.
        **kwargs: Trainer's.

    Raises:
        ValueError: if the weight is not above 0; a pattern matches nothing that learns, both kinds, what is no matrix,
            or an embedding where weight decay would be replaced; or weights are sharded.
    """

    def __init__(
        self, *args: Any, penalties: Mapping[str, Penalty], penalty_weight: float = 1.0, **kwargs: Any
    ) -> None:
        check_positive("penalty_weight", penalty_weight)
        if not penalties:
            raise ValueError("penalties must be at least one, got none")
        super().__init__(*args, **kwargs)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError("penalties must be of whole weights, got FSDP or DeepSpeed, which may shard them")
        self.penalty_weight = penalty_weight
        self._of_weights: list[tuple[NamedMatrix, Penalty]] = []
        self._of_outputs: list[tuple[str, nn.Module, Penalty]] = []
        for pattern, penalty in penalties.items():
            self._find(pattern, penalty)
        if self._of_outputs and self.args.torch_compile:
            raise ValueError(
                "torch_compile must be off with penalties of what modules give, which hooks read, got True"
            )
        self._added = False

    def _find(self, pattern: str, penalty: Penalty) -> None:
        """Look up what a pattern matches."""
        model: Any = self.model
        tied = {id(one.weight) for one in model.modules() if isinstance(one, nn.Embedding)}
        parameters = {plain_name(name): one for name, one in model.named_parameters()}
        names = [name for name in parameters if re.fullmatch(pattern, name)]
        matrices = [one for one in named_matrices(model) if re.fullmatch(pattern, one.name)]
        outer: dict[str, nn.Module] = {}
        for name, module in model.named_modules():
            outer.setdefault(plain_name(name), module)
        modules = {
            name: module
            for name, module in outer.items()
            if name and ".lora_" not in name and re.fullmatch(pattern, name)
        }
        if (matrices or names) and modules:
            raise ValueError(
                f"penalties must match parameters or modules, got {pattern!r}, which matches "
                f"{(names or [one.name for one in matrices])[0]} and {next(iter(modules))}"
            )
        flat = sorted(name for name in names if parameters[name].dim() != 2)
        if flat:
            raise ValueError(f"penalties must match matrices, got {pattern!r}, which matches {flat[0]}")
        if getattr(penalty, "replaces_weight_decay", False):
            for one in matrices:
                if id(getattr(one.module, "weight", None)) in tied:
                    raise ValueError(
                        f"a penalty in place of weight decay must not be of embeddings, got {pattern!r}, which matches "
                        f"{one.name}"
                    )
        for one in matrices:
            if one.parts is None:
                raise ValueError(
                    f"penalties must match matrices that lie by themselves or one behind the other, got {pattern!r}, "
                    f"which matches {one.name}"
                )
            # Adapters of another kind are found before training.
            one.matrices()
        learning = [one for one in matrices if one.learns]
        if not learning and not modules:
            found = f"only what does not learn: {matrices[0].name}" if matrices else "nothing"
            raise ValueError(
                f"penalties must match whole names of parameters or modules that learn, got {pattern!r}, which "
                f"matches {found}"
            )
        self._of_weights += [(one, penalty) for one in learning]
        self._of_outputs += [(name, module, penalty) for name, module in modules.items()]

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """As Trainer's, without the parameters whose penalty stands in place of weight decay."""
        spared = {
            name
            for matrix, penalty in self._of_weights
            if getattr(penalty, "replaces_weight_decay", False)
            for name in matrix.parameters
        }
        return [name for name in super().get_decay_parameter_names(model) if name not in spared]

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *rest: Any, **kwargs: Any) -> Tensor:
        """As Trainer's, with the penalty in the loss.

        Raises:
            ValueError: if another Trainer makes the loss of the step in a way of its own, past this one.
        """
        self._added = False
        loss: Tensor = super().training_step(model, inputs, *rest, **kwargs)
        if not self._added:
            raise ValueError(
                "penalties have no effect on a loss that is not made by compute_loss, as in the training_step of "
                f"{type(self).__name__}"
            )
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As Trainer's, with the penalty while the model is in training."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        self._added = True
        # Trainer takes the labels out of what it is given.
        masks = token_masks(inputs)
        with self._captured() as captured:
            loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        penalty = torch.stack([*self._penalties_of_weights(), *self._penalties_of_outputs(captured, masks)]).sum()
        share = self.penalty_weight
        # A mean over micro-batches, by whose number Trainer does not always divide.
        if self.is_of_whole_step(num_items_in_batch):
            share /= getattr(self, "current_gradient_accumulation_steps", 1)
        loss = loss + share * penalty
        return (loss, outputs) if return_outputs else loss

    def _penalties_of_weights(self) -> Iterator[Tensor]:
        for matrix, penalty in self._of_weights:
            for weight in matrix.matrices():
                yield penalty(weight)

    def _penalties_of_outputs(
        self, captured: Mapping[str, list[Tensor]], masks: Mapping[str, Tensor]
    ) -> Iterator[Tensor]:
        for name, module, penalty in self._of_outputs:
            if not captured[name]:
                raise ValueError(f"penalties must be of modules that run in training, got {name}, which does not")
            values = [penalty(real_outputs(name, module, each, masks)) for each in captured[name]]
            yield torch.stack(values).mean()

    @contextmanager
    def _captured(self) -> Iterator[dict[str, list[Tensor]]]:
        """What the modules give meanwhile, and not what checkpointing makes them give again in the backward pass."""
        captured: dict[str, list[Tensor]] = {name: [] for name, _, _ in self._of_outputs}

        def keep(name: str, module: nn.Module, args: Any, output: Any) -> None:
            captured[name].append(first_tensor(name, output))

        # Before other hooks, which may change what the layer itself gives.
        hooks = [
            module.register_forward_hook(partial(keep, name), prepend=True)
            for name, module in {name: module for name, module, _ in self._of_outputs}.items()
        ]
        try:
            yield captured
        finally:
            for hook in hooks:
                hook.remove()


def first_tensor(name: str, output: Any) -> Tensor:
    """What a module gives, if that is one tensor, or the first of several.

    Raises:
        ValueError: if there is none.
    """
    values = list(output.values()) if isinstance(output, dict) else output
    first = values[0] if isinstance(values, tuple | list) and values else values
    if not isinstance(first, Tensor):
        raise ValueError(
            f"penalties must be of modules that give a tensor, got {name}, which gives {type(first).__name__}"
        )
    return first


def real_outputs(name: str, module: nn.Module, output: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
    """What a module gives for real tokens, without its bias.

    Args:
        name: of the module.
        module: that gave it.
        output: ``[B, L, K]``; ``[1, T, K]`` of a packed row; or ``[B, K]``, all of which counts.
        masks: as of `hf_ext.modules.token_masks.token_masks`; none: all are real.

    Returns:
        ``[T, K]``.

    Raises:
        ValueError: if it has another shape than the tokens, or no gradient can reach what made it.
    """
    if not output.requires_grad:
        raise ValueError(
            f"penalties must be of what learns, got {name}, whose output has no gradient; of gradient checkpointing "
            'gradient_checkpointing_kwargs={"use_reentrant": false} keeps it'
        )
    base: Any = getattr(module, "base_layer", module)
    if getattr(base, "bias", None) is not None and output.shape[-1:] == base.bias.shape:
        output = output - base.bias
    if output.dim() == 2:
        return output
    if output.dim() == 3:
        mask = mask_of(name, output.shape[:2], masks)
        if mask is not None:
            return output[mask]
        if not masks or any(output.shape[:2] == (1, int(one.sum())) for one in masks.values()):
            return output.flatten(0, 1)
    raise ValueError(
        f"penalties must be of modules that give [B, L, K] or [B, K], got {name}, which gives {tuple(output.shape)} "
        f"for tokens {' and '.join(str(tuple(mask.shape)) for mask in masks.values())}"
    )
