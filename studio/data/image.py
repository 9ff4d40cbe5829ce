"""Read image files of every common kind as RGB in [0, 1], upright and in sRGB."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from PIL.Image import Image
    from torch import Tensor

SMALLEST_SIDE = 8
_SIXTEEN_BITS = 65535
_ORIENTATION = 0x0112  # the EXIF tag
_TURNED = range(2, 9)
"""Its values that say how; 1 is upright, and others mean nothing."""
_PROGRAMS = ("EPS", "WMF")
_LONGEST = 100
"""Times the shorter side."""
_DAMAGED = (OSError, SyntaxError, EOFError, IndexError, TypeError, MemoryError)
"""What Pillow raises where a file is damaged or cut short."""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image file as the classifiers see it, and what was done to it on the way."""

    path: Path
    image: Float[Tensor, "3 h w"]
    notes: tuple[str, ...]

    @property
    def transparent(self) -> bool:
        """Whether it was laid on white, as drawings of holes and objects must not be."""
        return _LAID in self.notes


_LAID = "transparency laid on white"
_OTHER_KINDS = {
    **dict.fromkeys((".heic", ".heif"), "; save it as JPEG, as the phone or its album can export it"),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ai"), "; save the drawing as PNG"),
    ".pdf": "; save the page as PNG",
    **dict.fromkeys((".cr2", ".nef", ".arw", ".dng"), "; develop the raw photograph, and save it as JPEG"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".webm"), "; save a frame of the film as PNG"),
}
"""What to do about files that are pictures of another kind, by their names."""


def read_picture(path: Path, upright: bool = True) -> Picture:
    """Read one image file with Pillow.

    The first frame of an animation is taken, the picture is turned as its EXIF tag says (if it is to be
    ``upright``; published boxes count stored pixels), colors with an embedded profile become sRGB,
    transparency is laid on white, gray becomes RGB, and 16-bit gray is divided by 65535 (Pillow itself reads
    16-bit color as 8 bits). Whatever of this changed the picture is
    in ``notes``.

    Raises:
        ValueError: If the file is missing, damaged, no image, too small, or of a kind that has no RGB values.
    """
    if path.is_dir():
        raise ValueError(f"image: {path} is a folder; give the image files in it")
    if not path.is_file():
        raise ValueError(f"image: no such file: {path}")
    if not path.stat().st_size:
        raise ValueError(f"image: {path} is empty (0 bytes)")
    picture, notes = _opened(path, upright)
    return Picture(path, _tensor(_pixels(picture, path, notes)), tuple(notes))


def from_pillow(picture: Image, name: str) -> tuple[Float[Tensor, "3 h w"], tuple[str, ...]]:
    """Return a picture that is in memory as `read_picture` would read its file, and what was done to it.

    Raises:
        ValueError: If it is too small, of a kind that has no RGB values, or its file is damaged; the message
            calls it by this name.
    """
    from PIL import ImageOps

    notes: list[str] = []
    try:
        _check_size(picture, name)
        if (frames := getattr(picture, "n_frames", 1)) > 1:
            notes.append(f"frame {picture.tell() + 1} of {frames}")
        if picture.getexif().get(_ORIENTATION) in _TURNED:
            notes.append("turned upright as its EXIF tag says")
        pixels = _pixels(ImageOps.exif_transpose(picture), name, notes)
    except _DAMAGED as error:  # it is read from its file only now
        raise ValueError(f"image: {name} is damaged or cut short ({error})") from error
    return _tensor(pixels), tuple(notes)


