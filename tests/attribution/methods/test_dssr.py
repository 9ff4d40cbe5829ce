"""SSR, SDR, DSSR and DSSR+: planted evidence, two stages, no collapse, and what is refused."""

from dataclasses import replace

import pytest
import torch
from planted import BrightSquare, Linear, flat, square_image
from torch import Tensor

import attribution.optimize.objectives
from attribution import DSSR, SDR, SSR, Against, DSSRPlus, MaskedScore, log_odds
from infill import Gray, Noise, Telea

SQUARE = torch.zeros(40, 48, dtype=torch.bool)
SQUARE[20:28, 30:38] = True
DARK = Gray((0.1, 0.1, 0.1))
METHODS = {
    "ssr": SSR(steps=60),
    "sdr": SDR(steps=60),
    "dssr": DSSR(steps=60),
    "dssr+": DSSRPlus(window=4, pool=3, steps=60),
}

every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def bright(filler=DARK, **settings) -> MaskedScore:
    return MaskedScore(square_image(), 1, BrightSquare(), filler, **settings)


def weighted() -> Linear:
    """Two classes, with weights on the square alone."""
    network = Linear(height=40, width=48, classes=2)
    network.weight.data.zero_()
    network.weight.data[1, :, SQUARE] = 0.01
    network.bias.data = torch.tensor([0.5, 0.0])
    return network


@pytest.mark.parametrize("method", [SSR(steps=60), SDR(steps=60)], ids=["ssr", "sdr"])
def test_the_weights_of_a_linear_classifier_are_found(method):
    score = MaskedScore(square_image(), 1, weighted(), DARK)
    outcome = method.optimize(score)
    assert float(outcome.heatmap[0][SQUARE].min()) > 0.5
    assert float(outcome.heatmap[0][~SQUARE].max()) < 1e-3
    assert torch.equal(outcome.hole[0, 0] > 0, SQUARE)
    assert outcome.reached.all()
    torch.testing.assert_close(outcome.kept, score.clean)
    torch.testing.assert_close(outcome.left, outcome.floor)


@every_method
@pytest.mark.parametrize("filler", [DARK, Noise(), Telea()], ids=["dark", "noise", "telea"])
def test_a_planted_square_is_found(method, filler):
    image = square_image() if not isinstance(filler, Noise) else square_image().clamp(0, 0.95)
    score = MaskedScore(image, 1, lambda some: BrightSquare()(some), filler)
    if isinstance(filler, Noise):  # half as bright as the square: not enough for the class
        score = replace(score, classifier=lambda some: BrightSquare()(some) - torch.tensor([0.0, 2.5]))
    heatmap = method(score)[0]
    assert heatmap[SQUARE].mean() > heatmap[~SQUARE].mean() + 0.2
    assert heatmap.min() >= 0
    assert heatmap.max() <= 1


@pytest.mark.parametrize("name", ["dssr", "dssr+"])
def test_evidence_collapses_neither_to_nothing_nor_to_everything(name):
    outcome = METHODS[name].optimize(bright())
    assert 0.02 < float(outcome.hole.mean()) < 0.1
    assert float(outcome.left) < 0.1 * float(outcome.clean)
    assert float(outcome.kept) > 0.8 * float(outcome.clean)
    removed, kept = outcome.curves["removed"][0], outcome.curves["kept"][0]
    torch.testing.assert_close(kept[:1], outcome.clean)
    assert float(removed[0]) == pytest.approx(float(outcome.floor), abs=1e-4)


@pytest.mark.parametrize("name", ["dssr", "dssr+"])
def test_with_the_terms_of_equation_5_evidence_collapses(name, monkeypatch):
    """As printed, the kept and the removed score are swapped: no evidence at all is the optimum."""

    def printed(score, evidence: Tensor) -> Tensor:
        removed = score(evidence)
        return score(1 - evidence) - removed

    monkeypatch.setattr("attribution.methods.dssr.dssr", printed)
    monkeypatch.setattr(
        "attribution.optimize.objectives.dssr", printed
    )  # what DSSR+ smooths the evidence for
    outcome = METHODS[name].optimize(bright())
    assert float(outcome.heatmap.max()) < 0.05


def test_the_weight_grows_once_enough_is_kept(monkeypatch):
    stages = []

    def two_stage(kept: Tensor, threshold: Tensor, small: float, large: float) -> Tensor:
        weight = attribution.optimize.objectives.two_stage(kept, threshold, small, large)
        stages.append((float(kept), float(threshold), float(weight)))
        return weight

    monkeypatch.setattr("attribution.methods.dssr.two_stage", two_stage)
    outcome = DSSR(penalty=60.0, small=0.5, enough=0.97, steps=40).optimize(bright())
    assert {weight for _, _, weight in stages} == {0.5, 60.0}
    assert all(weight == (60.0 if kept > threshold else 0.5) for kept, threshold, weight in stages)
    assert all(threshold == pytest.approx(0.97 * float(outcome.clean)) for _, threshold, _ in stages)
    torch.testing.assert_close(outcome.curves["kept"][0], torch.tensor([kept for kept, _, _ in stages]))


