"""What the metrics find for one heatmap: values by name, each at its places."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeAlias, cast

import torch

from attribution.evaluation.controls import own_changes, removal, strongest
from attribution.evaluation.crops import saliency_metric
from attribution.evaluation.deletion import Change, area_under, curve, relevance_gain
from attribution.evaluation.labels import top_labels
from attribution.evaluation.localization import (
    ALPHAS_OF_MEAN,
    ALPHAS_OF_PEAK,
    Level,
    localization_error,
    mean,
    peak,
)
from attribution.evaluation.model_scope import SUPERPIXELS, mean_left, scope_curve
from attribution.evaluation.others import others_without
from attribution.evaluation.own_evidence import own_evidence
from attribution.evaluation.pointing import pointing_hit
from attribution.evaluation.salient_object import salient_object
from attribution.explainer import AttributingExplainer, SamplingExplainer
from attribution.methods.lime import Lime
from studio.evaluate.again import randomization, sensitivity, shift
from studio.evaluate.explained import Explained
from studio.evaluate.metrics import ADDED
from studio.registry.added import AddedMetric
from studio.registry.build import is_signed
from studio.runs.part import Values

ALONE = math.nan
"""The place of a value that is the only one of its name."""
TOLERANCE = 15
"""Pixels beyond a box that still count as a hit (Zhang et al. 2018)."""
SHARE = 0.05
"""Of the image, that `removal` takes."""
BIN = 16
"""Pixels of distance that `outside` puts together."""

Metric: TypeAlias = Callable[[Explained, str], Values]
"""From a heatmap, and the name of the filler that the metric removes with, to values."""


def localization(name: str, alphas: tuple[float, ...], level: Level) -> Metric:
    """Return the metric that says for each alpha whether the object is missed."""

    def compute(explained: Explained, _: str) -> Values:
        heatmap, boxes = explained.on_photograph, [explained.subject.boxes]
        reached = level(heatmap[:, explained.seen][:, None])
        errors = [(alpha, localization_error(heatmap, boxes, alpha, lambda _: reached)) for alpha in alphas]
        return {name: errors}

    return compute


def pointing(explained: Explained, _: str) -> Values:
    """Return whether the maximum is in a box, and whether it is at most 15 pixels away."""
    heatmap, boxes = explained.on_photograph, [explained.subject.boxes]
    hits = [(float(far), float(pointing_hit(heatmap, boxes, far))) for far in (0.0, float(TOLERANCE))]
    return {"pointing": hits}


def salient(explained: Explained, _: str) -> Values:
    """Return precision, recall, F and mean absolute error.

    Raises:
        ValueError: If no silhouette is annotated.
    """
    silhouette = explained.subject.example.silhouette
    if silhouette is None:
        raise ValueError("no silhouette is annotated")
    seen = explained.seen[None]
    found = salient_object(explained.on_photograph.where(seen, 0), silhouette[None], seen)
    names = ("precision", "recall", "f", "mae")
    return {f"salient.{name}": [(ALONE, float(getattr(found, name)))] for name in names}


def saliency(explained: Explained, _: str) -> Values:
    """Return the saliency metric for each alpha."""
    values = [
        (alpha, float(saliency_metric(explained.score, explained.in_batch, alpha)))
        for alpha in ALPHAS_OF_PEAK
    ]
    return {"saliency": values}


def score_curve(change: Change) -> Metric:
    """Return the metric that says how the score falls, or comes back, and the area under that."""

    def compute(explained: Explained, filler: str) -> Values:
        found = curve(explained.subject.scored(filler), explained.in_batch, change)
        points = [(share, score) for share, score in found[0].tolist()]
        return {f"{change}:{filler}": [(ALONE, float(area_under(found)))], f"{change}:{filler}.curve": points}

    return compute


def gain(explained: Explained, filler: str) -> Values:
    """Return the symmetric relevance gain."""
    return {
        f"gain:{filler}": [
            (ALONE, float(relevance_gain(explained.subject.scored(filler), explained.in_batch)))
        ]
    }


def removed(explained: Explained, filler: str) -> Values:
    """Return the fall of the score when the strongest pixels go, and what of it is beyond such a hole's."""
    hole = strongest(explained.in_batch, SHARE)
    chance = explained.subject.chance("control")
    fall, elsewhere = removal(explained.subject.scored(filler), hole, chance)
    name = f"removal:{filler}"
    return {f"{name}.fall": [(ALONE, float(fall))], f"{name}.beyond": [(ALONE, float(fall - elsewhere))]}


