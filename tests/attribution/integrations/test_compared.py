"""Methods that compare with a baseline: beside captum itself, and complete with every filler."""

import captum.attr
import pytest
import torch
from differentiated import Functional, Tiny, quiet
from planted import Around, Linear
from torch import nn

from attribution import DeepLift, Execution, IntegratedGradients, MaskedScore, Sampling, logit
from attribution.baseline import baselines
from infill import Blur, Gray, Mean, Noise, Telea

FILLERS = {
    "gray": Gray(),
    "black": Gray((0.0, 0.0, 0.0)),
    "mean": Mean(),
    "blur": Blur(3.0),
    "pyramid": Blur(3.0, levels=4),
    "noise": Noise(),
    "telea": Telea(),
    "around": Around(),
}
every_filler = pytest.mark.parametrize("filler", FILLERS.values(), ids=FILLERS)
TARGETS = [2, 0, 3]
BLACK = FILLERS["black"]


@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_black_baseline_is_captums_own(images, batch_size):
    network = Tiny().eval()
    with quiet():
        expected = captum.attr.IntegratedGradients(network).attribute(images, target=TARGETS, n_steps=20)
    score = MaskedScore(images, TARGETS, Tiny(), BLACK, execution=Execution(batch_size))
    found = IntegratedGradients(20).attribute(score)
    torch.testing.assert_close(found.heatmap, expected.detach().sum(dim=1).float(), rtol=1e-4, atol=1e-6)
    assert found.forwards.tolist() == [20] * 3


@every_filler
def test_a_fillers_baseline_is_handed_to_captum(images, filler):
    network, score = Tiny().eval(), MaskedScore(images, TARGETS, Tiny(), filler)
    start = baselines(score)[:, 0]
    with quiet():
        integrated = captum.attr.IntegratedGradients(network).attribute(images, start, TARGETS, n_steps=10)
        rescaled = captum.attr.DeepLift(network).attribute(images.clone().requires_grad_(), start, TARGETS)
    for method, expected in ((IntegratedGradients(10), integrated), (DeepLift(), rescaled)):
        found = method(score)
        torch.testing.assert_close(found, expected.detach().sum(dim=1).float(), rtol=1e-3, atol=1e-6)


@every_filler
def test_contributions_add_up_to_the_change_from_the_baseline(images, filler):
    network = Tiny().eval()
    score = MaskedScore(images, TARGETS, network, filler, link=logit, sampling=Sampling(samples=2))
    starts = baselines(score)
    assert starts.shape[1] == (2 if filler.stochastic else 1)
    with torch.no_grad():
        change = score.clean - torch.stack(
            [
                network(each).gather(1, torch.full((len(each), 1), target)).mean()
                for each, target in zip(starts, TARGETS, strict=True)
            ]
        )
    for method, close in ((DeepLift(), 1e-4), (IntegratedGradients(60), 5e-3)):
        found = method.attribute(score)
        assert found.baseline is not None
        assert found.change is not None
        assert torch.equal(found.baseline, starts)
        torch.testing.assert_close(found.change, change, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.heatmap.sum(dim=(1, 2)), change, rtol=close, atol=close)


def test_of_a_linear_classifier_both_are_weight_times_difference(images):
    network, filler = Linear(), Blur(2.0)
    score = MaskedScore(images, [1, 1, 1], network, filler)
    expected = (network.weight[1].detach() * (images - baselines(score)[:, 0])).sum(dim=1)
    for method in (IntegratedGradients(3), DeepLift()):
        torch.testing.assert_close(method(score), expected, rtol=1e-4, atol=1e-6)


def test_several_fills_are_expected_gradients(image):
    score = MaskedScore(image, 1, Tiny(), Noise(), sampling=Sampling(samples=4))
    each = [
        IntegratedGradients(10)(MaskedScore(image, 1, Tiny(), _Fixed(start)))
        for start in baselines(score)[0].split(1)
    ]
    torch.testing.assert_close(IntegratedGradients(10)(score), torch.stack(each).mean(dim=0))


class _Fixed:
    per_hole = sees_hidden = stochastic = False

    def __init__(self, fill):
        self.fill = fill

    def __call__(self, image, hole, generator=None):
        return self.fill.expand_as(image)


@pytest.mark.parametrize("how", ["function", "method", "in place", "twice"])
def test_deeplift_need_not_have_modules_or_use_them_once(images, how):
    score = MaskedScore(images, TARGETS, Tiny(), BLACK)
    other = MaskedScore(images, TARGETS, Functional(Tiny(), how), BLACK)
    torch.testing.assert_close(DeepLift()(other), DeepLift()(score), rtol=1e-4, atol=1e-6)


class _Strange(nn.Module):
    """Pooling windows that overlap, an activation with a ceiling that is reached, and gates."""

    def __init__(self, last: nn.Module):
        super().__init__()
        tiny = Tiny()
        self.body = nn.Sequential(
            tiny.features[:2],
            nn.ReLU6(),
            nn.MaxPool2d(3, 2, 1),
            tiny.features[3],
            nn.MaxPool2d((2, 3), 2),
            last,
        )
        self.head = tiny.head

    def forward(self, images):
        return self.head(self.body(8 * images).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    "last", [nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.Softplus(), nn.Tanh(), nn.Sigmoid()]
)
def test_deeplift_is_complete_through_pooling_and_ceilings(images, last):
    found = DeepLift().attribute(MaskedScore(images, TARGETS, _Strange(last), BLACK))
    torch.testing.assert_close(found.heatmap.sum(dim=(1, 2)), found.change, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("last", [nn.GELU(), nn.SiLU()])
def test_activations_that_deeplift_does_not_know_are_refused(images, last):
    score = MaskedScore(images, TARGETS, _Strange(last), BLACK)
    with pytest.raises(ValueError, match="classifier must be one whose activations captum's DeepLIFT knows"):
        DeepLift()(score)
    found = IntegratedGradients(100).attribute(score)
    torch.testing.assert_close(found.heatmap.sum(dim=(1, 2)), found.change, rtol=0.05, atol=0.02)


@pytest.mark.usefixtures("unchecked_shapes")
def test_settings_out_of_range_are_refused():
    for make in (
        lambda: IntegratedGradients(0),
        lambda: DeepLift(0),
        lambda: IntegratedGradients(explained="p"),
    ):
        with pytest.raises(ValueError, match="must be"):
            make()
