"""Only what a hole changes of a network's maps is computed again; the rest is the untouched image's.

Exact incremental inference (Nakandala et al. 2019, Krypton): a patch changes a small window of the first maps
and a larger one of each that follows. Windows of one size are computed for a whole batch; where they cover
most of a map, whole maps are computed from there on, and so is all that sees a whole map at once (attention,
squeeze-and-excitation, the head).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property, partial

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from attribution.engine.answers import logits_of
from attribution.engine.changed import Changed, Trail, UnfollowedError
from attribution.engine.follow import follow
from attribution.engine.precision import PreparedClassifier
from attribution.engine.windows import Windows, cut
from infill.filler import Hole

LARGEST = 0.5
"""Holes whose windows cover more of the image than this are not worth it."""
CHECKED = 2
"""So many images are classified both ways, batch by batch until one has other logits than the image."""
TOLERANCE, COARSE = 1e-4, 0.1
"""By how much logits may differ, of the largest one: in float32, and in bfloat16."""
TELLING = 1e-3
"""By how much they must differ from the untouched image's for their agreement to say anything."""
IMAGES = 8
"""Of so many images the maps are kept at once: those that were asked about last."""


class WholeImagesWarning(UserWarning):
    """A network cannot be followed window by window: it classifies whole images."""


@dataclass(eq=False)
class Incremental:
    """A classifier that is asked about composites of one image.

    Attributes:
        classifier: As it is run on whole images.
        image: The untouched image, in the classifier's dtype.
        trail: Its maps.
        refused: Why whole images are classified after all; empty if they are not.
        checked: Whether composites with other logits than the image have had the same ones both ways.
    """

    classifier: PreparedClassifier
    image: Float[Tensor, "1 c h w"]
    trail: Trail = field(default_factory=lambda: Trail(follow))
    refused: str = ""
    checked: bool = False

    def __post_init__(self) -> None:
        self.image = self.image.to(memory_format=self.classifier.memory_format)

    def __call__(self, images: Float[Tensor, "n c h w"], hole: Hole) -> Float[Tensor, "n k"]:
        """Return the logits of composites, which are the image where nothing is removed.

        Warns where the network cannot be followed, and classifies whole images from then on.
        """
        windows = None if self.refused or not len(hole) else Windows.of(hole)
        if windows is None or windows.share > LARGEST:
            return self.classifier(images)
        try:
            return self.followed(images, windows)
        except Exception as error:  # foreign code may do anything with what looks like a tensor
            self.refused, self.trail = _reason(error), Trail(follow)
            warnings.warn(f"whole images are classified: {self.refused}", WholeImagesWarning, stacklevel=2)
            return self.classifier(images)

    def followed(self, images: Float[Tensor, "n c h w"], windows: Windows) -> Float[Tensor, "n k"]:
        """Return the logits of images that differ from the one image inside of windows.

        Raises:
            UnfollowedError: If the network cannot be followed; it may raise anything else as well.
        """
        if self.classifier.autocast:
            raise UnfollowedError("it runs under autocast")
        self.trail.runs += 1
        pixels = cut(images.to(memory_format=self.classifier.memory_format), windows)
        answer = self.classifier.network(Changed(self.trail, self.image, pixels, windows))
        logits = logits_of(answer, len(images))
        if not self.checked:
            self._check(images, logits)
        return logits

    @cached_property
    def _clean(self) -> Float[Tensor, "1 k"]:
        return self.classifier(self.image)

    def _check(self, images: Tensor, logits: Tensor) -> None:
        """Classify those composites both ways whose logits are furthest from the untouched image's."""
        far = (logits - self._clean).abs().amax(dim=1)
        some = far.topk(min(CHECKED, len(far))).indices
        whole, tolerance = self.classifier(images[some]), TOLERANCE if self.classifier.exact else COARSE
        scale = float(whole.abs().max())
        apart = float((logits[some] - whole).abs().max())
        if not apart <= tolerance * scale:
            raise UnfollowedError(
                f"logits would be others, by {apart / max(scale, 1e-30):.1g} of the largest"
            )
        moved = float((whole - self._clean).abs().max())
        self.checked = moved > max(TELLING, tolerance) * scale


@dataclass(eq=False)
class IncrementalImages:
    """A classifier that is asked about composites of several images: each is followed by itself.

    It is fastest where the composites of an image come one after another, and many of them.

    Attributes:
        classifier: As it is run on whole images.
        images: The untouched images, in the classifier's dtype.
        followed: What is known of those asked about last, by their place.
    """

    classifier: PreparedClassifier
    images: Float[Tensor, "b c h w"]
    followed: dict[int, Incremental] = field(default_factory=dict)

    def __call__(
        self, images: Float[Tensor, "n c h w"], hole: Hole, rows: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "n k"]:
        """Return the logits of composites of the images that ``rows`` names (of the only one by default)."""
        if rows is None or not len(rows):
            return self._of(0)(images, hole)
        logits: list[Tensor] = [images.new_empty(0)] * len(rows)
        for row in sorted(set(rows.tolist())):
            places = (rows == row).nonzero()[:, 0]
            found = self._of(row)(images[places], hole[places])
            for place, one in zip(places.tolist(), found, strict=True):
                logits[place] = one
        return torch.stack(logits)

    def _of(self, row: int) -> Incremental:
        known = self.followed.pop(row, None)
        if known is None:
            refused = next((each.refused for each in self.followed.values() if each.refused), "")
            known = Incremental(self.classifier, self.images[row : row + 1], refused=refused)
        self.followed[row] = known  # the last one is the one asked about last
        if len(self.followed) > IMAGES:
            del self.followed[next(iter(self.followed))]
        return known


def saving(classifier: PreparedClassifier, image: Float[Tensor, "1 c h w"]) -> float:
    """Return how many times less is computed for a hole of an eighth of each side, in the middle.

    Raises:
        ValueError: If the network cannot be followed.
    """
    height, width = image.shape[2:]
    hole = torch.zeros_like(image[:, :1]).repeat(CHECKED, 1, 1, 1)
    hole[..., height * 7 // 16 : height * 9 // 16, width * 7 // 16 : width * 9 // 16] = 1
    clean = image.to(classifier.dtype)
    images = clean * (1 - hole).to(clean) + (1 - clean) * hole.to(clean)
    asked, counts = Incremental(classifier, clean), []
    with torch.inference_mode():
        windows = Windows.of(hole)
        try:
            asked.followed(images, windows)  # makes the untouched image's maps
        except Exception as error:  # as above
            raise ValueError(_reason(error)) from error
        asked.checked = True  # which it does until logits have changed enough to tell, and is not counted
        for ask in (classifier, partial(asked.followed, windows=windows)):
            with FlopCounterMode(display=False) as counter:
                ask(images)
            counts.append(counter.get_total_flops())
    if not counts[0]:
        raise ValueError("nothing that it computes can be counted")
    return float(counts[0] / max(counts[1], 1))


def _reason(error: Exception) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    kind = "" if isinstance(error, UnfollowedError) else f"{type(error).__name__}: "
    return f"the network cannot be followed: {kind}{said}"
