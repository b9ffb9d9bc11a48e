"""Virtual adversarial training for any model of Trainer (kexue.fm/archives/7466, 9039; arXiv 1704.03976)."""

from collections.abc import Callable, Sequence
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor, nn

from hf_ext.losses.rows import IGNORED, check_at_least, check_positive
from hf_ext.modules.evaluation_mode import without_dropout
from hf_ext.training.adversarial import check_training, loss_scale
from hf_ext.training.divergences import Divergence, clean_divergence
from hf_ext.training.input_embeddings import NORMS, InputEmbeddings, unit_vectors, vectors_of
from hf_ext.training.method_trainer import MethodTrainer, logits_of


def virtual_adversarial_delta(
    divergence: Callable[[Tensor], Tensor],
    noise: Tensor,
    epsilon: float = 1.0,
    xi: float = 10.0,
    iterations: int = 1,
    norm: str | Callable[[Tensor], Tensor] = "batch",
) -> Tensor:
    """The perturbation that moves a model's outputs most, by power iteration; no labels are asked.

    A step replaces u by the gradient of the divergence at ``xi * u / |u|``, which is a step of power iteration on its
    second derivatives at 0, where it has its minimum.

    Args:
        divergence: of a perturbation, which has the shape of ``noise``, to how far it moves the outputs, a scalar.
        noise: where u begins, normal numbers of any shape.
        epsilon: norm of the perturbation.
        xi: norm of the perturbations that are tried.
        iterations: steps; with 0 the perturbation is noise.
        norm: ``"batch"``: all of it has these norms; ``"row"``: each ``noise[i]`` has; or what makes directions.

    Returns:
        The shape of ``noise``, in float32 or better, without a graph.

    Raises:
        ValueError: for another norm.
    """
    if isinstance(norm, str) and norm not in ("batch", "row"):
        raise ValueError(f"norm must be batch, as also for a matrix, or row, got {norm!r}")
    unit = norm if callable(norm) else lambda values: unit_vectors(values, norm)
    direction = noise.detach()
    for _ in range(iterations):
        tried = (xi * unit(direction)).requires_grad_()
        (direction,) = torch.autograd.grad(divergence(tried), tried)
    return epsilon * unit(direction)


