"""The results of an optimizing method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from attribution.explainer import Heatmap
from attribution.score import MaskedScore
from infill.filler import Hole, composite
from infill.fillers.crops import dilated
from infill.validate import require


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result for each image of a score, in the units of that score.

    Attributes:
        heatmap: Large = evidence for the target.
        hole: The evidence made binary: 1 where the method removes.
        counterfactual: The images with that hole filled (with the first fill, if there are several samples).
        clean: The score of the image itself.
        left: The score of the counterfactual; the mean over samples.
        left_error: Its standard error over samples; 0 for one.
        kept: The score when all but the hole is filled.
        floor: The score when everything is filled. Where it is above chance, no hole need ever take the
            class away with this filler (Agarwal & Nguyen 2020, fig. 4).
        chance: The score at which the class counts as gone: that of a classifier that cannot tell its classes
            apart, unless the method was told another.
        curves: The score of each composite that a step scores, step by step, by name: ``removed``
            (without the evidence), ``kept`` (the evidence alone) or ``blended`` (see `MP2.blend`); NaN after
            an image's last step.
        steps: How many steps each image took.
        looks: How many composites of each image the classifier was given.
        fills: How many fills the filler made for each image; 0 if its fill does not depend on the hole.
        outlooks: How many of these were of a chessboard, to tell slopes of pixels that are not removed (the
            ``outlook`` of the method); 0 if the search did without.
        earlier: The heatmaps of the stages that came before, if there were any (`Problem.before`).
        enough: Whether the hole's own pixels alone, less than all of the image, are still seen as the class,
            of a method that looks for that (`attribution.PertinentPositive`).
        changed: Whether another class is seen in the counterfactual, of a method that looks for no more
            (`attribution.PertinentNegative`).
    """

    heatmap: Heatmap
    hole: Float[Tensor, "b 1 h w"]
    counterfactual: Float[Tensor, "b c h w"]
    clean: Float[Tensor, " b"]
    left: Float[Tensor, " b"]
    left_error: Float[Tensor, " b"]
    kept: Float[Tensor, " b"]
    floor: Float[Tensor, " b"]
    chance: Float[Tensor, " b"]
    curves: Mapping[str, Float[Tensor, "b t"]]
    steps: Int[Tensor, " b"]
    looks: Int[Tensor, " b"]
    fills: Int[Tensor, " b"]
    outlooks: Int[Tensor, " b"]
    earlier: Sequence[Heatmap] = ()
    enough: Bool[Tensor, " b"] | None = None
    changed: Bool[Tensor, " b"] | None = None

    @property
    def reached(self) -> Bool[Tensor, " b"]:
        """Whether the counterfactual's score is at chance, or the class has `changed`, if that is enough."""
        return self.left <= self.chance if self.changed is None else self.changed

    @property
    def removable(self) -> Bool[Tensor, " b"]:
        """Whether at least filling everything brings the score to chance."""
        return self.floor <= self.chance


def refilled(outcome: Outcome, score: MaskedScore, growth: Sequence[int] = ()) -> Outcome:
    """Return the outcome with its hole filled and judged anew by a score of another filler.

    A search needs hundreds of fills, a result three: whoever has a slow filler may look for the hole with a
    fast one. A search also finds holes whose fills happen to fool the classifier; where another filler brings
    the class back, the hole is made wider, step by step, until the class is gone for this filler, too. If it
    never is, the hole stays as it was found.

    ``left``, ``kept``, ``floor``, the hole and the counterfactual are then those of ``score``, the curves
    those of the search; ``looks`` and ``fills`` count both. Whether a hole is ``enough``, or the class has
    ``changed``, is no longer known: all that counts is chance.

    Args:
        outcome: The result of a search.
        score: Of the same images and targets.
        growth: By so many pixels on every side the hole is made wider, in turn; rising.

    Raises:
        ValueError: If there are not as many images, or they are not of the outcome's size.
    """
    rule = f"of images of shape {tuple(outcome.counterfactual.shape)} as the outcome's"
    fits = score.image.shape == outcome.counterfactual.shape
    require(fits, "score", rule, tuple(score.image.shape))
    hole, tried = outcome.hole.clone(), torch.zeros_like(outcome.looks)
    rows = torch.arange(len(score), device=hole.device)
    for pixels in (0, *growth) if growth else ():
        wider = dilated(outcome.hole[rows] > 0, pixels).to(hole.dtype)
        left = score(wider, rows, [score.sampling.generator() for _ in rows])
        tried[rows] += score.fills_per_hole
        gone = left <= outcome.chance[rows]
        hole[rows[gone]] = wider[gone]
        rows = rows[~gone]
        if not len(rows):
            break
    looks, fills = outcome.looks + tried, outcome.fills + tried * score.filler.per_hole
    counts = outcome.steps, looks, fills, outcome.outlooks
    again = evaluated(score, outcome.heatmap, hole, outcome.curves, *counts)
    return replace(again, chance=outcome.chance, earlier=outcome.earlier)


def evaluated(
    score: MaskedScore,
    heatmap: Heatmap,
    hole: Hole,
    curves: Mapping[str, Tensor],
    steps: Tensor,
    looks: Tensor,
    fills: Tensor,
    outlooks: Tensor,
) -> Outcome:
    """Score the final holes with fills of their own, and put all results together.

    ``looks`` and ``fills`` are the composites scored and the fills made before; this adds its own.
    """

    def generators() -> list[Generator]:
        return [score.sampling.generator() for _ in range(len(score))]

    rows = torch.arange(len(score), device=hole.device)
    fill = score.fills(hole, rows, generators())  # the same for the picture and for its score
    left, error = score.spread(hole, rows, fill=fill)
    times = score.fills_per_hole
    return Outcome(
        heatmap=heatmap,
        hole=hole,
        counterfactual=composite(score.image, hole, fill[::times]),
        clean=score.clean,
        left=left,
        left_error=error,
        kept=score(1 - hole, rows, generators()),
        floor=score(torch.ones_like(hole), rows, generators()),
        chance=score.chance,
        curves=curves,
        steps=steps,
        looks=looks + 3 * times,
        fills=fills + 3 * times * score.filler.per_hole,
        outlooks=outlooks,
    )


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Put the outcomes of groups of images together; curves are padded to the longest."""
    first, *others = outcomes
    if not others:
        return first
    fields: dict[str, Any] = {}
    for name in Outcome.__dataclass_fields__:
        values = [getattr(outcome, name) for outcome in outcomes]
        fields[name] = _joined_fields(name, values)
    return Outcome(**fields)


def _joined_fields(name: str, values: Sequence[Any]) -> Any:
    if name == "curves":
        return _joined_curves(values)
    if values[0] is None:
        return None
    if name == "earlier":
        return tuple(torch.cat(stage) for stage in zip(*values, strict=True))
    return torch.cat(list(values))


def _joined_curves(groups: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    longest = max(curve.shape[1] for group in groups for curve in group.values())
    return {
        name: torch.cat(
            [
                torch.nn.functional.pad(group[name], (0, longest - group[name].shape[1]), value=torch.nan)
                for group in groups
            ]
        )
        for name in groups[0]
    }
