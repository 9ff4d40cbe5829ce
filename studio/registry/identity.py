"""What results depend on: the content of networks and files, so that a change of either is noticed."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from models.weights.environment import expanded
from studio.files import digests
from studio.registry.added import classifiers
from studio.registry.build import weights_of
from studio.registry.own import NO_OWN, Own
from studio.registry.tables import ALL_FILLERS, METHODS, SettingTexts
from studio.registry.variants import kind_of

if TYPE_CHECKING:
    from models.classifiers import ImageClassifier


_OF_WORDS = ("text", "against", "box", "region")
"""The kinds of targets that say in words or numbers what is explained."""


def fingerprint(classifier: ImageClassifier) -> str:
    """Return a digest of what a classifier sees, knows and calls its classes."""
    sees = (classifier.labels, classifier.crop, classifier.resize, classifier.interpolation)
    digest = hashlib.sha256(repr((*sees, classifier.multi_label)).encode())
    tensors = {"mean": classifier.mean, "std": classifier.std, **classifier.network.state_dict()}
    for name, tensor in tensors.items():
        digest.update(name.encode())
        if isinstance(tensor, Tensor):
            raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(memoryview(raw.numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()


def classifier_identity(classifier: ImageClassifier, name: str | None) -> Mapping[str, Any]:
    """Return all that a classifier's answers depend on.

    What it computes need not be in its tensors: it is in the code, or in a folder's other files, of its name.
    """
    return {
        "content": fingerprint(classifier),
        "code": content(code_of(name)),
        "place": content(place_of(name)),
    }


def filler_identity(name: str, settings: SettingTexts, own: Own = NO_OWN) -> Mapping[str, Any]:
    """Return all that the fills of a filler depend on; of one that the caller brings along nobody knows."""
    if name in own.fillers:
        return {"own": uuid.uuid4().hex}
    entry = ALL_FILLERS[kind_of(name)]
    weights = weights_of(name, settings)
    segments = settings.get("lime", {}) if entry.of_image else {}
    texts = {**segments, **settings.get(name, {})}
    origin = {"origin": entry.origin} if entry.origin else {}
    return {
        "place": entry.target, "fixed": dict(entry.fixed), "set": texts, "weights": content(weights), **origin
    }  # fmt: skip


def added_by(names: Iterable[str], classifier: str | None, origins: Iterable[str] = ()) -> dict[str, str]:
    """Return the packages that add these methods and fillers, or this classifier, with their versions.

    ``origins`` are those of what else is used, as an `Entry` has it.
    """
    kinds = [kind_of(name) for name in names]
    rows = [table[kind] for kind in kinds for table in (METHODS, ALL_FILLERS) if kind in table]
    source = classifiers().get((classifier or "").partition(":")[0])
    every = {*origins, *(row.origin for row in rows), source.origin if source else ""}
    return dict(_parted(origin) for origin in sorted(every) if origin)


def _parted(origin: str) -> tuple[str, str]:
    package, _, version = origin.rpartition(" ")
    return package, version


def code_of(name: str | None) -> Path | None:
    """Return the file of the module in ``python:MODULE:FUNCTION``, or of the program in ``file:PATH``.

    What such a file computes need not be in the network's tensors.
    """
    kind, _, rest = (name or "").partition(":")
    if kind == "file":
        return _file(rest)
    try:
        spec = importlib.util.find_spec(rest.partition(":")[0]) if kind == "python" else None
    except (ImportError, ValueError):  # whoever loads it says so
        return None
    return Path(spec.origin) if spec and spec.origin else None


def files_named(name: str | None) -> list[Path]:
    """Return the files and folders behind a classifier's or a target's name.

    The module of ``python:MODULE:FUNCTION`` is one, and so is what ships as ``scenes``; what such a module
    reads nobody knows.
    """
    from models.classifiers.scenes import FILE

    if name in (None, "scenes"):
        return [FILE]
    kind, _, place = str(name).partition(":")
    if kind in _OF_WORDS:
        return []
    texts = [place, *re.split(r"[@,]", place)]
    files = [_file(text.strip().rpartition("=")[2].strip("\"'")) for text in texts]
    return [file for file in (code_of(name), *files) if file and file.name]


def _file(text: str) -> Path | None:
    """Return the path that a text may be, if there is something."""
    try:
        path = expanded(text)
        return path if path.exists() else None
    except (OSError, ValueError):  # too long for a name, or of nobody's home
        return None


def place_of(name: str | None) -> Path | None:
    """Return the file or folder in a name such as ``hf:FOLDER``."""
    place = (name or "").partition(":")[2].partition("@")[0]
    return _file(place) if place else None


def content(path: Path | None) -> Mapping[str, str] | None:
    """Return what changes when a file does, or a file in a folder, and is the same wherever they are."""
    return None if path is None or not path.exists() else digests(path)
