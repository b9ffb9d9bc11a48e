"""Tokens that can win nowhere, whatever the hidden state (kexue.fm/archives/9046; arXiv 2203.06462)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hf_ext.analysis.box_margin import box_margin
from hf_ext.analysis.nearest_hull_point import nearest_hull_points

Kind = Literal["wins", "outside", "never", "duplicate", "undecided"]

# What a score must exceed to be the greatest, as a part of the size of the scores.
_STRICT = 1e-12
# Numbers of a tile of scores.
_TILE = 2**24
# What is added to the covariance before directions are made less like each other by it, as a part of its mean variance.
_SHRINKAGES = (1.0, 0.1, 0.01)


@dataclass(frozen=True)
class UnargmaxableTokens:
    """Which tokens can be the one of the greatest score, each with what shows it.

    Attributes:
        tokens: the ids that were asked for.
        kinds: of each of them: it "wins" somewhere in the box; only "outside" of it; "never", wherever the hidden state
            is; as the "duplicate" of one with an equal row and no lower bias, which never wins alone either; or is
            "undecided", as rounding leaves it open.
    """

    tokens: tuple[int, ...]
    kinds: tuple[Kind, ...]
    _head: "_Head" = field(repr=False)
    _places: dict[int, Tensor] = field(repr=False)
    _own: dict[int, int] = field(repr=False)
    _proofs: dict[int, tuple[Tensor, Tensor]] = field(repr=False)

    def of_kind(self, *kinds: Kind) -> list[int]:
        """The tokens of some kinds."""
        return [token for token, kind in zip(self.tokens, self.kinds) if kind in kinds]

    @property
    def unargmaxable(self) -> list[int]:
        """The tokens that never win, duplicates among them."""
        return self.of_kind("never", "duplicate")

    def certificate(self, token: int) -> Tensor:
        """A hidden state, float64 ``[H]``, at which the token wins.

        Raises:
            KeyError: if none is known.
        """
        if token in self._own:
            return self._head.directions(self._own[token], [token])[0]
        return self._places[token]

    def proof(self, token: int) -> tuple[Tensor, Tensor]:
        """What shows that a token never wins: ids of others ``[m]``, at most H + 2, and weights ``[m]`` with the sum 1.

        The mean of their rows by these weights is the token's row, and that of their biases no lower than its own: so
        the mean of their scores, and the greatest of them, is never lower.

        Raises:
            KeyError: if there is none.
        """
        return self._proofs[token]


def unargmaxable_tokens(
    weight: Tensor,
    bias: Tensor | None = None,
    box: float | None = 100.0,
    candidates: Sequence[int] | None = None,
    report: Callable[[int], object] | None = None,
) -> UnargmaxableTokens:
    """Find the tokens whose score ``w_k . z + b_k`` is the greatest for no hidden state z.

    Nearly all tokens win at a z that points where their own row does, from the mean of all, as it is or by the inverse
    covariance; that is seen in tiles of scores. For the rest it is decided for all z, without a box: a token never wins
    if and only if some mean of other rows is its own and of as great a bias; `nearest_hull_points` finds that mean, or
    a z at which the token wins. Those that win only beyond the box are shown to do so by `box_margin`.

    All z of the box are asked for, also those that a norm before the head never gives.

    Args:
        weight: ``[V, H]``, that of the head over the vocabulary; computed in float64, on its device.
        bias: ``[V]``; None: none.
        box: the greatest size of a number of z, as a part of "wins"; without a bias it changes nothing. None: no box.
        candidates: ids to ask for; None: all.
        report: called with the number of tokens decided since it was called last.

    Returns:
        The kind of each, with a certificate or a proof.

    Raises:
        MissingExtraError: if scipy is not installed, and some tokens do not win at the first.
        ValueError: if a shape does not fit, a number is not finite, or a candidate is not a row.
    """
    head = _Head.made(weight, bias, box)
    tokens = tuple(range(len(weight))) if candidates is None else tuple(int(one) for one in candidates)
    for token in tokens:
        if not 0 <= token < len(weight):
            raise ValueError(f"candidates must be in [0, {len(weight)}), got {token}")
    told = report or (lambda count: None)
    kinds: dict[int, Kind] = {}
    places: dict[int, Tensor] = {}
    proofs: dict[int, tuple[Tensor, Tensor]] = {}
    for token, other in head.duplicates().items():
        proofs[token], kinds[token] = (torch.tensor([other]), torch.ones(1, dtype=torch.float64)), "duplicate"
    rest = [token for token in dict.fromkeys(tokens) if token not in kinds]
    told(len(tokens) - len(rest))
    own: dict[int, int] = {}
    for shrinkage in range(len(_SHRINKAGES) + 1):
        won = head.won_at_own(shrinkage, rest, told)
        own |= dict.fromkeys(won, shrinkage)
        rest = [token for token in rest if token not in own]
    kinds |= dict.fromkeys(own, "wins")
    for token, nearest in nearest_hull_points(head.weight, head.even_bias, rest, _STRICT) if rest else ():
        if nearest.direction is not None:
            place = head.place(token, torch.from_numpy(nearest.direction).to(head.weight.device))
            kinds[token], places[token] = head.decided(token, place)
        elif nearest.is_decided:
            kinds[token] = "never"
            proofs[token] = torch.from_numpy(nearest.rows), torch.from_numpy(nearest.weights)
        else:
            kinds[token] = "undecided"
        told(1)
    kept = {token: proofs[token] for token in tokens if token in proofs}
    return UnargmaxableTokens(tokens, tuple(kinds[token] for token in tokens), head, places, own, kept)


@dataclass(frozen=True)
class _Head:
    """A head over the vocabulary in float64, and the box of its hidden states."""

    weight: Tensor
    bias: Tensor | None
    box: float | None
    mean: Tensor
    variances: Tensor
    axes: Tensor

    @classmethod
    def made(cls, weight: Tensor, bias: Tensor | None, box: float | None) -> "_Head":
        if weight.ndim != 2 or not weight.numel():
            raise ValueError(f"weight must have shape [V, H], got {list(weight.shape)}")
        if bias is not None and bias.shape != weight.shape[:1]:
            raise ValueError(f"bias must have shape [{len(weight)}], got {list(bias.shape)}")
        for name, numbers in (("weight", weight), ("bias", bias)):
            if numbers is not None and not numbers.isfinite().all():
                raise ValueError(f"{name} must be finite numbers, got nan or inf")
        if box is not None and not 0 < box < float("inf"):
            raise ValueError(f"box must be positive or None, got {box}")
        # Of -0 and 0 both are 0.
        rows = weight.detach().double() + 0.0
        offsets = None if bias is None else bias.detach().to(rows) + 0.0
        if offsets is not None and bool((offsets == offsets[0]).all()):
            offsets = None
        mean = rows.mean(0)
        variances, axes = torch.linalg.eigh((rows - mean).mT @ (rows - mean) / len(rows))
        return cls(rows, offsets, box, mean, variances, axes)

    @property
    def even_bias(self) -> Tensor | None:
        """The biases, made as large as the rows are long, so that neither is lost beside the other."""
        return None if self.bias is None else self.bias * self._evenness

    @property
    def _evenness(self) -> float:
        assert self.bias is not None
        lengths = (self.weight - self.mean).square().sum(-1).mean().sqrt()
        return float(lengths / self.bias.std()) or 1.0

    def duplicates(self) -> dict[int, int]:
        """Tokens with another of an equal row and no lower bias, to that other one."""
        groups: dict[int, list[int]] = {}
        for number, row in enumerate(self.weight.cpu().numpy()):
            groups.setdefault(hash(row.tobytes()), []).append(number)
        found = {}
        for group in groups.values():
            for token in group if len(group) > 1 else ():
                equal = [i for i in group if i != token and bool((self.weight[i] == self.weight[token]).all())]
                best = max(equal, key=self._bias_of, default=token)
                if best != token and self._bias_of(best) >= self._bias_of(token):
                    found[token] = best
        return found

    def _bias_of(self, token: int) -> float:
        return 0.0 if self.bias is None else float(self.bias[token])

    def directions(self, shrinkage: int, tokens: Sequence[int]) -> Tensor:
        """Hidden states ``[n, H]`` where tokens are strong: the first kind is the way from the mean to their rows."""
        found = self.weight[list(tokens)] - self.mean
        if shrinkage:
            variances = self.variances.clamp(min=0)
            added = _SHRINKAGES[shrinkage - 1] * variances.mean().clamp(min=torch.finfo(torch.float64).tiny)
            found = (found @ self.axes / (variances + added)) @ self.axes.mT
        largest = found.abs().amax(-1, keepdim=True)
        return found / largest.masked_fill(largest == 0, 1) * (self.box or 100.0)

    def won_at_own(self, shrinkage: int, tokens: Sequence[int], told: Callable[[int], object]) -> list[int]:
        """The tokens that win where they are strong; in float32, with its rounding taken off."""
        exact = torch.get_float32_matmul_precision() != "highest"
        dtype = torch.float64 if exact else torch.float32
        rows = (self.weight - self.mean).to(dtype)
        offsets = None if self.bias is None else (self.bias - self.bias.mean()).to(dtype)
        longest = float(rows.norm(dim=-1).max())
        highest = 0.0 if offsets is None else float(offsets.abs().max())
        won: list[int] = []
        count = max(1, _TILE // len(rows))
        for first in range(0, len(tokens), count):
            part = list(tokens[first : first + count])
            places = self.directions(shrinkage, part).to(dtype)
            scores = places @ rows.mT if offsets is None else torch.addmm(offsets, places, rows.mT)
            order = torch.arange(len(part), device=scores.device)
            mine = torch.tensor(part, device=scores.device)
            own = scores[order, mine]
            scores[order, mine] = -torch.inf
            size = places.norm(dim=-1) * longest + highest
            # What sums of H products may lose, in any order.
            lost = 2 * (rows.shape[1] + 8) * torch.finfo(dtype).eps * size
            wins = mine[own - scores.amax(-1) > torch.maximum(lost, _STRICT * size)].tolist()
            told(len(wins))
            won += wins
        return won

    def wins(self, token: int, place: Tensor) -> bool:
        """Whether a token has the greatest score at a place, by more than rounding."""
        scores = (self.weight - self.weight[token]) @ place
        if self.bias is not None:
            scores = scores + (self.bias - self.bias[token])
        scores[token] = -torch.inf
        size = float(place.norm() * (self.weight - self.mean).norm(dim=-1).max())
        size += 0.0 if self.bias is None else float((self.bias - self.bias.mean()).abs().max())
        return float(scores.max()) < -_STRICT * size

    def place(self, token: int, direction: Tensor) -> Tensor:
        """The hidden state of a direction whose product with all differences of rows and biases is positive."""
        if self.bias is None:
            return -direction * ((self.box or 1.0) / direction.abs().max())
        towards, lift = -direction[:-1], -float(direction[-1]) * self._evenness
        if lift > 0 and self.wins(token, towards / lift):
            return towards / lift
        # The biases take no part: so far out that none of them counts any more.
        behind = (self.weight[token] - self.weight) @ towards
        behind[token] = 1.0
        factor = ((self.bias - self.bias[token]) / behind).max().clamp(min=0)
        return towards * (2 * factor + 1)

    def decided(self, token: int, place: Tensor) -> tuple[Kind, Tensor]:
        """Whether a token wins at a place as it seems, and in the box."""
        if not self.wins(token, place):
            return "undecided", place
        if self.box is None or float(place.abs().max()) <= self.box:
            return "wins", place
        nearer = place * (self.box / place.abs().max())
        if self.wins(token, nearer):
            return "wins", nearer
        best = box_margin(self.weight, self.bias, token, self.box, decide=True)
        inside = best.place.to(place)
        return ("wins", inside) if best.margin > 0 and self.wins(token, inside) else ("outside", place)
