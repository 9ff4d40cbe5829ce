"""Paired differences of rows: against scipy's exact test, and in every format."""

import csv
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from studio.report import compared
from studio.report.differences import FAMILIES, Difference, differences, exchanged, holm
from studio.report.figures import Figure
from studio.report.results import Row
from studio.report.tables import Table

GRAY, INPAINT, LIME, CAM = ("sp", "gray"), ("sp", "inpaint"), ("lime", "gray"), ("gradcam", "none")
CENTER, RANDOM, OBJECT = ("center", ""), ("random", ""), ("object", "")


def drawn(better: str = "lower") -> Figure:
    """Twelve images: Grad-CAM has two of them less, LIME is always better than the center."""
    rng = np.random.default_rng(0)
    values = {row: dict(enumerate(rng.normal(size=12))) for row in (GRAY, INPAINT, CAM, RANDOM, OBJECT)}
    values[CENTER] = {number: value + 1.0 for number, value in values[GRAY].items()}
    values[LIME] = {number: value - 0.25 * number for number, value in values[CENTER].items()}
    del values[CAM][3], values[CAM][7]
    order = (GRAY, INPAINT, LIME, CAM, CENTER, RANDOM, OBJECT)
    return Figure(
        "deletion@None@mean", "deletion", better, "mean", False, {row: values[row] for row in order}
    )


def exact(figure: Figure, row: Row, other: Row) -> float:
    numbers = figure.values[row].keys() & figure.values[other].keys()
    pairs = np.array([(figure.values[row][n], figure.values[other][n]) for n in numbers]).T
    found = permutation_test(
        pairs, lambda a, b: np.mean(a) - np.mean(b), permutation_type="samples", n_resamples=10**5
    )
    return float(found.pvalue)


def test_rows_are_compared_with_fillers_baselines_and_methods() -> None:
    figure = drawn()
    found = differences([figure], seed=3)
    pairs = {(each.family, each.row, each.other) for each in found}
    assert pairs == {
        ("between fillers", INPAINT, GRAY),
        *(
            ("to the baselines", row, baseline)
            for row in (GRAY, INPAINT, LIME, CAM)
            for baseline in (CENTER, RANDOM)
        ),
        ("between methods", LIME, GRAY),
    }
    for each in found:
        numbers = sorted(figure.values[each.row].keys() & figure.values[each.other].keys())
        change = [figure.values[each.row][n] - figure.values[each.other][n] for n in numbers]
        assert each.value == pytest.approx(np.mean(change))
        assert each.images == len(numbers) == (10 if CAM in (each.row, each.other) else 12)
        assert each.better == (each.value < 0)
        assert each.low - 1e-9 <= each.value <= each.high + 1e-9


def test_each_family_is_corrected_by_itself() -> None:
    figure = drawn()
    for family, pairs in FAMILIES.items():
        rows = [each for each in differences([figure], seed=3) if each.family == family]
        alone = {pair: exact(figure, *pair) for pair in pairs(list(figure.values))}
        ranked = sorted(alone, key=alone.__getitem__)
        steps = [alone[pair] * (len(ranked) - rank) for rank, pair in enumerate(ranked)]
        expected = dict(zip(ranked, accumulate(steps, max), strict=True))
        assert len(rows) == len(expected)
        for each in rows:
            assert each.p == pytest.approx(min(1.0, expected[each.row, each.other]), abs=0.02)


def test_a_constant_change_has_no_interval_to_speak_of() -> None:
    """Twelve of twelve signs are the same: by chance so once in 2 ** 11."""
    (each,) = [
        each for each in differences([drawn("higher")], seed=0) if (each.row, each.other) == (GRAY, CENTER)
    ]
    assert (each.value, each.low, each.high) == pytest.approx((-1, -1, -1))
    assert each.better is False
    assert each.p == pytest.approx(8 / 2**11, abs=0.004)


def made() -> Table:
    figure = drawn()
    return Table(
        "all images", 12, list(figure.values), [figure], {figure.key: {}}, differences([figure], seed=3)
    )


def test_every_format_has_every_difference() -> None:
    table = made()
    words = compared.markdown(table)
    assert "Differences to the baselines (8, corrected together by Holm's method):\n\n- deletion: " in words
    assert "sp: inpaint against gray = " in words
    assert "lime / gray against center = -1.375 [" in words
    assert words.count("\n- ") == len(table.differences)
    tex = compared.latex(table)
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == len(FAMILIES)
    assert "deletion & lime / gray & center & -1.375 [" in tex
    assert "…" not in tex
    lines = list(csv.DictReader(compared.spreadsheet([("a run", table)]).splitlines()))
    (line,) = [each for each in lines if (each["method"], each["other method"]) == ("lime", "center")]
    assert (line["run"], line["compared"], line["filler"]) == ("a run", "to the baselines", "gray")
    assert (float(line["difference"]), line["images"], line["verdict"]) == (-1.375, "12", "better")
    assert len(lines) == len(table.differences)


