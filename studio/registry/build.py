"""The one place where names become objects: methods, fillers and classifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from studio.registry import pretrained
from studio.registry.entry import Entry
from studio.registry.fields import known, typed
from studio.registry.pretrained import PRETRAINED

if TYPE_CHECKING:
    from torch import Tensor

    from attribution import Explainer
    from infill import Filler
    from models.classifiers import ImageClassifier

Settings: TypeAlias = Mapping[str, Mapping[str, str]]
"""For each method and filler what ``--set`` says of it: field and value, as written."""

Preset: TypeAlias = Literal["paper", "quick", "smallest"]
"""Settings to start from: the papers', those for a small machine, or those for the smallest removal."""


# What the shipped inpainter takes and gives.
_INPAINTER = {
    "value_range": (0.0, 1.0),
    "blank": 0.0,
    "sees_hidden": False,
    "stochastic": False,
    "multiple": 8,
    "copy": False,
}

SAMPLING: Mapping[str, Entry] = {
    "sp": Entry(
        "attribution:SlidingPatch",
        "slide a patch over the image",
        "Zeiler & Fergus 2014",
        quick={"stride": 8},
        signed=True,
    ),
    "lime": Entry(
        "attribution:Lime",
        "switch superpixels off, fit a linear model",
        "Ribeiro et al. 2016",
        quick={"samples": 500},
        signed=True,
    ),
    "rise": Entry(
        "attribution:Rise",
        "keep random soft regions, average them",
        "Petsiuk et al. 2018",
        quick={"masks": 1000},
    ),
    "pda": Entry(
        "attribution:PredictionDifference",
        "slide a patch, weigh the evidence in bits",
        "Zintgraf et al. 2017",
        quick={"patch": 29, "stride": 16, "samples": 4},
        signed=True,
    ),
}
"""Methods that score holes which are known beforehand."""

OPTIMIZING: Mapping[str, Entry] = {
    "mp": Entry(
        "attribution:MeaningfulPerturbation",
        "learn a smooth hole that takes the class away",
        "Fong & Vedaldi 2017",
        quick={"steps": 100},
    ),
    "mp-code": Entry(
        "attribution:MeaningfulPerturbation",
        "mp as published in code: the image moves under its hole",
        "Agarwal & Nguyen 2020",
        {"jittered": "image"},
        quick={"steps": 100},
    ),
    "mp2": Entry(
        "attribution:MP2",
        "remove the cells that lower the score most, two by two, until the class is gone",
        "Agarwal & Nguyen 2020",
        quick={"graded": True},
        smallest={"prune": True, "slope": "logit", "blend": 0.25},
    ),
    "mp2-norm": Entry(
        "attribution:MP2",
        "mp2 in the paper's words: by the size of the derivative, whatever its sign",
        "Agarwal & Nguyen 2020",
        {"rank": "norm"},
        quick={"graded": True},
        smallest={"prune": True},
    ),
    "fido": Entry(
        "attribution:Fido",
        "learn from random holes what may be dropped",
        "Chang et al. 2019",
        quick={"steps": 60, "samples": 4},
        smallest={"region": "sdr"},
    ),
    "fido-cells": Entry(
        "attribution:Fido",
        "fido with coins and penalty on the coarse cells, as a probability",
        "Chang et al. 2019",
        {"drawn": "coarse", "penalized": "coarse", "odds": False},
        quick={"steps": 60, "samples": 4},
        smallest={"region": "sdr"},
    ),
    "extremal": Entry(
        "attribution:ExtremalPerturbation",
        "find the best smooth region of a given area",
        "Fong et al. 2019",
        quick={"steps": 150, "lr": 0.05},
        smallest={"variant": "delete"},
    ),
    "ssr": Entry(
        "attribution:SSR", "find the pixels that suffice for the class", "Gu 2020", quick={"steps": 100}
    ),
    "sdr": Entry(
        "attribution:SDR", "find the pixels whose removal destroys the class", "Gu 2020", quick={"steps": 100}
    ),
    "dssr": Entry("attribution:DSSR", "ssr and sdr at once", "Gu 2020", quick={"steps": 100}),
    "dssr-plus": Entry(
        "attribution:DSSRPlus", "dssr with compact and robust regions", "Gu 2020", quick={"steps": 100}
    ),
}
"""Methods that look for their hole step by step."""

METHODS: Mapping[str, Entry] = {**SAMPLING, **OPTIMIZING}

