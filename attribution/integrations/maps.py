"""The layer whose maps a class activation map is made of: by its name, or the last one before the pooling."""

from collections import Counter
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from attribution.engine.layers import layer_named
from attribution.integrations.scalar import Images, Scalar
from infill.validate import require

AUTO = "auto"
"""The layer's name if it is to be chosen."""


@dataclass(frozen=True, eq=False)
class Call:
    """A part of a network that was run, and what came out of it."""

    module: nn.Module
    shape: tuple[int, ...]

    @property
    def maps(self) -> bool:
        """Whether these are maps of several positions."""
        return len(self.shape) == 4 and self.shape[2] * self.shape[3] > 1

    @property
    def biased(self) -> bool:
        """Whether a bias of its own is in its maps, of however few positions."""
        return len(self.shape) == 4 and isinstance(getattr(self.module, "bias", None), Tensor)

    @property
    def linear_on_positions(self) -> bool:
        """Whether it is a linear layer of several positions, as in transformers."""
        return isinstance(self.module, nn.Linear) and max(self.shape[1:-1], default=1) > 1


def layer_of(network: Scalar, image: Images, name: str = AUTO) -> nn.Module:
    """Return the part of the network whose maps are used.

    ``auto`` is what `last_maps` says, another name that of a module, as `layer_named` reads it.

    Raises:
        ValueError: If there is no such layer (the nearest names are told), it gives no maps, or the network
            has none before its pooling.
    """
    module = network.module
    if name == AUTO:
        return last_maps(calls(network, image, module))
    layer = module.get_submodule(layer_named(module, name))
    shapes = [call.shape for call in calls(network, image, module) if call.module is layer]
    came = f"{shapes[0] if shapes else 'nothing'} from {name!r}"
    require(bool(shapes) and Call(layer, shapes[0]).maps, "layer", "one that gives maps (1, k, h, w)", came)
    require(len(shapes) == 1, "layer", "one that is run once", f"{name!r}, which runs {len(shapes)} times")
    return layer


def calls(network: Scalar, image: Images, module: nn.Module) -> list[Call]:
    """Run the network on an image and return the parts of it that gave a tensor, in order of their end."""
    found: list[Call] = []

    def note(part: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            found.append(Call(part, tuple(output.shape)))

    hooks = [part.register_forward_hook(note) for part in module.modules()]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def last_maps(run: list[Call]) -> nn.Module:
    """Return the last part, of those that run once, whose maps have the size of the last convolution's.

    That is the end of VGG's and AlexNet's last convolution with its ReLU, before the pooling; of a ResNet's
    last stage, after its sum; of MobileNet's and DenseNet's features; of SqueezeNet's convolution into
    classes. Convolutions of a single position (squeeze and excitation) do not count. Where a ReLU comes
    last that several layers share, it is the convolution or the sum before it.

    Raises:
        ValueError: If there is no convolution, the network goes on from its maps without one, as transformers
            do from their patches, or nothing from the last convolution on runs once.
    """
    rule = "one with convolutions"
    places = [i for i, call in enumerate(run) if call.maps and isinstance(call.module, nn.Conv2d)]
    require(bool(places), "classifier", rule, "none that gives maps of several positions")
    size = run[places[-1]].shape[2:]
    large = [i for i, call in enumerate(run) if call.maps and call.shape[2:] == size and i >= places[-1]]
    last = large[-1]
    further = any(call.linear_on_positions for call in run[last + 1 :])
    rule = "one whose convolutions lead to its pooling (or name a layer)"
    require(not further, "classifier", rule, "linear layers on every position after the last convolution")
    times = Counter(call.module for call in run)
    once = [run[i].module for i in large if times[run[i].module] == 1]
    require(bool(once), "layer", "named where all last ones run several times", AUTO)
    return once[-1]


def kept(layer: nn.Module) -> RemovableHandle:
    """Let what follows a layer work on a copy of its maps: activations in place would change what was noted.

    To be called after those who take note of them.
    """

    def copied(_: nn.Module, __: object, output: Float[Tensor, "n k y x"]) -> Tensor:
        return output.clone()

    return layer.register_forward_hook(copied)
