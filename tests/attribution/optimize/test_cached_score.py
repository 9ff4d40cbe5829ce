"""The score as optimizing methods call it, and their results: fills that last, the outlook, outcomes."""

from dataclasses import dataclass, replace

import pytest
import torch
from planted import BLACK, Around, BrightSquare, Counting, Network, likeliest, scored, square_image
from torch import Generator, Tensor

from attribution import (
    DSSR,
    MP2,
    SDR,
    SSR,
    DSSRPlus,
    ExtremalPerturbation,
    Fido,
    MaskedScore,
    MeaningfulPerturbation,
    Sampling,
    probability,
    sigmoid,
)
from attribution.baseline import chessboard
from attribution.optimize.cached_score import CachedScore
from attribution.optimize.problem import in_log_odds
from attribution.optimize.result import joined
from infill import Blur, Gray, Mean, Noise, Telea, composite

FIDO = Fido(cells=4, steps=3, samples=2)


@pytest.mark.parametrize(
    ("method", "calls", "refresh", "fresh", "samples"),
    [
        (SSR(steps=4), 1, 1, 4, 1),
        (SSR(steps=4), 1, 2, 2, 1),
        (SSR(steps=4), 1, 3, 2, 3),
        (SSR(steps=4), 1, 9, 1, 1),
        (DSSR(steps=4), 2, 1, 4, 2),
        (DSSR(steps=4), 2, 2, 2, 2),
        (MeaningfulPerturbation(8, steps=4, jitters=2), 2, 3, 2, 3),
        (ExtremalPerturbation(0.2, "dual", step=4, sigma=8.0, steps=4), 2, 4, 1, 1),
    ],
)
def test_fills_last_until_they_are_made_anew(images, method, calls, refresh, fresh, samples):
    filler = Counting(stochastic=True)
    outcome = replace(method, refresh=refresh).optimize(
        scored(images[:2], filler, sampling=Sampling(samples=samples))
    )
    # Two for the outlook, and in the end the hole's own, all but the hole, and everything.
    each = 2 + fresh * calls * samples + 3 * samples
    assert outcome.fills.tolist() == [each, each]
    assert filler.asked == 2 * each
    assert outcome.looks.tolist() == 2 * [(4 * calls + 3) * samples]


@dataclass(frozen=True)
class Threshold:
    """Fills small holes with light and large ones with darkness: what an old fill tells is too good."""

    enough: float = 0.1
    per_hole: bool = True
    sees_hidden: bool = False
    stochastic: bool = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        large = hole.mean(dim=(1, 2, 3), keepdim=True) >= self.enough
        return torch.where(large, 0.0, 0.9).expand(-1, *image.shape[1:])


@pytest.mark.parametrize("refresh", [1, 2, 3, 50])
def test_no_image_is_done_before_a_new_fill_was_looked_at(refresh):
    images = torch.cat([square_image(), square_image(top=4, left=4)])
    score = MaskedScore(images, 1, BrightSquare(), Threshold())
    outcome = MP2(10, 4, refresh=refresh).optimize(score)
    assert outcome.reached.all()
    assert (outcome.left <= outcome.chance).all()
    assert (outcome.hole.mean(dim=(1, 2, 3)) >= 0.1).all()
    for curve, steps, left in zip(outcome.curves["removed"], outcome.steps, outcome.left, strict=True):
        assert bool((curve[: steps - 1] <= 0.5).any()) == (refresh > 1), "old fills must have been misleading"
        torch.testing.assert_close(curve[steps - 1], left)


@pytest.mark.parametrize("refresh", [2, 5])
def test_old_fills_never_let_an_image_go_that_would_never_be_done(refresh):
    score = MaskedScore(square_image(), 1, BrightSquare(), Threshold(enough=2.0))
    outcome = MP2(5, 1, refresh=refresh).optimize(score)
    assert not outcome.reached.any()
    assert not outcome.removable.any()
    assert outcome.hole.all()


@pytest.mark.parametrize(
    "method",
    [MP2(10), MeaningfulPerturbation(10, steps=20), SDR(steps=20), DSSR(steps=20)],
    ids=["mp2", "mp", "sdr", "dssr"],
)
def test_a_filler_that_repeats_the_image_outside_of_the_hole_is_no_dead_end(method):
    score = MaskedScore(square_image(), 1, BrightSquare(), Telea())
    nothing = torch.zeros(1, 1, 40, 48)
    assert torch.equal(Telea()(score.image, nothing).round(decimals=2), score.image.round(decimals=2))
    outcome = method.optimize(score)
    assert outcome.reached.all()
    assert float(outcome.hole[..., 20:28, 30:38].mean()) > 2 * float(outcome.hole.mean())


