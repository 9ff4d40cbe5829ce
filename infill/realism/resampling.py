"""How sure a figure is: bootstrap and jackknife intervals, and paired differences between fillers.

All resampling is of images, and the same for every filler, so that what two fillers have in common (the
images) cancels in their difference.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor

from infill.validate import require

LEVEL = 0.95
LEAST = 10
"""Photographs below which no interval is given: it would be little more than the range of what was found."""
DRAWS = 2000
GROUPS = 20
_AT_ONCE = 50
_FEW = 5
"""Hits, and misses, that say as much of how alike the images of a group are as is supposed without them."""

ResampleWeights: TypeAlias = Float[Tensor, "r n"]
"""How often each of ``n`` images is drawn in each of ``r`` resamples."""

Statistic: TypeAlias = Callable[[ResampleWeights], Tensor]
"""A figure of each resample, " r"."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure and what it is under resampling.

    Attributes:
        value: The figure of all images.
        replicates: The figure of each resample; none if there are too few images to tell.
        kind: ``bootstrap``: the interval is that of the replicates' quantiles (Efron & Tibshirani 1993,
            13.3). ``jackknife``: each replicate leaves one group of images out, and the interval is
            Student's with the jackknife's variance (11.5); for figures that are biased by images drawn twice.
        size: Of a share of hits: of how many independent images it is as sure as. Then the interval is
            Wilson's (1927), as the bootstrap says of none and of all that no other image could be different,
            and of a few nearly so.
    """

    value: float
    replicates: Float[Tensor, " r"]
    kind: Literal["bootstrap", "jackknife"] = "bootstrap"
    size: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval; ``None`` if there are too few images to tell."""
        if len(self.replicates) < 2:
            return None
        if self.size is not None:
            return _wilson(self.value, self.size)
        if self.kind == "bootstrap":
            tail = (1 - LEVEL) / 2
            low, high = self.replicates.quantile(self.replicates.new_tensor([tail, 1 - tail])).tolist()
            return low, high
        count = len(self.replicates)
        spread = self.replicates - self.replicates.mean()
        error = math.sqrt((count - 1) / count * float(spread.square().sum()))
        reach = _student(count - 1) * error
        return self.value - reach, self.value + reach

    @property
    def alone(self) -> "Estimate":
        """The figure without a word on how sure it is."""
        return replace(self, replicates=self.replicates[:0])

    def minus(self, other: "Estimate") -> "Estimate":
        """The paired difference: both figures come from the same resamples of the same images.

        Raises:
            ValueError: If they do not.
        """
        same = self.kind == other.kind and len(self.replicates) == len(other.replicates)
        rule = f"a {self.kind} of {len(self.replicates)} replicates"
        require(same, "other", rule, f"a {other.kind} of {len(other.replicates)}")
        return Estimate(self.value - other.value, self.replicates - other.replicates, self.kind)

    @property
    def sure(self) -> bool:
        """Whether the figure (a difference) has an interval, and that does not contain zero."""
        interval = self.interval
        return interval is not None and (interval[0] > 0 or interval[1] < 0)  # which NaN is not


def bootstrap(
    statistics: Mapping[str, Statistic], count: int, generator: Generator, draws: int = DRAWS
) -> dict[str, Estimate]:
    """Draw ``count`` images with replacement, ``draws`` times, the same for all statistics.

    Raises:
        ValueError: If there is no image, or a statistic is not a finite number.
    """
    require(count > 0, "count", "at least 1 image", count)
    whole = torch.ones(1, count, dtype=torch.float64)
    values = {name: float(statistic(whole)) for name, statistic in statistics.items()}
    for name, value in values.items():
        require(math.isfinite(value), name, "a finite number", value)
    replicates: dict[str, list[Tensor]] = {name: [] for name in statistics}
    for weights in _resamples(count, draws if count > 1 else 0, generator):
        for name, statistic in statistics.items():
            replicates[name].append(statistic(weights))
    none = torch.empty(0, dtype=torch.float64)
    return {name: Estimate(value, torch.cat([none, *replicates[name]])) for name, value in values.items()}


def share(
    estimate: Estimate,
    values: Float[Tensor, " n"],
    place: Integer[Tensor, " n"],
    classes: Integer[Tensor, " n"] | None = None,
) -> Estimate:
    """Give a share of hits Wilson's interval, of as many independent images as would vary like it.

    At most of as many as the weights of the images allow (Kish 1965: 1 / sum of the squares). Few hits, or
    few misses, do not tell how alike the images of a group are: then it is as if they were one, and so the
    less the more there are. What is no share of hits stays as it is.

    Args:
        estimate: The mean of the values.
        values: One for each image, 0 or 1 if it is a hit or none.
        place: The group of each image, as `together` wants it.
        classes: If the share is the mean of those of classes: the place of each image's class.
    """
    hits = values.double().cpu()
    if not bool(((hits == 0) | (hits == 1)).all()):
        return estimate
    classes = torch.zeros_like(place) if classes is None else classes
    count = classes.bincount().double()
    weights = 1 / (len(count) * count[classes])
    of_class = _summed(hits, classes) / count
    value = float((weights * hits).sum())
    most, of_groups = (float(1 / each.square().sum()) for each in (weights, _summed(weights, place)))
    spread = float(_summed(weights * (hits - of_class[classes]), place).square().sum())
    if spread == 0:  # so are none and all
        return replace(estimate, size=of_groups)
    seen, like = min(value, 1 - value) * len(weights), min(most, value * (1 - value) / spread)
    return replace(estimate, size=(seen + _FEW) / (seen / like + _FEW / of_groups))


