"""Guided feature inversion: both algorithms restated, masks as they must be, layers, and what is refused."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import BLACK, Around, Counting, Network, likeliest, scored
from torch import Tensor, nn

import attribution.methods.feature_inversion as method_file
from attribution import FeatureInversion, MaskedScore, Sampling, probability, sigmoid
from attribution.methods.feature_inversion import chosen
from attribution.optimize.features import layer_maps, resembling
from infill import Blur, Gray, Noise

FILLER = Blur(3.0)
GENTLE = FeatureInversion(inversion_penalty=0.01, penalty=0.01, inversion_steps=5, steps=8)
"""With penalties of the size of what a small network has to lose."""


@pytest.fixture
def weights(monkeypatch) -> list[Tensor]:
    """The weights of every mask that is made."""
    made, call = [], method_file._Masks.__call__

    def noted(masks, weights, rows=None):
        made.append(weights.detach().clone())
        return call(masks, weights, rows)

    monkeypatch.setattr(method_file._Masks, "__call__", noted)
    return made


def restated(
    network: Network, image: Tensor, background: Tensor, target: int, steps: tuple[int, int], gamma, delta
):
    """Algorithms 1 and 2 of Du et al. (2018), line by line, for the features of `Network`: masks and weights.

    The norm is the sum, as no weight is negative: the derivative of their absolute values is 0 at 0.
    """
    network = network.eval()
    maps = network.features[:6](image).detach()  # l1: what pool5 is pooled from
    inverted = network.features[:7]  # l0

    def mask(w: Tensor) -> Tensor:
        m = sum(w[i] * maps[0, i] for i in range(len(w)))
        m = (m - m.min()) / (m.max() - m.min())
        return F.interpolate(m[None, None], size=image.shape[2:], mode="bilinear", align_corners=False)

    def minimize(w: Tensor, loss: Callable[[Tensor], Tensor], count: int, halving: bool) -> Tensor:
        w = w.clone().requires_grad_()
        adam, rate = torch.optim.Adam([w], lr=1e-2), 1e-2
        for t in range(1, count + 1):
            adam.zero_grad()
            loss(w).backward()
            adam.step()
            with torch.no_grad():
                w.clamp_(min=0)
            if halving and t % 10 == 0:
                rate /= 2
                adam.param_groups[0]["lr"] = rate
        return w.detach()

    def inversion(w: Tensor) -> Tensor:
        m = mask(w)
        kept = image * m + background * (1 - m)
        return (inverted(kept) - inverted(image)).square().sum() + gamma * w.sum()

    def discrimination(w: Tensor) -> Tensor:
        m = mask(w)
        kept, removed = image * m + background * (1 - m), image * (1 - m) + background * m
        p = [network(some).softmax(1)[0, target] for some in (kept, removed)]
        return -p[0] + p[1] + delta * w.sum()

    first = minimize(torch.full((maps.shape[1],), 0.1), inversion, steps[0], False)
    second = minimize(first, discrimination, steps[1], True)
    return [mask(w)[0, 0] for w in (first, second)], [first, second]


@pytest.mark.parametrize("i", range(2))
def test_both_algorithms_are_the_papers(images, weights, i):
    """Penalties are such that some weights go to 0, but not all: then the paper's mask would be 0 / 0."""
    network, gamma, delta = Network(), 0.005, 0.001
    network.head.weight.data *= 5  # slopes that are more than rounding
    image = images[i : i + 1]
    (target,) = likeliest(network, image)
    score = MaskedScore(image, target, network, FILLER)
    method = FeatureInversion(inversion_penalty=gamma, penalty=delta, inversion_steps=11, steps=15)
    outcome = method.optimize(score)
    background = FILLER(image, torch.ones(1, 1, 24, 32), None)
    prepared = deepcopy(score.classifier.network)
    masks, ends = restated(prepared, image, background, target, (11, 15), gamma, delta)
    torch.testing.assert_close(outcome.earlier[0][0], masks[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(outcome.heatmap[0], masks[1], rtol=0, atol=1e-3)
    torch.testing.assert_close(weights[-1][0], ends[1], rtol=0, atol=1e-4)
    assert 0 < int((ends[1] == 0).sum()) < 16
    assert (masks[0] - masks[1]).abs().max() > 0.02, "the second stage does something"


def test_the_papers_settings_are_the_defaults():
    method = FeatureInversion()
    assert (method.inversion_steps, method.steps, method.lr, method.halving) == (11, 71, 0.01, 10)
    assert (method.inversion_penalty, method.suppression) == (10, 1)
    assert method_file.START == 0.1


def test_the_slope_is_that_of_the_inversion_error(images):
    """And the number is the score, for the same look of the classifier."""
    network = Network()
    score = scored(images, FILLER, network)
    for layer, depth in (("features.6", 7), ("features.3", 4)):
        for relative in (False, True):
            followed = resembling(score, layer, relative)
            hole = torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(1)).requires_grad_()
            values = followed(hole)
            torch.testing.assert_close(values, score(hole.detach()))
            slope = torch.autograd.grad(values.sum(), hole)[0]
            features = network.eval().features[:depth]
            blurred = FILLER(images, torch.ones(3, 1, 24, 32), None)
            composites = (1 - hole) * images + hole * blurred
            if layer == "features.3":  # whose batch normalization is folded into it
                features = network.features[:5]
            error = (features(composites) - features(images)).square().flatten(1).sum(1)
            if relative:
                error = error / features(images).square().flatten(1).sum(1)
            expected = torch.autograd.grad(-error.sum(), hole)[0]
            torch.testing.assert_close(slope, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_the_error_is_that_of_each_images_own_features(images):
    """In whatever batches, and of the image itself there is none."""
    followed = resembling(scored(images, BLACK), "features.6")
    few = resembling(scored(images, BLACK).with_execution(batch_size=2), "features.6")
    hole = torch.zeros(3, 1, 24, 32).requires_grad_()
    assert float(torch.autograd.grad(followed(hole).sum(), hole)[0].abs().max()) == 0
    half = torch.full((3, 1, 24, 32), 0.5).requires_grad_()
    slopes = [torch.autograd.grad(each(half).sum(), half)[0] for each in (followed, few)]
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("penalties", [(0.0, 0.0), (0.1, 0.1), (10.0, 1.0), (1e6, 1e6)])
def test_weights_are_never_negative_and_masks_are_normalized(images, weights, penalties):
    """However strong the penalty is: it would leave no weight, and no mask, within ten steps."""
    method = FeatureInversion(
        layer="features.2", inversion_penalty=penalties[0], penalty=penalties[1], steps=30
    )
    outcome = method.optimize(scored(images, FILLER))
    assert min(float(each.min()) for each in weights) >= 0
    if penalties == (0.1, 0.1):
        assert min(float(each.min()) for each in weights) == 0
    assert all((each.amax(dim=1) > 0).all() for each in weights)
    assert outcome.heatmap.isfinite().all()
    for stage in (*outcome.earlier, outcome.heatmap):  # this layer has as many cells as the image has pixels
        assert torch.equal(stage.amin(dim=(1, 2)), torch.zeros(3))
        torch.testing.assert_close(stage.amax(dim=(1, 2)), torch.ones(3))


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.floats(1e-3, 1e3), st.floats(0, 0.9))
def test_any_mask_is_normalized(seed, scale, zeros):
    generator = torch.Generator().manual_seed(seed)
    maps = scale * torch.randn(2, 4, 5, 6, generator=generator)
    weights = torch.rand(2, 4, generator=generator)
    weights[:, 1:][torch.rand(2, 3, generator=generator) < zeros] = 0
    mask = method_file._Masks(maps, (5, 6), "cells")(weights)
    torch.testing.assert_close(mask.amin(dim=(1, 2, 3)), torch.zeros(2))
    torch.testing.assert_close(mask.amax(dim=(1, 2, 3)), torch.ones(2))
    summed = (weights[:, :, None, None] * maps).sum(1)
    order = summed.flatten(1).argsort(dim=1)
    assert (mask.flatten(1).gather(1, order).diff(dim=1) >= -1e-6).all(), "in the order of eq. 6"
    torch.testing.assert_close(mask, method_file._Masks(maps, (5, 6), "cells")(100 * weights))


class Colors(nn.Module):
    """Class 0 is seen where it is red, class 1 where it is green, class 2 never."""

    def __init__(self):
        super().__init__()
        self.detect = nn.Conv2d(3, 3, 4, 4, bias=False)
        self.detect.weight.data = (
            torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1]])[:, :, None, None] / 16
        )
        self.detect.weight.data = self.detect.weight.data.expand(3, 3, 4, 4).clone()
        self.act, self.pool, self.head = nn.ReLU(), nn.MaxPool2d(2), nn.Linear(3, 3)
        self.head.weight.data, self.head.bias.data = 6 * torch.eye(3), torch.tensor([0.0, 0.0, -3.0])

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.pool(self.act(self.detect(images))).amax((2, 3)))


