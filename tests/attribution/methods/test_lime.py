"""LIME: the numbers of scikit-learn and of the lime package, closed forms, segmentations."""

import lime.lime_base
import lime.lime_image
import numpy as np
import pytest
import scipy.stats
import sklearn.linear_model
import torch
from planted import Linear, Network, flat
from skimage.segmentation import slic

from attribution import Execution, Lime, MaskedScore, Sampling, logit
from attribution.estimate import ROUND
from attribution.holes import SegmentHoles
from attribution.methods.lime import cosine_distance, lasso_choice, ridge
from infill import Gray, Mean, Noise

COLOR = (0.2, 0.5, 0.7)
BLOCKS = torch.arange(12).reshape(3, 4).repeat_interleave(8, 0).repeat_interleave(8, 1)


@pytest.mark.parametrize("alpha", [0.01, 1.0, 30.0])
def test_ridge_equals_scikit_learn(alpha):
    generator = torch.Generator().manual_seed(0)
    on = (torch.rand(200, 15, generator=generator) < 0.5).double()
    outputs, weights = torch.rand(2, 200, generator=generator).double()
    model = sklearn.linear_model.Ridge(alpha=alpha, fit_intercept=True)
    model.fit(on.numpy(), outputs.numpy(), sample_weight=weights.numpy())
    np.testing.assert_allclose(ridge(on, outputs, weights, alpha).numpy(), model.coef_, rtol=1e-8, atol=1e-10)


def test_cosine_distance_equals_scikit_learn():
    on = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) < 0.3
    on[0], on[1] = True, False
    expected = sklearn.metrics.pairwise_distances(
        on.double().numpy(), on[:1].double().numpy(), metric="cosine"
    )
    np.testing.assert_allclose(cosine_distance(on).numpy(), expected.ravel(), atol=1e-12)


class Remembering(lime.lime_image.LimeImageExplainer):
    """The package's explainer, made to tell which samples it drew."""

    def data_labels(self, *args, **kwargs):
        data, labels = super().data_labels(*args, **kwargs)
        self.drawn = data
        return data, labels


@pytest.mark.parametrize("filler", ["gray", "mean"])
def test_coefficients_equal_the_lime_package(image, filler, capsys):
    network, target = Network(seed=3).eval(), 2

    def predict(arrays: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(arrays).permute(0, 3, 1, 2).float()).softmax(1).numpy()

    package = Remembering(random_state=np.random.RandomState(0))
    explained = package.explain_instance(
        image[0].permute(1, 2, 0).double().numpy(),
        predict,
        labels=(target,),
        top_labels=None,
        hide_color=COLOR if filler == "gray" else None,
        num_samples=300,
        segmentation_fn=lambda pixels: BLOCKS.numpy(),
        random_seed=0,
    )
    capsys.readouterr()
    expected = np.array([weight for _, weight in sorted(explained.local_exp[target])])
    score = MaskedScore(image, target, network, Gray(COLOR) if filler == "gray" else Mean("segment", BLOCKS))
    ours = Lime().coefficients(score, SegmentHoles(BLOCKS, torch.from_numpy(package.drawn == 1))).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-7)
    assert scipy.stats.spearmanr(ours, expected).statistic >= 0.99
    assert np.abs(expected).max() > 1e-4, "there must be something to agree on"


@pytest.mark.parametrize("features", [1, 3, 7, 40])
def test_the_lassos_path_chooses_as_the_lime_package_does(features):
    """Correlated inputs, so that the path drops some again; the package's own selection is the oracle."""
    generator = torch.Generator().manual_seed(features)
    on = torch.rand(150, 12, generator=generator) < 0.5
    on[:, 6:] = on[:, :6] ^ (torch.rand(150, 6, generator=generator) < 0.2)
    outputs = on.double() @ torch.randn(12, generator=generator).double()
    outputs += 0.5 * torch.randn(150, generator=generator).double()
    weights = torch.rand(150, generator=generator).double()
    expected = lime.lime_base.LimeBase(None).feature_selection(
        on.double().numpy(), outputs.numpy(), weights.numpy(), features, "lasso_path"
    )
    assert lasso_choice(on.double(), outputs, weights, features).tolist() == list(expected)
    assert 1 <= len(expected) <= min(features, 12)