class VirtualAdversarialTrainer(MethodTrainer):
    """Trainer that also asks outputs not to change where input embeddings are moved in the direction of most change.

    To the loss of labelled texts it adds ``weight`` times the divergence of the outputs for others, or for the same,
    from what they are without the perturbation and without dropout, which is taken as given. As in the original,
    whose two losses had an optimizer each; here they have one.

    Batches of unlabelled texts are as large as labelled ones, in an order that depends on the seed and the number of
    the step alone: a resumed run goes on where it broke off, and several processes and micro-batches share out the
    texts of one.

    Args:
        *args: Trainer's.
        unlabelled_dataset: rows as those of ``train_dataset``, of which labels only say, by -100, what does not count;
            None: the labelled ones.
        epsilon: norm of the perturbation.
        xi: norm of those that are tried; the original's is one of a matrix of embeddings, and that of the paper, one
            of a row, is much smaller.
        iterations: tries, of a pass each; 0: noise.
        weight: of the divergence.
        norm: what has these norms: ``"matrix"``, what all places of a token share, as in the original; ``"batch"``,
            what each place has of its own; ``"row"``, the same, each row by itself.
        divergence: function of the logits without and with the perturbation and the labels, or None, to a mean over
            the rows of the micro-batch.
        **kwargs: Trainer's.

    Raises:
        ValueError: if an argument does not fit, or training is such as perturbations cannot be made in.
    """

    def __init__(
        self,
        *args: Any,
        unlabelled_dataset: Any = None,
        epsilon: float = 1.0,
        xi: float = 10.0,
        iterations: int = 1,
        weight: float = 1.0,
        norm: str = "matrix",
        divergence: Divergence = clean_divergence,
        **kwargs: Any,
    ) -> None:
        for name, value in (("epsilon", epsilon), ("xi", xi), ("weight", weight)):
            check_positive(name, value)
        check_at_least("iterations", iterations, 0)
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
        if unlabelled_dataset is not None and not len(unlabelled_dataset):
            raise ValueError("unlabelled_dataset must have at least one row, got none")
        super().__init__(*args, **kwargs)
        check_training(self)
        self.vat_epsilon, self.vat_xi, self.vat_iterations, self.vat_weight = epsilon, xi, iterations, weight
        self.vat_norm, self.vat_divergence = norm, divergence
        self._embeddings = InputEmbeddings(self.bare(self.model))
        if isinstance(unlabelled_dataset, datasets.Dataset):
            unlabelled_dataset = self._remove_unused_columns(unlabelled_dataset, description="unlabelled")
        self.unlabelled_dataset = unlabelled_dataset
        self._last_place = (-1, 0)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """As Trainer's; in training with the divergence of unlabelled texts."""
        if not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss, outputs = super().compute_loss(model, {**inputs}, True, num_items_in_batch)
        place = self._place()
        others = inputs if self.unlabelled_dataset is None else self._unlabelled(place)
        # Not through what exchanges gradients between processes, which one pass a step suffices for.
        share = self.vat_weight
        if self.is_of_whole_step(num_items_in_batch):
            share /= getattr(self, "current_gradient_accumulation_steps", 1)
        loss = loss + share * self._divergence(self.bare(model), {**others}, place)
        return (loss, outputs) if return_outputs else loss

    def _divergence(self, model: nn.Module, inputs: dict[str, Any], place: int) -> Tensor:
        labels = inputs.pop("labels", None)
        given = self.asking_for_logits(inputs)
        seed = np.random.SeedSequence((self._seed, 1, place)).generate_state(1)[0]
        with without_dropout(model):
            with torch.no_grad(), self._embeddings.watched(given) as calls:
                clean = logits_of(model(**given))
            if labels is None:
                labels = _labels_of_tokens(clean, given)
            vectors = vectors_of(calls, self.vat_norm, self._embeddings.vocabulary)

            def apart(delta: Tensor) -> Tensor:
                with self._embeddings.moved(vectors.spread(delta)):
                    return self.vat_divergence(clean, logits_of(model(**given)), labels)

            scale = loss_scale(self)
            noise = vectors.noise(torch.Generator(device=calls.zeros[0].device).manual_seed(int(seed)))
            delta = virtual_adversarial_delta(
                lambda tried: apart(tried) * scale,
                noise,
                self.vat_epsilon,
                self.vat_xi,
                self.vat_iterations,
                vectors.unit,
            )
        return apart(delta)

    @property
    def _seed(self) -> int:
        return self.args.seed if self.args.data_seed is None else self.args.data_seed

    def _place(self) -> int:
        """The number of the micro-batch, counted over all steps."""
        step, number = self._last_place
        number = number + 1 if step == self.state.global_step else 0
        self._last_place = self.state.global_step, number
        return self.state.global_step * self.args.gradient_accumulation_steps + number

    def _unlabelled(self, place: int) -> dict[str, Any]:
        """The batch of unlabelled texts of a micro-batch, of this process."""
        size = self._train_batch_size or self.args.train_batch_size
        first = (place * self.accelerator.num_processes + self.accelerator.process_index) * size
        rows = self.unlabelled_dataset
        numbers = endless_order(first, size, len(rows), self._seed)
        batch: Any = self._prepare_inputs(self.data_collator([rows[number] for number in numbers]))
        return {**batch}


def endless_order(first: int, count: int, rows: int, seed: int) -> list[int]:
    """Numbers of rows in an order without end, all of them once before any comes again.

    Args:
        first: place in the order to begin at.
        count: how many.
        rows: number of rows there are.
        seed: of the order.
    """
    orders: dict[int, Any] = {}
    found = []
    for place in range(first, first + count):
        turn, at = divmod(place, rows)
        if turn not in orders:
            orders[turn] = np.random.default_rng((seed, 0, turn)).permutation(rows)
        found.append(int(orders[turn][at]))
    return found


def _labels_of_tokens(logits: Tensor | Sequence[Tensor], inputs: dict[str, Any]) -> Tensor | None:
    """Where there are no labels, and logits of each token: -100 at padding, which does not count."""
    mask = inputs.get("attention_mask")
    if mask is None or not isinstance(logits, Tensor) or logits.shape[:-1] != mask.shape:
        return None
    return torch.where(mask.bool(), 0, IGNORED)