def test_the_outlook_is_what_the_filler_puts_into_a_chessboard(images):
    filler = Counting()
    cached_score = CachedScore(scored(images, filler))
    board = chessboard(24, 32)
    assert torch.equal(torch.stack(filler.holes[:3])[:, 0] > 0, board.expand(3, -1, -1))
    assert torch.equal(torch.stack(filler.holes[3:])[:, 0] > 0, ~board.expand(3, -1, -1))
    cached_score.begin(torch.arange(3))
    hole = torch.zeros(3, 1, 24, 32)
    hole[:, :, 4:9, 5:20] = 1
    cached_score(hole)
    fill = cached_score.calls[0].fill
    own, preview = Around()(images, hole), []
    for square in (board, ~board):
        preview.append(Around()(images, square.float().expand(3, 1, -1, -1)))
    expected = torch.where(hole > 0, own, torch.where(board, preview[0], preview[1]))
    torch.testing.assert_close(fill, expected)
    assert torch.equal(composite(images, hole, fill), composite(images, hole, own)), "nobody sees it"
    assert cached_score.fills.tolist() == [3, 3, 3]
    assert cached_score.composites.tolist() == [1, 1, 1]


def test_without_an_outlook_the_fill_is_the_fillers_own(images):
    filler = Counting()
    cached_score = CachedScore(scored(images, filler), outlook="none")
    assert filler.asked == 0
    cached_score.begin(torch.arange(3))
    hole = torch.zeros(3, 1, 24, 32)
    hole[:, :, 4:9, 5:20] = 1
    cached_score(hole)
    torch.testing.assert_close(cached_score.calls[0].fill, Around()(images, hole))
    assert cached_score.fills.tolist() == [1, 1, 1]
    assert cached_score.outlooks.tolist() == [0, 0, 0]


SEARCHES = [
    MP2(4, added=16),
    MeaningfulPerturbation(4, steps=1, jitter=0),
    Fido(cells=4, steps=1, samples=1),
    ExtremalPerturbation(0.2, step=8, sigma=8.0, steps=1),
    SSR(steps=1),
    SDR(steps=1),
    DSSR(steps=1),
    DSSRPlus(4, 3, steps=1),
]
every_method = pytest.mark.parametrize("method", SEARCHES, ids=lambda method: type(method).__name__)


@every_method
def test_every_method_can_do_without_an_outlook(images, method):
    filler = Counting()
    score = scored(images[:1], filler)
    with_board = method.optimize(score)
    without = replace(method, outlook="none").optimize(score)
    assert with_board.outlooks.tolist() == [2]
    assert without.outlooks.tolist() == [0]
    assert (with_board.fills - without.fills).tolist() == [2]
    assert method.optimize(replace(score, filler=Gray())).outlooks.tolist() == [0]


@every_method
@pytest.mark.usefixtures("unchecked_shapes")
def test_an_unknown_outlook_is_named(method):
    with pytest.raises(ValueError, match=r"outlook must be one of .*chessboard.*, got 'far'"):
        replace(method, outlook="far")


@pytest.mark.parametrize(("height", "width"), [(24, 32), (7, 9), (3, 2)])
def test_the_chessboard_has_blocks_of_both_colors(height, width):
    board = chessboard(height, width)
    assert board[0, 0]
    assert 0.3 < float(board.float().mean()) < 0.7
    if height > 4:
        assert float((board[1:] != board[:-1]).float().mean()) == pytest.approx(3 / (height - 1))


def test_soft_holes_are_binary_to_the_filler_at_its_own_threshold(images):
    for threshold in (0.5, 0.2):
        filler = Counting(Telea(threshold=threshold))
        filler.threshold = threshold
        cached_score = CachedScore(scored(images[:1], filler))
        cached_score.begin(torch.arange(1))
        hole = torch.linspace(0, 1, 32).expand(1, 1, 24, 32)
        scores = cached_score(hole.clone().requires_grad_())
        assert torch.equal(filler.holes[-1], (hole[0] >= threshold).float())
        assert torch.autograd.grad(scores.sum(), scores, allow_unused=True)
        torch.testing.assert_close(scores.detach(), cached_score.score(hole, fill=cached_score.calls[0].fill))


def test_age_and_expiry_decide_when_fills_are_due(images):
    cached_score = CachedScore(scored(images, Around()), refresh=3)
    due = []
    for number in range(6):
        cached_score.begin(torch.arange(3))
        due.append(cached_score.due.tolist())
        if number == 1:
            cached_score.expire(torch.tensor([1]))
    assert [row[0] for row in due] == [True, False, False, True, False, False]
    assert [row[1] for row in due] == [True, False, True, False, False, True]
    cached_score.begin(torch.tensor([2]))
    assert cached_score.due.tolist() == [True]
    always = CachedScore(scored(images), refresh=3)
    always.begin(torch.arange(3))
    always.begin(torch.arange(3))
    assert always.due.all(), "what does not depend on the hole is never old"


