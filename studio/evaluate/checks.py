"""What can be asked for together."""

from __future__ import annotations

from collections.abc import Sequence

from studio.data.classes import shows_several
from studio.data.example import Dataset
from studio.evaluate.metrics import METRICS
from studio.evaluate.plan import Plan
from studio.evaluate.request import EvaluateRequest
from studio.registry.tables import NO_FILLER
from studio.registry.target import NEXT, TOP, check_target, parse_target
from studio.registry.variants import kind_of, kinds_of


def check_largest_box(share: float | None, data: Dataset) -> None:
    """Check how large the boxes of an image may be.

    Raises:
        ValueError: If that is no share, or no boxes are known.
    """
    if share is None:
        return
    if not 0 < share <= 1:
        raise ValueError(f"--largest-box: expected a share above 0 and up to 1, as in 0.5, got {share:g}")
    if "boxes" not in data.offers:
        raise ValueError(f"--largest-box: no boxes are annotated in {data.title}")


def check_asked(plan: Plan, data: Dataset, chosen: Dataset, labelled: bool, labels: Sequence[str]) -> None:
    """Check that metrics that were asked for have something to look at in the examples that are chosen.

    Raises:
        ValueError: If one has not; it is named.
    """
    for name, _ in plan.metrics:
        entry = METRICS[name]
        if not any(name == each for pair in plan.pairs for each, _ in plan.metrics_of(pair)):
            raise ValueError(f"--metric {name}: none of the methods has what it looks at ({entry.of})")
        if entry.needs != "others":
            continue
        if not labelled:
            raise ValueError(f"--metric {name}: needs the data's classes as targets")
        if not shows_several(data, set(chosen.photographs), labels):
            raise ValueError(f"--metric {name}: no image of {data.title} shows several of the classes")


def check_fillers(plan: Plan, named: Sequence[str]) -> None:
    """Check that fillers that were asked for fill something.

    Args:
        plan: What is run.
        named: As the user wrote them.

    Raises:
        ValueError: If one does not, for all methods have fillers of their own, or need none.
    """
    pairs = [*plan.pairs, *plan.metrics]
    filling = {kind_of(filler) for _, filler in pairs if filler not in ("", NO_FILLER)}
    idle = [kind for kind in kinds_of(named) if kind not in filling]
    if idle:
        raise ValueError(
            f"--filler {idle[0]}: it fills nothing here: methods have fillers of their own, or need none"
        )


def check_comparison(request: EvaluateRequest, labels: Sequence[str]) -> None:
    """Check the class that targets are compared with.

    Raises:
        ValueError: If there is no such class.
    """
    if request.against is not None:
        check_target(parse_target(TOP, NEXT if request.against == TOP else request.against), labels)


def of_scores(metrics: Sequence[str], asked: bool, of_classes: bool, probabilities: bool) -> list[str]:
    """Return the metrics that scores of a kind have.

    Raises:
        ValueError: If another one was asked for.
    """
    fit = []
    for text in metrics:
        entry = METRICS.get(text.partition(":")[0])
        if entry is not None and entry.probability and not probabilities:
            lacks = "needs a probability, which --target and --against ask not for"
        elif entry is not None and entry.classes and not of_classes:
            lacks = "needs classes, which --target asks not for"
        else:
            fit.append(text)
            continue
        if asked:
            raise ValueError(f"--metric {text}: {lacks}")
    return fit