def two_squares() -> Tensor:
    image = torch.zeros(1, 3, 32, 48)
    image[0, 0, 4:12, 4:12] = 1.0
    image[0, 1, 20:28, 32:40] = 1.0
    return image


@pytest.mark.parametrize("stages", ["both", "inversion"])
def test_the_mask_tells_classes_apart_and_the_inversion_does_not(stages):
    """What fig. 3 shows: the inversion highlights both objects, the final map the one that is asked about."""
    method = FeatureInversion(stages=stages, inversion_penalty=0.01, penalty=0.02)
    maps = method(MaskedScore(two_squares().repeat(2, 1, 1, 1), [0, 1], Colors(), BLACK))
    red, green = (slice(5, 11), slice(5, 11)), (slice(21, 27), slice(33, 39))
    if stages == "inversion":
        torch.testing.assert_close(maps[0], maps[1])
        assert min(float(maps[0][red].mean()), float(maps[0][green].mean())) > 0.7
    else:
        assert float(maps[0][red].mean()) > 0.7 > 0.2 > float(maps[0][green].mean())
        assert float(maps[1][green].mean()) > 0.7 > 0.2 > float(maps[1][red].mean())


def test_the_inversion_alone_is_the_first_stage(images):
    both = GENTLE.optimize(scored(images, FILLER))
    alone = replace(GENTLE, stages="inversion").optimize(scored(images, FILLER))
    assert len(both.earlier) == 1
    assert torch.equal(both.earlier[0], alone.heatmap)
    assert alone.earlier == ()
    torch.testing.assert_close(both.curves["kept"][:, :5], alone.curves["kept"])
    assert alone.curves.keys() == {"kept"}
    assert both.curves["removed"][:, :5].isnan().all()
    assert not both.curves["removed"][:, 5:].isnan().any()


