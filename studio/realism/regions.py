"""Where holes come from when fillers are judged: annotation, a segmenter, superpixels, squares, or all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from studio.registry.fields import known

if TYPE_CHECKING:
    import torch
    from jaxtyping import Float
    from torch import Generator, Tensor

    from models.classifiers import ImageClassifier
    from models.segmenters import AnySegmenter
    from studio.data.dataset import Dataset, Example
    from studio.realism.request import RealismRequest

HoleKind: TypeAlias = Literal["silhouettes", "boxes", "object", "background", "segments", "squares", "all"]
HOLE_KINDS: Mapping[str, str] = {
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
        label: The segmenter's class; without one, the largest object's.
        point: Where in the view a promptable segmenter finds the object: (x, y) as fractions of its sides;
            without one, in each of the annotated boxes.
    """

    kind: HoleKind
    grow: int = 3
    side: int = 53
    superpixels: int = 50
    segmenter: AnySegmenter | None = None
    label: str | None = None
    point: tuple[float, float] | None = None

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
        self, example: Example, classifier: ImageClassifier, rng: Generator
    ) -> Float[Tensor, "1 h w"]:
        """Return the hole in the classifier's view of the example, 1 where pixels are removed.

        Raises:
            ValueError: If what is needed is not annotated, or nothing or everything in the view is removed.
        """
        import torch

        image = classifier.view(example.image.to(classifier.mean.device))
        self.check_view(min(image.shape[1:]))
        if self.kind == "all":
            return torch.ones_like(image[:1])
        if self.kind == "squares":
            return _checked(_square(image, self.side, rng))
        if self.kind == "segments":
            return _checked(_superpixels(image, self.superpixels, rng))
        if self.kind == "boxes":
            return _checked(_in_view(_boxed(example), classifier))
        hole = _grown(self._object(example, image, classifier), self.grow)
        return _checked(1 - hole if self.kind == "background" else hole)

    def _object(self, example: Example, image: Tensor, classifier: ImageClassifier) -> Tensor:
        if self.segmenter is not None:
            silhouette = self._segmented(self.segmenter, example, image, classifier)
            if not silhouette.any():
                raise ValueError(f"the segmenter finds no {self.label or 'object'}")
            return silhouette[None].float()
        if example.silhouette is None:
            raise ValueError("no silhouette is annotated")
        return _in_view(example.silhouette, classifier)

    def _segmented(
        self, segmenter: AnySegmenter, example: Example, image: Tensor, classifier: ImageClassifier
    ) -> Tensor:
        if segmenter.prompted is False:
            return segmenter.silhouette(image[None], self.label)[0]
        if self.point is None:
            return segmenter.union(image, self._boxes_in_view(example, image, classifier))
        height, width = image.shape[1:]
        x, y = self.point
        return segmenter.silhouette(image[None], points=image.new_tensor([[[x * width, y * height]]]))[0]

    def _boxes_in_view(
        self, example: Example, image: Tensor, classifier: ImageClassifier
    ) -> Float[Tensor, "b 4"]:
        """Return what is to be seen of the annotated boxes, in pixels of the view."""
        if example.boxes is None:
            raise ValueError("no box is annotated")
        tall, wide = example.image.shape[1:]
        left, top, right, bottom = classifier.view_box((tall, wide))
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


def build_regions(request: RealismRequest, data: Dataset, device: torch.device) -> Regions:
    """Return the regions that are removed, with the segmenter that finds them, if there is one.

    Raises:
        ValueError: If they are unknown, the data does not say what they need, or the segmenter cannot be had
            or asked like that.
    """
    kind, segmenter = hole_kind(request.holes, data, request.segmenter is not None), None
    point = None if request.segmenter_point is None else _parse_point(request.segmenter_point)
    if request.segmenter is not None:
        if kind not in SEGMENTED:
            raise ValueError(f"--segmenter: only for --holes {' and '.join(SEGMENTED)}, got --holes {kind}")
        from models.segmenters import load_segmenter

        segmenter = load_segmenter(request.segmenter, request.segmenter_weights).to(device)
        _check_prompts(request, segmenter)
        if segmenter.prompted and point is None and "boxes" not in data.offers:
            point = (0.5, 0.5)
    elif request.segmenter_weights or request.segmenter_class or point:
        raise ValueError(
            "--segmenter: expected a name beside --segmenter-weights, --segmenter-class and --segmenter-point"
        )
    regions = Regions(
        kind, request.grow, request.side, segmenter=segmenter, label=request.segmenter_class, point=point
    )
    check_annotated(regions, data)
    return regions


def hole_kind(kind: str | None, data: Dataset, segmented: bool) -> HoleKind:
    """Return the kind asked for; without one, what the data knows best.

    Raises:
        ValueError: If it is unknown, or neither asked for nor known.
    """
    if kind is not None:
        known(kind, HOLE_KINDS, "kind of holes")
        return kind  # type: ignore[return-value]
    if segmented:
        return "object"
    for annotated in ("silhouettes", "boxes"):
        if annotated in data.offers:
            return annotated
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


def _check_prompts(request: RealismRequest, segmenter: AnySegmenter) -> None:
    """Check that the segmenter can be asked for what it is asked for: a class, or a place."""
    name, label = request.segmenter, request.segmenter_class
    if segmenter.prompted and label is not None:
        raise ValueError(f"--segmenter-class: {name} knows no classes; it takes --segmenter-point X,Y")
    if not segmenter.prompted and request.segmenter_point is not None:
        raise ValueError(f"--segmenter-point: {name} takes no point; it takes --segmenter-class C")
    if label is not None:
        known(label, segmenter.labels, "class of the segmenter")


def _parse_point(text: str) -> tuple[float, float]:
    """Return the point that a text means, in fractions of the view's sides."""
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"--segmenter-point: expected X,Y with both from 0 to 1, got {text!r}")
    return x, y


def _in_view(region: Tensor, classifier: ImageClassifier) -> Tensor:
    """A region of the input in the view: the pixels that it covers at least half of."""
    return (classifier.view(region[None].float().to(classifier.mean.device)) >= 0.5).float()


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
    numbers = torch.unique(labels).cpu()
    removed = numbers[torch.randperm(len(numbers), generator=rng)[: len(numbers) // 2]]
    return torch.isin(labels.to(image.device), removed.to(image.device))[None].float()


def _checked(hole: Float[Tensor, "1 h w"]) -> Float[Tensor, "1 h w"]:
    if not hole.any():
        raise ValueError(_NOTHING)
    if hole.all():
        raise ValueError("the hole covers all of the classifier's view")
    return hole
