"""The page: gradio's parts in their places. What they do is in `studio.web.desk` and `studio.web.events`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import gradio as gr

from studio.explain.request import COMPLETING
from studio.registry.tables import METHODS, OPTIMIZING, REMOVING, SAMPLING
from studio.web import views
from studio.web.desk import Studio
from studio.web.networks import fillers
from studio.web.pictures import MEGABYTES, MEGAPIXELS, offered

TITLE = "infill studio"
FIRST_CHOICE = "the classifier's first choice"
ALONE, RUNNER_UP = "nothing: for its own sake", "its next choice"
QUICK, CAREFUL = "a first look", "careful"


def asset(name: str) -> str:
    """Return the text of a file of the page."""
    return files("studio.web").joinpath("assets", name).read_text("utf-8")


def theme() -> Any:
    """Return colors and letters; all letters are those of the reader's own system."""
    font = [gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")]
    mono = [gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")]
    base = gr.themes.Base(primary_hue="slate", neutral_hue="slate", font=font, font_mono=mono)
    return base.set(
        body_background_fill="#ffffff", body_background_fill_dark="#14181d",
        background_fill_primary="#ffffff", background_fill_primary_dark="#14181d",
        background_fill_secondary="#f4f5f7", background_fill_secondary_dark="#1c2127",
        block_background_fill="#ffffff", block_background_fill_dark="#14181d",
        border_color_primary="#dfe3e8", border_color_primary_dark="#303841",
        body_text_color="#1d2329", body_text_color_dark="#e8ebef",
        input_background_fill="#ffffff", input_background_fill_dark="#1c2127",
        button_primary_background_fill="#1d2329", button_primary_background_fill_dark="#e8ebef",
        button_primary_background_fill_hover="#3a434d", button_primary_background_fill_hover_dark="#ffffff",
        button_primary_text_color="#ffffff", button_primary_text_color_dark="#14181d",
        button_secondary_background_fill="#ffffff", button_secondary_background_fill_dark="#1c2127",
        button_secondary_border_color="#dfe3e8", button_secondary_border_color_dark="#303841",
        block_border_width="0px", block_shadow="none", block_padding="0px",
        block_label_background_fill="transparent", block_label_background_fill_dark="transparent",
        block_title_text_weight="500", block_title_text_color="#1d2329",
        block_title_text_color_dark="#e8ebef",
    )  # fmt: skip


def piece(value: Any = "", js: str | None = None, **more: Any) -> Any:
    """Return a place for a piece of the page; ``js`` is the file that brings it to life."""
    return gr.HTML(value, js_on_load=asset(js) if js else None, apply_default_css=False, **more)


@dataclass(frozen=True)
class Way:
    """The parts that say how to explain."""

    method: Any
    filler: Any
    detail: Any
    settings: Any

    @property
    def parts(self) -> list[Any]:
        """Return them in the order in which they are read."""
        return [self.method, self.filler, self.detail, self.settings]


@dataclass(frozen=True)
class Runner:
    """The parts of a tab that runs something."""

    run: Any
    stop: Any
    said: Any
    result: Any
    rest: Any


@dataclass(frozen=True)
class Parts:
    """All parts of the page that do something."""

    picker: Any
    drop: Any
    called: Any
    classifier: Any
    target: Any
    other: Any
    seen: Any
    said: Any
    canvas: Any
    wanted: Any
    completed: Any
    way: Way
    explain: Runner
    spot: Any
    search: Way
    find: Runner
    ways: tuple[Way, Way]
    compare: Runner

    @property
    def kept(self) -> list[Any]:
        """Return those whose values outlive a reload."""
        ways = [*self.way.parts, *self.search.parts, *self.ways[0].parts, *self.ways[1].parts]
        return [self.classifier, self.wanted, *ways]


def laid_out(studio: Studio, run: str) -> Parts:
    """Place all parts; what they do is told elsewhere. ``run`` is where the page of a run is, if any."""
    gr.HTML(asset("head.html"), apply_default_css=False, js_on_load=None)
    with gr.Row(equal_height=False, elem_classes="desk"):
        with gr.Column(scale=1, min_width=290, elem_classes="side"):
            picker, drop, called, classifier, target, other, seen, said = _side(studio)
        with gr.Column(scale=4, min_width=320), gr.Tabs(elem_classes="tabs"):
            with gr.Tab("Draw a hole", id="draw"):
                canvas, wanted, completed = _drawing()
            with gr.Tab("Explain", id="explain"):
                way, explain, spot = _explaining()
            with gr.Tab("Smallest removal", id="find"):
                search, find = _searching()
            with gr.Tab("Compare", id="compare"):
                ways, compare = _comparing()
            if run:
                with gr.Tab("Run", id="run"):
                    gr.HTML(
                        '<div class="run-place"><p class="faint">Reading the run …</p>'
                        f'<iframe class="run" src="{run}" title="the run"></iframe></div>',
                        apply_default_css=False, js_on_load=None,
                    )  # fmt: skip
    return Parts(
        picker, drop, called, classifier, target, other, seen, said, canvas, wanted, completed,
        way, explain, spot, search, find, ways, compare,
    )  # fmt: skip


def _side(studio: Studio) -> tuple[Any, ...]:
    names, keys = studio.networks.names(), offered()
    gr.HTML('<h2 class="step">Picture</h2>', apply_default_css=False, js_on_load=None)
    picker = piece(views.picker(keys, keys[0]), "picker.js", elem_id="picker")
    drop = gr.File(
        label="Your own photograph",
        show_label=False,
        file_types=["image"], height=74, elem_id="drop",
    )  # fmt: skip
    called = gr.Textbox(visible=False)  # what the file is called where it comes from
    limits = f"Your own: up to {MEGABYTES} MB and {MEGAPIXELS} megapixels"
    gr.HTML(f'<p class="faint">{limits}</p>', apply_default_css=False, js_on_load=None)
    said = piece(elem_id="said")
    gr.HTML('<h2 class="step">Classifier</h2>', apply_default_css=False, js_on_load=None)
    classifier = gr.Dropdown(names, value=names[0], label="Who looks", elem_id="classifier", filterable=False)
    target = gr.Dropdown(
        [(FIRST_CHOICE, "top1")], value="top1", label="Which class is explained", elem_id="target"
    )
    other = gr.Dropdown([(ALONE, "")], value="", label="Rather than", elem_id="other")
    seen = piece(elem_id="seen")
    return picker, drop, called, classifier, target, other, seen, said


def _drawing() -> tuple[Any, ...]:
    with gr.Row(equal_height=False, elem_classes="drawing"):
        with gr.Column(scale=2, min_width=290):
            canvas = gr.HTML(
                "", html_template=asset("canvas.html"), js_on_load=asset("canvas.js"), elem_id="canvas",
                apply_default_css=False,
            )  # fmt: skip
            wanted = gr.CheckboxGroup(
                fillers(), value=list(COMPLETING), label="Fillers", elem_id="wanted", elem_classes="compact"
            )
        with gr.Column(scale=3, min_width=300):
            completed = piece(elem_id="completed")
    return canvas, wanted, completed


def _way(method: str, methods: list[str], filler: str, name: str) -> Way:
    choices = [(f"{each}: {METHODS[each].summary}", each) for each in methods]
    with gr.Row(elem_classes="way"):
        way = gr.Dropdown(
            choices, value=method, label="Method", elem_id=f"{name}-method", scale=4, min_width=220
        )
        fills = gr.Dropdown(
            fillers(),
            value=filler,
            label="What fills the holes",
            elem_id=f"{name}-filler",
            scale=2,
            min_width=130,
        )
        detail = gr.Radio(
            [QUICK, CAREFUL],
            value=QUICK,
            label="How closely",
            elem_id=f"{name}-detail",
            scale=3,
            min_width=220,
        )
    with gr.Accordion("Further settings", open=False, elem_classes="further"):
        settings = gr.Textbox(
            "", label="As after --set", placeholder="sp.patch=41 sp.stride=8", max_lines=2,
            info="`infill list --long` tells them all", elem_id=f"{name}-settings",
        )  # fmt: skip
    return Way(way, fills, detail, settings)


def _runner(label: str, name: str, between: Sequence[str] = ()) -> tuple[Runner, list[Any]]:
    """Place buttons and results, and what stands between a result and the rest of it."""
    with gr.Row(elem_classes="go"):
        run = gr.Button(label, variant="primary", elem_id=f"{name}-run", min_width=120)
        stop = gr.Button("Stop", interactive=False, elem_id=f"{name}-stop", min_width=80)
    said, result = piece(elem_id=f"{name}-said"), piece(js="result.js", elem_id=f"{name}-result")
    pieces = [piece(elem_id=each) for each in between]
    return Runner(run, stop, said, result, piece(js="result.js", elem_id=f"{name}-rest")), pieces


def _explaining() -> tuple[Way, Runner, Any]:
    way = _way("sp", [*SAMPLING, *OPTIMIZING], "inpaint", "explain")
    runner, (spot,) = _runner("Explain", "explain", ["spot"])
    return way, runner, spot


def _searching() -> tuple[Way, Runner]:
    gr.HTML(
        '<p class="faint">Which smallest part, once removed, takes the class away? What is left is the same '
        "picture without the evidence: a counterfactual.</p>", apply_default_css=False, js_on_load=None,
    )  # fmt: skip
    search = _way("mp2-descent", list(REMOVING), "inpaint", "find")
    return search, _runner("Find it", "find")[0]


def _comparing() -> tuple[tuple[Way, Way], Runner]:
    both = []
    with gr.Row(equal_height=False):
        for name, filler in (("A", "gray"), ("B", "inpaint")):
            with gr.Column(min_width=280):
                gr.HTML(f'<h2 class="step">{name}</h2>', apply_default_css=False, js_on_load=None)
                both.append(_way("sp", [*SAMPLING, *OPTIMIZING], filler, f"compare-{name.lower()}"))
    return (both[0], both[1]), _runner("Compare", "compare")[0]
