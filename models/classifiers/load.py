"""Classifiers by name: those of torchvision, of other libraries, of files, and the one that ships."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from models.classifiers import clip, custom, digits, metadata, places365, scenes, timm, transformers
from models.classifiers import torchvision as architectures
from models.classifiers.image_classifier import ImageClassifier
from models.scenes.draw import CLASSES
from models.spelling import suggestion
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint

Loader: TypeAlias = Callable[[str, Path | None], ImageClassifier]
"""Gets what stands behind the first colon of a name, and the file of weights."""

FORMS: dict[str, Loader] = {
    "timm:NAME": timm.load,
    "hf:FOLDER": transformers.load,
    "clip:FOLDER@labels=FILE": clip.load,
    "file:PATH": custom.load_file,
    "python:MODULE:FUNCTION": custom.load_function,
    "places365": places365.load,
    "digits:FILE": digits.load,
}
"""How classifiers that are neither ``scenes`` nor torchvision's are named, and what loads them."""


def load_classifier(
    name: str | None = "scenes",
    weights: Path | str | None = None,
    more: Mapping[str, Loader] = MappingProxyType({}),
) -> ImageClassifier:
    """Return the classifier of this name, in evaluation mode.

    ``scenes`` is the network that ships with the package; names in one of `FORMS` are explained where they
    are loaded; all others are torchvision's. Their weights are torchvision's own (with its transforms and
    class names; ``NAME@v1`` takes their first version), or those in the file ``weights``. A safetensors file
    may say in its metadata what it is: ``arch`` (``torchvision.NAME`` or ``digits``; then ``name`` may be
    ``None``), ``crop``, ``resize``, ``mean``, ``std``, ``interpolation``, ``labels`` (a JSON list),
    ``multi_label`` (``true`` or ``false``). ``more`` are forms beside `FORMS`.

    Raises:
        ValueError: If the name is unknown, or the weights cannot be had or do not fit.
    """
    weights = None if weights is None else Path(weights)
    forms = {**FORMS, **more}
    loader = None if name is None else _loader(name, forms)
    if name is not None and loader is not None:
        return loader(name.partition(":")[2], weights).eval()
    if name not in (None, "scenes") and name.partition("@")[0] not in (known := architectures.names()):
        hint = suggestion(name, ["scenes", *known]) or ";"
        expected = f"expected 'scenes', a torchvision network or one of the forms {', '.join(forms)}"
        raise ValueError(f"unknown classifier {name!r}{hint} see `infill list --all`; {expected}")
    checkpoint = None if weights is None else read_checkpoint(weights)
    if name is None and checkpoint and checkpoint.metadata.get("arch") == digits.ARCH:
        return digits.load(str(weights)).eval()
    name = _agreed(name, checkpoint)
    if name == "scenes":
        return _scenes(checkpoint)
    return architectures.load(name, checkpoint).eval()


def _loader(name: str, forms: Mapping[str, Loader]) -> Loader | None:
    """Return the loader of a name in a form; whether there is such a network is another question."""
    prefix, colon, place = name.partition(":")
    for form, loader in forms.items():
        if name == form or (colon and place and form.startswith(f"{prefix}:")):
            return loader
    return None


def _agreed(name: str | None, checkpoint: Checkpoint | None) -> str:
    """Return the one architecture that the name and the file's metadata agree on."""
    arch = checkpoint.metadata.get("arch", "").removeprefix("torchvision.") if checkpoint else ""
    if name and checkpoint and "@" in name:
        raise ValueError(f"classifier: {name} names weights, and --weights gives others; give one")
    if not name and not arch:
        raise ValueError("classifier: expected a name, for the weights do not say what they are")
    if name and arch and name != arch and checkpoint:
        raise ValueError(f"weights: {checkpoint.path} is for {arch}, not for {name}")
    if arch not in ("", "scenes") and arch not in architectures.names():
        raise ValueError(f"weights: the file is for {arch!r}, which torchvision does not have")
    return name or arch


def _scenes(checkpoint: Checkpoint | None) -> ImageClassifier:
    if checkpoint is None:
        return ImageClassifier(scenes.load(), scenes.PREPROCESSING, CLASSES).eval()
    network = scenes.untrained()
    load_state(network, checkpoint, "scenes")
    stated = metadata.from_texts(checkpoint.metadata, checkpoint.path)
    labels = metadata.class_names(stated.labels or CLASSES, len(CLASSES), f"weights: {checkpoint.path}")
    preprocessing = stated.preprocessing(scenes.PREPROCESSING)
    return ImageClassifier(network, preprocessing, labels, bool(stated.multi_label)).eval()
