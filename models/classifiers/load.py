"""Classifiers by name: those of torchvision, of other libraries, of files, and the one that ships."""

from collections.abc import Callable
from pathlib import Path

from models.classifiers import torchvision as architectures
from models.classifiers.image_classifier import ImageClassifier
from models.weights.checkpoint import Checkpoint, load_state, read_checkpoint

_WAYS = "pass --weights FILE; 'scenes' needs no download"
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
    if name is not None and has_form(name):
        return _elsewhere(name, weights).eval()
    if name not in (None, "scenes", *architectures.names()):
        forms = f"or one of the forms {', '.join(FORMS)}"
        raise ValueError(f"classifier: expected 'scenes' or a torchvision network, got {name!r}; {forms}")
    checkpoint = None if weights is None else read_checkpoint(weights)
    name = _agreed(name, checkpoint)
    if name == "scenes":
        return _scenes(checkpoint)
    checkpoint = checkpoint or architectures.own(name, _WAYS)
    like = architectures.preset(name, checkpoint)
    network, labels = architectures.build(name, checkpoint, like)
    seen = (like.crop, like.resize, like.mean, like.std, labels, like.interpolation, like.multi_label)
    return ImageClassifier(network, *seen).eval()


def has_form(name: str) -> bool:
    """Return whether a name is in one of `FORMS`; whether there is such a network is another question."""
    prefix, colon, rest = name.partition(":")
    return name in FORMS or (bool(colon and rest) and any(form.startswith(prefix + ":") for form in FORMS))


def _elsewhere(name: str, weights: Path | None) -> ImageClassifier:
    """Load a classifier whose name is in one of `FORMS`."""
    from models.classifiers import clip, places365
    from models.classifiers import custom as foreign_classifiers
    from models.classifiers import timm as timm_classifiers
    from models.classifiers import transformers as hub_classifiers

    prefix, _, rest = name.partition(":")
    if prefix == "places365":
        return places365.load(weights)
    loaders: dict[str, Callable[[str, Path | None], ImageClassifier]] = {
        "timm": timm_classifiers.load,
        "hf": hub_classifiers.load,
        "clip": clip.load,
        "file": foreign_classifiers.load_file,
        "python": foreign_classifiers.load_function,
    }
    return loaders[prefix](rest, weights)


def _agreed(name: str | None, checkpoint: Checkpoint | None) -> str:
    """Return the one architecture that the name asked for and the file's own word agree on."""
    said = checkpoint.metadata.get("arch", "").removeprefix("torchvision.") if checkpoint else ""
    if not name and not said:
        raise ValueError("classifier: expected a name, for the weights do not say what they are")
    if name and said and name != said and checkpoint:
        raise ValueError(f"weights: {checkpoint.path} is for {said}, not for {name}")
    if said not in ("", "scenes", *architectures.names()):
        raise ValueError(f"weights: the file is for {said!r}, which torchvision does not have")
    return name or said


def _scenes(checkpoint: Checkpoint | None) -> ImageClassifier:
    from models.classifiers import scenes as scene_classifier
    from models.scenes.draw import CLASSES
    from models.scenes.textures import SIDE

    if checkpoint:
        network = scene_classifier.SceneClassifier()
        load_state(network, checkpoint, "scenes")
    else:
        network = scene_classifier.load()
    seen = (SIDE, SIDE, scene_classifier.MEAN, scene_classifier.STD, CLASSES)
    return ImageClassifier(network, *seen).eval()
