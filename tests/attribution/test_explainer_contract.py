"""What every method promises, with every kind of filler."""

from dataclasses import dataclass, replace

import pytest
import torch
from planted import Around, BrightSquare, Network, likeliest, square_image
from torch import Tensor, nn

from attribution import (
    DSSR,
    MP2,
    SDR,
    SSR,
    Against,
    ClassActivationMap,
    ContrastiveGradCam,
    DeepLift,
    DSSRPlus,
    Execution,
    Explainer,
    ExtremalPerturbation,
    FeatureInversion,
    Fido,
    FillInBlanks,
    FullGradient,
    Gradient,
    GuidedGradCam,
    IntegratedGradients,
    Lime,
    MaskedScore,
    MeaningfulPerturbation,
    NoisyGradient,
    PertinentNegative,
    PertinentPositive,
    PredictionDifference,
    Rise,
    ScoreCam,
    SlidingPatch,
)
from attribution.explainer import AttributingExplainer, Attribution, SamplingExplainer
from attribution.holes import Holes
from infill import Blur, Gray, Mean, Noise
from studio.registry.build import is_signed

SAMPLING = {
    "sp": SlidingPatch(patch=9, stride=5),
    "sp, centers": SlidingPatch(patch=9, stride=5, placement="centers"),
    "sp, average": SlidingPatch(patch=9, stride=5, average=True),
    "prediction difference": PredictionDifference(patch=9, stride=5, samples=2),
    "lime": Lime(segments=12, samples=40),
    "lime, l2": Lime(segments=12, samples=40, distance="l2"),
    "blanks": FillInBlanks(masks=30, patch=4),
    "rise": Rise(masks=30),
    "rise, mass": Rise(masks=30, normalize="mass"),
}
# With more confidence than there can be, so that there is a slope in every step.
CEM = {
    "confidence": 20.0,
    "sparsity": 0.01,
    "weight": 1e4,
    "searches": 1,
    "steps": 8,
    "lr": 0.1,
    "shrinkage": "scaled",
}
OPTIMIZING = {
    "mp": MeaningfulPerturbation(8, steps=3),
    "mp2": MP2(4, added=5, rank="descent", graded=True),
    "fido, ssr": Fido("ssr", cells=6, steps=3, samples=2, warmup=0),
    "fido, sdr": Fido("sdr", cells=6, steps=3, samples=2, warmup=0),
    "extremal": ExtremalPerturbation(0.2, step=4, sigma=8.0, steps=3),
    "extremal-code": ExtremalPerturbation(
        0.2, step=4, sigma=8.0, steps=3, followed="activation", border="margin", mirrored=True
    ),
    "ssr": SSR(0.01, steps=3),
    "sdr": SDR(0.01, steps=3),
    "dssr": DSSR(0.1, 0.01, steps=3),
    "dssr+": DSSRPlus(4, 3, 0.1, 0.01, steps=3),
    "cem-positive": PertinentPositive(8, "bilinear", **CEM),
    "cem-negative": PertinentNegative(8, "bilinear", **CEM),
    "gfi": FeatureInversion(inversion_steps=2, steps=3),
    "gfi-inversion": FeatureInversion(stages="inversion", inversion_steps=4),
    "gfi-code": FeatureInversion(
        error="relative", norm="squared", normalized="pixels", restarted=False, inversion_steps=2, steps=3
    ),
}
DIFFERENTIATED = {
    "gradient": Gradient(),
    "smoothgrad": NoisyGradient(samples=4),
    "vargrad": NoisyGradient("variance", samples=4),
    "integrated": IntegratedGradients(steps=20),
}


@dataclass(frozen=True)
class Contrastive(ContrastiveGradCam):
    """Compares with a class that is seen in none of the images."""

    other: int = 1

    def attribute(self, score: MaskedScore) -> Attribution:
        return super().attribute(replace(score, link=Against(self.other)))


RECTIFIED = {
    "deconvnet": Gradient("deconvnet"),
    "guided": Gradient("guided"),
    "deeplift": DeepLift(),
}
"""Which look at activations, and know those alone that networks are made of."""
MAPPED = {
    "guided-gradcam": GuidedGradCam(),
    "gradcam": ClassActivationMap("gradcam"),
    "contrastive-gradcam": Contrastive(),
    "gradcam++": ClassActivationMap("gradcam++"),
    "layercam": ClassActivationMap("layercam"),
    "ablation": ClassActivationMap("ablation"),
    "scorecam": ScoreCam(),
    "fullgrad": FullGradient(),
}
LAYERED = ("gfi", "gfi-inversion", "gfi-code", *MAPPED)
"""They look into the classifier, which must show its layers."""
ATTRIBUTING = DIFFERENTIATED | RECTIFIED | MAPPED
METHODS = SAMPLING | OPTIMIZING | ATTRIBUTING
EXACT = [*SAMPLING.values(), *ATTRIBUTING.values()]
FILLERS = {"gray": Gray(), "blur": Blur(3.0), "mean": Mean(), "noise": Noise(), "around": Around()}