def test_no_family_is_told_that_has_no_pair() -> None:
    figure = drawn()
    alone = Figure("a", "a", "lower", "mean", False, {GRAY: figure.values[GRAY]})
    assert differences([alone], seed=0) == []
    assert compared.markdown(Table("all images", 12, list(alone.values), [alone], {}, [])) == ""


def test_verdicts_need_a_sure_difference() -> None:
    each = Difference("a", "between methods", LIME, GRAY, 0.1, 0.0, 0.2, 0.06, 12, True)
    assert compared.verdict(each) == "undecided"
    assert compared.worded(each) == (
        "a: lime / gray against sp / gray = +0.100 [+0.000…+0.200], p 0.0600, undecided"
    )


def test_holm_is_that_of_the_book() -> None:
    # Holm (1979): .01 * 4, .02 * 3, .03 * 2 (not below the one before), .05 * 1
    assert holm([0.03, 0.01, 0.05, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=50)
def test_corrected_chances_keep_their_order_and_are_never_smaller(chances: list[float]) -> None:
    corrected = holm(chances)
    assert all(after >= before for before, after in zip(chances, corrected, strict=True))
    ranked = [corrected[place] for place in np.argsort(chances, kind="stable")]
    assert ranked == sorted(ranked)
    assert min(corrected) == pytest.approx(min(1.0, min(chances) * len(chances)))


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_exchanging_signs_is_scipys_paired_permutation_test(shift: float) -> None:
    rng = np.random.default_rng(0)
    change = rng.normal(shift, 1, 40)
    options = {"permutation_type": "samples", "n_resamples": 9999, "rng": np.random.default_rng(1)}
    expected = permutation_test(
        (change, np.zeros(40)), lambda a, b: np.mean(a) - np.mean(b), **options
    ).pvalue
    found = exchanged([change], 0)
    assert found == [pytest.approx(float(expected), abs=0.02)]
    assert exchanged([np.ones(7), change, change[:9]], 0)[1] == found[0], "whatever it is compared beside"


def test_what_no_drawn_signs_reach_has_the_least_chance_and_not_none() -> None:
    """The signs as they are count as one draw (Phipson & Smyth 2010)."""
    assert exchanged([np.arange(1.0, 61.0)], 0) == [pytest.approx(1 / 10_000)]


def test_no_change_is_no_difference() -> None:
    assert exchanged([np.zeros(20)], 0) == [1]
    assert exchanged([np.array([0.1, 0.2, -0.3])], 0) == [1], "0 but for the last digit"


@pytest.mark.parametrize("unit", [2.0**-60, 2.0**60])
def test_the_unit_of_a_figure_makes_nothing_surer(unit: float) -> None:
    change = np.random.default_rng(0).normal(0.4, 1, 40).round(1)
    assert exchanged([unit * change, unit * np.ones(9)], 0) == exchanged([change, np.ones(9)], 0)


def test_a_sure_difference_stays_sure_among_many() -> None:
    rng = np.random.default_rng(0)
    changes = [rng.normal(2.0, 1, 40), *rng.normal(0, 1, (900, 40))]
    corrected = holm(exchanged(changes, 0))
    assert corrected[0] < 0.05
    assert min(corrected[1:]) > 0.05


def hits(changed: int, compared: str = "all") -> Figure:
    """Of twelve images the inpainter changes so many hits."""
    gray, other = dict.fromkeys(range(12), 1.0), {n: float(n >= changed) for n in range(12)}
    of_rows = {GRAY: gray, INPAINT: other, LIME: gray, CENTER: gray}
    return Figure("x@None@share", "x", "higher", "share", True, of_rows, compared=compared)


def test_hits_that_all_change_alike_have_no_interval() -> None:
    """The bootstrap of twelve zeros is a point, as if no thirteenth image could be another."""
    (each,) = [each for each in differences([hits(0)], seed=0) if each.row == INPAINT and each.other == GRAY]
    assert (each.value, each.low, each.high, each.p) == (0.0, None, None, 1.0)
    (each,) = [each for each in differences([hits(3)], seed=0) if each.row == INPAINT and each.other == GRAY]
    assert each.low < each.value == -0.25 < each.high


def test_what_means_something_else_for_each_method_is_compared_between_its_fillers_alone() -> None:
    assert {each.family for each in differences([hits(3, "fillers")], seed=0)} == {"between fillers"}
    assert {each.family for each in differences([hits(3)], seed=0)} == set(FAMILIES)


def test_what_is_the_same_for_all_makes_no_other_comparison_less_sure() -> None:
    alone, with_it = (differences(made, seed=0) for made in ([hits(3)], [hits(3), hits(0, "nothing")]))
    assert alone == with_it
