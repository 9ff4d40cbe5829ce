"""Anything that classifies: a name, a network with its preprocessing, or a function."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from models.classifiers import ImageClassifier
from models.classifiers.given import given, label_names
from studio.door.things import listed
from studio.explain.inputs import numbered
from studio.registry.build import build_classifier
from studio.registry.parse import parse_device

if TYPE_CHECKING:
    from torch import device, nn

    AnyClassifier: TypeAlias = "str | nn.Module | Callable[..., Any]"


AS_THEY_ARE = (
    "the network got the pixels as they are, in [0, 1], neither resized nor normalized: no preprocessing was "
    "given"
)
"""What is said of a module without its preprocessing: hardly any was trained on such images."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A classifier that was asked for.

    Attributes:
        name: Its name; of an object what it is to be called; ``None``: the job's usual one.
        own: The object, if it is one.
        notes: What must be said of it.
    """

    name: str | None
    own: ImageClassifier | None = None
    notes: tuple[str, ...] = ()


def load_classifier(
    classifier: AnyClassifier | None = "scenes",
    weights: Path | str | None = None,
    *,
    preprocessing: Any = None,
    labels: Sequence[str] | None = (),
    multi_label: bool = False,
) -> ImageClassifier:
    """Return a classifier that maps RGB images in [0, 1] of any size to logits.

    Args:
        classifier: A name, as the command's ``--classifier`` takes it; or a module or function from images
            "n 3 h w" to logits "n k", which is neither copied nor changed.
        weights: The file of weights of a name; ``None`` as a name leaves that to the file.
        preprocessing: How a module wants its images: transforms of torchvision, or a
            `models.preprocessing.Preprocessing`. ``None``: as they are, in [0, 1].
        labels: The names of the classes of a module or function: a list, tuple or array.
        multi_label: Whether its classes do not exclude each other.

    Raises:
        ValueError: If the name is unknown, its weights cannot be had or do not fit, or something is given
            that does not go with the rest.
    """
    if classifier is not None and not isinstance(classifier, str):
        if weights is not None:
            raise ValueError("weights: expected none beside a classifier that is an object")
        return given(classifier, preprocessing, labels, multi_label)
    if preprocessing is not None or label_names(labels):
        raise ValueError(f"preprocessing, labels: expected none, for {classifier or weights} has its own")
    return build_classifier(classifier, None if weights is None else Path(weights), multi_label)


class Running(Protocol):
    """How a request wants its classifier."""

    @property
    def weights(self) -> Path | None:
        """The file of its weights."""

    @property
    def multi_label(self) -> bool:
        """Whether its classes do not exclude each other."""

    @property
    def device(self) -> str:
        """Where it is run."""


def classifiers_of(
    classifier: Any, preprocessing: Any, labels: Sequence[str] | None, request: Running
) -> list[Asked]:
    """Return the classifiers that are asked for; objects on the device asked for, copied only for that.

    Raises:
        ValueError: As for `load_classifier`.
    """
    found = listed(classifier, "classifier")
    objects = [thing for _, thing in found if not isinstance(thing, str | None)]
    if objects and request.weights is not None:
        raise ValueError("weights: expected none beside a classifier that is an object")
    names_given = label_names(labels)
    if not objects and (preprocessing is not None or names_given):
        raise ValueError("preprocessing, labels: expected none beside a classifier that is a name")
    if preprocessing is not None and all(isinstance(thing, ImageClassifier) for thing in objects):
        raise ValueError("preprocessing: expected none beside a classifier that has its own")
    for key, thing in found:
        if key and not callable(thing):
            raise ValueError(f"classifier: {key!r} is to name an object, got {thing!r:.80}")
    # Names of infill's own come first: results are kept by name, and objects give way.
    texts = [str(_text(thing)) for _, thing in found if not callable(thing)]
    own = [key or _name(thing) for key, thing in found if callable(thing)]
    names = iter(numbered([*dict.fromkeys(texts), *own])[len(dict.fromkeys(texts)) :])
    return [
        Asked(
            next(names),
            _on(
                request.device,
                load_classifier(thing, **_more(thing, preprocessing, names_given, request.multi_label)),
            ),
            _notes(thing, preprocessing),
        )
        if callable(thing)
        else Asked(_text(thing))
        for _, thing in found
    ]


def _more(thing: Any, preprocessing: Any, labels: Sequence[str], multi_label: bool) -> dict[str, Any]:
    own = isinstance(thing, ImageClassifier)
    return {"preprocessing": None if own else preprocessing, "labels": labels, "multi_label": multi_label}


def _notes(thing: Any, preprocessing: Any) -> tuple[str, ...]:
    """What must be said of a classifier without a preprocessing."""
    if preprocessing is not None or isinstance(thing, ImageClassifier):
        return ()
    unread = [
        name for name in ("crop", "resize") if isinstance(getattr(thing, name, None), int | tuple | list)
    ]
    words = f"its {' and '.join(unread)} not read, as behind python: and in plugins; give preprocessing="
    return (*((AS_THEY_ARE,) if _bare(thing) else ()), *((words,) if unread else ()))


def _bare(thing: Any) -> bool:
    """Whether it is a network that says nothing of how it wants its images."""
    from torch.nn import Module

    return isinstance(thing, Module) and not isinstance(thing, ImageClassifier)


def _text(thing: Any) -> str | None:
    if thing is None or isinstance(thing, str):
        return thing
    raise ValueError(
        "classifier: expected a name, a module or a callable from images in [0, 1] to logits, got "
        f"{type(thing).__name__}"
    )


def _name(thing: Any) -> str:
    if isinstance(thing, ImageClassifier):
        return _name(thing.network)
    name = getattr(thing, "__name__", type(thing).__name__)
    return "function" if name == "<lambda>" else str(name)


def _on(where: str, classifier: ImageClassifier) -> ImageClassifier:
    """Return the classifier on a device; ``auto`` is where its network is."""
    tensors = [*classifier.network.parameters(), *classifier.network.buffers()]
    here = tensors[0].device if tensors else parse_device("auto" if where == "auto" else where)
    wanted = here if where == "auto" else parse_device(where)
    return _moved(classifier, wanted, bool(tensors) and here != wanted)


def _moved(classifier: ImageClassifier, wanted: device, elsewhere: bool) -> ImageClassifier:
    """Return the classifier with its own buffers on a device, and with a copy of the network if need be."""
    network = classifier.network
    if elsewhere:
        try:
            network = copy.deepcopy(network).to(wanted)
        except Exception as error:  # whatever it holds may refuse to be copied
            raise ValueError(
                f"device: cannot copy the classifier to {wanted} ({error}); move it there"
            ) from error
    moved = classifier.with_network(network)
    moved._buffers = {
        name: each if each is None else each.to(wanted) for name, each in moved._buffers.items()
    }
    return moved
