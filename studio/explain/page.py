"""Turn an explanation into the page of ``explain.png``."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from attribution import Explainer
from attribution.engine.answers import logits_of
from attribution.engine.precision import Lent
from attribution.explainer import AttributingExplainer
from attribution.optimize.loop import OptimizingExplainer
from infill import Given
from studio.drawing.captions import colors_mean, percent, settings_line
from studio.drawing.colormap import TOLD_APART
from studio.drawing.pixels import channels_last
from studio.explain.figure import Page, Panel
from studio.explain.panel import Cell, Course
from studio.explain.result import Explanation, MethodResult, SearchResult
from studio.registry.build import hidden_of, is_signed
from studio.registry.tables import ALL_FILLERS, NO_FILLER
from studio.registry.variants import kind_of

SHOWN_SIDE = 640
_AGAINST = torch.tensor([0.45, 0.62, 0.85]).view(3, 1, 1)  # the blue of what speaks against


def page(explanation: Explanation) -> Page:
    """Return what ``explain.png`` shows; large images are shown smaller."""
    image = _shown(explanation.image.pixels)
    size = (image.shape[1], image.shape[2])
    score = explanation.quantity.written(explanation.clean, " = ")
    return Page(
        title=f"{explanation.name} · {explanation.about} · {score}",
        subtitle=explanation.image.title,
        legend=_legend(explanation),
        image=channels_last(image),
        box=explanation.classifier.view_box(size),
        target=explanation.about if explanation.asked.title else explanation.label(explanation.target),
        marked=_marked(explanation, size),
        heading=_heading(explanation),
        against="" if explanation.against is None else explanation.label(explanation.against),
        top=seen_in(explanation),
        fillers=_rows(explanation),
        methods=[(name, _column(explanation, name, method)) for name, method in explanation.methods.items()],
        cells={
            (filler, name): Cell(
                explanation.classifier.to_input(run.heatmap, size).numpy(),
                run.samples,
                _course(run),
                is_signed(name, explanation.methods[name]),
                _told(explanation, run, size),
                1.0 if run.attribution is None else TOLD_APART,
            )
            for (filler, name), run in explanation.results.items()
        },
        truth=_truth(explanation),
    )


def _marked(explanation: Explanation, size: tuple[int, int]) -> tuple[float, ...] | None:
    """Return the box that is explained, in pixels of the image that is shown."""
    box, whole = explanation.scored.box, explanation.image.pixels.shape[1:]
    scale = (size[1] / whole[1], size[0] / whole[0]) * 2
    return None if box is None else tuple(side * by for side, by in zip(box, scale, strict=True))


def _heading(explanation: Explanation) -> str:
    """Return what stands above the bars."""
    headings = {"box": "what the detector finds in it", "region": "what the segmenter sees, by area"}
    return headings.get(explanation.asked.text.kind, "what the classifier sees in it")


def seen_in(explanation: Explanation) -> list[tuple[str, float]]:
    """Return names with numbers in [0, 1]: classes, or what else is found."""
    if not explanation.asked.probable:
        return list(explanation.scored.found)
    return [(explanation.label(i), float(explanation.probabilities[i])) for i in _top(explanation)]


def _rows(explanation: Explanation) -> list[tuple[str, str]]:
    rows = [(name, filler_brief(explanation, name)) for name in explanation.fillers]
    without = any(filler == NO_FILLER for filler, _ in explanation.results)
    return [*rows, (NO_FILLER, "nothing is removed")] if without else rows


def _top(explanation: Explanation) -> list[int]:
    """Return the most probable classes and, in their place, the ones that are compared."""
    best = explanation.best(explanation.probabilities)
    if explanation.against is None:
        return best
    pair = [explanation.target, explanation.against]
    chosen = [*pair, *(index for index in best if index not in pair)][: max(len(best), len(pair))]
    return sorted(chosen, key=lambda index: float(explanation.probabilities[index]), reverse=True)


def _legend(explanation: Explanation) -> str:
    target = explanation.asked.title or repr(explanation.label(explanation.target))
    against = None if explanation.against is None else repr(explanation.label(explanation.against))
    signed = {is_signed(name, method) for name, method in explanation.methods.items()}
    text = f"{colors_mean(target, against, signed)}; yellow bounds what was removed."
    known = any(run.estimate is not None for run in explanation.results.values())
    text += " Hatched: may be chance." if known else ""
    inside = any(run.attribution is not None for run in explanation.results.values())
    percent = f"{100 * (1 - TOLD_APART):.0f} %"
    return f"{text} Of gradients, the largest {percent} have the strongest color." if inside else text


def _told(explanation: Explanation, run: MethodResult, size: tuple[int, int]) -> ndarray | None:
    """Return which pixels of the image that is shown are told from no effect, if the method knows."""
    if run.estimate is None:
        return None
    told = explanation.classifier.to_input(run.estimate.told[0].float().cpu(), size)
    return (told >= 0.5).numpy()


def filler_brief(explanation: Explanation, name: str) -> str:
    """Return what stands beside a filler's name: its checkpoint and how it was loaded, its settings."""
    filler = explanation.fillers[name]
    hidden = ALL_FILLERS[kind_of(name)].hidden if kind_of(name) in ALL_FILLERS else ()
    texts = [settings_line(filler, hidden)]
    if isinstance(filler, Given) and filler.maker:
        texts = [settings_line(filler.maker, hidden), "where photograph"]
    if loaded := explanation.loaded.get(name):
        numbers = (each for each in loaded.items() if type(each[1]) in (int, float))
        texts = [Path(loaded["checkpoint"]).name, *(f"{key} {value:g}" for key, value in numbers), *texts]
    return ", ".join(texts)


