"""Classifiers by name: those of torchvision, of other libraries, of files, and the one that ships."""

from collections.abc import Callable
from pathlib import Path

from models.classifiers import clip, custom, places365, scenes, timm, transformers
from models.classifiers import torchvision as architectures
from models.classifiers.image_classifier import ImageClassifier
from models.scenes.draw import CLASSES
from models.spelling import suggestion
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint

FORMS = (
    "timm:NAME",
    "hf:FOLDER",
    "clip:FOLDER@labels=FILE",
    "file:PATH",
    "python:MODULE:FUNCTION",
    "places365",
)
"""How classifiers that are neither ``scenes`` nor torchvision's are named."""


def load_classifier(name: str | None = "scenes", weights: Path | None = None) -> ImageClassifier:
    """Return the classifier of this name, in evaluation mode.

    ``scenes`` is the network that ships with the package; names in one of `FORMS` are explained where they
    are loaded; all others are torchvision's. Their weights are torchvision's own (with its transforms and
    class names), or those in the file ``weights``. A safetensors file may say in its metadata what it is:
    ``arch`` (``torchvision.NAME``; then ``name`` may be ``None``), ``crop``, ``resize``, ``mean``, ``std``,
    ``interpolation``, ``labels`` (a JSON list), ``multi_label`` (``true`` or ``false``).

    Raises:
        ValueError: If the name is unknown, or the weights cannot be had or do not fit.
    """
    if name is not None and _has_form(name):
        return _elsewhere(name, weights).eval()
    if name not in (None, "scenes") and name not in (known := architectures.names()):
        hint = suggestion(name, ["scenes", *known]) or ";"
        expected = f"expected 'scenes', a torchvision network or one of the forms {', '.join(FORMS)}"
        raise ValueError(f"unknown classifier {name!r}{hint} see `infill list --all`; {expected}")
    checkpoint = None if weights is None else read_checkpoint(weights)
    name = _agreed(name, checkpoint)
    if name == "scenes":
        return _scenes(checkpoint)
    return architectures.load(name, checkpoint).eval()


def _has_form(name: str) -> bool:
    """Return whether a name is in one of `FORMS`; whether there is such a network is another question."""
    prefix, colon, rest = name.partition(":")
    return name in FORMS or (bool(colon and rest) and any(form.startswith(prefix + ":") for form in FORMS))


def _elsewhere(name: str, weights: Path | None) -> ImageClassifier:
    """Load a classifier whose name is in one of `FORMS`."""
    prefix, _, rest = name.partition(":")
    if prefix == "places365":
        return places365.load(weights)
    loaders: dict[str, Callable[[str, Path | None], ImageClassifier]] = {
        "timm": timm.load,
        "hf": transformers.load,
        "clip": clip.load,
        "file": custom.load_file,
        "python": custom.load_function,
    }
    return loaders[prefix](rest, weights)


def _agreed(name: str | None, checkpoint: Checkpoint | None) -> str:
    """Return the one architecture that the name and the file's metadata agree on."""
    arch = checkpoint.metadata.get("arch", "").removeprefix("torchvision.") if checkpoint else ""
    if not name and not arch:
        raise ValueError("classifier: expected a name, for the weights do not say what they are")
    if name and arch and name != arch and checkpoint:
        raise ValueError(f"weights: {checkpoint.path} is for {arch}, not for {name}")
    if arch not in ("", "scenes") and arch not in architectures.names():
        raise ValueError(f"weights: the file is for {arch!r}, which torchvision does not have")
    return name or arch


def _scenes(checkpoint: Checkpoint | None) -> ImageClassifier:
    if checkpoint:
        network = scenes.SceneClassifier()
        load_state(network, checkpoint, "scenes")
    else:
        network = scenes.load()
    return ImageClassifier(network, scenes.PREPROCESSING, CLASSES).eval()