def test_the_ridge_is_fitted_to_what_the_lasso_chose(image):
    score = MaskedScore(image, 2, Network(), Gray(COLOR))
    few = Lime(samples=200, segmentation=BLOCKS, features=3)
    holes = few.holes(score)
    found = few.coefficients(score, holes)
    chosen = found.nonzero()[:, 0]
    assert 1 <= len(chosen) <= 3
    on = holes.on[:, chosen].double()
    model = sklearn.linear_model.Ridge(alpha=1.0)
    weights = torch.exp(-(cosine_distance(holes.on) ** 2) / 0.25**2).sqrt()
    model.fit(on.numpy(), score(holes[0:200]).numpy(), sample_weight=weights.numpy())
    np.testing.assert_allclose(found[chosen].numpy(), model.coef_, rtol=1e-3, atol=1e-6)
    everything = Lime(samples=200, segmentation=BLOCKS)
    torch.testing.assert_close(
        Lime(samples=200, segmentation=BLOCKS, features=12)(score), everything(score), rtol=0, atol=1e-6
    )


def test_of_a_constant_score_nothing_is_chosen(image):
    heatmap = Lime(samples=20, segmentation=BLOCKS, features=3)(MaskedScore(image, 1, flat))
    assert torch.equal(heatmap, torch.zeros(1, 24, 32))


def test_a_linear_classifier_has_its_own_coefficients(image):
    network = Linear()
    score = MaskedScore(image, 1, network, Gray(COLOR), link=logit)
    evidence = network.weight[1] * (image[0] - torch.tensor(COLOR)[:, None, None])
    expected = torch.stack([evidence[:, segment == BLOCKS].sum() for segment in range(12)]).detach()
    for distance in ("cosine", "l2"):
        explainer = Lime(samples=200, alpha=1e-6, segmentation=BLOCKS, distance=distance)
        torch.testing.assert_close(explainer(score)[0], expected[BLOCKS], rtol=1e-3, atol=1e-5)


def test_samples_near_the_image_weigh_more(image):
    holes = Lime(samples=100, segmentation=BLOCKS).holes(MaskedScore(image, 1, Network()))
    score = MaskedScore(image, 1, Network(), Gray(COLOR))
    composites = score.perturbed(holes[0:100])
    far = {
        "l2": (composites - image).flatten(1).norm(dim=1) / (3 * 24 * 32) ** 0.5,
        "cosine": 1 - holes.on.double().sum(1) / (holes.on.sum(1) * 12).double().sqrt(),
    }
    for distance, values in far.items():
        model = sklearn.linear_model.Ridge(alpha=2.0)
        weights = np.sqrt(np.exp(-(values.double().numpy() ** 2) / 0.3**2))
        model.fit(holes.on.numpy(), score(holes[0:100]).numpy(), sample_weight=weights)
        explainer = Lime(samples=100, alpha=2.0, kernel_width=0.3, segmentation=BLOCKS, distance=distance)
        np.testing.assert_allclose(
            explainer.coefficients(score, holes).numpy(), model.coef_, rtol=1e-3, atol=1e-6
        )
    assert abs(far["l2"] - far["cosine"]).max() > 0.05


def test_samples_are_bernoulli_and_the_first_is_the_image(image):
    holes = Lime(samples=4000, keep=0.3, segmentation=BLOCKS).holes(MaskedScore(image, 0, Network()))
    assert holes.on[0].all()
    assert holes[0:1].sum() == 0
    assert abs(float(holes.on[1:].double().mean()) - 0.3) < 0.01


def test_slic_makes_the_segments(smooth_image):
    image = smooth_image(64, 80)
    explainer = Lime(segments=20, compactness=10.0, sigma=1.0)
    pixels = image[0].permute(1, 2, 0).double().numpy()
    expected = slic(pixels, n_segments=20, compactness=10.0, sigma=1.0, start_label=0)
    assert np.array_equal(explainer.segment(image[0]).numpy(), expected)
    heatmap = Lime(segments=20, samples=30)(MaskedScore(image, 0, Network()))[0]
    segments = Lime(segments=20).segment(image[0])
    assert int(segments.max()) + 1 > 5
    for segment in segments.unique():
        assert heatmap[segments == segment].unique().numel() == 1


