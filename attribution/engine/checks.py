"""Checks of images, targets and holes, which return them in one form."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from infill.filler import HOLE_RULE, Filler, check_range
from infill.validate import require

_CHANNELS = 4
"""An image whose last axis alone is this short has its channels last."""

ROUNDING = 1e-5
"""How far an image may leave [0, 1] by rounding alone."""


def check_parts(classifier: object, filler: object, link: object) -> None:
    """Check that the parts of a score are objects that can be called, not their names or classes.

    Raises:
        ValueError: If one is not.
    """
    rule = "a module or function from images to logits (models.classifiers.load_classifier takes names)"
    require(callable(classifier), "classifier", rule, f"{classifier!r:.80}")
    for name, part in (("classifier", classifier), ("filler", filler)):
        if isinstance(part, type):
            require(False, name, f"an object, as {part.__name__}()", f"the class {part.__name__}")
    rule = "a filler, as infill.Blur(); infill.Learned(f) makes one of a function (image, hole) -> image"
    require(isinstance(filler, Filler), "filler", rule, f"{filler!r:.80}")
    rule = "a function of logits and targets, as attribution.logit"
    require(callable(link) and not isinstance(link, type), "link", rule, f"{link!r:.80}")


def checked_image(image: Tensor, name: str = "image") -> Float[Tensor, "b c h w"]:
    """Return the image, or the batch of images, as "b c h w" in float32, without gradient.

    ``name`` is what errors call it.

    Raises:
        ValueError: Unless it is a floating-point tensor "c h w" or "b c h w" of finite values in [0, 1].
    """
    require(isinstance(image, Tensor), name, "a tensor (torch.from_numpy)", type(image).__name__)
    require(image.ndim in (3, 4), name, "of shape c h w or b c h w", tuple(image.shape))
    channels_last = image.shape[-1] <= _CHANNELS < min(image.shape[-3:-1])
    rule = "of shape c h w or b c h w (image.movedim(-1, -3) puts the channels first)"
    require(not channels_last, name, rule, tuple(image.shape))
    require(image.is_floating_point(), name, "floating point in [0, 1] (image / 255)", image.dtype)
    require(image.numel() > 0, name, "at least one pixel", tuple(image.shape))
    image = _storable(image).float()
    require(bool(image.isfinite().all()), name, "finite", "NaN or infinity")
    low, high = (float(end) for end in image.aminmax())
    rule = "in [0, 1] (normalization belongs to the classifier: nn.Sequential(Normalize(mean, std), model))"
    require(low >= -ROUNDING and high <= 1 + ROUNDING, name, rule, f"values in [{low:.4g}, {high:.4g}]")
    if low < 0 or high > 1:
        image = image.clamp(0, 1)
    return image if image.ndim == 4 else image[None]


def checked_around(around: Tensor, image: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c y x"]:
    """Return a larger view of the images, as "b c y x" in float32.

    Raises:
        ValueError: Unless it is an image for each image, as much higher as it is wider, that shows it in its
            middle, or as for `checked_image`.
    """
    around = checked_image(around, "around")
    room = around.shape[2] - image.shape[2]
    rule = f"a larger view of the images of shape {tuple(image.shape)}, as much higher as it is wider"
    size = (*image.shape[:2], *(side + room for side in image.shape[2:]))
    require(room >= 0 and tuple(around.shape) == size, "around", rule, tuple(around.shape))
    top, (height, width) = room // 2, image.shape[2:]
    middle = around[:, :, top : top + height, top : top + width]
    difference = float((middle - image).abs().max())
    rule = f"a view with the images in its middle, to within {ROUNDING}"
    require(difference <= ROUNDING, "around", rule, f"a difference of {difference:.3g}")
    return around


def _storable(tensor: Tensor) -> Tensor:
    # What was made in inference mode could not be used in a graph later.
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def checked_target(target: int | Sequence[int] | Tensor, images: Tensor) -> Int[Tensor, " b"]:
    """Return one class per image, on the images' device.

    Raises:
        ValueError: Unless it is one class for all images, or one per image, none of them negative.
    """
    number = len(images)
    rule = "the index of a class, or one per image (names and None mean nothing here)"
    try:
        classes = _storable(torch.as_tensor(target, device=images.device))
    except (TypeError, RuntimeError, ValueError):
        raise ValueError(f"target must be {rule}, got {target!r}") from None
    one_hot = classes.ndim == 2 and classes.shape[1] > 1 and bool(((classes == 0) | (classes == 1)).all())
    rule = "the indices of the classes (target.argmax(1) takes them out of rows with one 1)"
    require(not one_hot, "target", rule, f"shape {tuple(classes.shape)}")
    if tuple(classes.shape) == (number, 1):
        classes = classes[:, 0]
    _require_whole("target", classes)
    fits = classes.ndim == 0 or tuple(classes.shape) in ((1,), (number,))
    require(fits, "target", f"one class, or one per image ({number})", f"shape {tuple(classes.shape)}")
    require(int(classes.min()) >= 0, "target", "at least 0", int(classes.min()))
    return classes.long().expand(number)


def _require_whole(name: str, numbers: Tensor) -> None:
    whole = not (numbers.is_floating_point() or numbers.is_complex() or numbers.dtype is torch.bool)
    require(whole, name, "whole numbers", numbers.dtype)


def checked_rows(index: Tensor | None, holes: int, images: Tensor) -> Int[Tensor, " n"] | None:
    """Return to which image each hole belongs; ``None`` if there is one image only.

    Raises:
        ValueError: If that is left open, or there is no such image.
    """
    number = len(images)
    if index is None:
        rule = f"given unless there is one image or one hole per image ({number})"
        require(number in (1, holes), "index", rule, f"None for {holes} holes")
        return None if number == 1 else torch.arange(number, device=images.device)
    require(isinstance(index, Tensor), "index", "a tensor (torch.tensor)", type(index).__name__)
    _require_whole("index", index)
    require(tuple(index.shape) == (holes,), "index", f"one image per hole ({holes})", tuple(index.shape))
    inside = holes == 0 or (int(index.min()) >= 0 and int(index.max()) < number)
    require(inside, "index", f"below the number of images {number}", index.tolist())
    return None if number == 1 else index.long().to(images.device)


def checked_hole(hole: Tensor, images: Tensor) -> Float[Tensor, "n 1 h w"]:
    """Return the holes on the images' device.

    Raises:
        ValueError: Unless they are "n 1 h w" of the images' height and width, and finite values in [0, 1].
    """
    size = tuple(images.shape[2:])
    require(isinstance(hole, Tensor), "hole", "a tensor (torch.from_numpy)", type(hole).__name__)
    fits = hole.ndim == 4 and hole.shape[1] == 1 and tuple(hole.shape[2:]) == size
    require(fits, "hole", f"of shape n 1 {size[0]} {size[1]}", tuple(hole.shape))
    check_range("hole", hole, HOLE_RULE)
    return hole.to(images.device)