def _tensor(pixels: Float[ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    import torch

    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _opened(path: Path, upright: bool) -> tuple[Image, list[str]]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd metadata; what matters becomes an error below
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                _check_kind(picture, path)
                _check_size(picture, path)
                if getattr(picture, "n_frames", 1) > 1:
                    notes.append(f"first of {picture.n_frames} frames")  # type: ignore[attr-defined]
                picture.load()
                if not upright or picture.getexif().get(_ORIENTATION) not in _TURNED:
                    return picture.copy(), notes
                notes.append("turned upright as its EXIF tag says")
                return ImageOps.exif_transpose(picture), notes
    except UnidentifiedImageError as error:
        kind = _OTHER_KINDS.get(path.suffix.lower(), "")
        raise ValueError(f"image: {path} is not an image that Pillow can read{kind}") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise ValueError(f"image: {path} has more than {limit} megapixels; make it smaller") from error
    except PermissionError as error:
        raise ValueError(f"image: {path} may not be read (permission denied)") from error
    except _DAMAGED as error:
        raise ValueError(f"image: {path} is damaged or cut short ({error})") from error


def _check_kind(picture: Image, path: Path) -> None:
    """Refuse programs, whatever the file is called: Pillow would have another program run them."""
    if picture.format in _PROGRAMS:
        kind = f"holds a drawing in {picture.format}"
        raise ValueError(f"image: {path} {kind}, which is a program and not run; save the drawing as PNG")


def _check_size(picture: Image, path: Path | str) -> None:
    if min(picture.size) < SMALLEST_SIDE:
        raise ValueError(
            f"image: {path} is {picture.width} x {picture.height} pixels; "
            f"expected at least {SMALLEST_SIDE} x {SMALLEST_SIDE}, or there are no parts to remove"
        )
    if max(picture.size) > _LONGEST * min(picture.size):
        raise ValueError(
            f"image: {path} is {picture.width} x {picture.height} pixels; expected one side at most "
            f"{_LONGEST} times the other, or it is enormous once the shorter one has the classifier's size"
        )


def _pixels(picture: Image, path: Path | str, notes: list[str]) -> Float[ndarray, "h w 3"]:
    import numpy as np

    if picture.mode.startswith("I"):
        return _gray(_sixteen_bits(np.asarray(picture), path, picture.mode, notes))
    if picture.mode == "F":
        return _gray(_floats(np.asarray(picture), path))
    if picture.mode in ("LAB", "HSV"):
        raise ValueError(f"image: {path} holds {picture.mode} colors; save it as RGB")
    picture = _in_srgb(picture, notes)
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    pixels = np.asarray(picture.convert("RGBA"), dtype=np.float32) / 255
    colors, alpha = pixels[..., :3], pixels[..., 3:]
    if alpha.min() < 1:
        notes.append(_LAID)
    return colors * alpha + (1 - alpha)


def _in_srgb(picture: Image, notes: list[str]) -> Image:
    """Convert colors by the embedded profile, if there is one that is not sRGB itself."""
    import io

    from PIL import ImageCms

    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        name = ImageCms.getProfileDescription(source).strip()
        if name.startswith("sRGB"):
            return picture
        mode: Any = "RGBA" if picture.mode == "RGBA" else "RGB"
        target = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(picture, source, target, outputMode=mode)
    except (ImageCms.PyCMSError, OSError) as error:
        notes.append(f"color profile not used ({error})")
        return picture
    notes.append(f"colors converted from {name} to sRGB")
    return converted or picture


def _sixteen_bits(values: ndarray, path: Path | str, mode: str, notes: list[str]) -> ndarray:
    """Return gray values as shares of 65535.

    Of whole numbers that may be larger, mode I, 255 may be meant as white, which would be all but black.
    """
    if values.min() < 0 or values.max() > _SIXTEEN_BITS or (mode == "I" and 0 < values.max() <= 255):
        span = f"{values.min()} to {values.max()}"
        raise ValueError(f"image: {path} has values from {span}; save it with 8 or 16 bits a pixel")
    notes.append("16-bit gray")
    return values / _SIXTEEN_BITS


def _floats(values: ndarray, path: Path | str) -> ndarray:
    import numpy as np

    if not np.isfinite(values).all():
        raise ValueError(f"image: {path} holds NaN or infinite values")
    if values.min() < 0 or values.max() > 1:
        span = f"{values.min():g} to {values.max():g}"
        raise ValueError(f"image: {path} has values from {span}; expected 0 to 1 in a floating-point image")
    return values


def _gray(values: ndarray) -> Float[ndarray, "h w 3"]:
    import numpy as np

    return np.repeat(values[..., None], 3, axis=2).astype(np.float32)
