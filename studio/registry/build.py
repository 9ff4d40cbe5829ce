"""The one place where names become objects: methods, fillers and classifiers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.registry import added, pretrained
from studio.registry.entry import Entry
from studio.registry.fields import parse_fields
from studio.registry.own import NO_OWN, Own
from studio.registry.tables import ALL_FILLERS, METHODS, PRETRAINED, SHIPPED_WEIGHTS, Preset, SettingTexts
from studio.registry.variants import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from attribution import Explainer
    from infill import Filler
    from models.classifiers import ImageClassifier

    Seen = Callable[[Callable[[Tensor], Tensor]], Tensor]


def build_method(
    name: str, settings: SettingTexts, seed: int = 0, preset: Preset = "paper", own: Own = NO_OWN
) -> Explainer:
    """Return the method of this name, as its paper has it, or with another preset.

    Args:
        name: One of `METHODS`, see `studio.registry.parse`.
        settings: They override the preset's.
        seed: For methods that draw.
        preset: Which settings to start from.
        own: What the caller brings along, which is taken as it is.

    Raises:
        ValueError: If a field is unknown, or a value out of range.
    """
    if name in own.methods:
        return own.methods[name]
    entry = METHODS[name]
    quick = {} if preset == "paper" else entry.quick
    smallest = entry.smallest if preset == "smallest" else {}
    method: Explainer = _build(name, entry, {"seed": seed, **quick, **smallest}, settings)
    return method


def is_signed(name: str, method: Explainer) -> bool:
    """Whether the heatmap of the method of this name speaks for the target above 0 and against it below."""
    entry = _entry_of(name, method)
    return bool(getattr(method, "signed", entry is not None and entry.signed))


def hidden_of(name: str, method: Explainer) -> Collection[str]:
    """Return the settings of the method of this name that are not to be shown."""
    entry = _entry_of(name, method)
    return () if entry is None else entry.hidden


def _entry_of(name: str, method: Explainer) -> Entry | None:
    """Return the row of a method; of one that the caller brings along that of its class, if it has any."""
    return METHODS.get(name) or next((each for each in METHODS.values() if each.is_of(method)), None)


def may_draw(name: str, own: Own = NO_OWN) -> bool:
    """Whether the fills of the filler of this name may be drawn by chance, as far as is known unbuilt."""
    if name in own.fillers:
        return own.fillers[name].stochastic
    kind = kind_of(name)
    if kind in PRETRAINED:
        return PRETRAINED[kind].draws
    # Where that depends on its settings, the class has a property, which is no False.
    return getattr(ALL_FILLERS[kind].load(), "stochastic", False) is not False


def serves_all(filler: Filler | None) -> bool:
    """Whether a filler that has been built need not be built again for other images."""
    return filler is not None and not getattr(filler, "of_image", False)


def build_filler(
    name: str,
    settings: SettingTexts,
    image: Tensor,
    precision: str = "float32",
    seen: Seen | None = None,
    own: Own = NO_OWN,
) -> Filler:
    """Return the filler of this name for an image "c h w", or images "b c h w", in the classifier's view.

    Args:
        name: Of one of `ALL_FILLERS`, as `studio.registry.variants.names_of` has it.
        settings: Texts by filler's name and field.
        image: RGB in [0, 1].
        precision: For fillers that run a network, unless the settings give one.
        seen: Returns what the classifier sees of the photographs after a change, of the shape of ``image``;
            for fillers that fill photographs, not views.
        own: What the caller brings along, which is taken as it is.

    Raises:
        ValueError: If a field is unknown, a value is out of range, or a weight file is missing.
    """
    if name in own.fillers:
        return own.fillers[name]
    kind = kind_of(name)
    entry = ALL_FILLERS[kind]
    computed: dict[str, Any] = {}
    if kind in PRETRAINED:
        computed, settings = pretrained.load_network(name, settings, image.device, precision)
    if kind == "mean-segment":
        computed["segments"] = _segments(image, settings)
    if kind in SHIPPED_WEIGHTS:
        from models.inpainters import small

        network = small.load(small.FILE.with_name(SHIPPED_WEIGHTS[kind])).to(image.device)
        computed.update(network=network, precision=precision, context=small.CONTEXT, feather=small.FEATHER)
    filler: Filler = _build(name, entry, computed, settings)
    if parse_fields(name, entry.fields(), settings.get(name, {})).get("where") == "photograph":
        return _of_photographs(name, filler, seen)
    return filler


def _of_photographs(name: str, filler: Filler, seen: Seen | None) -> Filler:
    """Return what shows the view of photographs that are filled everywhere."""
    from infill import Given

    if seen is None:
        raise ValueError(f"{name}.where: there are no photographs here, only the classifier's views of them")
    if getattr(filler, "levels", 2) > 2:
        raise ValueError(f"{name}.where: expected levels=2 with where=photograph, got {filler.levels}")  # type: ignore[attr-defined]

    def filled(photograph: Tensor) -> Tensor:
        return filler(photograph[None], photograph.new_ones(1, 1, *photograph.shape[1:]))[0]

    return Given(seen(filled), filler)


def weights_of(name: str, settings: SettingTexts) -> Path | None:
    """Return the file or folder of weights that a filler runs on; ``None`` if there is none here."""
    kind = kind_of(name)
    if kind in PRETRAINED:
        return pretrained.weights_of(name, settings)
    if kind not in SHIPPED_WEIGHTS:
        return None
    from models.inpainters import small

    return small.FILE.with_name(SHIPPED_WEIGHTS[kind])


def build_classifier(
    name: str | None, weights: Path | None, multi_label: bool = False, own: Own = NO_OWN
) -> ImageClassifier:
    """Return the classifier of this name; ``None`` leaves the name to the weight file.

    With ``multi_label`` its classes do not exclude each other, whether it says so itself or not. One that the
    caller brings along is taken as it is.

    Raises:
        ValueError: If the name is unknown, or its weights cannot be had or do not fit.
    """
    from models.classifiers import load_classifier

    if own.classifier is not None:
        return own.classifier
    classifier = load_classifier(name, weights, added.loaders())
    classifier.multi_label = classifier.multi_label or multi_label
    return classifier


def usual_classifier(kind: str) -> str:
    """Return the classifier of a kind of data (`Dataset.kind`) if none is asked for."""
    return "scenes" if kind == "scenes" else "mobilenet_v2"  # small, and known to everybody


def _segments(image: Tensor, settings: SettingTexts) -> Tensor:
    """LIME's superpixels of one image or of several."""
    import torch

    if image.ndim == 4:
        return torch.stack([_segments(each, settings) for each in image])
    segments: Tensor = build_method("lime", settings).segment(image)  # type: ignore[attr-defined]
    return segments


def _build(name: str, entry: Entry, computed: Mapping[str, Any], settings: SettingTexts) -> Any:
    cls = entry.load()
    fields = {field.name for field in dataclasses.fields(cls)}
    values = {
        key: value for key, value in {**entry.given, **computed, **entry.fixed}.items() if key in fields
    }
    try:
        given = parse_fields(name, entry.fields(), settings.get(name, {}))
        return cls(**{**values, **{key: value for key, value in given.items() if key not in entry.options}})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