def _column(explanation: Explanation, name: str, method: Explainer) -> str:
    """Return what stands below a method's name."""
    if isinstance(method, OptimizingExplainer):
        return f"{settings_line(method)} · up to {method.composites} composites"
    composites = _span([run.composites for (_, each), run in explanation.results.items() if each == name])
    if isinstance(method, AttributingExplainer):
        looks = f"the classifier looked at {composites}"
        return " · ".join(filter(None, [settings_line(method, hidden_of(name, method)), looks]))
    return f"{settings_line(method)} · {composites} composites"


def _span(counts: list[int]) -> str:
    least, most = min(counts), max(counts)
    return str(most) if least == most else f"{least} to {most}"


def _course(run: MethodResult) -> Course | None:
    return course(run.search) if run.search else None


def course(search: SearchResult) -> Course:
    """Return how a search went, as it is to be shown."""
    outcome = search.outcome
    steps, number = int(outcome.steps), search.quantity.number
    return Course(
        curves={name: curve[0, :steps].cpu().numpy() for name, curve in outcome.curves.items()},
        result=outcome.left.item(),
        chance=outcome.chance.item(),
        notes=(
            f"{percent(search.area)} removed",
            f"{steps} steps",
            f"kept {number(outcome.kept.item())}",
            f"all filled {number(outcome.floor.item())}",
        ),
        failure=search.missed,
        quantity=search.quantity,
    )


def _truth(explanation: Explanation) -> list[Panel]:
    """Return what a scene knows: the background behind the objects, and where they are."""
    scene = explanation.image.scene
    if scene is None:
        return []
    with torch.inference_mode():
        classifier = Lent(explanation.classifier)  # which may be the caller's, and in training
        logits = logits_of(classifier(scene.background[None].to(explanation.classifier.mean.device)), 1)
    left = explanation.link(logits, torch.tensor([explanation.target], device=logits.device)).item()
    gray = 0.25 * scene.image.mean(0, keepdim=True) + 0.7
    lit = gray.expand(3, -1, -1)
    for silhouette, label in zip(scene.silhouettes, explanation.image.origin["objects"], strict=True):
        blue = explanation.against is None or label["label"] == explanation.label(explanation.against)
        same = label["label"] == (explanation.asked.label or explanation.label(explanation.target))
        lit = torch.where(silhouette, scene.image if same else gray * _AGAINST if blue else gray, lit)
    rest = "the rest" if explanation.against is None else explanation.label(explanation.against)
    empty = Panel(
        f"truth: nothing there, {explanation.quantity.written(left)}", channels_last(scene.background)
    )
    known = explanation.asked.text.of_classes or explanation.asked.label
    return [empty, *([Panel(f"truth: the target (blue: {rest})", channels_last(lit))] if known else [])]


def _shown(image: Float[Tensor, "c h w"]) -> Float[Tensor, "c y x"]:
    scale = SHOWN_SIDE / max(image.shape[1:])
    if scale >= 1:
        return image
    size = [max(2, round(side * scale)) for side in image.shape[1:]]
    return F.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp(0, 1)