def test_an_image_of_noise_is_shown_what_it_is_told_of(images):
    """Picture, hole and score of the result belong together, draw for draw."""
    score = scored(images, Noise(), sampling=Sampling(seed=5))
    outcome = MP2(4).optimize(score)
    assert outcome.hole.mean() > 0
    observed = (outcome.hole == 0).expand_as(images)
    assert torch.equal(outcome.counterfactual[observed], images[observed])
    network = Network().eval().requires_grad_(False)
    expected = network(outcome.counterfactual).softmax(1).gather(1, score.target[:, None])[:, 0]
    torch.testing.assert_close(outcome.left, expected, rtol=0, atol=1e-5)
    assert torch.equal(outcome.left_error, torch.zeros(3))
    several = MP2(4).optimize(score.with_sampling(samples=4))
    assert (several.left_error > 0).all()
    assert several.counterfactual.shape == images.shape


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("samples", [1, 6])
@pytest.mark.parametrize("link", [probability, sigmoid])
def test_steps_are_told_the_mean_probability_of_all_that_they_look_at(images, each, samples, link):
    score = scored(images, Noise("color"), link=link, sampling=Sampling(samples=samples))
    followed, inverse_link = in_log_odds(score)
    cached_score = CachedScore(followed, inverse_link=inverse_link)
    holes = torch.rand(3 * each, 1, 24, 32, generator=torch.Generator().manual_seed(0)).round()
    odds, rows = cached_score(holes), torch.arange(3).repeat_interleave(each)
    expected = score(holes, rows, fill=cached_score.calls[0].fill)
    torch.testing.assert_close(inverse_link(odds), expected, rtol=1e-4, atol=1e-6)
    means = cached_score.calls[0].scores
    torch.testing.assert_close(means, expected.view(3, each).mean(dim=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [MP2(4), FIDO, ExtremalPerturbation(0.2, step=4, sigma=8.0, steps=2)])
def test_links_of_ones_own_are_followed(image, method):
    @dataclass
    class Link:  # not hashable
        def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
            return probability(logits, target)

    score = scored(image, link=Link())
    assert torch.isfinite(method.optimize(score).heatmap).all()


@pytest.mark.parametrize("method", [MP2(4), FIDO, MeaningfulPerturbation(8, steps=2)])
def test_what_a_filler_knows_of_an_images_own_pixels_is_not_asked_of_others(images, method):
    """Segments are of the image's size, and one map for each image: neither jitter nor batches may matter."""
    segments = torch.stack([torch.arange(32).expand(24, -1) // width for width in (3, 5, 8)])
    score = scored(images, Mean("segment", segments=segments))
    together = method.optimize(score)
    alone = method.optimize(score.with_execution(batch_size=1))
    torch.testing.assert_close(alone.heatmap, together.heatmap, rtol=0, atol=1e-4)


def test_what_is_kept_and_what_is_left_of_nothing(image):
    score = scored(image, Blur(2.0))
    outcome = MP2(5).optimize(score)
    assert torch.equal(outcome.clean, score.clean)
    assert torch.equal(outcome.chance, torch.full((1,), 0.2))
    torch.testing.assert_close(outcome.kept, score(1 - outcome.hole))
    torch.testing.assert_close(outcome.left, score(outcome.hole))
    torch.testing.assert_close(outcome.floor, score(torch.ones(1, 1, 24, 32)))


@pytest.mark.parametrize(("left", "floor"), [(0.4, 0.6), (0.5, 0.5), (0.6, 0.4)])
def test_chance_is_reached_or_not(image, left, floor):
    outcome = MP2(5).optimize(scored(image))
    outcome = replace(
        outcome, left=torch.tensor([left]), floor=torch.tensor([floor]), chance=torch.tensor([0.5])
    )
    assert outcome.reached.tolist() == [left <= 0.5]
    assert outcome.removable.tolist() == [floor <= 0.5]


def test_outcomes_are_put_together_with_curves_of_one_length(images):
    score = MaskedScore(images[:1], likeliest(Network(), images[:1]), Network(), BLACK)
    short, long = SSR(steps=2).optimize(score), SSR(steps=5).optimize(score)
    both = joined([short, long, short])
    assert joined([short]) is short
    assert both.curves["kept"].shape == (3, 5)
    assert torch.equal(both.curves["kept"][1], long.curves["kept"][0])
    for row in (0, 2):
        assert torch.equal(both.curves["kept"][row, :2], short.curves["kept"][0])
        assert both.curves["kept"][row, 2:].isnan().all()
    assert both.steps.tolist() == [2, 5, 2]
    assert both.heatmap.shape == (3, 24, 32)
