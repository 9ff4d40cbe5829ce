"""Everything that filling in needs, made from the request before any image is filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import torch

from attribution import FillInBlanks, ProgressiveBlanks
from attribution.blanks import Threshold, patch_grid
from attribution.engine.precision import PreparedClassifier, prepare
from infill.network import Precision
from studio.blanks.classifier import trained
from studio.blanks.data import Labelled, opened
from studio.blanks.request import CORRECT, FILLER, PAPERS, BlanksRequest
from studio.libraries import versions
from studio.registry.build import build_classifier, build_filler, build_method, serves_all
from studio.registry.identity import classifier_identity, filler_identity
from studio.registry.parse import Selection, parse_device, parse_selection
from studio.registry.tables import PRETRAINED, SHIPPED_WEIGHTS, SettingTexts
from studio.runs.folder import SETTINGS, read_settings

if TYPE_CHECKING:
    from torch import Tensor

    from infill import Filler
    from models.classifiers import ImageClassifier

Variant: TypeAlias = FillInBlanks | ProgressiveBlanks

RATIOS = (0.1, 0.25, 0.5, 0.75)
PATCHES = (1, 2, 4, 7)
"""Sides of the patches that are compared, in pixels of an image of 28 x 28."""
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.4)
TRIED = 10
"""At most so many times as many masks are tried as are wanted."""
FEW = 50
"""How many masks are averaged where the orders are compared: L-BFGS runs for each of them."""
JOB = "fill-blanks"
RANDOM, PROGRESSIVE = "random", "progressive"
SECOND = f"{PROGRESSIVE}-l-bfgs"
"""BFGS itself multiplies matrices of 784 x 784 in every step: it is drawn, but not run for every image."""
NAMES = (RANDOM, PROGRESSIVE)
"""The paper's two maskings (sec. 4.1 and 4.2), of first order."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What is filled in, by whom, and how.

    Attributes:
        fills: What stands in an image's blanks.
        variants: By name, how images are filled in.
        ablations: Names of those that are compared, and done with the first images only; one that is like
            `RANDOM` is not among the variants, for it is done already.
        settings: All that the results depend on, in values that JSON has.
    """

    request: BlanksRequest
    data: Labelled
    classifier: ImageClassifier
    name: str
    prepared: PreparedClassifier
    fills: Callable[[Tensor], Filler]
    variants: Mapping[str, Variant]
    ablations: Sequence[str]
    settings: Mapping[str, Any]

    @property
    def random(self) -> FillInBlanks:
        """The masks by chance that are not those of an ablation."""
        return cast(FillInBlanks, self.variants[RANDOM])

    @cached_property
    def threshold(self) -> Threshold:
        """What makes an image of an update."""
        return Threshold()

    def numbers(self, variant: str) -> range:
        """Return the images that are filled in so."""
        count = len(self.data.images)
        return range(min(count, self.request.ablations) if variant in self.ablations else count)

    def unit(self, variant: str) -> str:
        """Return under which name a variant is kept."""
        return variant if variant in self.variants else RANDOM


def set_up(request: BlanksRequest) -> Setup:
    """Check the request, load everything, and train the classifier unless that is done.

    Raises:
        ValueError: If something asked for is unknown, impossible or cannot be read.
    """
    device = parse_device(request.device)
    if len(request.fillers) > 1:
        raise ValueError(f"--filler: one fills the blanks, got {', '.join(request.fillers)}")
    data = opened(request.data, request.limit, request.seed, request.download)
    black = ",".join([FILLER] + ["0"] * (data.images.shape[1] - 1))
    selection = parse_selection(request.fillers or (black,), request.settings, ("blanks",))
    variants, ablations = _variants(request, selection, data)
    size = cast("tuple[int, int]", tuple(data.images.shape[2:]))
    for variant in variants.values():
        _check(variant, size)
    images = data.images.to(device)
    precision: Precision = "float32" if request.precision == "auto" else request.precision
    name = selection.fillers[0]
    fills = _fills(name, selection.settings, images, precision)
    classifier = _classifier(request, data, device)
    return Setup(
        request=request,
        data=replace(data, images=images, targets=data.targets.to(device)),
        classifier=classifier,
        name=_called(request, data),
        prepared=prepare(classifier, precision, images[:1]),
        fills=fills,
        variants=variants,
        ablations=ablations,
        settings={
            "job": JOB,
            "data": data.title,
            "images": len(data.images),
            "fingerprint": data.fingerprint(),
            "variants": {each: repr(variant) for each, variant in variants.items()},
            "ablations": request.ablations,
            "filler": {name: filler_identity(name, selection.settings)},
            "classifier": classifier_identity(classifier, request.classifier),
            "seed": request.seed,
            "precision": precision,
            "device": device.type,
            "versions": versions(),
        },
    )


def _called(request: BlanksRequest, data: Labelled) -> str:
    """Return what the classifier is called."""
    if request.classifier or request.weights:
        return request.classifier or Path(str(request.weights)).stem
    return "scenes" if data.training is None else "trained here"


def _fills(
    name: str, settings: SettingTexts, images: Tensor, precision: Precision
) -> Callable[[Tensor], Filler]:
    """Return what makes the filler of an image, once it has filled a hole in the first one.

    Raises:
        ValueError: If the filler cannot be had, or fills no such images.
    """
    if images.shape[1] != 3 and name in {*SHIPPED_WEIGHTS, *PRETRAINED}:
        raise ValueError(f"--filler {name}: its network fills RGB images, got {images.shape[1]} channel")
    first = build_filler(name, settings, images[0], precision)
    hole = torch.zeros_like(images[:1, :1])
    hole[..., 0, 0] = 1
    try:
        first(images[:1], hole, torch.Generator().manual_seed(0))
    except ValueError as error:
        raise ValueError(f"--filler {name}: {error}") from error
    if serves_all(first):
        return lambda image: first
    return lambda image: build_filler(name, settings, image, precision)


def _classifier(request: BlanksRequest, data: Labelled, device: torch.device) -> ImageClassifier:
    asked = request.classifier or request.weights
    if data.training is not None and not asked:
        _check_ours(request.out, data.title)
        return trained(data, request.seed, request.out, device)
    name = request.classifier or (None if asked else "scenes")
    classifier = build_classifier(name, request.weights).to(device)
    size = tuple(data.images.shape[2:])
    if size != (classifier.crop, classifier.crop):
        raise ValueError(f"--classifier: it is shown {classifier.crop} px, but {data.title} has {size[0]} px")
    if tuple(classifier.labels) != tuple(data.classes):
        raise ValueError(f"--classifier: its classes are not those of {data.title}")
    return classifier


def _check_ours(folder: Path, title: str) -> None:
    """Find out before a classifier is put there whether a folder is another job's, or of other images."""
    if (folder / SETTINGS).exists():
        settings = read_settings(folder, "--out")
        if (settings.get("job"), settings.get("data")) != (JOB, title):
            raise ValueError(f"--out: {folder / SETTINGS} is another run's; give another folder")