def leave_out(
    statistics: Mapping[str, Statistic], count: int, generator: Generator, groups: int = GROUPS
) -> dict[str, Estimate]:
    """Leave each of some groups of images out, the same for all statistics.

    For figures that are not means, and would be biased by images that are drawn twice.

    Raises:
        ValueError: If there is no image.
    """
    require(count > 0, "count", "at least 1 image", count)
    parts = split(count, generator, groups)

    def figure(statistic: Statistic, kept: list[int]) -> float:
        weights = torch.zeros(1, count, dtype=torch.float64)
        weights[0, torch.cat([parts[group] for group in kept])] = 1
        return float(statistic(weights))

    return {name: jackknife(partial(figure, each), len(parts)) for name, each in statistics.items()}


def jackknife(figure: Callable[[list[int]], float], groups: int) -> Estimate:
    """Compute a figure of all groups, and of all but each one.

    ``figure`` is given the numbers of the groups that are left in.
    """
    every = list(range(groups))
    rest = [figure([kept for kept in every if kept != left_out]) for left_out in every if groups > 2]
    return Estimate(figure(every), torch.tensor(rest, dtype=torch.float64), "jackknife")


def split(count: int, generator: Generator, groups: int = GROUPS) -> list[Integer[Tensor, " _g"]]:
    """Deal ``count`` images out to at most so many groups at random: the images' numbers, rising."""
    order = torch.randperm(count, generator=generator)
    return [order[start::groups].sort().values for start in range(min(groups, count))]


def mean(values: Float[Tensor, " n"], name: str = "values") -> Statistic:
    """The mean of one value an image.

    Raises:
        ValueError: If there is none, or one is not finite; ``name`` is what they are called.
    """
    values = _numbers(name, values)
    return lambda weights: weights @ values / weights.sum(1)


def together(statistic: Statistic, place: Integer[Tensor, " n"]) -> Statistic:
    """A figure of images that are drawn group by group; ``place`` is the group of each.

    What is measured several times on one photograph is not as sure as what is measured on several (cluster
    bootstrap; Davison & Hinkley 1997, 3.8).
    """
    return lambda weights: statistic(weights[:, place])


def group_places(groups: Sequence[Hashable]) -> Integer[Tensor, " n"]:
    """The place of each image's group, as `together` wants it: groups are counted as they come."""
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    return torch.tensor([number[group] for group in groups])


def calibration_error(
    confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], bins: int = 15
) -> Statistic:
    """Expected calibration error of the top-1 confidence (Naeini et al. 2015; Guo et al. 2017, eq. 3).

    ``bins`` of equal width in [0, 1]; within each, the mean confidence is held against the accuracy.
    """
    confidence = _numbers("confidence", confidence)
    inside = bool(((confidence >= 0) & (confidence <= 1)).all())
    require(inside, "confidence", "in [0, 1]", confidence.aminmax())
    place = (confidence * bins).long().clamp(max=bins - 1)
    gap = torch.zeros(len(confidence), bins, dtype=torch.float64)
    gap[torch.arange(len(confidence)), place] = confidence - correct.double()
    return lambda weights: (weights @ gap).abs().sum(1) / weights.sum(1)


def top_share(labels: Integer[Tensor, " n"], most: int = 3) -> Statistic:
    """Which share of the labels are among the ``most`` frequent ones (Agarwal & Nguyen 2020, 5.2)."""
    require(len(labels) > 0, "labels", "at least 1", 0)
    classes, place = torch.unique(labels, return_inverse=True)

    def share(weights: ResampleWeights) -> Tensor:
        tally = weights.new_zeros(len(weights), len(classes)).index_add_(1, place, weights)
        return tally.topk(min(most, len(classes)), dim=1).values.sum(1) / weights.sum(1)

    return share


def best(figures: Sequence[Estimate], lower: bool) -> int | None:
    """Which figure is better than every other one, each difference's interval without zero; else ``None``."""
    if len(figures) < 2:
        return None
    values = [figure.value for figure in figures]
    first = values.index(min(values) if lower else max(values))
    rest = [figure for index, figure in enumerate(figures) if index != first]
    return first if all(figures[first].minus(other).sure for other in rest) else None


def _resamples(count: int, draws: int, generator: Generator) -> Iterator[ResampleWeights]:
    """Few at a time, whatever the number of draws."""
    for start in range(0, draws, _AT_ONCE):
        rows = min(_AT_ONCE, draws - start)
        drawn = torch.randint(count, (rows, count), generator=generator)
        weights = torch.zeros(rows, count, dtype=torch.float64)
        yield weights.scatter_add_(1, drawn, torch.ones_like(weights))


def _numbers(name: str, values: Tensor) -> Float[Tensor, " n"]:
    finite = bool(values.isfinite().all())
    got = f"{len(values)} values, {int((~values.isfinite()).sum())} of them not finite"
    require(len(values) > 0 and finite, name, "at least one, all finite", got)
    return values.double().cpu()


def _summed(values: Tensor, place: Tensor) -> Tensor:
    return values.new_zeros(int(place.max()) + 1).index_add_(0, place, values)


def _wilson(value: float, size: float) -> tuple[float, float]:
    from scipy.stats import norm

    z = float(norm.ppf((1 + LEVEL) / 2))
    center = (value + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * math.sqrt(value * (1 - value) / size + (z / (2 * size)) ** 2)
    return (center - reach if value > 0 else 0.0), (center + reach if value < 1 else 1.0)  # no last digits


def _student(freedom: int) -> float:
    """The factor of a two-sided 95 % interval."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, freedom))