def test_a_larger_penalty_leaves_less_evidence():
    for method in (SSR(steps=40), SDR(steps=40), DSSR(steps=40)):
        areas = [float(replace(method, penalty=penalty)(bright()).mean()) for penalty in (0.01, 100.0)]
        assert areas[0] > areas[1]


@pytest.mark.parametrize("method", [SSR(steps=15), DSSR(steps=15), DSSRPlus(window=4, pool=3, steps=25)])
def test_evidence_is_paid_for(image, method):
    assert float(method(MaskedScore(image, 1, flat)).max()) < 0.1


@pytest.mark.parametrize(
    ("method", "removed"),
    [
        (SSR(steps=1, start="nothing"), 1),
        (SDR(steps=1), 0),
        (DSSR(steps=1), 1),
        (DSSRPlus(steps=1), 1),
    ],
    ids=["ssr", "sdr", "dssr", "dssr+"],
)
def test_evidence_can_start_where_the_paper_starts_it(image, method, removed):
    """Gu 2020, eq. 2 to 4: with m = 0, 1 and 0, where m is what is kept; in SSR it is the evidence."""
    steps = []
    outcome = method.optimize(MaskedScore(image, 2, Linear()), steps.append)
    assert torch.equal(steps[0].hole, torch.full((1, 1, 24, 32), float(removed)))
    assert outcome.steps.tolist() == [1]


def test_by_default_ssr_starts_with_everything_kept(image):
    steps = []
    SSR(steps=1).optimize(MaskedScore(image, 2, Linear()), steps.append)
    assert float(steps[0].hole.max()) == 0


def test_from_nothing_the_weights_of_a_linear_classifier_are_found_as_well():
    outcome = SSR(steps=60, start="nothing").optimize(MaskedScore(square_image(), 1, weighted(), DARK))
    assert torch.equal(outcome.hole[0, 0] > 0, SQUARE)


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_unknown_start_is_named():
    with pytest.raises(ValueError, match=r"start must be one of .*nothing.*, got 'half'"):
        SSR(start="half")


def test_dssr_plus_shows_averaged_evidence():
    steps = []
    outcome = METHODS["dssr+"].optimize(bright(), steps.append)
    torch.testing.assert_close(steps[-1].hole[0], outcome.heatmap, rtol=0, atol=0.1)
    for dim in (1, 2):
        assert outcome.heatmap.diff(dim=dim).abs().max() < 0.25 + 1e-6, "a row of four moves by one"
    rough = DSSRPlus(window=1, pool=1, steps=20)(bright())
    assert rough.diff(dim=1).abs().max() > 0.5


@every_method
def test_composites_are_counted(method):
    outcome = method.optimize(bright(Telea()))
    calls = len(outcome.curves)
    assert method.composites == 60 * calls
    assert outcome.looks.tolist() == [60 * calls + 3]
    assert outcome.fills.tolist() == [2 + 60 * calls + 3]


@every_method
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"refresh": 0}, "refresh must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"penalty": -1.0}, "penalty must be at least 0, got -1"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(method, change, message):
    with pytest.raises(ValueError, match=message):
        replace(method, **change)


@pytest.mark.parametrize("method", [DSSR, DSSRPlus])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"small": -1.0}, "small must be at least 0, got -1"),
        ({"enough": 0.0}, r"enough must be in \(0, 1\], got 0"),
        ({"enough": 1.1}, r"enough must be in \(0, 1\], got 1\.1"),
    ],
)
def test_bad_stages_are_named(method, change, message):
    with pytest.raises(ValueError, match=message):
        method(**change)


@pytest.mark.parametrize("name", ["window", "pool"])
def test_bad_windows_are_named(image, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        DSSRPlus(**{name: 0})
    with pytest.raises(ValueError, match=f"{name} must be at most the image's 24 px, got 25"):
        DSSRPlus(**{name: 25})(MaskedScore(image, 2, Linear()))


@pytest.mark.parametrize("method", [SSR(steps=40), SDR(steps=40)])
def test_log_odds_are_bounded_as_the_comparison_with_the_only_other_class_is(method):
    score = MaskedScore(square_image(), 1, BrightSquare(), Gray((0.0, 0.0, 0.0)))
    one, other = (method(score.relinked(link, score.sampling.pool)) for link in (log_odds, Against(0)))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-3)
