"""Where holes come from when fillers are judged: annotation, a segmenter, superpixels, squares, or all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Generator, Tensor

    from models.segmenters import AnySegmenter
    from studio.data.dataset import Dataset, Example

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""
Kind: TypeAlias = Literal["silhouettes", "boxes", "object", "background", "segments", "squares", "all"]
KINDS: Mapping[str, str] = {
    "silhouettes": "the object's annotated silhouette",
    "boxes": "the object's annotated boxes",
    "object": "what the segmenter finds, else the annotated silhouette",
    "background": "all but the object, which is found as for object",
    "segments": "a random half of the superpixels",
    "squares": "one square at a random place",
    "all": "the whole image",
}
TAKES_THE_OBJECT = ("silhouettes", "boxes", "object")
"""Holes behind which the true background is, where it is known; behind others it is the image itself."""
SEGMENTED = ("object", "background")
"""Holes that a segmenter can find."""
_NOTHING = "nothing of what is to be removed is in the classifier's view"


@dataclass(frozen=True, eq=False)
class Regions:
    """Cuts the hole of one image, in the classifier's view.

    Attributes:
        grow: By how many pixels of the view the object's outline is moved outwards, so that no rim remains.
        side: Side of the square in pixels of the view.
        superpixels: Of how many superpixels a half is removed.
        segmenter: What finds objects, for kinds "object" and "background".
        wanted: The segmenter's class; without one, the largest object's.
        point: Where in the view a promptable segmenter finds the object: (x, y) as fractions of its sides;
            without one, in each of the annotated boxes.
        view_box: Where in an input of this (height, width) the view is; needed for boxes as prompts.
    """

    kind: Kind
    grow: int = 3
    side: int = 53
    superpixels: int = 50
    segmenter: AnySegmenter | None = None
    wanted: str | None = None
    point: tuple[float, float] | None = None
    view_box: Callable[[tuple[int, int]], Box] | None = None

    def __post_init__(self) -> None:
        for name, least in (("grow", 0), ("side", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name}: expected {least} or more, got {getattr(self, name)}")

    @property
    def removes(self) -> bool:
        """Whether what the classifier looks for is to go; else most of it, or all, is to stay."""
        return self.kind in (*TAKES_THE_OBJECT, "all")

    @property
    def needs(self) -> str | None:
        """What must be annotated."""
        if self.kind == "boxes":
            return "boxes"
        if self.segmenter is None:
            return "silhouettes" if self.kind in ("silhouettes", "object", "background") else None
        return "boxes" if self.segmenter.prompted and self.point is None else None

    def uncovers(self, data: Dataset) -> bool:
        """Whether the holes take the object, and the data knows the true background behind it."""
        return self.kind in TAKES_THE_OBJECT and "background" in data.offers

    def check_view(self, pixels: int) -> None:
        """Check that the holes fit into a view of so many pixels a side.

        Raises:
            ValueError: If they do not.
        """
        if self.kind == "squares" and self.side >= pixels:
            raise ValueError(f"--side: expected less than the view's {pixels} pixels, got {self.side}")

    def __call__(
        self, example: Example, view: Callable[[Tensor], Tensor], rng: Generator
    ) -> Float[Tensor, "1 h w"]:
        """Return the hole in the view, 1 where pixels are removed.

        Raises:
            ValueError: If what is needed is not annotated, or nothing or everything in the view is removed.
        """
        import torch

        image = view(example.image)
        self.check_view(min(image.shape[1:]))
        if self.kind == "all":
            return torch.ones_like(image[:1])
        if self.kind == "squares":
            return _checked(_square(image, self.side, rng))
        if self.kind == "segments":
            return _checked(_superpixels(image, self.superpixels, rng))
        if self.kind == "boxes":
            return _checked(_seen(_boxed(example), view))
        hole = _grown(self._object(example, image, view), self.grow)
        return _checked(1 - hole if self.kind == "background" else hole)

    def _object(self, example: Example, image: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
        if self.segmenter is not None:
            found = self._segmented(self.segmenter, example, image)
            if not found.any():
                raise ValueError(f"the segmenter finds no {self.wanted or 'object'}")
            return found[None].float()
        if example.silhouette is None:
            raise ValueError("no silhouette is annotated")
        return _seen(example.silhouette, view)

    def _segmented(self, segmenter: AnySegmenter, example: Example, image: Tensor) -> Tensor:
        if segmenter.prompted is False:
            return segmenter.silhouette(image[None], self.wanted)[0]
        if self.point is None:
            return segmenter.union(image, self._boxes_in_view(example, image))
        height, width = image.shape[1:]
        x, y = self.point
        return segmenter.silhouette(image[None], points=image.new_tensor([[[x * width, y * height]]]))[0]

    def _boxes_in_view(self, example: Example, image: Tensor) -> Float[Tensor, "b 4"]:
        """Return what is to be seen of the annotated boxes, in pixels of the view."""
        if example.boxes is None:
            raise ValueError("no box is annotated")
        assert self.view_box is not None
        tall, wide = example.image.shape[1:]
        left, top, right, bottom = self.view_box((tall, wide))
        height, width = image.shape[1:]
        sides = image.new_tensor([width, height, width, height])
        corner = image.new_tensor([left, top, left, top])
        extent = image.new_tensor([right - left, bottom - top, right - left, bottom - top])
        boxes = (example.boxes.to(image) - corner) / extent * sides
        boxes = boxes.maximum(sides.new_zeros(4)).minimum(sides)
        boxes = boxes[(boxes[:, :2] < boxes[:, 2:]).all(1)]
        if not len(boxes):
            raise ValueError(_NOTHING)
        return boxes


def chosen(kind: str | None, data: Dataset, segmented: bool) -> Kind:
    """Return the kind asked for; without one, what the data knows best.

    Raises:
        ValueError: If it is unknown, or neither asked for nor known.
    """
    from studio.registry.fields import known

    if kind is not None:
        known(kind, get_args(Kind), "kind of holes")
        return kind  # type: ignore[return-value]
    if segmented:
        return "object"
    for usual in ("silhouettes", "boxes"):
        if usual in data.offers:
            return usual
    raise ValueError(
        f"--holes: {data.title} says nothing of objects; give squares, segments or all, or a --segmenter"
    )


def check_annotated(regions: Regions, data: Dataset) -> None:
    """Check that the data says what the holes need.

    Raises:
        ValueError: If it does not.
    """
    if regions.needs is not None and regions.needs not in data.offers:
        has = ", ".join(sorted(data.offers)) or "no annotation"
        hint = "" if regions.kind == "boxes" else ", or give a --segmenter"
        raise ValueError(f"--holes {regions.kind}: {data.title} has no {regions.needs} (it has {has}){hint}")


def _seen(region: Tensor, view: Callable[[Tensor], Tensor]) -> Tensor:
    """A region of the input in the view: the pixels that it covers at least half of."""
    return (view(region[None].float()) >= 0.5).float()


def _boxed(example: Example) -> Tensor:
    import torch

    if example.boxes is None:
        raise ValueError("no box is annotated")
    region = torch.zeros(example.image.shape[1:])
    for left, top, right, bottom in example.boxes.tolist():
        region[top:bottom, left:right] = 1
    return region


def _grown(region: Float[Tensor, "1 h w"], pixels: int) -> Float[Tensor, "1 h w"]:
    from infill.fillers.crops import dilated

    return dilated(region[None] > 0, pixels)[0].float()


def _square(image: Tensor, side: int, rng: Generator) -> Tensor:
    import torch

    height, width = image.shape[1:]
    top = int(torch.randint(height - side + 1, (), generator=rng))
    left = int(torch.randint(width - side + 1, (), generator=rng))
    hole = torch.zeros_like(image[:1])
    hole[:, top : top + side, left : left + side] = 1
    return hole


def _superpixels(image: Tensor, count: int, rng: Generator) -> Tensor:
    import torch

    from attribution import Lime

    labels = Lime(segments=count).segment(image)
    found = torch.unique(labels).cpu()
    gone = found[torch.randperm(len(found), generator=rng)[: len(found) // 2]]
    return torch.isin(labels.to(image.device), gone.to(image.device))[None].float()


def _checked(hole: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    if not hole.any():
        raise ValueError(_NOTHING)
    if hole.all():
        raise ValueError("the hole covers all of the classifier's view")
    return hole