every_method = pytest.mark.parametrize("explainer", METHODS.values(), ids=METHODS)
every_rounded_method = pytest.mark.parametrize(
    "explainer", (SAMPLING | OPTIMIZING).values(), ids=SAMPLING | OPTIMIZING
)
every_sampling_method = pytest.mark.parametrize("explainer", SAMPLING.values(), ids=SAMPLING)
# A filler of each kind will do; those that sample in different ways take all.
PAIRS = {
    f"{method}, {filler}": (METHODS[method], FILLERS[filler])
    for method in METHODS
    for filler in (FILLERS if method in ("sp", "lime", "rise") else ("gray", "noise", "around"))
    if filler == "gray" or getattr(METHODS[method], "fills", True)
}
# Of a classifier that is no network, and whose gradient noise does not change.
BLIND = [*MAPPED.values(), *RECTIFIED.values(), DIFFERENTIATED["vargrad"]]
SEEING = {name: pair for name, pair in PAIRS.items() if pair[0] not in BLIND}
every_seeing_method = pytest.mark.parametrize(("explainer", "filler"), SEEING.values(), ids=SEEING)
every_method_with_fillers = pytest.mark.parametrize(("explainer", "filler"), PAIRS.values(), ids=PAIRS)
# Gray, a fill for all holes of an image, does in one method of each kind what it does in all of them.
HARDER = {
    name: (explainer, filler)
    for name, (explainer, filler) in PAIRS.items()
    if filler in (FILLERS["noise"], FILLERS["around"])
    or not getattr(explainer, "fills", True)
    or explainer in (METHODS["rise"], METHODS["mp"])
}
every_method_with_harder_fillers = pytest.mark.parametrize(
    ("explainer", "filler"), HARDER.values(), ids=HARDER
)


def scored(images: Tensor, filler=FILLERS["gray"], **settings) -> MaskedScore:
    """Of classes that are above chance: an optimizing method has to take something away."""
    network = settings.pop("classifier", Network())
    targets = likeliest(network if isinstance(network, nn.Module) else Network(), images)
    return MaskedScore(images, targets, network, filler, **settings)


@every_method_with_fillers
def test_a_heatmap_is_finite_and_of_the_images_size(images, explainer, filler):
    assert isinstance(explainer, Explainer)
    assert isinstance(explainer, AttributingExplainer) == (explainer in ATTRIBUTING.values())
    heatmap = explainer(scored(images[:2], filler))
    assert heatmap.shape == (2, 24, 32)
    assert heatmap.dtype is torch.float32
    assert heatmap.isfinite().all()
    assert not heatmap.requires_grad
    assert (heatmap.amax(dim=(1, 2)) > heatmap.amin(dim=(1, 2))).all(), "it must say something"
    if not is_signed("", explainer):
        assert (heatmap >= 0).all(), "below 0 it would speak against the target, and be drawn so"


def assert_alike(explainer: Explainer, heatmap: Tensor, expected: Tensor) -> None:
    """Alike but for rounding, of which Adam makes as much as of any other derivative.

    In `test_optimize.py` the classifier's rounding is always the same, and so is every step.
    """
    if explainer in EXACT:
        torch.testing.assert_close(heatmap, expected, rtol=0, atol=1e-5)
    else:
        assert (heatmap - expected).abs().max() < 0.05
        assert (heatmap - expected).abs().mean() < 1e-3


@every_method_with_harder_fillers
def test_batch_size_and_neighbors_do_not_matter(images, explainer, filler):
    images = images[:2]
    score = scored(images, filler, execution=Execution(batch_size=64))
    expected = explainer(score)
    assert_alike(explainer, explainer(score.with_execution(batch_size=7)), expected)
    assert_alike(explainer, explainer(score[1].with_execution(batch_size=1)), expected[1:])


@every_method_with_harder_fillers
def test_the_same_seeds_give_the_same_heatmap(images, explainer, filler):
    before, images = torch.get_rng_state(), images[:2]
    assert torch.equal(explainer(scored(images, filler)), explainer(scored(images, filler)))
    assert torch.equal(torch.get_rng_state(), before), "the global generator is none of our business"


