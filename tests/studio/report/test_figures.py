"""Thresholds that are tuned: never on the images they are used on."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from infill.realism.resampling import bootstrap, mean
from studio.report.attacked import _alike
from studio.report.charts import COLORS, _line_chart, _mean_curve, _mean_of_bins, charts
from studio.report.compare import Value, _by_class, values
from studio.report.differences import differences
from studio.report.figures import Figure, Kind, _halves, _tuned
from studio.report.page import page, summary
from studio.report.results import Results
from studio.report.run import _read
from studio.report.strips import Strip, strips
from studio.report.tables import beside_published, escaped, latex, markdown, piped, spreadsheet, tables, text
from studio.runs.folder import EXAMPLE, REVISION, RunFolder
from studio.runs.part import Part

SP, LIME = ("sp", "gray"), ("lime", "gray")


def results(rows: Any, photographs: Any = str, title: str = "run") -> Results:
    """What a run found: by row and number of an image values by name."""
    numbers = sorted(set().union(*rows.values()))
    settings = {"seed": 0, "images": len(numbers), "classifier": {"labels": ["cash_$_bill_$", "a & b"]}}
    about = {
        n: {"name": f"{n}.png", "photograph": photographs(n), "target": n % 2, "off_center": None}
        | {"difficult": None}
        for n in numbers
    }
    found = {
        row: {n: {k: np.array(pairs) for k, pairs in each.items()} for n, each in of_row.items()}
        for row, of_row in rows.items()
    }
    return Results(title, RunFolder(Path("nowhere"), settings), about, found, (), (), 0)


def test_a_threshold_is_never_tuned_on_the_images_it_is_used_on() -> None:
    alphas = [0.0, 0.5, 1.0]
    # Even images are best at 0.5, odd ones at 1.0: each half is judged at the other's best.
    even, odd = [1.0, 0.0, 0.7], [1.0, 0.6, 0.0]
    values = {n: np.array([alphas, even if n % 2 == 0 else odd]).T for n in range(6)}
    of_image, (for_even, for_odd) = _tuned(values, {n: n % 2 for n in range(6)})
    assert (for_even, for_odd) == (1.0, 0.5)
    assert of_image == {n: 0.7 if n % 2 == 0 else 0.6 for n in range(6)}
    # Of equally good ones the smallest is taken.
    flat = {n: np.array([alphas, [0.5, 0.5, 0.5]]).T for n in range(2)}
    assert _tuned(flat, {0: 0, 1: 1})[1] == (0.0, 0.0)


def test_halves_are_of_photographs_and_the_same_for_all_rows() -> None:
    of_two = results({SP: {n: {} for n in range(8)}}, lambda n: f"photo {n // 2}")
    assert _halves(of_two, range(8)) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 0, 5: 0, 6: 1, 7: 1}
    # A row that lacks the first image keeps the halves of the others.
    even, odd = [(0.0, 1.0), (0.5, 0.0)], [(0.0, 0.0), (0.5, 1.0)]
    found = {n: {"localization": even if n % 2 == 0 else odd} for n in range(12)}
    rows = {SP: found, LIME: {n: each for n, each in found.items() if n}}
    (figure,) = tables(results(rows))[0].figures
    assert figure.alphas == {SP: (0.0, 0.5), LIME: (0.0, 0.5)}
    assert set(figure.values[LIME].values()) == {1.0}


def empty(count: int) -> Any:
    """Rows of so many images of which nothing is known but that they are there."""
    return {SP: {number: {} for number in range(count)}}


def share(numbers: range) -> Figure:
    rng = np.random.default_rng(0)
    hits = rng.integers(0, 2, len(numbers)).astype(float)
    other = rng.integers(0, 2, len(numbers)).astype(float)
    by = {row: dict(zip(numbers, each.tolist(), strict=True)) for row, each in ((SP, hits), (LIME, other))}
    return Figure("pointing@0@mean", "pointing", "higher", "mean", True, by)


def doubled(figure: Figure) -> Figure:
    twice = {
        row: {2 * n + i: v for n, v in each.items() for i in (0, 1)} for row, each in figure.values.items()
    }
    return Figure(figure.key, figure.title, figure.better, figure.kind, figure.percent, twice)


def test_what_one_photograph_shows_twice_makes_nothing_surer() -> None:
    once = share(range(24))
    twice = doubled(once)
    single = results(empty(24))
    pairs = results(empty(48), lambda n: f"photo {n // 2}")
    for row, value in values(once, single, 0).items():
        found = values(twice, pairs, 0)[row]
        assert (found.value, found.low, found.high) == pytest.approx((value.value, value.low, value.high))
        assert found.images == 48
    one, two = differences([once], 0)[0], differences([twice], 0, lambda n: n // 2)[0]
    assert (two.value, two.low, two.high, two.p) == pytest.approx((one.value, one.low, one.high, one.p))
    assert differences([twice], 0)[0].p < two.p  # as if each were a photograph of its own


def test_shares_of_none_have_the_interval_of_as_many_photographs() -> None:
    def low_high(count: int, each: int, kind: Kind = "share") -> tuple[float | None, float | None]:
        none = Figure("pointing@0@share", "", "higher", kind, True, {SP: dict.fromkeys(range(count), 0.0)})
        found = results(empty(count), lambda n: f"photo {n // each}")
        value = values(none, found, 0)[SP]
        return value.low, value.high

    assert low_high(40, 2) == low_high(20, 1) == low_high(20, 1, "by class")
    assert low_high(20, 1) == (0.0, pytest.approx(0.1611, abs=1e-4))  # Wilson's of 0 of 20
    assert low_high(18, 2) == (None, None)


def test_one_hit_is_not_surer_than_none_and_neither_surer_than_their_photographs() -> None:
    from scipy.stats import binomtest

    def low_high(hits: int, count: int, each: int, kind: Kind = "share") -> tuple[float, float]:
        hit = {n: float(n < hits) for n in range(count)}
        some = Figure("pointing@0@share", "", "higher", kind, True, {SP: hit})
        value = values(some, results(empty(count), lambda n: f"photo {n // each}"), 0)[SP]
        assert value.low is not None
        assert value.high is not None
        return value.low, value.high

    for hits in (0, 1, 3, 60, 199, 200):
        exact = binomtest(hits, 200).proportion_ci(method="wilson")
        assert low_high(hits, 200, 1) == pytest.approx((exact.low, exact.high))
        assert low_high(2 * hits, 400, 2) == pytest.approx((exact.low, exact.high), abs=0.01), (
            "alike in a photo"
        )
    for kind in ("share", "by class"):
        highs = [low_high(hits, 300, 2, kind)[1] for hits in range(30)]  # type: ignore[arg-type]
        assert highs == sorted(highs)


def test_classes_count_alike_and_one_that_is_not_drawn_does_not() -> None:
    each, classes = torch.tensor([1.0, 0.0, 1.0, 0.25], dtype=torch.float64), [7, 7, 7, 3]
    weights = torch.tensor([[1.0, 1, 1, 1], [2, 2, 0, 0], [0, 1, 2, 1]], dtype=torch.float64)
    expected = [(2 / 3 + 1 / 4) / 2, 1 / 2, (2 / 3 + 1 / 4) / 2]
    assert _by_class(each, classes)(weights).tolist() == pytest.approx(expected)


def test_a_mean_over_classes_has_no_interval_of_the_share_of_images() -> None:
    """All of the images of one class are hits, and none of the few of the other."""
    numbers = [*range(0, 32, 2), 1, 3, 5, 7]  # targets are even and odd
    hits = {number: float(number % 2 == 0) for number in numbers}
    figure = Figure("pointing@0@by class", "", "higher", "by class", True, {SP: hits})
    value = values(figure, results(empty(32)), 0)[SP]
    assert value.value == 0.5
    assert value.low is not None
    assert value.high is not None
    assert value.low <= 0.5 <= value.high
    images = Figure("pointing@0@share", "", "higher", "share", True, {SP: hits})
    share = values(images, results(empty(32)), 0)[SP]
    assert share.low is not None
    assert share.low > 0.5


def test_only_shares_have_wilsons_interval() -> None:
    flat = Figure("saliency@None@tuned", "", "lower", "tuned", False, {SP: dict.fromkeys(range(20), 0.0)})
    value = values(flat, results(empty(20)), 0)[SP]
    assert (value.low, value.high) == (0.0, 0.0)


def test_a_share_of_labels_stays_one() -> None:
    def value(counts: dict[int, dict[int, float]]) -> Value:
        figure = Figure("labels", "", "lower", "three most frequent", True, {}, counts={SP: counts})
        return values(figure, results(empty(30)), 0)[SP]

    alike = {n: {0: 10.0, 1: 10.0, 2: 10.0} for n in range(30)}
    odd = value({**alike, 7: {3: 20.0}})
    assert odd.value == pytest.approx(870 / 890)
    assert odd.low is not None
    assert odd.low < odd.value
    assert odd.high == 1.0
    for counts, share in (
        ({0: 10.0, 1: 10.0, 2: 10.0}, 1.0),
        ({0: 7.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}, 9 / 11),
    ):
        same = value(dict.fromkeys(range(30), counts))
        assert same.value == pytest.approx(share)
        assert (same.low, same.high) == (None, None), "images alike say nothing of others"


def test_the_bootstrap_of_photographs_holds_what_it_promises() -> None:
    """Two images of each photograph that are wholly alike: intervals over images would hold 81 %."""
    rng, held = np.random.default_rng(0), 0
    for seed in range(200):
        each = torch.from_numpy(rng.normal(size=40)).repeat_interleave(2)
        pairs = results(empty(80), lambda n: f"photo {n // 2}")
        figure = Figure("x@None@mean", "x", "lower", "mean", False, {SP: dict(enumerate(each.tolist()))})
        value = values(figure, pairs, seed)[SP]
        assert value.low is not None
        assert value.high is not None
        held += value.low <= 0 <= value.high
    assert 0.89 < held / 200 <= 0.99
    alone = bootstrap({"": mean(each)}, 80, torch.Generator().manual_seed(0))[""].interval
    assert alone is not None
    assert alone[1] - alone[0] < 0.8 * (value.high - value.low)


def test_names_are_drawn_as_they_are_written() -> None:
    found = results({SP: {n: {"labels": [(0.0, 3.0), (1.0, 2.0)]} for n in range(3)}})
    (title, drawing), *_ = charts(found, tables(found)[0])
    assert "sp / gray" in title
    assert "cash_$_bill_$" in drawing


def test_a_spreadsheet_of_several_runs_is_one_table() -> None:
    deletion = {SP: {n: {"deletion:gray": [(np.nan, 0.5)]} for n in range(2)}}
    pointing = {SP: {n: {"pointing": [(0.0, 1.0), (15.0, 1.0)]} for n in range(2)}}
    runs = [results(deletion, title="one"), results(pointing, title="two")]
    lines = spreadsheet([(run, tables(run)[0].figures) for run in runs]).splitlines()
    assert lines[0] == 'run,image,target,method,filler,"deletion, gray",pointing,"pointing, 15 px"'
    assert lines[1] == "one,0.png,cash_$_bill_$,sp,gray,0.5,,"
    assert lines[-1] == "two,1.png,a & b,sp,gray,,1,1"
    assert len(lines) == 5


def test_cells_say_of_how_many_images_they_are_unless_of_all() -> None:
    found = {n: {"deletion:gray": [(np.nan, 0.5)]} for n in range(12)}
    (table,) = tables(results({SP: found, LIME: {n: found[n] for n in range(3)}}))
    assert "| 0.500 [0.500…0.500] |" in markdown(table)
    assert "| lime / gray | 0.500 (3) |" in markdown(table)
    assert "(3)" in text(table)
    assert "0.500 (3)" in latex(table)


def test_only_like_runs_stand_beside_those_under_attack() -> None:
    settings = {
        "data": "scenes:2", "fingerprint": "f", "seed": 0, "precision": "auto", "revision": 2,
        "classifier": {"content": "c"}, "methods": {"sp": "SlidingPatch()"},
        "fillers": {"gray": {"set": {}}, "blur": {"set": {}}},
    }  # fmt: skip
    assert _alike(settings, settings)
    assert _alike(settings, {**settings, "fillers": {"gray": {"set": {}}}})
    for other in (
        {"fillers": {"gray": {"set": {"color": "black"}}}}, {"methods": {"sp": "SlidingPatch(patch=5)"}},
        {"precision": "float32"}, {"revision": 1}, {"seed": 1}, {"classifier": {"content": "d"}},
    ):  # fmt: skip
        assert not _alike(settings, {**settings, **other})


@pytest.mark.parametrize(("revision", "said"), [(REVISION, ""), (2, "revision 2"), (None, "revision 1")])
def test_what_another_revision_has_measured_is_told(revision: int | None, said: str) -> None:
    about = {"data": "some", "paper": False, "precision": "float32", "target": None}
    settings = {**about, "images": 1, "classifier": {"name": "net", "labels": []}}
    folder = RunFolder(Path("nowhere"), settings | ({"revision": revision} if revision else {}))
    told = summary(replace(results({SP: {0: {}}}), folder=folder))
    assert told == "some, 1 of 1 images, net, quick settings, float32" + (
        f"; by {said} of the metrics, which differs from this infill's, {REVISION}" if said else ""
    )


def test_runs_in_folders_of_the_same_name_are_told_apart(tmp_path: Path) -> None:
    settings = {"images": 1, "seed": 0, "pairs": [["sp", "gray"]]}
    for place in ("a/run", "b/run", "b/other"):
        folder = RunFolder(tmp_path / place, settings)
        folder.path.mkdir(parents=True)
        folder.begin()
        folder.save((0, EXAMPLE), Part(f"0 {EXAMPLE}", {"name": "a.png", "target": 0}))
    a, b, other = (tmp_path / place for place in ("a/run", "b/run", "b/other"))
    assert [each.title for each in _read([a, b])] == ["a/run", "b/run"]
    assert [each.title for each in _read([a, other])] == ["run", "other"]
    with pytest.raises(ValueError, match=r"RUN: .*run is named twice"):
        _read([a, other, tmp_path / "b" / ".." / "a" / "run"])


def test_nothing_found_is_said() -> None:
    (table,) = tables(results({SP: {0: {}, 1: {}}}))
    assert (table.images, table.figures) == (2, [])
    assert text(table).startswith("no figure yet")
    assert markdown(table).startswith("no figure yet")
    assert latex(table).startswith("% no figure yet")
    assert tables(results({SP: {0: {}}, LIME: {}}))[0].images == 1


def test_rows_are_in_the_runs_order() -> None:
    """Whichever of them has the first figure."""
    deletion, pointing = {"deletion:gray": [(np.nan, 0.5)]}, {"pointing": [(0.0, 1.0)]}
    found = {n: deletion for n in range(2)}
    run = results({LIME: {n: pointing for n in range(2)}, SP: found, ("center", ""): {}})
    (table,) = tables(run)
    assert table.rows == [LIME, SP]
    run = results({SP: found, LIME: {n: pointing for n in range(2)}})
    assert tables(run)[0].rows == [SP, LIME]


def test_a_class_is_found_on_the_page_whatever_blanks_its_name_has(monkeypatch: pytest.MonkeyPatch) -> None:
    run = results({SP: {n: {"deletion:gray": [(np.nan, 0.5)]} for n in range(2)}})
    more = {"data": "scenes:2", "paper": False, "precision": "float32"}
    run.folder.settings = {**run.settings, **more, "classifier": {"name": "scenes", "labels": []}}
    shown = [Strip("a.png", '  a  "cat"', 0.5, [], 0.0)]
    monkeypatch.setattr("studio.report.page.strips", lambda *_: shown)
    monkeypatch.setattr("studio.report.page.charts", lambda *_: [])
    found = page([(run, tables(run))], 1)
    assert '<option value="  a  &#34;cat&#34;">' in found
    assert 'data-class="  a  &#34;cat&#34;"' in found
    assert '<th scope="row">sp / gray</th>' in found
    assert "<th>" not in found


def test_names_of_ones_own_break_no_table() -> None:
    assert escaped(r"my{x}^2~$a$\b 5 %") == (
        r"my\{x\}\textasciicircum{}2\textasciitilde{}\$a\$\textbackslash{}b 5 \%"
    )
    assert piped("blur|5") == r"blur\|5"


@pytest.mark.parametrize("rows", [3, 24])
def test_as_many_rows_as_there_are_can_be_told_apart_in_a_chart(rows: int) -> None:
    lines = {(f"method {i}", "$gray$"): [(0.0, 0.1), (1.0, i / rows)] for i in range(rows)}
    svg = _line_chart(lines, "share", "score")
    assert svg.count("method ") >= rows
    assert "$gray$" in svg
    height = float(re.search(r'height="([\d.]+)pt"', svg)[1])  # type: ignore[index]
    assert height >= 11 * rows
    styles = re.findall(r'style="fill: none;( stroke-dasharray: [^;]*;)?[^"]*stroke: (#[0-9a-f]{6})', svg)
    assert len({style for style in styles if style[1] in COLORS}) >= rows


def test_agreement_is_not_compared_between_methods_nor_the_untouched_score_at_all() -> None:
    names = ("sensitivity.ssim", "sensitivity.deviation", "others.before", "others.removed")
    found = {n: {name: [(np.nan, 0.1 * n)] for name in names} for n in range(12)}
    rows = {SP: found, ("sp", "inpaint"): found, LIME: found, ("center", ""): found}
    (table,) = tables(results(rows))
    compared = {(each.figure, each.family) for each in table.differences}
    assert {family for title, family in compared if title == "score of other classes"} == set()
    assert {family for title, family in compared if title.startswith("agreement")} == {"between fillers"}
    assert {family for title, family in compared if title.startswith("deviation")} == {"between fillers"}
    assert len({family for title, family in compared if "without object" in title}) == 3


def test_a_curve_is_the_mean_over_the_same_images_everywhere() -> None:
    """One image is always 1 and one always 0, at other places: the mean is 0.5 everywhere."""
    one = np.array([(place, 1.0) for place in np.linspace(0, 1, 4)])
    other = np.array([(place, 0.0) for place in np.linspace(0, 1, 5)])
    points = _mean_curve([one, other])
    assert points == [(place, 0.5) for place in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert _mean_curve([]) == []
    assert _mean_of_bins([np.array([(0.0, 1.0), (8.0, 0.0)]), np.array([(8.0, 1.0)])]) == [(0, 1), (8, 0.5)]


def test_the_papers_figures_stand_beside_all_images_alone() -> None:
    found = {n: {"deletion:gray": [(np.nan, 0.5)]} for n in range(12)}
    run = results({SP: found})
    for n in range(5):
        run.about[n]["off_center"] = True
    everything, off_center = tables(run)
    assert [each[:2] for each in beside_published(everything)] == [("deletion, gray", "sp / gray")]
    assert beside_published(off_center) == []


def test_subsets_are_of_the_images_that_they_are_called_after() -> None:
    run = results({SP: {n: {"deletion:gray": [(np.nan, 0.1 * n)]} for n in range(12)}})
    known = {n: {**run.about[n], "off_center": n < 5, "difficult": n in (2, 7, 9)} for n in range(12)}
    everything, off_center, difficult = tables(replace(run, about=known))
    assert [each.images for each in (everything, off_center, difficult)] == [12, 5, 3]
    (figure,) = difficult.figures
    assert sorted(figure.values[SP]) == [2, 7, 9]


def test_strips_are_spread_over_all_images(tmp_path: Path) -> None:
    run = results(empty(10))
    folder = RunFolder(tmp_path, {**run.settings, "signed": {"sp": True}})
    for n in range(10):
        folder.save((n, EXAMPLE), Part(f"{n}"), np.zeros((32, 32, 3), np.uint8))
        folder.save((n, "sp--gray"), Part(f"{n}"), np.eye(32, dtype=np.float32))
    known = {n: {**about, "clean": 0.5} for n, about in run.about.items()}
    run = replace(run, folder=folder, about=known)
    some = strips(run, 3)
    assert [each.name for each in some] == ["0.png", "3.png", "6.png"]
    assert [each.target for each in some] == [run.labels[0], run.labels[1], run.labels[0]]
    assert len(strips(run, 99)) == 10