def own(explained: Explained, _: str) -> Values:
    """Return the share of the heatmap that is not the object's."""
    # Where a baseline, or the size of a gradient, is 0 it claims nothing.
    method = explained.method
    sizes = method is None or isinstance(method, AttributingExplainer)
    signed = sizes or (method is not None and is_signed(explained.name, method))
    region = explained.subject.region.to(explained.in_batch.device)[None]
    return {"own": [(ALONE, float(own_evidence(explained.in_batch, region, signed)))]}


def outside(explained: Explained, _: str) -> Values:
    """Return the change of the score by samples off the object's box: the mean, and by distance.

    Place 0 is those that touch it. Where no box is annotated it is the silhouette that counts.
    """
    holes = _sampling(explained).holes(explained.score)
    changes, away = own_changes(explained.score, holes, explained.subject.frame)
    beyond, values = (away > 0) & away.isfinite(), {}  # a hole without a pixel is nowhere
    if bool(beyond.any()):
        values["outside"] = [(ALONE, float(changes[beyond].mean()))]
    places = torch.where(
        away > 0, away.div(BIN, rounding_mode="floor") * BIN + BIN / 2, torch.zeros_like(away)
    )
    present = [place for place in torch.unique(places).tolist() if math.isfinite(place)]
    values["outside.curve"] = [(place, float(changes[places == place].mean())) for place in present]
    return values


def labels(explained: Explained, _: str) -> Values:
    """Return how often each label is the first choice for a method's samples."""
    found = Counter(top_labels(explained.score, _sampling(explained).holes(explained.score)).tolist())
    return {"labels": [(float(label), float(count)) for label, count in sorted(found.items())]}


def filled(explained: Explained, _: str) -> Values:
    """Return the score with everything filled."""
    whole = explained.score.image.new_ones(1, 1, *explained.score.size)
    return {"filled": [(ALONE, float(explained.score(whole)))]}


def scope(explained: Explained, _: str) -> Values:
    """Return the score that is left as superpixels drawn by chance go: the mean, and step by step."""
    subject = explained.subject
    segments = Lime(segments=SUPERPIXELS).segment(subject.score.image[0])
    (found,) = scope_curve(explained.score, segments[None], [subject.chance("order")])
    points = [(float(removed), float(left)) for removed, left in found]
    return {"scope": [(ALONE, float(mean_left(found)))], "scope.curve": points}


def with_and_without(explained: Explained, _: str) -> Values:
    """Return the score without the object, and with nothing but it."""
    region = explained.subject.region.to(explained.score.image)[None, None]
    removed, kept = (float(explained.score(hole)) for hole in (region, 1 - region))
    return {"object.removed": [(ALONE, removed)], "object.kept": [(ALONE, kept)]}


def others_stay(explained: Explained, _: str) -> Values:
    """Return what becomes of the image's other classes without the object.

    Nothing where there is none, or where the classifier does not see the object, or none of them, anyway.
    """
    beside = explained.subject.beside
    if not beside:
        return {}
    region = explained.subject.region.to(explained.score.image)[None, None]
    found = others_without(explained.score, region, beside)
    if not len(found.before) or found.alone is None:
        return {}
    return {
        "others.before": [(ALONE, float(found.before.mean()))],
        "others.removed": [(ALONE, float(found.removed.mean()))],
        "others.stay": [(ALONE, float(found.alone))],
    }


def of_package(name: str, added: AddedMetric) -> Metric:
    """Return the metric that another package adds."""

    def compute(explained: Explained, filler: str) -> Values:
        return {f"{name}:{filler}" if filler else name: [(ALONE, added.value(explained, filler))]}

    return compute


def _sampling(explained: Explained) -> SamplingExplainer:
    """Return the method, all of whose samples are looked at.

    Raises:
        ValueError: If it ends when its map is reliable: nobody keeps after how many.
    """
    until = getattr(explained.method, "until", None)
    if until is not None:
        raise ValueError(f"expected a method that looks at all of its samples, got until={until}")
    return cast(SamplingExplainer, explained.method)


COMPUTE: Mapping[str, Metric] = {
    "localization": localization("localization", ALPHAS_OF_PEAK, peak),
    "localization-mean": localization("localization-mean", ALPHAS_OF_MEAN, mean),
    "pointing": pointing,
    "salient": salient,
    "saliency": saliency,
    "deletion": score_curve("deletion"),
    "insertion": score_curve("insertion"),
    "gain": gain,
    "removal": removed,
    "own": own,
    "outside": outside,
    "labels": labels,
    "filled": filled,
    "scope": scope,
    "object": with_and_without,
    "others": others_stay,
    "sensitivity": sensitivity,
    "randomization": randomization,
    "shift": shift,
    **{name: of_package(name, added) for name, added in ADDED.items()},
}
"""What finds the values of each of the metrics."""
