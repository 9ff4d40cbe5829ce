"""Does a heatmap depend on what the classifier has learned, and on nothing that it does not see?

Adebayo et al. (2018) randomize layers; Kindermans et al. (2019) shift the input.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from attribution.score import MaskedScore
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
    require(order in get_args(Order), "order", f"one of {get_args(Order)}", order)
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


class Unshifted(nn.Module):
    """A classifier of images that were mixed with a color: it takes the color out again.

    Args:
        classifier: Returns logits of images as they were.
        color: RGB in [0, 1].
        amount: The color's share, in [0, 1).
    """

    color: Tensor

    def __init__(
        self, classifier: Callable[[Tensor], Tensor], color: Float[Tensor, " 3"], amount: float
    ) -> None:
        super().__init__()
        self.classifier, self.amount = classifier, amount
        self.register_buffer("color", color[:, None, None])

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Tensor:
        """Return the logits of the images without the color."""
        color = self.color.to(images)
        return self.classifier((images - self.amount * color) / (1 - self.amount))


def shifted(
    score: MaskedScore,
    classifier: Callable[[Tensor], Tensor],
    color: Float[Tensor, " 3"],
    amount: float = 0.2,
) -> MaskedScore:
    """Return the same question asked of shifted images: a method that is to be trusted gives the same answer.

    Every image is mixed with a color, and the classifier takes that color out before it looks, so that it
    says of each shifted image what it said of the image (Kindermans et al. 2019, who add a constant and take
    it out in the first layer's bias; mixing keeps images in [0, 1]). What changes nevertheless is the
    filler's: gray stays gray, while a fill that is taken from the image is shifted as the image is.

    Args:
        score: Of images as they are.
        classifier: The score's, as it was given.
        color: RGB in [0, 1].
        amount: The color's share.

    Raises:
        ValueError: If a color is not in [0, 1], the amount not in [0, 1), or the filler made for the image.
    """
    require(bool(((color >= 0) & (color <= 1)).all()), "color", "RGB in [0, 1]", color.tolist())
    require(0 <= amount < 1, "amount", "in [0, 1)", amount)
    own = bool(getattr(score.filler, "of_image", False))
    require(not own, "filler", "one that is not made for an image", type(score.filler).__name__)

    def mixed(images: Tensor) -> Tensor:
        return torch.lerp(images, color.to(images)[:, None, None].expand_as(images), amount)

    around = None if score.around is None else mixed(score.around)
    return replace(
        score, image=mixed(score.image), around=around, classifier=Unshifted(classifier, color, amount)
    )


def _weights(layer: nn.Module) -> bool:
    own = dict(layer.named_parameters(recurse=False))
    return any(value.ndim > 1 for value in own.values())


@torch.no_grad()
def _redraw(layer: nn.Module, generator: Generator) -> None:
    for value in layer.parameters(recurse=False):
        deviation = value.std(correction=0) if value.numel() > 1 else value.abs().mean()
        drawn = torch.randn(value.shape, generator=generator, device="cpu", dtype=torch.float32)
        value.copy_((drawn * deviation.cpu() + value.mean().cpu()).to(value))
