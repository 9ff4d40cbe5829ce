"""Does a filler keep images where the model knows its way: what is left of the score, whatever is removed?"""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from attribution.holes import SegmentHoles, batches
from attribution.score import MaskedScore
from infill.validate import require

SUPERPIXELS = 80
"""So many superpixels an image (the authors' settings)."""
STEPS = 10
"""So many holes of one superpixel to all of them (the authors' settings)."""


def growing_holes(segments: Int[Tensor, "h w"], generator: Generator, steps: int = STEPS) -> SegmentHoles:
    """Return holes of one segment to all of them, in an order drawn by chance.

    Args:
        segments: The segment of each pixel, by any numbers.
        generator: Draws the order, which is the same for all fillers that get one of the same seed.
        steps: How many holes; fewer where there are fewer segments.

    Raises:
        ValueError: If there are not at least two steps and two segments.
    """
    numbers, segments = torch.unique(segments, return_inverse=True)
    count = len(numbers)
    require(steps >= 2, "steps", "at least 2", steps)
    require(count >= 2, "segments", "at least 2", count)
    before = torch.randperm(count, generator=generator)  # of each segment: how many go before it
    sizes = sorted({int(each) for each in torch.linspace(1, count, steps)})
    return SegmentHoles(segments, before >= torch.tensor(sizes)[:, None])


def scope_curve(
    score: MaskedScore, segments: Int[Tensor, "b h w"], generators: list[Generator], steps: int = STEPS
) -> list[Float[Tensor, "t 2"]]:
    """Return for each image the share of it that is removed, and the score that is left, step by step.

    Args:
        score: Of the images; of the class that the model sees in them, unless another one is asked for.
        segments: Of each image.
        generators: One for each image: its order depends on nothing else.
        steps: As for `growing_holes`.

    Raises:
        ValueError: If there are not segments and a generator for each image, or as for `growing_holes`.
    """
    shape = (len(score), *score.size)
    require(tuple(segments.shape) == shape, "segments", f"of shape {shape}", tuple(segments.shape))
    require(len(generators) == len(score), "generators", f"one per image ({len(score)})", len(generators))
    curves = []
    for one, labels, generator in zip(score, segments.to(score.image.device), generators, strict=True):
        holes = growing_holes(labels, generator, steps)
        parts = one.stream(batches(holes, one.execution.batch_size), len(holes))
        scores = torch.cat([some for _, some in parts])
        removed = torch.stack([holes[step : step + 1].mean() for step in range(len(holes))])
        curves.append(torch.stack([removed.to(scores), scores], 1))
    return curves


def model_scope(
    score: MaskedScore, segments: Int[Tensor, "b h w"], generators: list[Generator], steps: int = STEPS
) -> Float[Tensor, " b"]:
    """Return how far images stay within the model's scope as they are removed: R-OMS, high if they do.

    The mean score over the share that is removed, from one superpixel to all, by trapezoids (Bluecher,
    Vielhaben & Strodthoff 2024: the reference out-of-model-scope score). The order is drawn, so no heatmap
    has a part in it: what lowers the score beside the loss of the object is the filler. It says how far
    deletion, insertion and methods can be trusted with this filler; compare fillers on the same images.

    Arguments and errors as for `scope_curve`.
    """
    return torch.stack([mean_left(curve) for curve in scope_curve(score, segments, generators, steps)])


def mean_left(curve: Float[Tensor, "t 2"]) -> Float[Tensor, ""]:
    """Return the mean of one of the curves of `scope_curve`."""
    removed, left = curve.unbind(1)
    return torch.trapezoid(left, removed) / (removed[-1] - removed[0])
