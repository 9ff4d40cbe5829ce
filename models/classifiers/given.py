"""A classifier that the caller gives: a network or a function, and how it wants its images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy import ndarray
from torch import nn

from models.classifiers.custom import Called
from models.classifiers.direct import Direct
from models.classifiers.image_classifier import ImageClassifier
from models.classifiers.transforms import preprocessing_of


def given(
    network: nn.Module | Callable[..., Any],
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    multi_label: bool = False,
) -> ImageClassifier:
    """Return the network, or the callable, with its preprocessing; it is neither copied nor changed.

    Args:
        network: Maps images "n c h w" to logits "n k"; an `ImageClassifier` has a preprocessing already.
        preprocessing: A `Preprocessing`, or transforms of torchvision (`models.classifiers.transforms`).
            ``None``: images are shown as they are, in [0, 1] and of their own size.
        labels: The names of the classes, a list, tuple or array; without any they are numbered.
        multi_label: Whether an image may be of several classes.

    Raises:
        ValueError: If the network is none, the preprocessing cannot be understood or is there already, or the
            labels are no names.
    """
    if isinstance(network, type):
        named = network.__name__
        raise ValueError(f"classifier: expected an object, got the class {named}; give {named}()")
    if isinstance(network, ImageClassifier):
        return _completed(network, preprocessing, labels, multi_label)
    if not callable(network):
        raise ValueError(
            "classifier: expected a name, a module or a callable from images in [0, 1] to logits, got "
            f"{type(network).__name__}"
        )
    names = label_names(labels)
    module = network if isinstance(network, nn.Module) else Called(network)
    if preprocessing is None:
        return Direct(module, labels=names, multi_label=multi_label)
    wanted = preprocessing_of(preprocessing)
    if wanted.crop is not None:
        return ImageClassifier(module, wanted, names, multi_label)
    if wanted.resize is not None:
        raise ValueError(f"preprocessing: expected a crop beside resize={wanted.resize}, got none")
    return Direct(module, wanted.mean, wanted.std, names, multi_label)


def _completed(
    classifier: ImageClassifier, preprocessing: Any, labels: Sequence[str] | None, multi_label: bool
) -> ImageClassifier:
    """Return a classifier that shares all but what is given."""
    if preprocessing is not None:
        raise ValueError("preprocessing: expected none, for this classifier brings its own")
    changed = classifier.with_network(classifier.network)
    changed.preprocessing = replace(classifier.preprocessing)
    changed.labels = label_names(labels) or classifier.labels
    changed.multi_label = classifier.multi_label or multi_label
    return changed


def label_names(labels: Any) -> tuple[str, ...]:
    """Return the names of classes that are given as a list, tuple or array; ``None`` are none.

    Raises:
        ValueError: If it is none of these (a set has no order, and an iterator is empty the next time), or
            holds something else than names.
    """
    if labels is None:
        return ()
    names = labels.tolist() if isinstance(labels, ndarray) else labels
    if not isinstance(names, list | tuple) or not all(isinstance(label, str) for label in names):
        raise ValueError(f"labels: expected a list of names, got {labels!r:.80}")
    return tuple(names)
