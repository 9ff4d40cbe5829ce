"""What torchvision's transforms do to images, in terms of `Preprocessing`."""

from collections.abc import Iterator, Sequence
from typing import Any

from models.preprocessing import Preprocessing

_MAKES_TENSORS = {
    "ToTensor", "PILToTensor", "ToImage", "ToPILImage", "ConvertImageDtype", "ToDtype", "ToPureTensor",
    "MaybeToTensor", "MaybePILToTensor", "Identity",
}  # fmt: skip
"""Steps that turn a picture into a tensor in [0, 1], as images here are from the beginning."""
_ORDER = ("Resize", "CenterCrop", "Normalize")
_AS_IT_IS = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def preprocessing_of(transforms: Any) -> Preprocessing:
    """Return what transforms of torchvision (both versions) do: those of weights, or steps one by one.

    Steps may be ``Resize``, ``CenterCrop``, ``Normalize`` and those that only make tensors, in a ``Compose``,
    an ``nn.Sequential`` or a list; timm makes such, too. Where no step gives a size, ``crop`` is ``None``.

    Raises:
        ValueError: If there is another step, or the view is not square.
    """
    if isinstance(transforms, Preprocessing):
        return transforms
    if hasattr(transforms, "crop_size") and hasattr(transforms, "resize_size"):
        return published(transforms)
    steps = _sayable(list(_steps(transforms)))
    names = [type(step).__name__ for step in steps]
    if names != [name for name in _ORDER if name in names]:
        raise _refused(f"{', '.join(_ORDER)} and what makes tensors, in this order", ", ".join(names))
    found = dict(zip(names, steps, strict=True))
    values: dict[str, Any] = dict(_AS_IT_IS)
    if "Normalize" in found:
        values = {key: tuple(map(float, getattr(found["Normalize"], key))) for key in _AS_IT_IS}
    if "Resize" not in found:
        if "CenterCrop" in found:
            raise _refused("Resize before CenterCrop", "CenterCrop alone")
        return Preprocessing(crop=None, resize=None, **values)
    resize = _size(found["Resize"].size)
    crop = _size(found["CenterCrop"].size) if "CenterCrop" in found else resize
    if "CenterCrop" not in found and isinstance(resize, int):
        raise _refused("CenterCrop after Resize of the short side", f"Resize({resize}) alone")
    return Preprocessing(_square(crop), resize, interpolation=_interpolation(found["Resize"]), **values)


def _sayable(steps: Sequence[Any]) -> list[Any]:
    """Return the steps that do more than make tensors.

    Raises:
        ValueError: If one does what numbers of `Preprocessing` cannot say: bytes become numbers without being
            divided by 255, or a resize is bounded or not smooth.
    """
    divided = any(type(step).__name__ in ("ToTensor", "ConvertImageDtype") for step in steps)
    for step in steps:
        name = type(step).__name__
        if name == "ToDtype" and not getattr(step, "scale", True) and not divided:
            raise _refused("ToDtype(torch.float32, scale=True), for images in [0, 1]", "scale=False")
        if name == "Resize" and getattr(step, "max_size", None) is not None:
            raise _refused("Resize without max_size", f"max_size={step.max_size}")
        if name == "Resize" and getattr(step, "antialias", True) is False:
            raise _refused("Resize with antialias", "antialias=False")
    return [step for step in steps if type(step).__name__ not in _MAKES_TENSORS]


def published(transforms: Any) -> Preprocessing:
    """Return what the transforms that torchvision publishes with weights do."""
    return Preprocessing(
        crop=transforms.crop_size[0],
        resize=transforms.resize_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )


def _steps(transforms: Any) -> Iterator[Any]:
    within = getattr(transforms, "transforms", transforms)
    if isinstance(within, list | tuple) or type(within).__name__ == "Sequential":
        for each in within:
            yield from _steps(each)
    else:
        yield transforms


def _size(size: Any) -> int | tuple[int, int]:
    if isinstance(size, int):
        return size
    sides = tuple(int(side) for side in size)
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _square(size: int | tuple[int, int]) -> int:
    if isinstance(size, int) or size[0] == size[1]:
        return size if isinstance(size, int) else size[0]
    raise _refused("a view that is square", f"{size[0]} x {size[1]}")


def _interpolation(resize: Any) -> str:
    """Return how images are resized, in torchvision's words."""
    return str(getattr(resize.interpolation, "value", resize.interpolation))


def _refused(expected: str, came: str) -> ValueError:
    return ValueError(
        f"preprocessing: expected {expected}, got {came or 'nothing'}; models.preprocessing.Preprocessing "
        "says it in numbers, and without preprocessing images are shown as they are"
    )
