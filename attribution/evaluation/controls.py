"""What a hole takes away beyond what any hole like it would."""

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Generator, Tensor

from attribution.engine.link import Scores
from attribution.explainer import Heatmap
from attribution.holes import Holes, batches
from attribution.score import MaskedScore
from infill.filler import Hole
from infill.validate import require


def strongest(heatmap: Heatmap, share: float) -> Hole:
    """Return the hole that takes so large a share of each image: the pixels with the most evidence.

    Of equals those that come first, row by row from the top. At least one pixel.

    Raises:
        ValueError: If the share is not between 0 and 1, or the heatmap not finite.
    """
    require(0 < share < 1, "share", "between 0 and 1", share)
    require(bool(heatmap.isfinite().all()), "heatmap", "finite", "NaN or infinity")
    order = heatmap.flatten(1).argsort(dim=1, descending=True, stable=True)
    count = max(1, round(share * order.shape[1]))
    hole = torch.zeros_like(heatmap).flatten(1).scatter_(1, order[:, :count], 1.0)
    return hole.view_as(heatmap)[:, None]


def displaced(hole: Float[Tensor, "1 h w"], generator: Generator) -> Float[Tensor, "1 h w"]:
    """Return the hole somewhere else: moved by chance, what leaves the image comes in on the other side.

    So area and, but for the image's borders, shape are the same.
    """
    rows, columns = (
        int(torch.randint(side, (1,), generator=generator, device=generator.device))
        for side in hole.shape[1:]
    )
    return hole.roll((rows, columns), dims=(1, 2))


def removal(score: MaskedScore, hole: Hole, generator: Generator, times: int = 4) -> tuple[Scores, Scores]:
    """Return how far the score falls when each image's hole is filled, and when one like it is.

    The second is the mean over ``times`` random places of the same hole (`displaced`): what filling that many
    pixels, in that shape, does anywhere. What the first is beyond the second the hole is worth.

    Args:
        score: Of the images.
        hole: One for each.
        generator: Of the places.
        times: How many.

    Raises:
        ValueError: If there is not a hole for each image, or no place.
    """
    require(len(hole) == len(score), "hole", f"one for each of {len(score)} images", len(hole))
    require(times >= 1, "times", "at least 1", times)
    falls, elsewhere = [], []
    for one, this in zip(score, hole, strict=True):
        holes = torch.stack([this, *(displaced(this, generator) for _ in range(times))])
        fall = one.clean - one(holes, torch.zeros(len(holes), dtype=torch.long, device=holes.device))
        falls.append(fall[0])
        elsewhere.append(fall[1:].mean())
    return torch.stack(falls), torch.stack(elsewhere)


def own_changes(
    score: MaskedScore, holes: Holes, region: Bool[Tensor, "h w"]
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Return ``|s(x) - s(composite)|`` of one image's holes, and how far each is from the region.

    Where the region is the object, changes at a distance above 0 are what a filler does where no object is
    (Agarwal & Nguyen 2020, sec. 5.1 and figure 7). Memory is set by the batch size.

    Raises:
        ValueError: If the score is of several images, or the region is empty or does not fit.
    """
    away = distances(region).to(score.image.device)
    require(away.shape == score.size, "region", f"of shape {score.size}", tuple(away.shape))
    changes, nearest = [], []
    for hole, scores in score.stream(batches(holes, score.execution.batch_size), len(holes)):
        changes.append((score.clean - scores).abs())
        nearest.append(away.expand_as(hole).masked_fill(hole == 0, torch.inf).amin((1, 2, 3)))
    return torch.cat(changes), torch.cat(nearest)


def distances(region: Bool[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Return how far in pixels each pixel is from the nearest one of the region; 0 within it.

    Raises:
        ValueError: If the region is empty.
    """
    require(bool(region.any()), "region", "at least one pixel", "none")
    return torch.from_numpy(distance_transform_edt(~region.cpu().numpy())).float()