FILLERS: Mapping[str, Entry] = {
    "gray": Entry("infill:Gray", "ImageNet's mean color", "Agarwal & Nguyen 2020"),
    "mean": Entry("infill:Mean", "mean color of the image", "", {"kind": "image"}),
    "mean-segment": Entry(
        "infill:Mean",
        "mean color of each of LIME's superpixels",
        "Ribeiro et al. 2016",
        {"kind": "segment"},
        of_image=True,
    ),
    "mean-local": Entry(
        "infill:Mean", "mean color around each pixel", "Chang et al. 2019", {"kind": "local"}
    ),
    "noise": Entry("infill:Noise", "uniform noise", "Agarwal & Nguyen 2020", {"kind": "uniform"}),
    "noise-gaussian": Entry(
        "infill:Noise", "white noise around gray", "Du et al. 2018", {"kind": "gaussian"}
    ),
    "noise-color": Entry("infill:Noise", "a random color and noise", "Chang et al. 2019", {"kind": "color"}),
    "blur": Entry("infill:Blur", "the image, blurred", "Fong & Vedaldi 2017"),
    "marginal": Entry(
        "infill:Marginal", "sampled from what surroundings make likely", "Zintgraf et al. 2017"
    ),
    "telea": Entry("infill:Telea", "fast marching from the hole's rim", "Telea 2004"),
    "ns": Entry("infill:NavierStokes", "continue lines of equal brightness", "Bertalmio et al. 2001"),
    "biharmonic": Entry("infill:Biharmonic", "the smoothest surface through the rim", "Damelin & Hoang 2018"),
    "inpaint": Entry(
        "infill:Learned", "the learned inpainter that ships with infill", "Agarwal & Nguyen 2020", _INPAINTER
    ),
}

EVERY_FILLER: Mapping[str, Entry] = {**FILLERS, **PRETRAINED}


def build_method(name: str, settings: Settings, seed: int = 0, preset: Preset = "paper") -> Explainer:
    """Return the method of this name, as its paper has it, or with another preset.

    ``seed`` is for those that draw. What the settings say goes before both.

    Raises:
        ValueError: if the name, a field or a value is unknown or out of range.
    """
    entry = METHODS[known(name, METHODS, "method")]
    quick = {} if preset == "paper" else entry.quick
    smallest = entry.smallest if preset == "smallest" else {}
    method: Explainer = _build(name, entry, {"seed": seed, **quick, **smallest}, settings)
    return method


def optimizes(name: str) -> bool:
    """Return whether the method of this name looks for its hole step by step.

    Raises:
        ValueError: if the name is unknown.
    """
    return known(name, METHODS, "method") in OPTIMIZING


def build_filler(name: str, settings: Settings, image: Tensor, precision: str = "float32") -> Filler:
    """Return the filler of this name for an image "c h w", or images "b c h w", in the classifier's view.

    ``precision`` is for those that run a network, unless the settings give one.

    Raises:
        ValueError: if the name, a field or a value is unknown or out of range, or a weight file is missing.
    """
    entry = EVERY_FILLER[known(name, EVERY_FILLER, "filler")]
    special: dict[str, Any] = {}
    if name in PRETRAINED:
        special, settings = pretrained.loaded(name, settings, image.device, precision)
    if name == "mean-segment":
        special["segments"] = _segments(image, settings)
    if name == "inpaint":
        from models.inpainters import small

        network = small.load().to(image.device)
        special.update(network=network, precision=precision, context=small.CONTEXT)
    filler: Filler = _build(name, entry, special, settings)
    return filler


def weights_of(name: str, settings: Settings) -> Path | None:
    """Return the file or folder of weights that a filler runs on; ``None`` if there is none here."""
    if name in PRETRAINED:
        return pretrained.weights_of(name, settings)
    if name != "inpaint":
        return None
    from models.inpainters import small

    return small.FILE


def build_classifier(name: str | None, weights: Path | None, multi_label: bool = False) -> ImageClassifier:
    """Return the classifier of this name; ``None`` leaves the name to the weight file.

    With ``multi_label`` its classes do not exclude each other, whether it says so itself or not.

    Raises:
        ValueError: if the name is unknown, or its weights cannot be had or do not fit.
    """
    from models.classifiers import load_classifier
    from models.classifiers import torchvision as architectures
    from models.classifiers.image_classifier import has_form

    if name not in (None, "scenes") and not has_form(name):
        known(name, ["scenes", *architectures.names()], "classifier", listed="see `infill list --all`")
    classifier = load_classifier(name, weights)
    classifier.multi_label = classifier.multi_label or multi_label
    return classifier


def _segments(image: Tensor, settings: Settings) -> Tensor:
    """LIME's superpixels of one image or of several."""
    import torch

    if image.ndim == 4:
        return torch.stack([_segments(each, settings) for each in image])
    segments: Tensor = build_method("lime", settings).segment(image)  # type: ignore[attr-defined]
    return segments


def _build(name: str, entry: Entry, special: Mapping[str, Any], settings: Settings) -> Any:
    cls = entry.load()
    takes = {field.name for field in dataclasses.fields(cls)}
    values = {key: value for key, value in {**special, **entry.fixed}.items() if key in takes}
    try:
        return cls(**{**values, **typed(name, entry.fields(), settings.get(name, {}))})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
