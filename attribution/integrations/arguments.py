"""Arguments of captum's ``attribute`` that say how its ``forward_func`` is called."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from jaxtyping import Int
from torch import Tensor, nn

from infill.validate import require

Target: TypeAlias = int | Sequence[int] | Int[Tensor, "..."]
"""The class of each image, or one for all."""

INSTEAD = {
    "baselines": "the filler is what takes the pixels' place",
    "feature_mask": "give Lime(segmentation=feature_mask) as the explainer",
    "sliding_window_shapes": "give SlidingPatch(patch) as the explainer",
    "strides": "give SlidingPatch(patch, stride) as the explainer",
    "n_samples": "it is a field of the explainer",
}
"""What is to be given instead of an argument that is not taken."""


def further_arguments(given: object) -> tuple[Any, ...]:
    """Return captum's ``additional_forward_args`` as a tuple."""
    if given is None:
        return ()
    return given if isinstance(given, tuple) else (given,)


def has_rows(argument: object, images: int) -> bool:
    """Whether an argument is a tensor with a row for each image, as captum understands it.

    A single number in a row is one for all composites, as it is for captum, which gives them one at a time.
    """
    rows = isinstance(argument, Tensor) and argument.ndim > 0 and len(argument) == images
    return rows and (images > 1 or argument.numel() > 1)  # type: ignore[attr-defined]


def of_part(target: Target | None, part: slice, images: int) -> Target | None:
    """Return the targets of some of the images."""
    several = isinstance(target, Sequence) or (isinstance(target, Tensor) and target.ndim > 0)
    if not several or part == slice(None):
        return target
    assert isinstance(target, Sequence | Tensor)
    require(len(target) in (1, images), "target", f"one class, or one per image ({images})", target)
    return target[part] if len(target) == images else target


def with_arguments(
    forward: Callable[..., Any], further: tuple[Any, ...], rows: Sequence[bool]
) -> Callable[..., Any]:
    """Return what gives ``forward`` further arguments beside the images.

    Where ``rows`` says so, an argument is one image's row, and is repeated for its composites.
    """
    if not further:
        return forward
    if isinstance(forward, nn.Module):
        return Further(forward, further, rows)
    return lambda images: forward(images, *_repeated(further, rows, len(images)))


class Further(nn.Module):
    """A module that gets further arguments beside the images."""

    def __init__(self, module: nn.Module, further: tuple[Any, ...], rows: Sequence[bool]) -> None:
        super().__init__()
        self.module, self.further, self.rows = module, further, rows

    def forward(self, images: Tensor) -> Any:
        """Call the module."""
        return self.module(images, *_repeated(self.further, self.rows, len(images)))


def _repeated(further: tuple[Any, ...], rows: Sequence[bool], images: int) -> list[Any]:
    return [
        each.expand(images, *each.shape[1:]) if own else each for each, own in zip(further, rows, strict=True)
    ]


def single_output(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return what gives the one number for each image that ``forward`` returns as a column of logits.

    Raises:
        ValueError: When called, if there are several numbers for an image.
    """
    if isinstance(forward, nn.Module):
        return Single(forward)
    return lambda images: _column(forward(images), images)


class Single(nn.Module):
    """A module with one number for each image, as a column."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, images: Tensor) -> Tensor:
        """Call the module."""
        return _column(self.module(images), images)


def _column(output: Any, images: Tensor) -> Tensor:
    came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    alone = isinstance(output, Tensor) and output.numel() == len(images)
    require(alone, "target", f"given unless there is one number for each of {len(images)} images", came)
    column: Tensor = torch.as_tensor(output).reshape(len(images), 1)
    return column
