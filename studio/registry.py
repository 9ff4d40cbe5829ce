"""The one place where names become objects: methods, fillers and classifiers."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from studio.settings import known, settable, typed

if TYPE_CHECKING:
    from torch import Tensor

    from attribution.explainer import SamplingExplainer
    from infill import Filler
    from models.classifiers import ImageClassifier

Settings: TypeAlias = Mapping[str, Mapping[str, str]]
"""For each method and filler what ``--set`` says of it: field and value, as written."""


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        place: ``module:class`` of a dataclass.
        says: What it does, in a line.
        source: Where it is from.
        fixed: What makes the class the thing of this name; not to be set.
        quick: Settings that make it affordable on a small machine; the class's own are the paper's.
    """

    place: str
    says: str
    source: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Any:
        """Import and return the class."""
        module, name = self.place.split(":")
        return getattr(importlib.import_module(module), name)


# What the shipped inpainter takes and gives.
_INPAINTER = {
    "value_range": (0.0, 1.0),
    "blank": 0.0,
    "sees_hidden": False,
    "stochastic": False,
    "multiple": 8,
}

METHODS: Mapping[str, Entry] = {
    "sp": Entry(
        "attribution:SlidingPatch",
        "slide a patch over the image",
        "Zeiler & Fergus 2014",
        quick={"stride": 8},
    ),
    "lime": Entry(
        "attribution:Lime",
        "switch superpixels off, fit a linear model",
        "Ribeiro et al. 2016",
        quick={"samples": 500},
    ),
    "rise": Entry(
        "attribution:Rise",
        "keep random soft regions, average them",
        "Petsiuk et al. 2018",
        quick={"masks": 1000},
    ),
}

FILLERS: Mapping[str, Entry] = {
    "gray": Entry("infill:Gray", "ImageNet's mean color", "Agarwal & Nguyen 2020"),
    "mean": Entry("infill:Mean", "mean color of the image", "", {"kind": "image"}),
    "mean-segment": Entry(
        "infill:Mean", "mean color of each of LIME's superpixels", "Ribeiro et al. 2016", {"kind": "segment"}
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
    "telea": Entry("infill:Telea", "fast marching from the hole's rim", "Telea 2004"),
    "ns": Entry("infill:NavierStokes", "continue lines of equal brightness", "Bertalmio et al. 2001"),
    "biharmonic": Entry("infill:Biharmonic", "the smoothest surface through the rim", "Damelin & Hoang 2018"),
    "inpaint": Entry(
        "infill:Learned", "the learned inpainter that ships with infill", "Agarwal & Nguyen 2020", _INPAINTER
    ),
}


def build_method(name: str, settings: Settings, seed: int = 0, *, paper: bool = True) -> SamplingExplainer:
    """Return the method of this name, as its paper has it, or else quick.

    ``seed`` is for those that draw. What the settings say goes before both.

    Raises:
        ValueError: if the name, a field or a value is unknown or out of range.
    """
    entry = METHODS[known(name, METHODS, "method")]
    special = {"seed": seed, **({} if paper else entry.quick)}
    method: SamplingExplainer = _build(name, entry, special, settings)
    return method


def build_filler(name: str, settings: Settings, image: Tensor, precision: str = "float32") -> Filler:
    """Return the filler of this name for one image "c h w" (as the classifier views it).

    ``precision`` is for those that run a network, unless the settings give one.

    Raises:
        ValueError: if the name, a field or a value is unknown or out of range, or a weight file is missing.
    """
    entry = FILLERS[known(name, FILLERS, "filler")]
    special: dict[str, Any] = {}
    if name == "mean-segment":
        special["segments"] = build_method("lime", settings).segment(image)  # type: ignore[attr-defined]
    if name == "inpaint":
        from models.inpainters import small

        network = small.load().to(image.device)
        special.update(network=network, precision=precision, context=small.CONTEXT)
    filler: Filler = _build(name, entry, special, settings)
    return filler


def build_classifier(name: str | None, weights: Path | None) -> ImageClassifier:
    """Return the classifier of this name; ``None`` leaves the name to the weight file.

    Raises:
        ValueError: if the name is unknown, or its weights cannot be had or do not fit.
    """
    from models import architectures
    from models.classifiers import load_classifier

    if name not in (None, "scenes"):
        known(name, ["scenes", *architectures.names()], "classifier", listed="see `infill list --all`")
    return load_classifier(name, weights)


def shortcuts(names: Iterable[str], settings: Settings) -> str:
    """Return in a line where the quick settings of these methods differ from their papers'."""
    told = []
    for name in names:
        defaults = {field.name: field.default for field in dataclasses.fields(METHODS[name].load())}
        for key, value in METHODS[name].quick.items():
            if key not in settings.get(name, {}):
                told.append(f"{name}.{key} {value} (paper: {defaults[key]})")
    return ", ".join(told)


def parse_settings(pairs: Sequence[str], used: Sequence[str]) -> Settings:
    """Sort texts like ``sp.patch=41`` by the methods and fillers that are ``used``, and check them all.

    Raises:
        ValueError: if a text has another form, or names what is unknown or not used.
    """
    settings: dict[str, dict[str, str]] = {}
    for pair in pairs:
        place, equals, value = pair.partition("=")
        name, dot, field_name = place.partition(".")
        if not (name and dot and field_name and equals):
            raise ValueError(f"--set: expected NAME.FIELD=VALUE, as in sp.patch=41, got {pair!r}")
        known(name, [*METHODS, *FILLERS], "method or filler in --set")
        # LIME's superpixels serve mean-segment too.
        if name not in used and not (name == "lime" and "mean-segment" in used):
            raise ValueError(f"--set {pair}: {name} is not used here; used: {', '.join(used)}")
        settings.setdefault(name, {})[field_name] = value
    for name, texts in settings.items():
        entry = {**METHODS, **FILLERS}[name]
        typed(name, settable(entry.load(), entry.fixed), texts)
    return settings


def _build(name: str, entry: Entry, special: Mapping[str, Any], settings: Settings) -> Any:
    cls = entry.load()
    takes = {field.name for field in dataclasses.fields(cls)}
    values = {key: value for key, value in {**special, **entry.fixed}.items() if key in takes}
    try:
        return cls(**{**values, **typed(name, settable(cls, entry.fixed), settings.get(name, {}))})
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
