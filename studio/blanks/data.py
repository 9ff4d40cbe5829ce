"""Images of known classes, some to be filled in and others for a classifier to learn from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from infill.extras import optional
from models.classifiers.digits import SIDE
from models.weights.environment import expanded, offline
from models.weights.libraries import one_line

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

_INNER = 20
"""The digits' side in an image of 28 x 28, as in MNIST."""
_TESTED = 0.3
_SCENES = 24
_FOLDER = "data"
"""Where torchvision's data is looked for unless a folder is given."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Images whose classes are known.

    Attributes:
        title: What a person calls them.
        classes: The names of the classes.
        images: To be filled in, of all classes in turn.
        targets: Their classes.
        training: Images to learn from in [0, 255], and their classes; ``None`` if a classifier ships.
        patch: The side of blanks that suits them, in pixels.
    """

    title: str
    classes: Sequence[str]
    images: Float[Tensor, "n c h w"]
    targets: Int[Tensor, " n"]
    training: tuple[Tensor, Tensor] | None
    patch: int = 2

    def fingerprint(self) -> str:
        """Return a digest of all pixels and classes."""
        digest = hashlib.sha256()
        for each in (self.images, self.targets, *(self.training or ())):
            digest.update(each.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def opened(text: str, limit: int | None, seed: int, download: bool = False) -> Labelled:
    """Return the images that a text means, the first ``limit`` of them, of all classes in turn.

    Raises:
        ValueError: If there are no such data, or they are not here.
    """
    name, _, place = text.partition(":")
    if limit is not None and limit < 1:
        raise ValueError(f"--limit: expected 1 or more, got {limit}")
    if name not in LOADERS:
        raise ValueError(f"DATA: expected one of {', '.join(FORMS)}, got {text!r}")
    return LOADERS[name](place, limit, seed, download)


def _digits(place: str, limit: int | None, seed: int, download: bool) -> Labelled:
    """The digits of scikit-learn (Alpaydin & Kaynak 1998): 8 x 8, enlarged into MNIST's frame."""
    if place:
        raise ValueError(f"DATA: digits come with scikit-learn and take no place, got {place!r}")
    whole = optional("sklearn.datasets", "infill fill-blanks").load_digits()
    split = optional("sklearn.model_selection", "infill fill-blanks").train_test_split
    pixels = torch.from_numpy(whole.images / 16).float()[:, None]
    frame = (SIDE - _INNER) // 2
    large = F.pad(F.interpolate(pixels, size=_INNER, mode="bilinear", align_corners=False), [frame] * 4)
    images, targets = (large * 255).round().byte(), torch.from_numpy(whole.target).long()
    numbers = np.arange(len(targets))
    learned, tested = split(numbers, test_size=_TESTED, stratify=whole.target, random_state=seed % 2**32)
    names = [str(digit) for digit in range(10)]
    return _labelled(
        "digits", names, (images[learned], targets[learned]), images[tested], targets[tested], limit
    )


def _torchvision(kind: str) -> Callable[[str, int | None, int, bool], Labelled]:
    def load(place: str, limit: int | None, seed: int, download: bool) -> Labelled:
        import torchvision

        name, root = {"MNIST": "mnist", "FashionMNIST": "fashion-mnist"}[kind], Path(place or _FOLDER)
        fetches = download and not offline()
        try:
            parts = [
                getattr(torchvision.datasets, kind)(expanded(root), train=train, download=fetches)
                for train in (True, False)
            ]
        except (RuntimeError, ValueError, OSError, EOFError, AssertionError, LookupError) as error:
            # Where torchvision finds files, it fetches none, and reading may fail in any of these ways.
            if _all_there(kind, expanded(root)):
                raise ValueError(
                    f"DATA: {name} in {root / kind / 'raw'} is damaged ({one_line(error)}); delete that "
                    "folder, and --download fetches it again"
                ) from error
            if fetches:
                raise ValueError(f"--download: {name} could not be fetched to {root}: {error}") from error
            remedy = "INFILL_OFFLINE forbids to fetch it" if download else "--download fetches it"
            raise ValueError(
                f"DATA: no {name} in {root / kind / 'raw'}; {name}:FOLDER says where it is, as torchvision "
                f"keeps it, and {remedy}"
            ) from error
        (images, targets), (others, truths) = ((part.data[:, None], part.targets) for part in parts)
        return _labelled(name, parts[0].classes, (images, targets), others, truths, limit)

    return load


def _all_there(kind: str, root: Path) -> bool:
    import torchvision

    resources = getattr(torchvision.datasets, kind).resources
    return all((root / kind / "raw" / Path(name).stem).is_file() for name, _ in resources)


def _scenes(place: str, limit: int | None, seed: int, download: bool) -> Labelled:
    from models import scenes

    if not re.fullmatch(r"[1-9][0-9]{0,5}", place or str(_SCENES)):
        raise ValueError(f"DATA: expected scenes:N with N from 1 to 999999, got scenes:{place}")
    count = int(place or _SCENES)
    drawn = [scenes.draw(number, objects=1) for number in range(min(count, limit or count))]
    return Labelled(
        title=f"scenes:{count}",
        classes=scenes.CLASSES,
        images=torch.stack([scene.image for scene in drawn]),
        targets=torch.tensor([scene.labels[0] for scene in drawn]),
        training=None,
        patch=16,
    )


def _labelled(
    title: str,
    classes: Sequence[str],
    training: tuple[Tensor, Tensor],
    images: Tensor,
    targets: Tensor,
    limit: int | None,
) -> Labelled:
    order = _in_turn(targets)[:limit]
    return Labelled(title, tuple(classes), images[order].float() / 255, targets[order].long(), training)


def _in_turn(targets: Tensor) -> Tensor:
    """Return the order in which the classes take turns."""
    turn = torch.zeros_like(targets)
    for label in torch.unique(targets):
        turn[targets == label] = torch.arange(int((targets == label).sum()))
    return torch.from_numpy(np.lexsort((targets.numpy(), turn.numpy())))


LOADERS: Mapping[str, Callable[[str, int | None, int, bool], Labelled]] = {
    "digits": _digits,
    "mnist": _torchvision("MNIST"),
    "fashion-mnist": _torchvision("FashionMNIST"),
    "scenes": _scenes,
}
FORMS = ("digits", "mnist[:FOLDER]", "fashion-mnist[:FOLDER]", "scenes[:N]")
