"""The one place where names become objects: methods, fillers and classifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.registry import pretrained
from studio.registry.entry import Entry
from studio.registry.fields import known, typed
from studio.registry.tables import EVERY_FILLER, METHODS, PRETRAINED, Preset, Settings

if TYPE_CHECKING:
    from torch import Tensor

    from attribution import Explainer
    from infill import Filler
    from models.classifiers import ImageClassifier


def build_method(name: str, settings: Settings, seed: int = 0, preset: Preset = "paper") -> Explainer:
    """Return the method of this name, as its paper has it, or with another preset.

    ``seed`` is for those that draw. What the settings say goes before both.

    Raises:
        ValueError: If the name, a field or a value is unknown or out of range.
    """
    entry = METHODS[known(name, METHODS, "method")]
    quick = {} if preset == "paper" else entry.quick
    smallest = entry.smallest if preset == "smallest" else {}
    method: Explainer = _build(name, entry, {"seed": seed, **quick, **smallest}, settings)
    return method


def build_filler(name: str, settings: Settings, image: Tensor, precision: str = "float32") -> Filler:
    """Return the filler of this name for an image "c h w", or images "b c h w", in the classifier's view.

    ``precision`` is for those that run a network, unless the settings give one.

    Raises:
        ValueError: If the name, a field or a value is unknown or out of range, or a weight file is missing.
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
        ValueError: If the name is unknown, or its weights cannot be had or do not fit.
    """
    from models.classifiers import load_classifier

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
