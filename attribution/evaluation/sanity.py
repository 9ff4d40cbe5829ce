"""Does a heatmap depend on what the classifier has learned (Adebayo et al. 2018)?"""

import copy
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Generator, nn

from infill.validate import require

Order: TypeAlias = Literal["cascading", "independent"]
"""Whether layers stay randomized while the next ones are, or one is at a time."""


def layers(network: nn.Module) -> list[str]:
    """Return the names of the layers that hold weights (convolutions, linear ones), the last one first.

    Raises:
        ValueError: If there is none.
    """
    names = [name for name, layer in network.named_modules() if _weights(layer)]
    require(bool(names), "network", "with at least one layer of weights", "none")
    return names[::-1]


def randomized(
    network: nn.Module,
    generator: Generator,
    order: Order = "cascading",
    stops: Sequence[int] | None = None,
) -> Iterator[tuple[str, nn.Module]]:
    """Yield copies of a network that has lost what it learned, from the last layer to the first.

    A layer's weights and biases are drawn anew, each tensor from a normal distribution with its own mean and
    deviation, so that activations keep their scale; in the paper they are initialized anew. Normalization
    layers stay. The network itself is not touched.

    Args:
        network: Any module; its layers are taken in the order in which it names them, from behind.
        generator: Of the draws, which are the same whatever ``stops`` are.
        order: ``"cascading"``: all layers so far; ``"independent"``: one at a time.
        stops: After how many layers (1: the last one alone) to yield; all, unless given.

    Raises:
        ValueError: If the network has no such layer, or a stop is none of them.
    """
    names = layers(network)
    stops = range(1, len(names) + 1) if stops is None else stops
    inside = all(1 <= stop <= len(names) for stop in stops)
    require(inside, "stops", f"1 to the number of layers {len(names)}", list(stops))
    changed = copy.deepcopy(network)
    for number, name in enumerate(names, start=1):
        if order == "independent":
            changed = copy.deepcopy(network)
        _redraw(changed.get_submodule(name), generator)
        if number in stops:
            yield name, copy.deepcopy(changed)


def _weights(layer: nn.Module) -> bool:
    own = dict(layer.named_parameters(recurse=False))
    return any(value.ndim > 1 for value in own.values())


@torch.no_grad()
def _redraw(layer: nn.Module, generator: Generator) -> None:
    for value in layer.parameters(recurse=False):
        deviation = value.std(correction=0) if value.numel() > 1 else value.abs().mean()
        drawn = torch.randn(value.shape, generator=generator, dtype=torch.float32)
        value.copy_((drawn * deviation.cpu() + value.mean().cpu()).to(value))