@every_method
def test_torchs_default_number_type_does_not_matter(images, explainer):
    scores = scored(images[:1]), scored(images[:1])
    expected = explainer(scores[0])
    torch.set_default_dtype(torch.float64)
    try:
        found = explainer(scores[1])
    finally:
        torch.set_default_dtype(torch.float32)
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@every_method
def test_the_callers_autocast_does_not_matter(images, explainer):
    expected = explainer(scored(images[:1]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = explainer(scored(images[:1]))
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["lime", "rise", "mp", "fido, ssr", "fido, sdr"])
def test_another_seed_gives_another_heatmap(image, name):
    score, explainer = scored(image), METHODS[name]
    assert not torch.equal(explainer(score), replace(explainer, seed=explainer.seed + 1)(score))


@every_seeing_method
def test_a_planted_square_is_found(explainer, filler):
    image = square_image(top=20, left=30)
    if isinstance(explainer, Rise):
        explainer = replace(explainer, masks=1500)
    elif isinstance(explainer, ExtremalPerturbation):
        explainer = replace(explainer, area=0.05, sigma=4.0, steps=40, lr=0.05)
    elif isinstance(explainer, PertinentPositive):
        explainer = replace(explainer, weight=1e3)
    elif isinstance(explainer, DSSR):
        explainer = replace(explainer, steps=20)
    heatmap = explainer(MaskedScore(image, 1, BrightSquare(), filler))[0]
    square = torch.zeros(40, 48, dtype=torch.bool)
    square[20:28, 30:38] = True
    top, left = divmod(int(heatmap.argmax()), 48)
    assert 16 <= top < 32
    assert 26 <= left < 42
    assert heatmap[square].mean() > heatmap[~square].mean() + heatmap[~square].std()


@every_method
def test_the_classifier_is_left_alone(images, explainer):
    network = Network().train()
    network.head.weight.grad = torch.ones_like(network.head.weight)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    explainer(scored(images, classifier=network))
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())
    assert all(module.training for module in network.modules())
    assert all(value.requires_grad for value in network.parameters())
    assert network.features[0].weight.grad is None
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert isinstance(network.features[1], nn.BatchNorm2d)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in LAYERED])
def test_a_plain_callable_will_do(images, name):
    explainer = METHODS[name]
    network = Network().eval()
    expected = explainer(scored(images, classifier=network))
    heatmap = explainer(scored(images, classifier=lambda some: network(some)))
    assert_alike(explainer, heatmap, expected)


@pytest.mark.parametrize("name", LAYERED)
def test_a_plain_callable_has_no_layers(images, name):
    network = Network().eval()
    score = scored(images, classifier=lambda some: network(some))
    with pytest.raises(ValueError, match="classifier must be a torch module"):
        METHODS[name](score)


@every_rounded_method
def test_bfloat16_is_close_to_float32(explainer):
    score = scored(square_image(), Gray((1.0, 1.0, 1.0)), classifier=Network(seed=2))
    exact, fast = explainer(score).flatten(), explainer(score.with_execution(precision="bfloat16")).flatten()
    assert not torch.equal(exact, fast)
    # Each step of an optimizing method follows the rounded score of the one before.
    close = 0.99 if explainer in SAMPLING.values() else 0.9
    assert float(torch.corrcoef(torch.stack([exact, fast]))[0, 1]) > close


@every_method
def test_progress_reaches_its_total_and_no_more_than_a_batch_is_classified_at_once(images, explainer):
    classifier, sizes, reports = Network(), [], []
    classifier.register_forward_pre_hook(lambda network, some: sizes.append(len(some[0])))
    watched = Execution(batch_size=5, progress=lambda done, total: reports.append((done, total)))
    explainer(scored(images, classifier=classifier, execution=watched))
    assert reports == sorted(reports)
    assert len({total for _, total in reports}) == 1
    assert reports[-1][0] == reports[-1][1]
    assert len(reports) >= 3
    # An optimizing method takes as many images at once as have room with all their composites.
    assert max(sizes) == 5 if explainer in SAMPLING.values() else max(sizes) <= 5


@every_method
def test_a_classifier_that_returns_nan_is_refused(images, explainer):
    with pytest.raises(ValueError, match="classifier must"):
        explainer(scored(images, classifier=lambda some: torch.full((len(some), 5), torch.nan)))


@every_sampling_method
def test_holes_are_known_beforehand(image, explainer):
    assert isinstance(explainer, SamplingExplainer)
    totals, score = [], scored(image)
    holes = explainer.holes(score)
    assert isinstance(holes, Holes)
    explainer(score.with_execution(progress=lambda done, total: totals.append(total)))
    assert totals[-1] == len(holes)
    assert holes[0:3].shape == (3, 1, 24, 32)
