"""Prediction difference analysis: its formula pixel by pixel, the correction at certainty, and its spread."""

import math
from dataclasses import replace

import pytest
import torch
from planted import BrightSquare, Network, square_image
from torch import Tensor

from attribution import Execution, MaskedScore, PredictionDifference, Sampling, log_odds, logit, sigmoid
from infill import Biharmonic, Gray, Marginal, Noise

COLOR = (0.2, 0.5, 0.7)


def weight_of_evidence(before: float, after: float, instances: int, classes: int) -> float:
    """As in the paper: odds of corrected probabilities."""
    odds = []
    for p in (before, after):
        corrected = (p * instances + 1) / (instances + classes)
        odds.append(corrected / (1 - corrected))
    return math.log2(odds[0]) - math.log2(odds[1])


def plainly(image: Tensor, chances, patch: int, stride: int, instances: int, classes: int) -> Tensor:
    """The heatmap of one image filled with ``COLOR``, window by window; the far edges cut windows off."""
    height, width = image.shape[2:]
    total, cover = torch.zeros(height, width, dtype=torch.float64), torch.zeros(height, width)
    before = float(chances(image.double()))
    for top in range(0, height - patch + stride, stride):
        for left in range(0, width - patch + stride, stride):
            window = slice(top, top + patch), slice(left, left + patch)
            removed = image.double().clone()
            for channel in range(3):
                removed[0, channel][window] = COLOR[channel]
            value = weight_of_evidence(before, float(chances(removed)), instances, classes)
            total[window] += value
            cover[window] += 1
    return total / cover


@pytest.mark.parametrize(("patch", "stride"), [(10, 4), (7, 7), (9, 5), (24, 1), (6, 3)])
def test_the_heatmap_is_the_formula_window_by_window(image, patch, stride):
    network = Network().requires_grad_(False).eval().double()
    expected = plainly(image, lambda some: network(some).softmax(1)[0, 2], patch, stride, 1000, 5)
    explainer = PredictionDifference(patch, stride, instances=1000)
    heatmap = explainer(MaskedScore(image, 2, Network(), Gray(COLOR)))
    torch.testing.assert_close(heatmap[0].double(), expected, rtol=0, atol=1e-5)


def test_labels_of_their_own_have_the_formula_too(image):
    network = Network().requires_grad_(False).eval().double()
    # Each is there or not, which makes two classes of the five; of few images the correction is felt.
    expected = plainly(image, lambda some: network(some)[0, 2].sigmoid(), 8, 4, 100, 2)
    score = MaskedScore(image, 2, Network(), Gray(COLOR), link=sigmoid)
    heatmap = PredictionDifference(8, 4, instances=100)(score)
    torch.testing.assert_close(heatmap[0].double(), expected, rtol=0, atol=1e-5)


def test_some_grid_must_stick_out_in_these_tests():
    assert (24 - 10) % 4 != 0
    assert (32 - 9) % 5 != 0


def test_several_fills_are_averaged_before_the_logarithm(image):
    """Not the weights of evidence are averaged but the probabilities."""
    score = MaskedScore(image, 2, Network(), Noise())
    explainer = PredictionDifference(24, 24, samples=6)
    after = score(explainer.holes(score)[:].repeat(6, 1, 1, 1)).view(6, 2).T  # one pass after another
    heatmap, spread = explainer.evidence(score)
    for chances, column in zip(after, (3, 30), strict=True):
        expected = weight_of_evidence(float(score.clean), float(chances.mean()), 1_281_167, 5)
        assert float(heatmap[0, 5, column]) == pytest.approx(expected, abs=1e-4)
        assert float(spread[0, 5, column]) == pytest.approx(float(chances.std()) / 6**0.5, abs=1e-6)
    assert torch.equal(explainer(score), heatmap)


def test_spread_is_what_chance_leaves(images):
    explainer = PredictionDifference(9, 5, samples=12)
    for filler in (Gray(), Biharmonic(side=8)):
        assert not explainer.evidence(MaskedScore(images, 0, Network(), filler))[1].any()
    noise = MaskedScore(images, 0, Network(), Noise())
    heatmap, spread = explainer.evidence(noise)
    assert heatmap.shape == spread.shape == (3, 24, 32)
    assert spread.min() > 0
    assert spread.max() < 0.5
    assert not replace(explainer, samples=1).evidence(noise)[1].any()
    many = replace(explainer, samples=108).evidence(noise)[1]
    assert many.mean() == pytest.approx(float(spread.mean()) / 3, rel=0.1)


def test_the_error_is_that_of_passes_left_out(image):
    score, explainer = MaskedScore(image, 2, Network(), Noise()), PredictionDifference(24, 24, samples=6)
    after = score(explainer.holes(score)[:].repeat(6, 1, 1, 1)).view(6, 2)
    found = explainer.estimate(score)
    assert torch.equal(found.heatmap, explainer(score))
    for patch, column in enumerate((3, 30)):
        left_out = torch.tensor(
            [
                weight_of_evidence(float(score.clean), float(after[rows, patch].mean()), 1_281_167, 5)
                for rows in (torch.arange(6) != k for k in range(6))
            ]
        )
        expected = (5 * left_out.var(correction=0)).sqrt()
        assert float(found.error[0, 5, column]) == pytest.approx(float(expected), rel=1e-3)
    assert int(found.samples) == 12


