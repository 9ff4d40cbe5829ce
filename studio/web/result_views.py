"""Explanations as pieces of the page: the growing map, the map, the slider, the spot, the difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy import ndarray

from studio.drawing.captions import percent
from studio.explain.counterfactual import Counterfactual
from studio.explain.panel import Composite
from studio.explain.quantity import PROBABILITY, Quantity
from studio.registry.tables import METHODS, SAMPLING
from studio.web.difference import STRONGEST, Difference
from studio.web.explained import Explained, Live
from studio.web.removal import Stage, seen
from studio.web.shown import Map, dimmed, map_in_view, map_over, outlined, uri
from studio.web.spot import Sample, Spot
from studio.web.turns import Work
from studio.web.views import Copies, rendered

_CURVE = 300, 70
_TICKS = 4
"""Into how many parts the line below the curve is divided, by words."""


def waiting(ahead: int) -> str:
    """Return what a page shows whose turn has not come."""
    runs = "one run is" if ahead == 1 else f"{ahead} runs are"
    words = f"Waiting: {runs} before this one." if ahead else "Getting ready …"
    return rendered("waiting", live={"percent": 0, "doing": "", "words": words})


def live(work: Work) -> str:
    """Return what can be seen of a run that is going on."""
    shown = work.live
    if isinstance(shown, Explained):
        return explained(shown, work)
    if not isinstance(shown, Live):
        return waiting(0)
    growing, view = shown.growing, shown.score.image[0]
    heatmap, known = growing.map(), growing.known()
    if shown.searching and growing.hole is not None:
        picture: Any = {"uri": uri(dimmed(view, growing.hole))}
        caption = f"red: what is removed at this step; the score is then {growing.score:.3f}"
        text = "The method looks for the hole that takes the class away."
    elif heatmap is not None and known is not None:
        picture = map_in_view(view, heatmap, known, signed=True)
        caption = f"the map after {len(growing.scores)} samples"
        text = (
            "So far: how much the score falls, on average, where a pixel is removed, against elsewhere. "
            "The method's own map comes at the end."
        )
    else:
        picture, caption, text = (
            {"uri": uri(view)},
            "what the classifier sees",
            "The map comes at the end." if work.done else "The first samples are filled.",
        )
    return rendered("live", map=picture, caption=caption, explanation=text, live=_progress(work))


def explained(result: Explained, work: Work | None = None) -> str:
    """Return an explanation: the map and its numbers; ``work`` is what is still going on for it."""
    explanation, run = result.explanation, result.run
    return rendered(
        "explained",
        clickable=bool(result.scores) and work is None,
        map=map_over(explanation.image.pixels, result.heatmap, explanation.classifier, result.signed),
        target=explanation.about,
        meaning=result.meaning,
        facts=_facts(result),
        samples_title="What it came to" if run.search else "What the method looked at, for instance",
        samples=[
            {"uri": uri(_stamped(each)), "label": each.label, "score": each.quantity.number(each.score)}
            for each in run.samples
        ],
        pending=work is not None,
        live=_progress(work) if work else None,
    )


def rest(result: Explained, copies: Copies) -> str:
    """Return what stands below a result: the slider, and what can be taken along."""
    explanation, stages = result.explanation, result.stages
    turn = _turn(stages)
    start = turn or 0
    return rendered(
        "stages",
        target=explanation.label(explanation.target),
        stages=[_stage(each, explanation.quantity) for each in stages],
        start=start,
        turning=_turning(stages, turn),
        first=stages[start] if stages else None,
        curve=rendered("curve", **_curve(stages, explanation.about, explanation.quantity)) if stages else "",
        filler=explanation.final[0] if explanation.final else result.choice.filler,
        commands=copies,
    )


def counterfactual(result: Explained) -> str:
    """Return the picture before and after the smallest removal."""
    found, search = Counterfactual(result.explanation), result.run.search
    assert search is not None
    explanation, shown = result.explanation, result.run.samples[0]
    view = result.score.image[0]
    labels = explanation.classifier.labels
    return rendered(
        "counterfactual",
        verdict=found.line(),
        failed=bool(search.failure),
        before=uri(outlined(view, search.outcome.hole[0, 0])),
        after=uri(np.asarray(shown.image)),
        seen_before=seen(explanation.probabilities, explanation.target, labels, explanation.against),
        seen_after=seen(search.probabilities, explanation.target, labels, explanation.against),
        facts=_facts(result),
    )


def spot(found: Spot, target: str, quantity: Quantity = PROBABILITY) -> str:
    """Return the samples behind a spot, with what they say on average."""
    (without, low), (with_it, high) = found.without, found.with_it
    words = f"The untouched picture scores {quantity.number(found.clean)} for {target}. "
    if without:
        words += f"In {without} samples this spot is removed: they score {quantity.number(low)} on average"
        words += f"; in the other {with_it} it stays: {quantity.number(high)}." if with_it else "."
    else:
        words += "No sample removes this spot."
    if found.anew:
        words += " Its filler draws: what is shown is filled anew, and scores otherwise than it did then."
    groups = [("Removed here, and the score fell most", [_sample(each) for each in found.removed])]
    if found.kept:
        title = "Still there, and the score stayed although much else is gone"
        groups.append((title, [_sample(each) for each in found.kept]))
    return rendered("spot", spot=found, words=words, groups=[each for each in groups if each[1]])


def difference(first: Explained, second: Explained, found: Difference) -> str:
    """Return two maps and what sets them apart."""
    maps = [_titled(name, each) for name, each in (("A", first), ("B", second))]
    pixels, classifier = first.explanation.image.pixels, first.explanation.classifier
    between = map_over(pixels, found.map, classifier, signed=True)
    same = "in units of the score" if first.choice.method in SAMPLING else "in the maps' own units"
    units = "each map divided by its largest absolute value" if found.scaled else same
    maps.append({**vars(between), "title": "A minus B", "about": f"red: more in A; blue: more in B; {units}"})
    alike = "cannot be told, for one map says the same everywhere"
    if found.correlation is not None:
        alike = f"{found.correlation:.2f} (1: the same order of all pixels, 0: no relation)"
    return rendered("difference", maps=maps, words=f"Rank correlation {alike}. {_shared(found)}".strip())


def _shared(found: Difference) -> str:
    """Return what the strongest pixels of both maps say, if a map has any."""
    if found.overlap is None:
        return ""
    a, b = (percent(each) for each in found.counted)
    tenth = percent(STRONGEST)
    ties = "" if (a, b) == (tenth, tenth) else f" (with equal values {a} of A and {b} of B)"
    return f"The strongest tenths of their pixels{ties} overlap by {percent(found.overlap)}."


def _titled(name: str, result: Explained) -> dict[str, Any]:
    explanation = result.explanation
    shown: Map = map_over(explanation.image.pixels, result.heatmap, explanation.classifier, result.signed)
    settings = ", ".join(result.choice.settings)
    title = f"{name}: {result.choice.method} with {result.choice.filler}"
    return {**vars(shown), "title": title, "about": settings or METHODS[result.choice.method].summary}


def _facts(result: Explained) -> list[tuple[str, str]]:
    explanation, run, quantity = result.explanation, result.run, result.explanation.quantity
    facts = [
        ("explained", f"{explanation.about}, {quantity.written(explanation.clean)}"),
        ("method", f"{result.choice.method}: {METHODS[result.choice.method].summary}"),
        ("filler", result.choice.filler),
        ("looked at", f"{run.composites} composites in {run.seconds:.1f} s"),
    ]
    if run.estimate:
        reliability = float(run.estimate.reliability)
        facts.append(("reliability", f"{reliability:.2f} (as well would a new map agree with this one)"))
    if run.search:
        left = quantity.written(run.search.outcome.left.item())
        facts.append(("found", f"{percent(run.search.area)} removed, {left} left"))
    if run.search and run.search.missed:
        facts.append(("not found", run.search.missed))
    return facts


def _stamped(sample: Composite) -> ndarray:
    """Return a composite with a line around its hole, which shows only where it is small."""
    image = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)
    return outlined(image, torch.from_numpy(np.ascontiguousarray(sample.hole)), 2)


def _stage(stage: Stage, quantity: Quantity) -> dict[str, Any]:
    return {
        "image": uri(outlined(stage.image, stage.hole, 1) if 0 < stage.share < 1 else stage.image, 84),
        "share": percent(stage.share),
        "score": "" if quantity.bounded else quantity.written(stage.score),
        "rows": [[row.name, round(row.probability, 4), row.role] for row in stage.seen.rows],
    }


def _turn(stages: Sequence[Stage]) -> int | None:
    """Return the first stage at which another class comes first than at the beginning."""
    answers = [each.seen.first for each in stages]
    return next((number for number, answer in enumerate(answers) if answer != answers[0]), None)


def _turning(stages: Sequence[Stage], turn: int | None) -> str:
    if not stages:
        return ""
    if turn is None:
        return f"Whatever is removed, {stages[0].seen.rows[0].name} stays the first choice."
    return f"With {percent(stages[turn].share)} gone, {stages[turn].seen.rows[0].name} comes first."


def _curve(stages: Sequence[Stage], about: str, quantity: Quantity) -> dict[str, Any]:
    """Return the score stage by stage, each as wide as the others, as the slider above has them."""
    (width, height), last = _CURVE, max(len(stages) - 1, 1)
    scores = [each.score for each in stages]
    low, high = (0.0, 1.0) if quantity.bounded else (min(*scores, 0.0), max(*scores, 0.0))
    up = height / (high - low or 1.0)
    ends = "0 to 1" if quantity.bounded else f"{quantity.number(low)} to {quantity.number(high)}"
    return {
        "width": width,
        "height": height,
        "points": " ".join(
            f"{i * width / last:.1f},{up * (high - score):.1f}" for i, score in enumerate(scores)
        ),
        "zero": None if quantity.bounded else up * high,
        "ticks": [
            (100 * i / last, percent(stages[i].share))
            for i in sorted(
                {round(part * last / _TICKS) for part in range(_TICKS + 1)} & set(range(len(stages)))
            )
        ],
        "what": f"{quantity.symbol} of {about}",
        "ends": ends,
        "end": quantity.end,
    }


def _sample(sample: Sample) -> dict[str, Any]:
    share = percent(float(sample.hole.mean()))
    caption = f"{share} removed"
    return {"uri": uri(outlined(sample.image, sample.hole, 1)), "caption": caption, "seen": sample.seen}


def _progress(work: Work) -> dict[str, Any]:
    percents = 100 * work.done // work.total if work.total else 0
    words = (
        f"{work.doing}: {work.done} of {work.total} composites"
        if work.total
        else work.doing or "Getting ready"
    )
    left = work.left
    if left is not None and left > 1 and not work.stopped:
        words += f", about {_time(left)} left"
    return {"percent": min(percents, 100), "doing": work.doing, "words": words}


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
