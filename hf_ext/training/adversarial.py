"""Adversarial training and the gradient penalty for any model of Trainer (kexue.fm/archives/7234; arXiv 1605.07725)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hf_ext.losses.rows import check_positive
from hf_ext.modules.evaluation_mode import without_dropout
from hf_ext.ops.gather import sum_of_processes
from hf_ext.training.input_embeddings import NORMS, EmbeddingCalls, InputEmbeddings, unit_vectors, vectors_of
from hf_ext.training.method_trainer import MethodTrainer

EPSILONS = {"fgm": 0.5, "penalty": 1.0}
"""What each method begins with, as in the original's code."""
PENALTY_NORMS = ("batch", "matrix")
"""Those of `NORMS` that a penalty may have: of the gradients of places, or of tokens."""


def fgm_delta(gradient: Tensor, epsilon: float = 0.5, norm: str | Callable[[Tensor], Tensor] = "batch") -> Tensor:
    """The fast gradient method's perturbation ``epsilon * g / (|g| + 1e-8)``, 0 where the gradient is.

    Args:
        gradient: of the loss, ``[V, H]`` at a matrix of embeddings, or ``[B, L, H]`` at what they give.
        epsilon: norm of the perturbation.
        norm: ``"batch"``: all of it has this norm; ``"row"``: each ``[L, H]`` has; or what makes directions.

    Returns:
        The shape of the gradient, in float32 or better, without a graph.

    Raises:
        ValueError: for another norm.
    """
    if isinstance(norm, str):
        if norm not in ("batch", "row"):
            raise ValueError(f"norm must be batch, as also for a matrix, or row, got {norm!r}")
        return epsilon * unit_vectors(gradient.detach(), norm)
    return epsilon * norm(gradient.detach())


class AdversarialTrainer(MethodTrainer):
    """Trainer whose loss is that of embeddings moved to where it is worse, or has a penalty on its gradient there.

    ``"fgm"`` takes the loss at ``e + epsilon * g / |g|``, g its gradient, and that alone; ``"penalty"`` adds
    ``epsilon / 2 * |g|^2``, g that of the loss of a whole step, so that the term falls as batches grow. Weights are not
    touched: what is added is added to what the embeddings give. So nothing is left behind by an exception, adapters
    over frozen embeddings are trained alike, and an output layer that is tied to the matrix does not move.

    The perturbation is found without dropout, as in the original. Each micro-batch has its own; several processes have
    that of one process with all their rows. The penalty is the same for any accumulation.

    Args:
        *args: Trainer's.
        method: ``"fgm"`` or ``"penalty"``.
        epsilon: factor; None: 0.5 for the fast gradient method, 1 for the penalty.
        norm: what has the norm epsilon: ``"matrix"``, what all places of a token share, as in the original;
            ``"batch"``, what each place has of its own; ``"row"``, the same, each row by itself. Of a penalty, what
            the gradients are taken at: ``"batch"``, each place, as in the original, or ``"matrix"``. None: the
            original's.
        add_clean: add the loss where nothing is moved, in one more pass, as popular ports of the original do.
        **kwargs: Trainer's.

    Raises:
        ValueError: if an argument does not fit, training is such as perturbations cannot be made in, or under the
            penalty a part of the model has no second derivative.
    """

    def __init__(
        self,
        *args: Any,
        method: str = "fgm",
        epsilon: float | None = None,
        norm: str | None = None,
        add_clean: bool = False,
        **kwargs: Any,
    ) -> None:
        check_method(method, norm, add_clean)
        epsilon = EPSILONS[method] if epsilon is None else epsilon
        check_positive("epsilon", epsilon)
        super().__init__(*args, **kwargs)
        check_training(self)
        self.adversarial_method, self.adversarial_epsilon, self.add_clean = method, epsilon, add_clean
        self.adversarial_norm = norm or ("matrix" if method == "fgm" else "batch")
        self._embeddings = InputEmbeddings(self.bare(self.model))
        self._found_second = False

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """As Trainer's; for the penalty by attention kernels that have second derivatives."""
        if self.adversarial_method != "penalty":
            return super().training_step(model, inputs, num_items_in_batch)
        with sdpa_kernel(SDPBackend.MATH):
            return super().training_step(model, inputs, num_items_in_batch)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As Trainer's; in training where the embeddings are moved to, or with the penalty."""
        compute = super().compute_loss
        if not model.training:
            return compute(model, inputs, return_outputs, num_items_in_batch)
        # Trainer takes the labels out of what it is given.
        if self.adversarial_method == "penalty":
            with self._embeddings.watched(inputs) as calls:
                loss, outputs = compute(model, {**inputs}, True, num_items_in_batch)
            loss = loss + self._penalty(loss, calls, num_items_in_batch)
            return (loss, outputs) if return_outputs else loss
        bare = self.bare(model)
        with without_dropout(bare), torch.enable_grad():
            with self._embeddings.watched(inputs) as calls:
                loss, _ = compute(bare, {**inputs}, True, num_items_in_batch)
            gradients = calls.gradients(loss, loss_scale(self))
        vectors = vectors_of(calls, self.adversarial_norm, self._embeddings.vocabulary)
        delta = fgm_delta(vectors.gather(gradients), self.adversarial_epsilon, vectors.unit)
        with self._embeddings.moved(vectors.spread(delta)):
            loss, outputs = compute(model, {**inputs}, True, num_items_in_batch)
        if self.add_clean:
            loss = loss + compute(model, {**inputs}, True, num_items_in_batch)[0]
        return (loss, outputs) if return_outputs else loss

    def _penalty(self, loss: Tensor, calls: EmbeddingCalls, num_items_in_batch: Tensor | int | None) -> Tensor:
        """What is added to the loss of a micro-batch: its share of the penalty of the step."""
        try:
            gradients = calls.gradients(loss, loss_scale(self), create_graph=True)
            penalty = self.adversarial_epsilon / 2 * self._squares(gradients, calls)
            if not self._found_second and penalty.requires_grad:
                torch.autograd.grad(penalty, calls.zeros, retain_graph=True, allow_unused=True)
                self._found_second = True
        except (RuntimeError, NotImplementedError) as error:
            if self._found_second or isinstance(error, torch.OutOfMemoryError):
                raise
            raise ValueError(
                f"method must be fgm, as a part of the model has no second derivative, got penalty: {error}"
            ) from error
        # Of the mean over processes, and where Trainer divides losses of micro-batches by their number, over these.
        share = 1 / self.accelerator.num_processes
        if not self.is_of_whole_step(num_items_in_batch):
            share /= getattr(self, "current_gradient_accumulation_steps", 1)
        return penalty * share

    def _squares(self, gradients: list[Tensor], calls: EmbeddingCalls) -> Tensor:
        vectors = vectors_of(calls, self.adversarial_norm, self._embeddings.vocabulary)
        own = vectors.gather(gradients)
        if self.adversarial_norm != "matrix" or self.accelerator.num_processes == 1:
            return own.square().sum()
        # Places of a token are added up over all processes; each knows the derivatives of its own.
        every = own + (sum_of_processes(own) - own).detach()
        squares = every.square().sum()
        return squares + (squares / self.accelerator.num_processes - squares).detach()


