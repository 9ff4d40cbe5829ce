"""The picture of an explanation: what is where, in which color, and that no text leaves its room."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import BboxBase
from PIL import Image

from studio.drawing.captions import colors_mean
from studio.drawing.colormap import color_mapping, overlay
from studio.drawing.curves import COLORS
from studio.drawing.sheet import DPI, NAME, WRONG, Sheet, shortened
from studio.explain import counterfactual_figure as counterfactual_sheet
from studio.explain import figure as figures
from studio.explain.counterfactual_figure import Change
from studio.explain.figure import Page, Panel, draw
from studio.explain.panel import SHOWN, Cell, Composite, Course

LONG = "black-and-tan coonhound, a dog with a very long name indeed, and $x_1$ of them"


COURSE = Course(
    curves={"removed": np.linspace(0.9, 0.1, 7), "kept": np.linspace(0.2, 0.95, 7), "blended": np.ones(7)},
    result=0.123,
    chance=0.083,
    notes=("100 % removed", "1000 steps", "kept 0.976", "all filled 0.123"),
    failure="still p 0.123 with everything filled",
)


def page(
    fillers: int = 2,
    methods: int = 2,
    size: tuple[int, int] = (60, 80),
    samples: int = 4,
    truth: int = 0,
    courses: int = 0,
) -> Page:
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([columns / width, rows / height, 0 * rows + 0.5], -1)
    blob = np.exp(-((columns - width / 2) ** 2 + (rows - height / 2) ** 2) / (0.02 * width * height))
    hole = np.zeros((32, 32))
    hole[4:10, 8:20] = 1
    stamp = Composite(np.full((32, 32, 3), 0.5), hole, 0.123, LONG)
    names_f = [(f"filler{i}", LONG) for i in range(fillers)]
    names_m = [(f"method{j}", LONG) for j in range(methods)]
    side = min(size)
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    return Page(
        title=LONG,
        subtitle=LONG * 3,
        image=image,
        box=box,
        target=LONG,
        top=[(LONG, 0.7), ("tench", 0.2), ("", 0.1)],
        fillers=names_f,
        methods=names_m,
        cells={
            (f, m): Cell(blob - 0.1, [stamp], COURSE) if j < courses else Cell(blob - 0.1, [stamp] * samples)
            for f, _ in names_f
            for j, (m, _) in enumerate(names_m)
        },
        truth=[Panel(LONG, image)] * truth,
    )


def touching(boxes: Sequence[BboxBase], padding: float) -> list[tuple[int, int]]:
    """Pairs of boxes that overlap though each is made smaller by so much on every side."""
    sides = np.array([box.extents for box in boxes])[:, None]
    low, high = sides[..., :2] + padding, sides[..., 2:] - padding
    meet = ((low <= high.swapaxes(0, 1)) & (low.swapaxes(0, 1) <= high)).all(-1)
    return [(i, j) for i, j in np.argwhere(meet).tolist() if j < i]


def overlaps(sheet: Sheet) -> list[tuple[str, str]]:
    """Pairs of texts that touch, and texts that leave the page."""
    renderer = FigureCanvasAgg(sheet.figure).get_renderer()
    texts = [text for text in sheet.figure.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    page = sheet.figure.bbox
    found = [(texts[i].get_text(), texts[j].get_text()) for i, j in touching(boxes, 0.5)]
    outside = [
        (text.get_text(), "page")
        for text, box in zip(texts, boxes, strict=True)
        if not (page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1)
    ]
    return found + outside


@pytest.mark.parametrize(
    ("fillers", "methods", "size", "truth", "courses"),
    [
        (1, 1, (60, 80), 0, 0),
        (1, 1, (20, 160), 2, 1),
        (2, 3, (160, 20), 0, 0),
        (3, 3, (64, 64), 2, 2),
        (7, 3, (48, 64), 0, 0),
    ],
)
def test_no_text_overlaps_or_leaves_the_page(
    fillers: int, methods: int, size: tuple[int, int], truth: int, courses: int
) -> None:
    sheet = figures.laid_out(page(fillers, methods, size, truth=truth, courses=courses))
    assert overlaps(sheet) == []


@pytest.mark.parametrize(("truth", "courses"), [(0, 0), (2, 1)])
def test_no_panels_overlap_or_leave_the_page(truth: int, courses: int) -> None:
    sheet = figures.laid_out(page(2, 3, truth=truth, courses=courses))
    assert len(sheet.figure.axes) == 1 + truth + 3 + 2 * 3 * (2 + 4) - 2 * courses * 2
    assert_apart(sheet)


def test_no_cell_is_blank_where_methods_run_with_fillers_of_their_own() -> None:
    full = page(3, 4)
    left_out = {("filler2", "method0"), ("filler2", "method2")}
    left_out |= {(f"filler{i}", f"method{j}") for i in (0, 1) for j in (1, 3)}
    ragged = replace(full, cells={key: cell for key, cell in full.cells.items() if key not in left_out})
    sheet = figures.laid_out(ragged)
    assert overlaps(sheet) == []
    assert_apart(sheet)
    # Two rows of two columns, and below them the others side by side in one row.
    assert sheet.width < figures.laid_out(full).width
    heats = [
        axes for axes in sheet.figure.axes if axes.images and axes.get_position().width * sheet.width > 1.2
    ]
    places = {(round(axes.get_position().x0, 3), round(axes.get_position().y0, 3)) for axes in heats[1:]}
    assert (len(places), len({x for x, _ in places}), len({y for _, y in places})) == (6, 2, 3)


def test_columns_without_composites_are_as_wide_as_their_heatmaps() -> None:
    wide, narrow = (figures.laid_out(page(1, 3, samples=samples)).width for samples in (4, 0))
    assert wide - narrow == pytest.approx(3 * SHOWN)
    sheet = figures.laid_out(page(2, 3, samples=0, truth=1))
    assert overlaps(sheet) == []
    assert_apart(sheet)


def test_colors_may_end_where_most_values_do() -> None:
    heatmap = np.linspace(0, 1, 1000).reshape(25, 40)
    heatmap[0, 0] = 50
    seen = np.ones((25, 40), bool)
    assert color_mapping(heatmap, seen, True).norm.vmax == 50
    assert color_mapping(heatmap, seen, True, 0.9).norm.vmax == pytest.approx(0.9, abs=0.01)
    few = np.zeros((25, 40))
    few[3, 4] = 2.0
    assert color_mapping(few, seen, True, 0.9).norm.vmax == 2


def assert_apart(sheet: Sheet) -> None:
    boxes = [axes.get_position() for axes in sheet.figure.axes]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1
        assert box.y1 <= 1
    assert touching(boxes, 1e-4) == []


def change(failed: bool = False, bars: int = 7) -> Change:
    view = np.full((32, 32, 3), 0.5)
    hole = np.zeros((32, 32))
    hole[4:10, 8:20] = 1
    return Change(
        title=LONG * 3,
        subtitle=LONG * 4,
        verdict=LONG * 4,
        failed=failed,
        image=view,
        after=Composite(view, hole, 0.123, LONG),
        target=LONG,
        bars=[(LONG, 0.981, 0.041), *[("tench", 0.1, 1.0)] * (bars - 1)],
        course=COURSE,
    )


def test_the_sheet_of_a_counterfactual_holds_everything_apart() -> None:
    sheet = counterfactual_sheet.laid_out(change())
    assert overlaps(sheet) == []
    assert_apart(sheet)
    assert len(sheet.figure.axes) == 2 + 2 * 7 + 1


def test_curves_have_their_colors_and_a_line_at_chance() -> None:
    curves = counterfactual_sheet.laid_out(change()).figure.axes[-1]
    drawn = {line.get_color(): line.get_ydata() for line in curves.lines if len(line.get_ydata()) == 7}
    assert set(drawn) == set(COLORS.values())  # the blended one is not drawn
    np.testing.assert_array_equal(drawn[COLORS["removed"]], COURSE.curves["removed"])
    dashed = [line for line in curves.lines if line.is_dashed()]
    assert [set(line.get_ydata()) for line in dashed] == [{COURSE.chance}]
    assert curves.get_ylim() == (0, 1)


def test_a_class_that_stays_is_told_in_red() -> None:
    def colors(failed: bool) -> list[str]:
        texts = counterfactual_sheet.laid_out(change(failed)).figure.texts
        return [text.get_color() for text in texts if text.get_text().startswith(LONG)]

    assert WRONG in colors(True)
    assert WRONG not in colors(False)
    told = [
        text for text in figures.laid_out(page(courses=1)).figure.texts if "everything" in text.get_text()
    ]
    assert {(text.get_text(), text.get_color()) for text in told} == {(COURSE.failure, WRONG)}


def test_the_png_is_written_without_warnings(tmp_path: Path) -> None:
    strange = page(1, 1)
    strange = Page(**{**vars(strange), "title": "犬 🐕 $\\alpha", "target": "tench"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw(strange, tmp_path / "a.unfinished")
    with Image.open(tmp_path / "a.unfinished") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels[0] == 255).all()  # a white margin
    assert pixels.std() > 10


@pytest.mark.parametrize("samples", [0, 1, 3])
def test_fewer_samples_leave_room_empty(samples: int, tmp_path: Path) -> None:
    sheet = figures.laid_out(page(1, 1, samples=samples))
    assert len(sheet.figure.axes) == 1 + 3 + 2 + samples


def test_red_is_evidence_and_blue_is_against() -> None:
    gray = np.full((40, 40, 3), 0.5)
    heatmap = np.zeros((40, 40))
    heatmap[5:15, 5:15], heatmap[25:35, 25:35] = 1.0, -1.0
    seen = np.ones((40, 40), dtype=bool)
    seen[:, 36:] = False
    shown = overlay(gray, heatmap, seen, color_mapping(heatmap, seen, True))
    red, blue = shown[10, 10], shown[30, 30]
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    assert np.ptp(shown[20, 2]) < 0.02  # no evidence, no color
    np.testing.assert_allclose(shown[0, 38], 0.25 + 0.75 * 0.5, atol=1e-6)  # outside the view


@pytest.mark.parametrize(
    ("low", "high", "signed", "limits"),
    [
        (-0.2, 0.5, True, (-0.5, 0.5)),
        (-0.5, 0.2, True, (-0.5, 0.5)),
        (0.3, 0.5, True, (-0.5, 0.5)),
        (0.0, 0.0, True, (-1.0, 1.0)),
        (0.0, 0.5, False, (0.0, 0.5)),
        (0.1, 0.5, False, (0.0, 0.5)),
        (0.3, 0.5, False, (0.3, 0.5)),  # from 0 all of it would look alike
        (0.5, 0.5, False, (0.0, 0.5)),
        (0.0, 0.0, False, (0.0, 1.0)),
        (-0.6, -0.2, False, (-0.6, -0.2)),
    ],
)
def test_the_scale_goes_both_ways_from_zero_or_else_upwards(
    low: float, high: float, signed: bool, limits: tuple[float, float]
) -> None:
    heatmap = np.zeros((10, 12))  # 0 outside the view must not count
    seen = np.zeros((10, 12), dtype=bool)
    seen[:, 1:11] = True
    heatmap[:5, 1:11], heatmap[5:, 1:11] = low, high
    norm = color_mapping(heatmap, seen, signed).norm
    assert (norm.vmin, norm.vmax) == pytest.approx(limits)


@pytest.mark.parametrize(("name", "size"), [("gray", 13), ("gray@color=0.2123,0.3456,0.4789", None)])
def test_names_are_smaller_before_they_are_cut(name: str, size: float | None) -> None:
    sheet = Sheet(4, 4)
    sheet.name(0, 0, name, 13, 2.2)
    sheet.name(0, 1, name * 9, 13, 2.2)
    whole, cut = sheet.figure.texts
    assert whole.get_text() == name
    assert NAME <= whole.get_fontsize() <= 13
    assert (whole.get_fontsize() == 13) == (size == 13)
    assert cut.get_fontsize() == NAME or size == 13
    assert sheet.width / 4 * 2.2 * DPI >= whole.get_window_extent().width


def test_texts_are_shortened_to_their_room() -> None:
    assert shortened("tench", 1.0, 7) == "tench"
    assert shortened("two\n lines", 5.0, 7) == "two lines"
    assert shortened("", 1.0, 7) == ""
    assert shortened(LONG, 0.0, 7) == "…"
    cut = shortened(LONG, 1.0, 7)
    assert cut.endswith("…")
    assert LONG.startswith(cut[:-1])
    assert 10 < len(cut) < 30
    assert len(shortened(LONG, 1.0, 7, bold=True)) < len(cut)
    assert len(shortened(LONG, 2.0, 7)) > len(cut)


@pytest.mark.parametrize(("low", "high"), [(-0.11, -0.01), (0.01, 0.11), (-0.1, 0.2)])
def test_what_speaks_against_is_never_red(low, high):
    """White is 0 for signed maps, even where all values are on one side of it."""
    heatmap = np.linspace(low, high, 12).reshape(3, 4)
    seen = np.ones((3, 4), bool)
    red, _, blue, _ = np.moveaxis(color_mapping(heatmap, seen, signed=True).to_rgba(heatmap), -1, 0)
    assert ((red > blue) == (heatmap > 0)).all()


@pytest.mark.parametrize("low", [0.0, 0.6])
def test_unsigned_maps_have_no_blue_and_no_color_where_nothing_is(low: float) -> None:
    heatmap = np.linspace(low, 1, 12).reshape(3, 4)
    seen = np.ones((3, 4), bool)
    colors = color_mapping(heatmap, seen, signed=False)
    red, _, blue, _ = np.moveaxis(colors.to_rgba(heatmap), -1, 0)
    assert (np.diff((red - blue).ravel())[:6] > 0).all()
    assert (red >= blue).all()
    np.testing.assert_allclose(red[0, 0], blue[0, 0], atol=0.01)
    shown = overlay(np.full((3, 4, 3), 0.5), heatmap, seen, colors)
    assert np.ptp(shown[0, 0]) < 0.01
    assert np.ptp(shown[2, 3]) > 0.3


def test_the_legend_says_what_is_drawn() -> None:
    assert colors_mean("'tench'", None, [True]) == "Red speaks for 'tench', blue against it"
    assert "blue" not in colors_mean("'tench'", "'cat'", [False])
    both = colors_mean("'tench'", "'cat'", [False, True])
    assert both == "Red speaks for 'tench', blue for 'cat' (no blue: only what counts for it)"


def test_a_long_legend_goes_on_in_a_second_line() -> None:
    colors = colors_mean("'tench'", None, [False, True])
    legend = f"{colors}; yellow bounds what was removed. Hatched: may be chance."
    narrow = replace(page(fillers=1, methods=1, size=(80, 60)), legend=legend)
    lines = [text.get_text() for text in figures.laid_out(narrow).figure.texts]
    first = next(i for i, line in enumerate(lines) if line.startswith("Red speaks"))
    assert " ".join(lines[first : first + 2]) == legend
    assert lines[first] != legend


@pytest.mark.parametrize("told", [0.0, 0.5, 1.0])
def test_what_may_be_chance_is_hatched_also_where_that_is_all(told: float) -> None:
    one = page(fillers=1, methods=1, size=(60, 60))
    ((key, cell),) = one.cells.items()
    known = np.zeros((60, 60), bool)
    known[:, : round(60 * told)] = True
    sheet = figures.laid_out(replace(one, cells={key: replace(cell, told=known)}))
    hatched = [
        each for axes in sheet.figure.axes for each in axes.collections if any(getattr(each, "hatches", []))
    ]
    assert len(hatched) == (told < 1)
    for each in hatched:
        box = each.get_paths()[0].get_extents()  # type: ignore[attr-defined]
        assert box.width == pytest.approx(59 - 60 * told, abs=1)
