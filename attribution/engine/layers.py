"""Layers of a network: found by name, or by what they put out, and listened to while the network runs."""

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attribution.engine.precision import Classifier, Lent, PreparedClassifier
from infill.validate import require

NEAREST = 3
"""How many names are told where a layer is not found."""


@dataclass(frozen=True)
class Layer:
    """A layer that puts out a map.

    Attributes:
        name: Its path in the network, as of ``named_modules``.
        module: The layer.
        shape: Channels, height and width of its map.
    """

    name: str
    module: nn.Module
    shape: tuple[int, int, int]


def network_of(classifier: Classifier | PreparedClassifier) -> nn.Module:
    """Return the module that is run when the classifier is asked.

    Raises:
        ValueError: If there is none: a plain callable does not show its layers.
    """
    network = classifier.network if isinstance(classifier, PreparedClassifier) else classifier
    module = network.module if isinstance(network, Lent) else network
    kind = getattr(module, "__name__", type(module).__name__)
    require(isinstance(module, nn.Module), "classifier", "a torch module, whose layers can be read", kind)
    return module  # type: ignore[return-value]


def layer_named(network: nn.Module, name: str, argument: str = "layer") -> str:
    """Return the path of the layer of this name; what stands before it may be left out if only one fits.

    ``features.28`` is found in a network that somebody has put into another as ``network.features.28``.

    Raises:
        ValueError: If there is none (the nearest names are told), or several fit.
    """
    paths: list[str] = [path for path, _ in network.named_modules() if path]
    if name in paths:
        return name
    found = [path for path in paths if path.endswith(f".{name}")]
    if len(found) == 1:
        return found[0]
    shown = [path.removeprefix(_shell(paths)) for path in paths]
    if found:
        rule = f"the whole name of a layer: {', '.join(found[:NEAREST])} fit"
    else:
        near = difflib.get_close_matches(name, shown, n=NEAREST, cutoff=0.4) or shown[-NEAREST:]
        rule = f"a layer of the network (nearest: {', '.join(near)})"
    raise ValueError(f"{argument} must be {rule}, got {name!r}")


@contextmanager
def listening(network: nn.Module, names: Sequence[str]) -> Iterator[Mapping[str, Tensor]]:
    """Yield what the layers of these paths put out while the network runs, by path.

    Of a layer that runs several times it is the last output. It is a copy, so that layers which change
    it in place do not; its gradient reaches the layer. A convolution whose batch normalization is folded into
    it (`attribution.engine.folding`) puts out what is normalized. Of a network that other threads run, too,
    what they make it put out is not listened to.

    Raises:
        ValueError: While the network runs, if a layer puts out something else than a tensor.
    """
    heard: dict[str, Tensor] = {}

    def note(path: str) -> Callable[[Any, Any, Any], None]:
        def hook(module: Any, given: Any, output: Any) -> None:
            require(isinstance(output, Tensor), "layer", "one that puts out a tensor", path)
            heard[path] = output.clone()

        return _in_this_thread(hook)

    hooks = [network.get_submodule(path).register_forward_hook(note(path)) for path in names]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _in_this_thread(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that takes no note of what other threads do with the network meanwhile."""
    thread = get_ident()
    return lambda *given: hook(*given) if get_ident() == thread else None


def map_layers(classifier: PreparedClassifier, example: Float[Tensor, "1 c h w"]) -> list[Layer]:
    """Return the layers that put out maps before the classifier's head, in the order in which they run.

    The head is the linear or convolutional layer that runs last, if there is one. A map has several rows and
    columns; of layers that put out the same one (a block and its last part, dropout) the first is named that
    runs once. The last map is the one that the head, or the pooling before it, reads.

    Raises:
        ValueError: If no layer puts out a map, or what follows are tokens, as in a vision transformer.
    """
    network = network_of(classifier)
    trail = _Trail()
    with _hooked(network, trail), torch.no_grad():
        classifier(example)
    kind = type(network).__name__
    trail.ends()
    require(bool(trail.seen), "classifier", "a network whose layers put out maps (convolutions)", kind)
    require(not trail.tokens, "layer", "named where a network makes tokens of its maps", "auto")
    return [group.layer(trail.calls) for group in trail.seen]


@dataclass(eq=False)
class _Group:
    """Layers that put out the same map: which call of each of them did."""

    output: Tensor
    layers: list[tuple[str, nn.Module, int]]

    def layer(self, calls: Mapping[str, int]) -> Layer:
        once = (each for each in self.layers if calls[each[0]] == 1)
        last = (each for each in self.layers if calls[each[0]] == each[2])
        name, module, _ = next(once, None) or next(last, None) or self.layers[0]
        channels, height, width = self.output.shape[1:]
        return Layer(name, module, (channels, height, width))


@dataclass(eq=False)
class _Trail:
    """The maps that a network makes on its way.

    Attributes:
        seen: Those before the last linear or convolutional layer so far.
        tokens: Whether anything since the last of them was a sequence.
        calls: How often each layer ran.
    """

    seen: list[_Group] = field(default_factory=list)
    tokens: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    _groups: list[_Group] = field(default_factory=list)
    _sequences: bool = False

    def enters(self, module: nn.Module) -> None:
        """Note that a layer begins."""
        if isinstance(module, nn.Linear | nn.Conv2d):
            self.seen, self.tokens = list(self._groups), self._sequences

    def ends(self) -> None:
        """Note that the network is through: where no layer is a head, all maps come before it."""
        self.seen = self.seen or self._groups

    def leaves(self, name: str, module: nn.Module, output: Any) -> None:
        """Note what a layer has put out."""
        self.calls[name] += 1
        if not name or not isinstance(output, Tensor):
            return
        if output.ndim == 3 and output.shape[1] > 1:
            self._sequences = True
        if output.ndim != 4 or min(output.shape[2:]) < 2:
            return
        self._sequences = False
        each = (name, module, self.calls[name])
        if self._groups and torch.equal(self._groups[-1].output, output):
            self._groups[-1].layers.append(each)
        else:
            if self._groups:  # of the ones before only the shape is of use
                self._groups[-1].output = self._groups[-1].output.to("meta")
            self._groups.append(_Group(output.clone(), [each]))


@contextmanager
def _hooked(network: nn.Module, trail: _Trail) -> Iterator[None]:
    hooks = []
    for path, module in network.named_modules():
        enters = _in_this_thread(lambda module, _: trail.enters(module))
        leaves = _in_this_thread(lambda module, _, output, path=path: trail.leaves(path, module, output))
        hooks += [module.register_forward_pre_hook(enters), module.register_forward_hook(leaves)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _shell(paths: Sequence[str]) -> str:
    """Return what the names of all layers begin with, but for that of the one around them all."""
    split = [path.split(".") for path in paths if "." in path]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*split, strict=False))
    prefix = "".join(f"{parts[0]}." for parts in shared)
    return prefix if all(path.startswith(prefix) or f"{path}." in prefix for path in paths) else ""