def test_passes_end_when_the_map_is_reliable():
    score = MaskedScore(square_image(top=20, left=30), 1, BrightSquare(), Marginal())
    explainer = PredictionDifference(patch=10, stride=5, samples=40, until=0.9)
    few, windows = explainer.estimate(score), len(explainer.holes(score))
    passes = int(few.samples) // windows
    assert passes * windows == int(few.samples)
    assert 2 <= passes < 40
    assert float(few.reliability) >= 0.9
    exact = replace(explainer, until=None, samples=passes)
    for other in (exact, replace(exact, samples=passes)):
        assert torch.equal(other.estimate(score).heatmap, few.heatmap)
    small = score.with_execution(batch_size=7)
    torch.testing.assert_close(explainer.estimate(small).heatmap, few.heatmap)


def test_after_every_second_pass_it_is_asked_whether_the_map_is_reliable(monkeypatch):
    asked = []

    def never(explainer, one, holes, passes):
        asked.append(len(passes))
        return 0.0

    monkeypatch.setattr(PredictionDifference, "_reliability", never)
    score = MaskedScore(square_image(), 1, BrightSquare(), Noise())
    PredictionDifference(patch=10, stride=10, samples=6, until=0.9).estimate(score)
    assert asked == [2, 4, 6]  # the last time for the estimate itself


def test_without_chance_there_is_no_error_and_of_one_fill_nothing_is_known(image):
    explainer = PredictionDifference(12, 12, samples=1, until=0.9)
    certain = explainer.estimate(MaskedScore(image, 2, Network(), Gray()))
    assert float(certain.reliability) == 1
    assert not certain.error.any()
    assert torch.equal(certain.told, certain.heatmap != 0)
    unknown = explainer.estimate(MaskedScore(image, 2, Network(), Noise()))
    assert float(unknown.reliability) == 0
    assert unknown.error.isinf().all()
    assert not unknown.told.any()


@pytest.mark.parametrize(("classes", "instances"), [(2, 1_281_167), (1000, 1_281_167), (2, 50)])
def test_certainty_has_finite_evidence(classes, instances):
    """From p = 1 to p = 0 the odds go from (N + 1) / (K - 1) to 1 / (N + K - 1)."""

    def classifier(some: Tensor) -> Tensor:
        logits = torch.zeros(len(some), classes)
        logits[:, 1] = torch.where(some.amin(dim=(1, 2, 3)) > 0.5, 1e4, -1e4)
        return logits

    image = torch.ones(1, 3, 20, 20)
    explainer = PredictionDifference(10, 10, samples=2, instances=instances)
    heatmap = explainer(MaskedScore(image, 1, classifier, Gray((0.0, 0.0, 0.0))))
    most = math.log2((instances + 1) / (classes - 1)) + math.log2(instances + classes - 1)
    torch.testing.assert_close(heatmap, torch.full((1, 20, 20), most), rtol=1e-5, atol=0)


def test_a_single_logit_tells_two_classes_apart():
    def classifier(some: Tensor) -> Tensor:
        return 1e4 * (some.amin(dim=(1, 2, 3)) - 0.5)[:, None]

    score = MaskedScore(torch.ones(1, 3, 20, 20), 0, classifier, Gray((0.0, 0.0, 0.0)), link=sigmoid)
    heatmap = PredictionDifference(10, 10)(score)
    torch.testing.assert_close(heatmap, torch.full((1, 20, 20), 2 * math.log2(1_281_168)), rtol=1e-5, atol=0)


def test_samples_of_the_surroundings_find_a_planted_square():
    image = square_image(top=20, left=30)
    score = MaskedScore(image, 1, BrightSquare(), Marginal())
    heatmap, spread = PredictionDifference(patch=10, stride=3, samples=4).evidence(score)
    top, left = divmod(int(heatmap[0].argmax()), 48)
    assert 20 <= top < 28
    assert 30 <= left < 38
    assert heatmap[0, 20:28, 30:38].mean() > 10 * heatmap[0, :, :20].abs().mean()
    assert spread[0, 20:28, 30:38].mean() > 10 * spread[0, :, :15].mean()


def test_a_score_with_samples_of_its_own_has_them(image):
    score = MaskedScore(image, 0, Network(), Noise(), sampling=Sampling(samples=5))
    expected = PredictionDifference(12, 12, samples=3)(score)
    assert torch.equal(expected, PredictionDifference(12, 12, samples=5)(score.with_sampling(samples=1)))
    assert not torch.equal(expected, PredictionDifference(12, 12, samples=3)(score.with_sampling(samples=1)))


@pytest.mark.parametrize("link", [logit, log_odds])
def test_only_probabilities_have_odds(image, link):
    with pytest.raises(
        ValueError, match=rf"link must be probability, sigmoid or Against, got '{link.__name__}'"
    ):
        PredictionDifference()(MaskedScore(image, 0, Network(), link=link))


def test_fills_that_do_not_depend_on_the_hole_are_classified_once(image):
    network, sizes = Network().eval(), []

    def classifier(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return network(some)

    explainer = PredictionDifference(9, 5, samples=7)
    windows = len(explainer.holes(MaskedScore(image, 0, network)))
    for filler, times in ((Gray(), 1), (Noise(), 7)):
        sizes.clear()
        score = MaskedScore(image, 0, classifier, filler, execution=Execution(batch_size=16))
        explainer(score)
        assert windows * times <= sum(sizes) <= windows * times + 6  # the image itself, too
        assert max(sizes) <= 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 0}, "patch must be at least 1, got 0"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"instances": 0}, "instances must be at least 1, got 0"),
        ({"patch": 5, "stride": 6}, r"stride must be at most the patch \(5\), got 6"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PredictionDifference(**change)


def test_a_patch_larger_than_the_image_names_both(image):
    with pytest.raises(ValueError, match="patch must be 1 to 24 in a 24 x 32 image, got 29"):
        PredictionDifference(29)(MaskedScore(image, 0, Network()))