def test_outcomes_of_groups_have_the_stages_of_all(images):
    score = scored(images, FILLER)
    together = GENTLE.optimize(score)
    apart = GENTLE.optimize(score.with_execution(batch_size=2))
    torch.testing.assert_close(apart.earlier[0], together.earlier[0], rtol=0, atol=0.02)
    assert apart.earlier[0].shape == (3, 24, 32)


def test_every_step_of_both_stages_is_watched_and_counted(images):
    steps, filler = [], Counting(Around())
    method = replace(GENTLE, inversion_steps=3, steps=4)
    outcome = method.optimize(scored(images[:1], filler, sampling=Sampling(samples=2)), steps.append)
    assert [step.number for step in steps] == list(range(7))
    assert outcome.steps.tolist() == [7]
    assert method.composites == 3 + 2 * 4
    assert outcome.looks.tolist() == [method.composites + 3]
    assert outcome.fills.tolist() == [4 + method.composites + 3], "an outlook for each stage"
    assert outcome.outlooks.tolist() == [4]
    assert replace(method, stages="inversion").composites == 3


def test_several_fills_are_averaged(images):
    outcome = GENTLE.optimize(scored(images[:1], Noise(), sampling=Sampling(samples=3)))
    assert outcome.looks.tolist() == [3 * (GENTLE.composites + 3)]
    assert outcome.heatmap.isfinite().all()


def test_where_classes_do_not_exclude_each_other_the_penalty_is_ten(images):
    """Sec. 4.3."""
    score = scored(images, FILLER)
    many = MaskedScore(images, [int(i) for i in score.target], Network(), FILLER, link=sigmoid)
    many = many.part(slice(0, 3)) if (many.clean > 0.5).all() else many
    method = FeatureInversion(inversion_penalty=0.01, steps=12)
    assert torch.equal(method(many), replace(method, penalty=10.0)(many))
    assert torch.equal(method(score), replace(method, penalty=1.0)(score))
    assert score.link is probability


def test_published_code_goes_on_with_its_rate(images, weights):
    """One Adam, whose rate is halved after ten steps of the first stage; the paper's begins anew."""
    code = FeatureInversion(restarted=False, inversion_penalty=1e6, penalty=1e6, norm="squared", steps=1)
    code.optimize(scored(images[:1], FILLER))
    fell = [float((before - after).max()) for before, after in pairwise(weights)]
    torch.testing.assert_close(torch.tensor(fell[:9]), torch.full((9,), 0.01), rtol=0.2, atol=0)
    assert fell[10] == pytest.approx(fell[9] / 2, rel=0.3)
    weights.clear()
    replace(code, restarted=True, inversion_steps=2, steps=2).optimize(scored(images[:1], FILLER))
    assert float((weights[0] - weights[1]).max()) == pytest.approx(0.01, rel=0.01)


def test_pixels_of_maps_below_0_are_refused():
    with pytest.raises(ValueError, match="normalized must be cells where maps are not rectified"):
        FeatureInversion(normalized="pixels", rectified=False)
    FeatureInversion(normalized="cells", rectified=False)