def _variants(
    request: BlanksRequest, selection: Selection, data: Labelled
) -> tuple[dict[str, Variant], Sequence[str]]:
    own = selection.settings.get("blanks", {})
    if "shown" in own:
        raise ValueError(f"blanks.shown: {JOB} keeps the updates themselves, all that could be shown of them")
    correct = int(own.get("correct", PAPERS if request.paper else CORRECT))
    usual = {"patch": data.patch, "correct": correct, "masks": min(TRIED * correct, 10**6), "shown": "blank"}
    texts = {"blanks": {**{name: str(value) for name, value in usual.items()}, **own}}
    method = cast(FillInBlanks, build_method("blanks", texts, request.seed))
    progressive = ProgressiveBlanks(patch=method.patch, seed=method.seed)
    found: dict[str, Variant] = {
        RANDOM: method,
        PROGRESSIVE: progressive,
        SECOND: replace(progressive, update="l-bfgs", steps=method.steps),
    }
    varied: dict[str, Variant] = {}
    if request.ablations:
        few = replace(method, correct=min(FEW, method.correct), until=None, update="first")
        varied |= {f"ratio-{ratio:g}": replace(method, ratio=ratio) for ratio in RATIOS}
        scale = data.images.shape[-1] // 28
        varied |= {f"patch-{side * scale}": replace(method, patch=side * scale) for side in PATCHES}
        varied |= {"order-first": few, "order-l-bfgs": replace(few, update="l-bfgs")}
    return {**found, **{name: each for name, each in varied.items() if each != method}}, list(varied)


def _check(variant: Variant, size: tuple[int, int]) -> None:
    """Find out before any work is done whether an image can be cut so."""
    rows, columns = patch_grid(size, variant.patch)
    patches = rows * columns
    if isinstance(variant, ProgressiveBlanks):
        if variant.parts > patches:
            raise ValueError(f"blanks.patch: expected more than {variant.parts} patches, got {patches}")
    elif variant.patch > min(size) or not 0 < round(variant.ratio * patches) < patches:
        raise ValueError(
            f"blanks: patches of {variant.patch} px cannot remove {variant.ratio:g} of {size[0]} x {size[1]}"
        )
