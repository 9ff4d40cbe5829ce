"""What is asked of detectors and segmenters: a box or a region of a photograph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F

from attribution import Value
from attribution.targets import BoxScore, RegionLogOdds
from infill.network import home
from studio.registry.asked import Asked, Scored
from studio.registry.parse import parse_device
from studio.registry.request import JobRequest
from studio.registry.target import TargetText, class_index, parse_box

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.classifiers import ImageClassifier
    from models.detectors import AnyDetector
    from models.stretched import Stretched

    Found: TypeAlias = tuple[Tensor, Tensor, Tensor]

SIDE = 512
"""Of the square view in which a detector's or a segmenter's images are explained, unless its name says."""
SEEN = 0.5
"""How sure a detector must be of what is explained without a place."""
TOP = 5
_BACKGROUND = "__background__"
"""What torchvision calls the class of nothing."""


def box(text: TargetText, request: JobRequest) -> Asked:
    """Return what is asked of a detector: how much of a detection is still found.

    Raises:
        ValueError: If the detector cannot be had or has no such class, or the place is none.
    """
    from models.detectors import load_detector

    name, side = _sided(request.classifier)
    label, place = parse_box(text.place)
    detector = load_detector(name, request.weights).to(parse_device(request.device))
    index, title = class_index("--target", label, detector.labels), f"box of {label}"

    def of_image(pixels: Tensor) -> Scored:
        size = (pixels.shape[1], pixels.shape[2])
        network, view = _shown(detector, pixels, side)
        with torch.no_grad():
            found = network(view)[0]
        scale = torch.tensor([pixels.shape[2] / network.size[1], pixels.shape[1] / network.size[0]] * 2)
        scale = scale.to(view)
        if place is None:
            wanted, classes = _surest(found, _sure(detector, found)[:, index], label)
        else:
            _check_inside(place, size)
            wanted = torch.tensor(place, device=view.device) / scale
            classes = F.one_hot(torch.tensor(index), len(detector.labels)).to(view)
        scorer = BoxScore(network, wanted[None], classes[None])
        if not bool(scorer(view).detach() > 0):
            raise ValueError(f"--target: the detector finds nothing like a {label!r} in {text.place!r}")
        return Scored(_squashing(scorer, side, title), _best(detector, found), (wanted * scale).tolist())

    return Asked(text, _squashing(detector, side, title), Value(name="similarity"), title, 0, label, of_image)


def region(text: TargetText, request: JobRequest) -> Asked:
    """Return what is asked of a segmenter: how surely it sees a class in a region.

    Raises:
        ValueError: If the segmenter cannot be had or has no such class, or the place is none.
    """
    from models.segmenters import Segmenter, load_segmenter
    from models.segmenters.semantic import PixelLogits

    name, side = _sided(request.classifier)
    label, place = parse_box(text.place)
    segmenter = load_segmenter(name, request.weights).to(parse_device(request.device))
    if not isinstance(segmenter, Segmenter):
        raise ValueError(f"--target: a region needs a semantic segmenter, and {name} finds instances")
    index, title = class_index("--target", label, segmenter.labels), f"region of {label}"

    def of_image(pixels: Tensor) -> Scored:
        size = (pixels.shape[1], pixels.shape[2])
        network, view = _shown(PixelLogits(segmenter), pixels, side)
        with torch.no_grad():
            classes = network(view)[0].argmax(0)
        if place is None:
            region = classes == index
        else:
            _check_inside(place, size)
            region = _within(place, size, network.size).to(view.device)
        if not bool(region.any()):
            if place is not None:
                rule = "a place with the center of a pixel"
                raise ValueError(f"--target: expected {rule}, got {text.place!r}")
            way = f"give a place: region:{label}@x0,y0,x1,y1"
            raise ValueError(f"--target: the segmenter sees no {label!r}; {way}")
        shares = classes.flatten().bincount(minlength=len(segmenter.labels)) / classes.numel()
        scorer = RegionLogOdds(network, region, index)
        return Scored(_squashing(scorer, side, title), _largest(shares, segmenter.labels), place)

    return Asked(text, _squashing(segmenter, side, title), Value(odds=True), title, 0, label, of_image)


def _sided(name: str | None) -> tuple[str, int]:
    """Return the name of a model, and the side of its view, of ``NAME`` or ``NAME@side=384``."""
    place, at, side = (name or "").partition("@side=")
    if not at:
        return place, SIDE
    if not (side.isdecimal() and 32 <= int(side) <= 4096):
        raise ValueError(f"--classifier: expected a side from 32 to 4096 pixels, got {name!r}")
    return place, int(side)


def _squashing(network: nn.Module, side: int, title: str) -> ImageClassifier:
    """Return a network that is asked about squares, into which photographs are squashed."""
    from models.classifiers import ImageClassifier
    from models.preprocessing import Preprocessing

    preprocessing = Preprocessing(side, (side, side), (0.0,) * 3, (1.0,) * 3)
    squashing = ImageClassifier(network, preprocessing, (title,)).eval()
    return squashing.to(home(network))  # where the network is already


def _shown(network: nn.Module, pixels: Tensor, side: int) -> tuple[Stretched, Tensor]:
    """Return the network that undoes the squashing of a photograph, and the view of it."""
    from models.stretched import Stretched, fitted

    stretched = Stretched(network, fitted((pixels.shape[1], pixels.shape[2]), side))
    return stretched, _squashing(network, side, "").view(pixels.to(home(network) or pixels.device))[None]


def _sure(detector: AnyDetector, found: Found) -> Tensor:
    """Return how sure a detector is that each of its detections is of each class: what its own score says."""
    _, probabilities, objectness = found
    return probabilities if detector.joint else probabilities * objectness[:, None]


def _surest(found: Found, sure: Tensor, label: str) -> tuple[Tensor, Tensor]:
    """Return the box and the class probabilities of the surest detection of a class.

    Raises:
        ValueError: If there is none of which the detector is sure.
    """
    boxes, probabilities, _ = found
    best = float(sure.max()) if len(sure) else 0.0
    if best < SEEN:
        way = f"give a place: box:{label}@x0,y0,x1,y1"
        raise ValueError(f"--target: the detector finds no {label!r} (the surest is {best:.2f}); {way}")
    first = int(sure.argmax())
    return boxes[first], probabilities[first]


def _check_inside(box: Sequence[float], size: tuple[int, int]) -> None:
    height, width = size
    if box[2] > width or box[3] > height:
        rule = f"a box inside the image of {width} x {height} pixels"
        raise ValueError(f"--target: expected {rule}, got {','.join(f'{side:g}' for side in box)}")


def _within(box: Sequence[float], size: tuple[int, int], shown: tuple[int, int]) -> Tensor:
    """Return which pixels of what is shown have their center in a box of the photograph."""
    y, x = ((torch.arange(side) + 0.5) * own / side for side, own in zip(shown, size, strict=True))
    rows, columns = (y >= box[1]) & (y < box[3]), (x >= box[0]) & (x < box[2])
    return rows[:, None] & columns


def _best(detector: AnyDetector, found: Found) -> list[tuple[str, float]]:
    """Return the surest detections."""
    things = [index for index, label in enumerate(detector.labels) if label != _BACKGROUND]
    if not len(found[0]):
        return []
    sure, classes = _sure(detector, found)[:, things].max(dim=1)
    order = sure.argsort(descending=True)[:TOP].tolist()
    return [(detector.labels[things[int(classes[i])]], float(sure[i])) for i in order]


def _largest(shares: Tensor, labels: Sequence[str]) -> list[tuple[str, float]]:
    """Return the classes that cover most."""
    order = shares.argsort(descending=True)[:TOP].tolist()
    return [(labels[i], float(shares[i])) for i in order if float(shares[i]) > 0]
