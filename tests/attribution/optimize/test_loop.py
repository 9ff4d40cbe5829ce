"""What all optimizing methods share: the loop, whoever watches it, and what is refused."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from planted import (
    BLACK,
    Around,
    BrightSquare,
    Counting,
    Linear,
    Network,
    flat,
    likeliest,
    scored,
    square_image,
)
from torch import Generator, Tensor, nn

from attribution import (
    DSSR,
    MP2,
    SDR,
    SSR,
    DSSRPlus,
    Execution,
    ExtremalPerturbation,
    FeatureInversion,
    Fido,
    MaskedScore,
    MeaningfulPerturbation,
    Outcome,
    PertinentNegative,
    PertinentPositive,
    log_odds,
    logit,
)
from attribution.optimize.loop import OptimizingExplainer
from attribution.optimize.problem import in_log_odds
from infill import Gray, Noise

METHODS = {
    "mp": MeaningfulPerturbation(8, steps=3, jitters=2),
    "mp2": MP2(4),
    "mp2, blended": MP2(3, blend=0.3),
    "fido, ssr": Fido("ssr", cells=6, steps=3, samples=3),
    "fido, sdr": Fido("sdr", cells=6, steps=3, samples=3),
    "extremal": ExtremalPerturbation(0.2, "dual", step=4, sigma=8.0, steps=3),
    "ssr": SSR(steps=3),
    "sdr": SDR(steps=3),
    "dssr": DSSR(steps=3),
    "dssr+": DSSRPlus(4, 3, steps=3),
    "gfi-inversion": FeatureInversion(stages="inversion", inversion_steps=3),
    "cem-positive": PertinentPositive(8, confidence=20.0, searches=2, steps=2, lr=0.1),
    "cem-negative": PertinentNegative(8, confidence=20.0, searches=2, steps=2, lr=0.1),
}
CALLS = {
    "mp": 2, "mp2": 1, "mp2, blended": 2, "fido, ssr": 3, "fido, sdr": 3, "extremal": 2,
    "ssr": 1, "sdr": 1, "dssr": 2, "dssr+": 2, "gfi-inversion": 1,
    "cem-positive": 1, "cem-negative": 1,
}  # fmt: skip

every_method = pytest.mark.parametrize("name", METHODS)
every_method_without_layers = pytest.mark.parametrize("name", [n for n in METHODS if "gfi" not in n])
different_methods = pytest.mark.parametrize("name", ["mp", "mp2", "fido, ssr", "extremal", "dssr+"])


@every_method
def test_every_method_can_be_watched_and_tells_its_composites(images, name):
    method, steps = METHODS[name], []
    assert isinstance(method, OptimizingExplainer)
    outcome = method.optimize(scored(images[:2]), steps.append)
    assert isinstance(outcome, Outcome)
    assert torch.equal(outcome.heatmap, method(scored(images[:2])))
    most = method.composites // CALLS[name]
    assert len(steps) == int(outcome.steps.max()) <= most
    assert [step.number for step in steps] == list(range(len(steps)))
    curve = next(iter(outcome.curves.values()))
    for step in steps:
        assert step.index.tolist() == [i for i in range(2) if outcome.steps[i] > step.number]
        assert len(step.hole) == len(step.fill) == len(step.scores) == len(step.index)
        torch.testing.assert_close(step.scores, curve[step.index, step.number])


@every_method_without_layers
@pytest.mark.parametrize("filler", [Noise(), Around()], ids=["noise", "around"])
def test_no_image_depends_on_its_neighbors_or_on_batches(images, name, filler):
    """Step by step: the classifier sees one image after another, so that its rounding is the same."""
    network = Network().eval()
    score = scored(images[:2], filler)
    score = replace(score, classifier=lambda some: torch.cat([network(one[None]) for one in some]))
    together = METHODS[name].optimize(score)
    assert_alike(METHODS[name].optimize(score[1]), together, slice(1, 2))
    for batch_size in (2, 5):
        assert_alike(
            METHODS[name].optimize(score.with_execution(batch_size=batch_size)), together, slice(None)
        )


def assert_alike(some: Outcome, all_: Outcome, rows: slice) -> None:
    for name in ("steps", "looks", "fills", "hole"):
        assert torch.equal(getattr(some, name), getattr(all_, name)[rows]), name
    for name in ("heatmap", "counterfactual", "left", "kept", "floor", "clean", "chance"):
        torch.testing.assert_close(getattr(some, name), getattr(all_, name)[rows], rtol=0, atol=1e-5)
    for name, curve in some.curves.items():
        expected = all_.curves[name][rows, : curve.shape[1]]
        torch.testing.assert_close(curve, expected, rtol=0, atol=1e-5, equal_nan=True)


@every_method
def test_modes_of_the_caller_do_not_matter(image, name):
    expected = METHODS[name](scored(image))
    for mode in (torch.inference_mode(), torch.no_grad()):
        with mode:
            score = scored(image)
            assert torch.equal(METHODS[name](score), expected)
            assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


@dataclass(eq=False)
class Trained:
    """A filler with a weight of its own, which must not learn anything."""

    per_hole: bool
    sees_hidden: bool = False
    stochastic: bool = False

    def __post_init__(self):
        self.color = nn.Parameter(torch.full((1, 3, 1, 1), 0.1))
        self.grad_modes = []

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        self.grad_modes.append(torch.is_grad_enabled())
        fill = self.color * (1 + 0.1 * hole) if self.per_hole else self.color
        return fill.expand(len(hole), 3, *image.shape[2:])


@different_methods
@pytest.mark.parametrize("per_hole", [True, False])
def test_gradients_reach_the_hole_through_the_composite_only(image, name, per_hole):
    filler, network = Trained(per_hole), Network().train()
    outcome = METHODS[name].optimize(scored(image, filler, network))
    assert filler.grad_modes
    assert not any(filler.grad_modes)
    assert filler.color.grad is None
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
    assert all(module.training for module in network.modules())
    assert not any(value.requires_grad for value in (outcome.heatmap, outcome.left, outcome.counterfactual))


@different_methods
def test_an_interruption_goes_through_and_leaves_the_model_intact(image, name):
    network, reports = Network().train(), []

    def watch(step):
        reports.append(step.number)
        raise KeyboardInterrupt

    state = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        with pytest.raises(KeyboardInterrupt):
            METHODS[name].optimize(scored(image, network=network), watch)
        assert not torch.is_grad_enabled()
    assert reports == [0]
    assert all(module.training for module in network.modules())
    assert all(weight.grad is None and weight.requires_grad for weight in network.parameters())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


@different_methods
@pytest.mark.parametrize("batch_size", [1, 64])
def test_progress_grows_to_all_composites(images, name, batch_size):
    reports = []
    score = scored(
        images,
        execution=Execution(
            batch_size=batch_size, progress=lambda done, total: reports.append((done, total))
        ),
    )
    METHODS[name].optimize(score)
    assert {total for _, total in reports} == {3 * METHODS[name].composites}
    assert reports == sorted(reports)
    assert reports[-1][0] == reports[-1][1]


def test_groups_are_as_large_as_the_batch_allows(images):
    groups, sizes, network = [], [], Network().eval()

    def classifier(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return network(some)

    score = replace(scored(images, execution=Execution(batch_size=7)), classifier=classifier)
    METHODS["fido, ssr"].optimize(score, lambda step: groups.append(step.index.tolist()))
    assert groups == 3 * [[0, 1]] + 3 * [[2]]
    assert max(sizes) == 6
    groups.clear()
    METHODS["fido, ssr"].optimize(
        score.with_execution(batch_size=2), lambda step: groups.append(step.index.tolist())
    )
    assert groups == 3 * [[0]] + 3 * [[1]] + 3 * [[2]]
    assert max(sizes[-5:]) == 2


@different_methods
def test_a_filler_that_keeps_the_class_is_told_of(name):
    """With a fill as bright as the square nothing takes the class away."""
    image = square_image()
    score = MaskedScore(image, 1, BrightSquare(), Gray((1.0, 1.0, 1.0)))
    outcome = METHODS[name].optimize(score)
    assert not outcome.reached.any()
    assert not outcome.removable.any()
    assert float(outcome.floor) > float(outcome.chance)
    if isinstance(METHODS[name], MP2):
        assert outcome.hole.all()


def test_log_odds_stand_in_for_a_probability_alone(image):
    score = scored(image)
    odds, back = in_log_odds(score)
    assert odds.link is log_odds
    torch.testing.assert_close(back(odds.clean), score.clean)
    same, back = in_log_odds(replace(score, link=logit))
    assert same.link is logit
    assert torch.equal(back(same.clean), same.clean)


@every_method
def test_a_target_at_chance_is_refused_before_any_step(images, name):
    steps, filler = [], Counting()
    unlikely = [int(i) for i in Network().eval()(images).argmin(dim=1)]
    with pytest.raises(ValueError, match=r"target must be a class above chance \(0\.2\), got .* of image 0"):
        METHODS[name].optimize(MaskedScore(images, unlikely, Network(), filler), steps.append)
    one_wrong = [*likeliest(Network(), images[:2]), unlikely[2]]
    with pytest.raises(ValueError, match=r"target must be a class above chance .* of image 2"):
        METHODS[name].optimize(MaskedScore(images, one_wrong, Network(), filler), steps.append)
    assert steps == []
    assert filler.asked == 0


@different_methods
@pytest.mark.parametrize("per_hole", [True, False])
def test_a_filler_that_returns_nan_is_named(image, name, per_hole):
    filler = Counting(lambda image, hole, _: torch.full_like(image, math.nan).expand(len(hole), -1, -1, -1))
    filler.per_hole = per_hole
    with pytest.raises(ValueError, match=r"fill of .* must be finite"):
        METHODS[name].optimize(scored(image, filler))


@different_methods
@pytest.mark.parametrize("per_hole", [True, False])
def test_a_filler_of_the_wrong_shape_is_named(image, name, per_hole):
    filler = Counting(lambda image, hole, _: image.new_zeros(len(hole), 3, 5, 5))
    filler.per_hole = per_hole
    with pytest.raises(ValueError, match="filler must be one whose fill is of shape"):
        METHODS[name].optimize(scored(image, filler))


def test_a_filler_may_fill_all_holes_alike(image):
    """One fill for all holes of a call, though it says that it depends on them."""
    filler = Counting(lambda image, hole, _: image.new_zeros(1, *image.shape[1:]))
    outcome = METHODS["fido, sdr"].optimize(scored(image, filler, execution=Execution(batch_size=2)))
    expected = METHODS["fido, sdr"].optimize(scored(image, BLACK))
    torch.testing.assert_close(outcome.heatmap, expected.heatmap, rtol=0, atol=1e-5)


@every_method_without_layers
def test_a_classifier_without_a_slope_leaves_the_penalties_alone(image, name):
    """Its score never falls: nothing is reached, and no map is anything but finite."""
    outcome = METHODS[name].optimize(MaskedScore(image, 1, flat, Around()))
    assert outcome.heatmap.isfinite().all()
    assert not outcome.reached.any()


def test_one_class_that_is_seen_by_its_own_logit(image):
    """A logit has its chance at 0."""
    network = Linear()
    network.bias.data[2] += 5
    outcome = MP2(5).optimize(MaskedScore(image, 2, network, BLACK, link=logit))
    assert torch.equal(outcome.chance, torch.zeros(1))
    torch.testing.assert_close(outcome.curves["removed"][:, 0], network(image)[:, 2].detach())