def check_method(method: str, norm: str | None, add_clean: bool) -> None:
    """Raise ValueError for an unknown method, or a norm or a clean loss that it does not have."""
    if method not in EPSILONS:
        raise ValueError(f"method must be one of {', '.join(EPSILONS)}, got {method!r}")
    norms = NORMS if method == "fgm" else PENALTY_NORMS
    if norm is not None and norm not in norms:
        raise ValueError(f"norm must be one of {', '.join(norms)} for {method}, got {norm!r}")
    if add_clean and method != "fgm":
        raise ValueError(f"add_clean must be False for {method}, whose loss is the clean one already, got True")


def check_training(trainer: MethodTrainer) -> None:
    """Raise ValueError where perturbations of embeddings cannot be made, or have not been tried."""
    arguments = trainer.args
    if arguments.n_gpu > 1:
        raise ValueError(
            "adversarial training must have one device in each process (torchrun), got one process for "
            f"{arguments.n_gpu}"
        )
    for name, given in (
        ("fsdp", trainer.is_fsdp_enabled),
        ("deepspeed", trainer.is_deepspeed_enabled),
        ("torch_compile", arguments.torch_compile),
    ):
        if given:
            raise ValueError(
                f"{name} must be left out of adversarial training, which runs parts of a model, got {given}"
            )
    options: Any = arguments.gradient_checkpointing_kwargs or {}
    if arguments.gradient_checkpointing and options.get("use_reentrant"):
        raise ValueError(
            "gradient_checkpointing_kwargs must have use_reentrant=False, as gradients are taken at the embeddings, "
            "got True"
        )


def loss_scale(trainer: MethodTrainer) -> float:
    """What losses are multiplied by for backward passes under float16, that gradients do not vanish; else 1."""
    scaler: Any = trainer.accelerator.scaler
    return 1.0 if scaler is None else float(scaler.get_scale())
