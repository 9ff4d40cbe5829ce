"""The network for thin holes, patches of the image for thick ones."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from infill.filler import Chance, Fill, Hole, Images
from infill.fillers.crops import deep, dilated
from infill.fillers.exemplar import Exemplar
from infill.fillers.learned import Learned
from infill.validate import Length, require

By: TypeAlias = Literal["network", "exemplar", "auto"]


@dataclass(frozen=True, eq=False)
class Adaptive(Learned):
    """A learned inpainter that leaves thick holes to patches of the image itself.

    A network that has seen few photographs knows how colors and edges go on, and is fast; far from the rim of
    a hole it puts a faint and regular texture. Patches from elsewhere in the image (`Exemplar`) fill such a
    hole with something that looks like the rest, but take many times as long. Which of the two fills a hole
    depends on that hole alone, so the same hole gets the same fill in every batch.

    Args:
        by: Who fills: "network", "exemplar", or "auto", which asks the network for a hole only if each of
            its pixels is within ``thick`` pixels of an observed one, in rows and in columns.
        thick: See above; the inscribed square of such a hole has at most ``2 * thick`` pixels a side.

    Raises:
        ValueError: If a parameter is out of its range, see `Learned`, too.
    """

    by: By = "network"
    thick: Length = 8
    _exemplar: Exemplar = field(init=False, repr=False)
    _filled: Counter[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        deterministic = self.by == "network" or not self.stochastic
        require(deterministic, "by", 'for a stochastic network "network"', self.by)
        object.__setattr__(self, "_exemplar", Exemplar(threshold=self.threshold))
        object.__setattr__(self, "_filled", Counter(network=0, exemplar=0))

    @property
    def filled(self) -> dict[str, int]:
        """How many holes each of the two has filled so far."""
        return dict(self._filled)

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Fill each hole by the network or by patches.

        Raises:
            ValueError: As `Learned`; if patches are asked for, also if the image is not RGB.
        """
        thick = self.count(hole)
        if not thick.any():
            return super().__call__(image, hole, generator)
        if thick.all():
            return self._exemplar(image, self._widened(hole))
        fill = image.new_empty(len(hole), *image.shape[1:])
        fill[thick] = self._exemplar(_of(image, thick), self._widened(hole[thick]))
        fill[~thick] = super().__call__(_of(image, ~thick), hole[~thick])
        return fill

    def count(self, hole: Hole) -> Bool[Tensor, " n"]:
        """Count who fills these holes, and return which of them patches fill.

        For `Remembered`, too, whose fills were made by the same of the two.
        """
        thick = self._thick(hole)
        self._filled.update(network=int((~thick).sum()), exemplar=int(thick.sum()))
        return thick

    def _thick(self, hole: Hole) -> Bool[Tensor, " n"]:
        """Which holes patches shall fill."""
        if self.by != "auto":
            return torch.full((len(hole),), self.by == "exemplar", device=hole.device)
        return deep(hole.detach() >= self.threshold, self.thick)

    def _widened(self, hole: Hole) -> Hole:
        """The holes that patches are asked to fill: as wide as those that the network would be shown."""
        if not self.dilation:
            return hole
        return dilated(hole.detach() >= self.threshold, self.dilation).to(hole.dtype)


def _of(image: Images, chosen: Bool[Tensor, " n"]) -> Float[Tensor, "#m c h w"]:
    """The images of the chosen holes; one image stays one."""
    return image if len(image) == 1 else image[chosen]
