"""BERT-of-Theseus: a shallow model learns by standing in for parts of a deep one (kexue.fm/archives/7575).

The modules of a trained model, the predecessor, are replaced at random by those of a successor, which alone learn, by
the loss of the task and nothing else (arXiv 2002.02925).

Shapes: B batch, L tokens, H hidden, P layers of the predecessor, S of the successor.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from hf_ext.modules.adapters import CACHE_ARGUMENTS
from hf_ext.training.layer_stack import base_of, layer_stack
from hf_ext.training.successor_checks import check_can_be_cut, replace_layers, without_cache

_ATTRIBUTE = "_theseus"


class Theseus:
    """Trains the successor of a model; `attach_successor` makes it.

    The model is the successor: its config has S layers, it is saved and loaded as such, and evaluated alone. What there
    is of the predecessor lies outside of its modules and is only run in training: where ``rate`` is below 1, each
    module of the successor takes part with this probability, and else the layers that it stands for do, for all rows of
    a batch alike. What takes no part has a gradient of 0, as in the sum of both weighted by 0 and 1, of which only one
    is computed.

    Attributes:
        model: the successor.
        rate: probability of a module to be the successor's, in (0, 1].
        seed: of the draws, the same in all processes.
        replaced: of each module, in their order, whether it was the successor's in the last forward pass; None: all
            were. The first one is that of the embeddings where they are replaced too.
    """

    def __init__(self, model: Any, modules: Sequence["_Module"], trained: dict[nn.Parameter, bool]) -> None:
        self.model = model
        self.seed = 0
        self.replaced: tuple[bool, ...] | None = None
        self.rate = 0.5
        self._modules, self._trained = list(modules), trained
        self._drawn: tuple[bool, ...] | None = None
        self._chosen: tuple[bool, ...] | None = None
        self._passes = 0
        base = base_of(model)
        setattr(base, _ATTRIBUTE, self)
        for number, one in enumerate(modules):
            one.attach(self, number)
        self._hook = base.register_forward_pre_hook(self._begin, with_kwargs=True)

    @property
    def rate(self) -> float:
        """The probability of a module to be the successor's."""
        return self._rate

    @rate.setter
    def rate(self, value: float) -> None:
        if not 0 < value <= 1:
            raise ValueError(f"rate must be above 0 and at most 1, got {value}")
        self._rate = float(value)

    def draw(self, *key: int) -> tuple[bool, ...]:
        """Draw for a batch: all forward passes of training see this, up to the next draw or `draw_each_pass`.

        Without it, each forward pass draws. So that two passes over a batch which are compared, or whose gradients are
        added, are of one model.

        Args:
            *key: numbers by which the draw is made, beside the seed.

        Returns:
            Of each module whether it is the successor's.
        """
        self._drawn = self._draw(*key)
        return self._drawn

    def draw_each_pass(self) -> None:
        """Draw for each forward pass again."""
        self._drawn = None

    @contextmanager
    def choosing(self, replaced: Sequence[Any]) -> Iterator[None]:
        """Run with these modules, in training and evaluation.

        Args:
            replaced: of each module, as ``self.replaced`` has them.

        Raises:
            ValueError: if they are not as many as there are modules.
        """
        if len(replaced) != len(self._modules):
            raise ValueError(f"replaced must have an entry for each of {len(self._modules)} modules, got {replaced}")
        before, self._chosen = self._chosen, tuple(map(bool, replaced))
        try:
            yield
        finally:
            self._chosen = before

    def successor(self) -> Any:
        """The plain model: the predecessor is let go, and what was frozen for it learns again."""
        for one in self._modules:
            one.detach()
        self._hook.remove()
        delattr(base_of(self.model), _ATTRIBUTE)
        for parameter, learns in self._trained.items():
            parameter.requires_grad_(learns)
        self._modules, self._trained = [], {}
        return self.model

    def _begin(self, base: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Choose before anything runs, so that no recomputation in a backward pass comes to choose again."""
        if torch.compiler.is_compiling():
            raise RuntimeError("torch.compile must be left out while a successor is trained, as layers are exchanged")
        if getattr(base, "_is_replica", False):
            raise RuntimeError("a successor must be trained by one process a device, got a DataParallel over several")
        if self._chosen is not None:
            self.replaced = self._chosen
        elif not base.training or self.rate == 1:
            self.replaced = None
        elif self._drawn is not None:
            self.replaced = self._drawn
        else:
            self.replaced = self._draw(self._passes)
            self._passes += 1
        if self.replaced is None:
            return args, kwargs
        # Layers of both models have the same numbers.
        if any(kwargs.get(name) is not None for name in CACHE_ARGUMENTS):
            raise ValueError("cache must be None while a successor is trained, got keys and values of other tokens")
        return args, kwargs | without_cache(base)

    def _draw(self, *key: int) -> tuple[bool, ...]:
        # Of a string: seeds that are alike must not give draws that are.
        random = Random(" ".join(map(str, ("theseus", self.seed, *key))))
        return tuple(random.random() < self.rate for _ in self._modules)


class LayerChain(nn.Module):
    """Layers one after the other, which are called as one."""

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, hidden_states: Any, *args: Any, **kwargs: Any) -> Any:
        """Run ``[B, L, H]`` through all; what a layer gives beside it is that of the last."""
        for layer in self.layers:
            output = layer(hidden_states, *args, **kwargs)
            hidden_states = output[0] if isinstance(output, tuple) else output
        return output


class _Module:
    """A module of the successor and what it stands for: its ``forward`` runs the one or the other."""

    def __init__(self, own: nn.Module, predecessor: nn.Module) -> None:
        self.own, self.predecessor = own, predecessor
        self.theseus: Theseus | None = None
        self.number = 0
        # Hooks record or move what is in the model, and the predecessor no longer is.
        for module in predecessor.modules():
            module._forward_hooks.clear()

    def attach(self, theseus: Theseus, number: int) -> None:
        """Stand before the module's ``forward``, outside of what gradient checkpointing runs again."""
        self.theseus, self.number = theseus, number
        self.own.forward = self.forward

    def detach(self) -> None:
        """Go away."""
        del self.own.forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module that was chosen."""
        assert self.theseus is not None
        if self.theseus.replaced is None or self.theseus.replaced[self.number]:
            return type(self.own).forward(self.own, *args, **kwargs)
        self._follow()
        output = self.predecessor(*args, **kwargs)
        learning = [parameter for parameter in self.own.parameters() if parameter.requires_grad]
        if not learning or not torch.is_grad_enabled():
            return output
        if isinstance(output, tuple):
            return (_WithZeroGradients.apply(output[0], *learning), *output[1:])
        return _WithZeroGradients.apply(output, *learning)

    def _follow(self) -> None:
        """Be where the module is, and run as it does."""
        if self.predecessor.training != self.own.training:
            self.predecessor.train(self.own.training)
        here, there = next(self.own.parameters()), next(self.predecessor.parameters())
        if (here.device, here.dtype) != (there.device, there.dtype):
            self.predecessor.to(here.device, here.dtype if here.is_floating_point() else None)
        for layer in getattr(self.predecessor, "layers", ()):
            for name in ("gradient_checkpointing", "_gradient_checkpointing_func"):
                if hasattr(self.own, name):
                    setattr(layer, name, getattr(self.own, name))


class _WithZeroGradients(torch.autograd.Function):
    """A tensor as it is, whose backward pass gives parameters that it does not depend on a gradient of 0.

    Processes that train together wait for the gradient of each parameter.
    """

    @staticmethod
    def forward(context: Any, value: Tensor, *parameters: Tensor) -> Tensor:
        context.save_for_backward(*parameters)
        return value.view_as(value)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Any:
        return (gradient, *map(torch.zeros_like, context.saved_tensors))


def theseus_of(model: nn.Module) -> Theseus | None:
    """What trains the successor of a model; None: it has none. There may be wrappers around the model."""
    for module in model.modules():
        if (found := vars(module).get(_ATTRIBUTE)) is not None:
            return found
    return None


def attach_successor(model: Any, num_layers: int, start: Any = None, embeddings: bool = False) -> Theseus:
    """Make a trained model, with its head, the successor of itself with fewer layers, and freeze all but its layers.

    Train it then as any model, with `hf_ext.training.ReplacementSchedule` or at a rate of your own; it is saved as an
    ordinary checkpoint of S layers at any time. Module j of the successor stands for layers j m .. (j + 1) m - 1 of the
    predecessor, m = P / S, and begins as layer j. Head and embeddings are the predecessor's, and stay as they are.

    Args:
        model: of Transformers or of this package, trained for the task; it is changed.
        num_layers: S, a divisor of P.
        start: a model whose first layers the successor begins with, and with ``embeddings`` its embeddings, as a
            pre-trained one in the article; None: the predecessor's, as in the paper.
        embeddings: whether embeddings are a module too, which is replaced and trained, as in the article; in the paper
            they are not.

    Raises:
        ValueError: if ``num_layers`` does not divide P, or the model cannot be cut: its layers differ from each other,
            or a model of S layers would not be made of the same, or what runs them does more than run them.
    """
    if theseus_of(model) is not None:
        raise ValueError("model must be without a successor, got one that has it")
    if getattr(model, "peft_config", None) or getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError("model must be without an adapter, got one; merge it (merge_and_unload) before")
    base = base_of(model)
    name, layers = layer_stack(model)
    deep = len(layers)
    if isinstance(num_layers, bool) or not isinstance(num_layers, int) or num_layers < 1 or deep % num_layers:
        raise ValueError(f"num_layers must divide the {deep} layers of the model, got {num_layers}")
    step = deep // num_layers
    chains = [LayerChain(list(layers[first : first + step])) for first in range(0, deep, step)]
    check_can_be_cut(base, name, chains, num_layers)
    embedding = None
    if embeddings:
        output = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        if output is not None and output.weight is base.get_input_embeddings().weight:
            raise ValueError("embeddings must be False where the head's matrix is theirs, which stays, got True")
        embedding = _embeddings(base, layers)
    own = [copy.deepcopy(layer) for layer in layers[:num_layers]]
    pairs: list[tuple[nn.Module, nn.Module]] = [*zip(own, chains)]
    if embedding is not None:
        pairs.insert(0, (embedding, copy.deepcopy(embedding)))
    _start(pairs, start, num_layers, embeddings)
    replace_layers(base, name, own)
    trained = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.requires_grad_(False)
    for module, predecessor in pairs:
        predecessor.requires_grad_(False)
        module.requires_grad_(True)
        trained |= dict.fromkeys(module.parameters(), True)
    # An adapter over the successor must not be taken for one over the predecessor.
    model.name_or_path = ""
    return Theseus(model, [_Module(*pair) for pair in pairs], trained)


def _embeddings(base: Any, layers: nn.ModuleList) -> nn.Module:
    """What comes before the layers."""
    tokens = base.get_input_embeddings()
    for child in base.children():
        inside = set(child.modules())
        if child is not tokens and tokens in inside and layers not in inside:
            return child
    raise ValueError(f"embeddings must be False, as a {type(base).__name__} has no module of them alone, got True")


def _start(pairs: Sequence[tuple[Any, Any]], start: Any, num_layers: int, embeddings: bool) -> None:
    """Give the successor's modules the weights of another model."""
    if start is None:
        return
    _, layers = layer_stack(start)
    if len(layers) < num_layers:
        raise ValueError(f"start must have at least {num_layers} layers, got {len(layers)}")
    sources = list(layers[:num_layers])
    if embeddings:
        sources.insert(0, _embeddings(base_of(start), layers))
    # The embeddings, which are the model's own, last: by then nothing is refused.
    for (module, _), source in reversed([*zip(pairs, sources)]):
        try:
            module.load_state_dict(source.state_dict())
        except RuntimeError as error:
            raise ValueError(f"start must have layers like those of the model, got others: {error}") from None