def test_segments_may_be_given_or_computed(image):
    score = MaskedScore(image, 0, Network())
    expected = Lime(samples=50, segmentation=BLOCKS)(score)
    assert torch.equal(Lime(samples=50, segmentation=lambda image: BLOCKS)(score), expected)
    assert torch.equal(Lime(samples=50, segmentation=7 + 10 * BLOCKS)(score), expected), (
        "labels may have gaps"
    )
    with pytest.raises(
        ValueError, match=r"segmentation must be of shape \(24, 32\) as the image, got \(24, 24\)"
    ):
        Lime(segmentation=BLOCKS[:, :24])(score)


def test_one_segment_is_enough(image):
    heatmap = Lime(samples=20, segmentation=torch.zeros(24, 32, dtype=torch.long))(
        MaskedScore(image, 0, Network())
    )
    assert heatmap.unique().numel() == 1
    assert heatmap.isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": 0}, "segments must be at least 2, got 0"),
        ({"samples": 1}, "samples must be at least 2, got 1"),
        ({"keep": 1.0}, "keep must be between 0 and 1, got 1"),
        ({"compactness": 0.0}, "compactness must be positive, got 0"),
        ({"kernel_width": 0.0}, "kernel_width must be positive, got 0"),
        ({"alpha": 0.0}, "alpha must be positive, got 0"),
        ({"features": 0}, "features must be at least 1, got 0"),
        ({"sigma": -1.0}, "sigma must be at least 0, got -1"),
        ({"distance": "l1"}, r"distance must be one of \('cosine', 'l2'\), got 'l1'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Lime(**change)


@pytest.mark.parametrize("samples", [1, 4])
def test_distances_of_several_fills_are_those_of_the_first(image, samples):
    score = MaskedScore(
        image, 1, Network(), Noise(), execution=Execution(batch_size=7), sampling=Sampling(samples=samples)
    )
    explainer = Lime(samples=20, segmentation=BLOCKS, distance="l2")
    assert torch.isfinite(explainer(score)).all()


def test_the_error_is_what_other_seeds_make_of_the_coefficients(image):
    score = MaskedScore(image, 1, Network(), Gray(), execution=Execution(batch_size=300))
    found = [Lime(segmentation=BLOCKS, samples=300, seed=seed).estimate(score) for seed in range(40)]
    spread = torch.stack([each.heatmap[0] for each in found]).std(dim=0)
    told = torch.stack([each.error[0] for each in found]).square().mean(dim=0).sqrt()
    assert 0.75 < float((told / spread).median()) < 1.25
    assert bool((told > 0).all())


def test_until_ends_after_the_same_samples_whatever_the_batch_size(image):
    score = MaskedScore(image, 1, Network(), Gray())
    explainer = Lime(segmentation=BLOCKS, samples=4000, until=0.95)
    found = [explainer.estimate(score.with_execution(batch_size=size)) for size in (9, 500)]
    count, other = (int(each.samples) for each in found)
    assert count == other < 4000
    told = []
    explainer(score.with_execution(progress=lambda done, total: told.append((done, total))))
    assert told[-1] == (4000, 4000), "fewer are enough, so all is done"
    assert count % ROUND == 0
    assert float(found[0].reliability) >= 0.95
    torch.testing.assert_close(found[0].heatmap, found[1].heatmap, rtol=1e-3, atol=1e-5)
    # The same samples alone have the same coefficients.
    holes = explainer.holes(score)
    some = SegmentHoles(holes.segments, holes.on[:count])
    expected = Lime(segmentation=BLOCKS).coefficients(score, some)[holes.segments]
    torch.testing.assert_close(found[0].heatmap[0], expected, rtol=1e-3, atol=1e-5)


def test_two_samples_tell_nothing_of_their_error(image):
    found = Lime(segmentation=BLOCKS, samples=2).estimate(MaskedScore(image, 1, Network(), Gray()))
    assert bool(found.error.isinf().all())
    assert not bool(found.told.any())


@pytest.mark.parametrize("segments", [2, 6, 16])
def test_a_constant_score_leaves_no_rounding_and_is_not_reliable(image, segments):
    constant = MaskedScore(image, 1, lambda some: some.new_tensor([[0.3, 0.1]]).expand(len(some), -1), Gray())
    found = Lime(samples=40, segments=segments).estimate(constant)
    assert not found.heatmap.any()
    assert found.reliability.item() == 0
