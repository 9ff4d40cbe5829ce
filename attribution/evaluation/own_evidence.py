"""How much of a heatmap is the filler's own evidence, and not the object's."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from attribution.evaluation.localization import require_region
from attribution.explainer import Heatmap
from infill.exact import exact
from infill.validate import require


def own_evidence(heatmap: Heatmap, silhouette: Bool[Tensor, "b h w"], signed: bool) -> Float[Tensor, " b"]:
    """The share of each heatmap's variance that is the filler's own, in [0, 1].

    Where no object is, removing takes nothing away; what a heatmap says there, it says because of the fill.
    The filler speaks within the object as it does outside, so its share of the variance is ::

        mean of (value - nothing) ** 2 outside of the object
        ----------------------------------------------------   and at most 1
        mean of (value - nothing) ** 2 in the whole heatmap

    0 if all of the heatmap is on the object, and 1 if the object is nothing special, whatever its size; plain
    noise has 1. ``nothing`` is the value that claims nothing: 0 in a signed heatmap, where evidence against
    the target is a claim as well. An unsigned one (RISE's mean scores) has no such value of its own: it is
    the median outside, which is where most pixels are that show no object, and which a few loud ones among
    them do not move. So the share is the same for a heatmap times any number, and for an unsigned one plus
    any number.

    A classifier that looks at the surroundings (a boat's water) has evidence there that is not the filler's:
    compare fillers on the same images and classifier. A heatmap that claims nothing has a share of 0.

    Args:
        heatmap: One heatmap per image.
        silhouette: The pixels of the object, with all that may be evidence.
        signed: Whether the heatmap speaks for the target above 0 and against it below.

    Raises:
        ValueError: If there is not a silhouette of the heatmap's size for each, one is empty or is all of its
            image, or the heatmap is not finite.
    """
    require_region("silhouette", silhouette, heatmap)
    require(bool(heatmap.isfinite().all()), "heatmap", "finite", "NaN or infinity")
    values = exact(heatmap.flatten(1))
    inside = silhouette.flatten(1).to(values.device)
    area = inside.double().mean(1)
    partly = bool(((area > 0) & (area < 1)).all())
    require(partly, "silhouette", "neither empty nor all of the image", f"shares of {area.tolist()}")
    nothing = torch.zeros_like(area) if signed else values.masked_fill(inside, torch.nan).nanmedian(1).values
    power = (values - nothing[:, None]).square()
    outside = (power * ~inside).sum(1) / (~inside).sum(1)
    share = outside / power.mean(1)
    return share.nan_to_num(0).clamp(max=1).float().to(heatmap.device)
