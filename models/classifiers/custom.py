"""Classifiers of the user's own: programs saved by torch, and what a function of Python returns."""

import contextlib
import copy
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.classifiers import metadata
from models.classifiers.image_classifier import ImageClassifier
from models.preprocessing import Preprocessing
from models.weights.checkpoint import refuse_weights
from models.weights.environment import expanded
from models.weights.libraries import one_line, quiet


class Program(nn.Module):
    """A network that is run as it was saved: TorchScript in evaluation mode, a ``.pt2`` file as it is.

    Args:
        program: The network.
        singly: Whether it takes one image at a time, because it was saved for one.
    """

    def __init__(self, program: nn.Module, singly: bool = False) -> None:
        super().__init__()
        self.program, self.singly = program, singly

    def forward(self, images: Float[Tensor, "n c h w"]) -> Any:
        """Return what the network returns of normalized images."""
        if not self.singly:
            return self.program(images)
        return torch.cat([self.program(image[None]) for image in images])

    def train(self, mode: bool = True) -> "Program":
        """Change nothing but the flag: exported programs refuse to change their mode."""
        self.training = mode
        return self


class Called(nn.Module):
    """A callable that is no module, as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Float[Tensor, "n c h w"]) -> Any:
        """Return what the callable returns."""
        return self.function(images)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Called":
        """Copy where it can be: a callable may hold what cannot."""
        with contextlib.suppress(Exception):
            return Called(copy.deepcopy(self.function, memo))
        return Called(self.function)


def load_file(place: str, weights: Path | None = None) -> ImageClassifier:
    """Return the network in a file of ``torch.export`` (``.pt2``), or else of TorchScript.

    Both are code, and loading or running them can do whatever their makers want: open only files that you
    trust. A file of the same name that ends in ``.json`` may state how the network wants its images
    (``crop``, ``resize``, ``mean``, ``std``, ``interpolation``), what its classes are called (``labels``),
    and whether an image may be of several (``multi_label``). What it does not state is ImageNet's usual, and
    the classes are counted by running the network once.

    Raises:
        ValueError: If a file is missing or cannot be understood, or the network does not classify.
    """
    path = expanded(place)
    refuse_weights(weights, f"file:{place}")
    if not path.is_file():
        raise ValueError(f"classifier: no such file: {path}")
    beside = path.with_suffix(".json")
    stated = metadata.from_values(_beside(beside), f"classifier: {beside}")
    preprocessing, source = stated.preprocessing(), f"classifier: {path}"
    network, failed = Program(_program(path)), ""
    try:
        count = _count_classes(network, preprocessing, source, images=2)
    except ValueError as error:
        failed = str(error)
    if failed:  # programs are often exported for batches of one
        network = Program(network.program, singly=True)
        count = _count_classes(network, preprocessing, source)
    labels = metadata.class_names(stated.labels, count, source)
    return ImageClassifier(network, preprocessing, labels, bool(stated.multi_label))


def load_function(place: str, weights: Path | None = None) -> ImageClassifier:
    """Import ``package.module``, call its function and return what it returns: ``package.module:function``.

    An `ImageClassifier` is returned as it is. Any other module or callable takes normalized images "n c h w"
    and returns logits "n k"; how it wants them is read off its attributes ``crop``, ``resize``, ``mean``,
    ``std``, ``interpolation``, ``labels`` and ``multi_label`` where it has them, else it is ImageNet's usual.

    Raises:
        ValueError: If it cannot be imported or called, or what it returns does not classify.
    """
    source = f"classifier: python:{place}"
    refuse_weights(weights, f"python:{place}")
    return as_classifier(load_object(place, source), source)


def as_classifier(result: Any, source: str) -> ImageClassifier:
    """Return as a classifier what a function returns, as `load_function` has it.

    Args:
        result: An `ImageClassifier`, or a module or callable with or without attributes.
        source: Where it is from; the first words of errors.

    Raises:
        ValueError: If it does not classify.
    """
    if isinstance(result, ImageClassifier):
        return result
    if not callable(result):
        raise ValueError(f"{source} must return a module or a callable, got {type(result).__name__}")
    values = {key: value for key in metadata.KEYS if (value := getattr(result, key, None)) is not None}
    stated = metadata.from_values(values, source)
    preprocessing = stated.preprocessing()
    network = result.eval() if isinstance(result, nn.Module) else Called(result)
    count = _count_classes(network, preprocessing, source)
    labels = metadata.class_names(stated.labels, count, source)
    return ImageClassifier(network, preprocessing, labels, bool(stated.multi_label))


def _beside(path: Path) -> dict[str, Any]:
    """Read the JSON file beside a program; there may be none."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"classifier: cannot read {path} ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise ValueError(f"classifier: {path}: expected an object with {', '.join(metadata.KEYS)}")
    for key in content.keys() - set(metadata.KEYS):
        raise ValueError(f"classifier: {path}: unknown key {key!r}; known: {', '.join(metadata.KEYS)}")
    return content


def _program(path: Path) -> nn.Module:
    try:
        with quiet("torch.export"):
            if path.suffix == ".pt2":
                return torch.export.load(path).module()
            program: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
            return program.eval()
    except Exception as error:  # torch says of damaged files this or that
        kind = "torch.export" if path.suffix == ".pt2" else "TorchScript"
        raise ValueError(
            f"classifier: {path} is damaged, or no file of {kind} ({one_line(error)})"
        ) from error


def load_object(place: str, source: str) -> Any:
    """Return what the function named by ``package.module:function`` returns; ``source`` is how errors begin.

    Raises:
        ValueError: If it cannot be imported or called.
    """
    module, _, function = place.partition(":")
    if not module or not function.isidentifier():
        raise ValueError(f"classifier: expected python:package.module:function, got {'python:' + place!r}")
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # the module is the user's: it may fail in any way
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"{source}: cannot import {module} ({reason}); is it on PYTHONPATH?") from error
    maker = getattr(imported, function, None)
    if not callable(maker):
        raise ValueError(f"{source}: {module} has no function {function!r}")
    try:
        return maker()
    except Exception as error:  # so may the function
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"{source}: {function}() fails ({reason})") from error


def _count_classes(network: nn.Module, preprocessing: Preprocessing, place: str, images: int = 1) -> int:
    """Return how many classes the network has, by running it once.

    Raises:
        ValueError: If it fails, or its answer is not one row of logits an image.
    """
    side, channels = preprocessing.crop or 0, len(preprocessing.mean)
    parameter = next(network.parameters(), torch.zeros(0))
    try:
        with torch.no_grad():
            answer = network(torch.zeros(images, channels, side, side, device=parameter.device))
    except Exception as error:  # code from elsewhere may fail in any way
        raise ValueError(
            f"{place} fails on {images} of {side} x {side} pixels ({one_line(error)})"
        ) from error
    if not isinstance(answer, Tensor) or answer.ndim != 2 or len(answer) != images:
        came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ValueError(f"{place} must return logits of shape (images, classes), got {came} for {images}")
    return answer.shape[1]
