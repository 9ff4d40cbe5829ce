"""The pictures: drawn scenes, examples that scikit-image ships, and uploads within limits."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from studio.explain.inputs import InputImage, InputImages

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SCENES = (4, 1, 3, 9, 14, 18, 23, 5)
"""The drawn scenes that are offered; any other number may be asked for."""
LAST_SCENE = 99_999
EXAMPLES: Mapping[str, str] = {
    "rocket": "rocket.jpg",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "astronaut": "astronaut.png",
}
"""Photographs in scikit-image's own package, all of them in the public domain (CC0)."""
MEGABYTES, MEGAPIXELS = 25, 25
"""The largest upload: of its file, and of the picture in it."""
_THUMB = 112


@dataclass(frozen=True, eq=False)
class Chosen:
    """The picture that is looked at.

    Attributes:
        key: ``scene:NUMBER``, ``example:NAME`` or ``upload:DIGEST``: two uploads may have one name.
        file: The content of its file, if it is an example: a command needs it.
        called: The name of an example's or an upload's file.
    """

    key: str
    image: InputImage
    file: bytes = b""
    called: str = ""

    @property
    def scene(self) -> int | None:
        """Return the number of the scene, if it is one."""
        kind, _, rest = self.key.partition(":")
        return int(rest) if kind == "scene" else None

    @property
    def name(self) -> str:
        """Return the name of the file that a command takes."""
        return self.called or self.key.partition(":")[2]


def offered() -> list[str]:
    """Return the keys of the pictures that stand ready."""
    return [f"scene:{number}" for number in SCENES] + [f"example:{name}" for name in _examples()]


def chosen(key: str) -> Chosen:
    """Return the scene or example of this key.

    Raises:
        ValueError: If there is none.
    """
    kind, _, rest = key.partition(":")
    if kind == "scene":
        if not (rest.isascii() and rest.isdecimal() and int(rest) <= LAST_SCENE):
            raise ValueError(f"scene: expected a number from 0 to {LAST_SCENE}, got {rest!r}")
        return Chosen(f"scene:{int(rest)}", InputImages((), int(rest)).read(0))
    places = _examples()
    if kind != "example" or rest not in places:
        raise ValueError(f"picture: expected one of {', '.join(offered())}, got {key!r}")
    path = places[rest]
    picture = _named(InputImages((path,), 0).read(0), path.name)
    return Chosen(f"example:{rest}", picture, path.read_bytes(), path.name)


def uploaded(path: Path, name: str) -> Chosen:
    """Read an upload, and remove its file, whatever comes of it.

    Args:
        path: Where the server has put it.
        name: What it was called where it comes from.

    Raises:
        ValueError: If it is too large or no picture; the message names it as its owner does.
    """
    called = Path(name).name if name.strip() else "picture"  # blanks and all, for a command to find it
    name = " ".join(called.split())
    try:
        _require_small(path, name)
        picture = InputImages((path,), 0).read(0)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), name)) from error
    except FileNotFoundError as error:  # of two who drop the same file at once one comes second
        raise ValueError(f"image: {name} has not arrived; drop it again") from error
    finally:
        path.unlink(missing_ok=True)
    shown = repr(picture.pixels.shape).encode() + picture.pixels.numpy().tobytes()
    digest = hashlib.sha256(shown).hexdigest()[:16]
    return Chosen(f"upload:{digest}", _named(picture, called, path.name), called=called)


@lru_cache(maxsize=64)
def thumbnail(key: str) -> tuple[str, Float[Tensor, "3 t t"]]:
    """Return what a picture is called, and its middle, small."""
    import torch.nn.functional as F

    picture = chosen(key)
    pixels = picture.image.pixels
    side = min(pixels.shape[1:])
    top, left = ((length - side) // 2 for length in pixels.shape[1:])
    middle = pixels[:, top : top + side, left : left + side]
    small = F.interpolate(middle[None], size=(_THUMB, _THUMB), mode="bilinear", antialias=True)[0]
    return picture.image.title, small.clamp(0, 1)


def _named(image: InputImage, name: str, before: str | None = None) -> InputImage:
    """Return the image under a name that says nothing of where the server has it."""
    title = image.title.replace(before, " ".join(name.split()), 1) if before else image.title
    return replace(image, title=title, folder=Path(name).stem, origin={**image.origin, "file": name})


def _require_small(path: Path, name: str) -> None:
    from PIL import Image, UnidentifiedImageError

    size = path.stat().st_size
    if size > MEGABYTES * 2**20:
        raise ValueError(f"image: {name} has {size / 2**20:.0f} MB; the studio takes up to {MEGABYTES} MB")
    try:
        with Image.open(path) as picture:
            pixels = picture.width * picture.height / 10**6
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(_too_many(name, "far too many")) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError):
        return  # `read_picture` says what is wrong with it
    if pixels > MEGAPIXELS:
        raise ValueError(_too_many(name, f"{pixels:.0f}"))


def _too_many(name: str, count: str) -> str:
    return f"image: {name} has {count} megapixels; the studio takes up to {MEGAPIXELS}; make it smaller"


def _examples() -> dict[str, Path]:
    """Return the examples that are here; nothing is fetched."""
    spec = find_spec("skimage")
    folders = list(spec.submodule_search_locations or []) if spec else []
    places = {name: Path(folder) / "data" / file for folder in folders for name, file in EXAMPLES.items()}
    return {name: path for name, path in places.items() if path.is_file()}