def test_normalized_pixels_are_the_published_codes():
    maps = torch.rand(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    weights = torch.tensor([[0.1, 0.0, 0.3]])
    summed = (0.1 * maps[:, 0] + 0.3 * maps[:, 2])[:, None]
    enlarged = F.interpolate(summed, size=(9, 13), mode="bilinear", align_corners=True)
    expected = (enlarged - enlarged.min()) / enlarged.max()
    torch.testing.assert_close(method_file._Masks(maps, (9, 13), "pixels")(weights), expected)


class AlexNet(nn.Sequential):
    """Of that name, which is what its paper's choice goes by."""


def pooled(kind: type[nn.Sequential] = nn.Sequential) -> nn.Sequential:
    return kind(
        nn.Conv2d(3, 4, 3, 2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 15 * 15, 5),
    )


def layers_of(network: nn.Module) -> tuple[str, str]:
    return chosen(MaskedScore(torch.rand(3, 64, 64), 0, network.eval(), BLACK))


def test_layers_are_the_papers():
    """VGG's last pooling and what it pools, AlexNet's pooling for both, a ResNet's convolution but one."""
    assert layers_of(pooled()) == ("2", "1")
    assert layers_of(pooled(AlexNet)) == ("2", "2")
    resnet = pytest.importorskip("torchvision.models.resnet")
    network = resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1])
    del network.layer4[0].downsample  # the last convolution but one, where a block has no other beside
    network.layer4[0] = resnet.BasicBlock(256, 256)
    network.fc = nn.Linear(256, 5)
    assert layers_of(network) == ("layer4.0", "layer4.0.conv1")
    assert layers_of(
        nn.Sequential(*pooled()[:2], nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    ) == (
        "1",
        "1",
    )


def test_of_layers_that_are_named_others_are_not_asked_for(images):
    named = replace(GENTLE, layer="features.5", inverted="features.6")
    assert torch.equal(named(scored(images, FILLER)), GENTLE(scored(images, FILLER)))
    other = replace(GENTLE, layer="features.2")
    assert not torch.equal(other(scored(images, FILLER)), GENTLE(scored(images, FILLER)))


def test_maps_are_the_layers_own(images):
    score, network = scored(images, FILLER), Network().eval()
    torch.testing.assert_close(layer_maps(score, "features.5"), network.features[:6](images))
    few = score.with_execution(batch_size=2)
    torch.testing.assert_close(layer_maps(few, "features.2"), network.features[:3](images))


def test_hooks_are_gone_and_the_network_is_as_it_was(images):
    network = Network().train()
    score = scored(images, FILLER, network)
    GENTLE(score)
    for module in (*network.modules(), *score.classifier.network.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    assert network.training
    assert all(value.requires_grad and value.grad is None for value in network.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"layer": "features.55"},
            r"layer must be a layer of the network \(nearest: features\.5.*got 'features.55'",
        ),
        ({"inverted": "feature"}, r"inverted must be a layer of the network \(nearest: features"),
        ({"layer": "head"}, r"layer must be one that puts out maps, got 'head, of \(1, 5\)'"),
    ],
)
def test_a_layer_that_does_not_do_is_named(images, change, message):
    with pytest.raises(ValueError, match=message):
        replace(GENTLE, **change)(scored(images, FILLER))


def test_maps_that_tell_nothing_are_named(images):
    network = Network()
    network.features[4].bias.data.fill_(-1e3)  # no neuron fires
    score = MaskedScore(images, likeliest(network, images), network, Gray())
    with pytest.raises(
        ValueError, match=r"layer must be one whose maps tell places apart.*got 'features\.5'"
    ):
        GENTLE(score)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"inversion_steps": 0}, "inversion_steps must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0"),
        ({"halving": 0}, "halving must be at least 1, got 0"),
        ({"penalty": -1.0}, "penalty must be at least 0, got -1"),
        ({"suppression": -1.0}, "suppression must be at least 0, got -1"),
        ({"stages": "second"}, r"stages must be one of .*inversion.*, got 'second'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_parameters_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(GENTLE, **change)


def test_many_images_have_the_maps_of_each(images, monkeypatch):
    """More than a processor is given at once."""
    score = scored(images)
    expected = torch.cat([layer_maps(one, "features.5") for one in score])
    monkeypatch.setattr("infill.network.PIXELS_AT_ONCE", 24 * 32 + 1)
    torch.testing.assert_close(layer_maps(scored(images), "features.5"), expected)


def test_margins_are_refused(images):
    score = MaskedScore(images[:1], 1, Network().eval(), Gray())
    with pytest.raises(
        ValueError, match=r"score must be of images as the classifier sees them \(margin 0\), got 4"
    ):
        FeatureInversion()(score.enlarged(4))
