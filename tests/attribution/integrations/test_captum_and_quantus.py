"""The ways in from captum and Quantus, beside captum and Quantus themselves."""

import warnings
from functools import partial

import captum.attr
import captum.metrics
import numpy as np
import pytest
import torch
from planted import BrightSquare, Network, square_image
from torch import Tensor, nn

from attribution import MaskedScore, MeaningfulPerturbation, Rise, SlidingPatch, Value, logit
from attribution.integrations.captum import Attributor
from attribution.integrations.quantus import quantus_explain
from infill import Blur, Gray

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
SP = SlidingPatch(patch=6, stride=3, average=True)


@pytest.fixture(scope="module")
def quantus():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own source
        import quantus
    return quantus


def normalized(images: Tensor) -> Tensor:
    return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


BLACK = Gray((0.0, 0.0, 0.0))


def test_captums_users_can_swap_the_class(images):
    network, target = Network().eval(), torch.tensor([0, 1, 2])
    theirs = captum.attr.Occlusion(network).attribute(
        images, (3, 6, 6), strides=(3, 3, 3), baselines=0.25, target=target, perturbations_per_eval=8
    )
    ours = Attributor(network, SP, filler=Gray((0.25,) * 3), link=logit).attribute(
        images, target=target, perturbations_per_eval=8
    )
    assert ours.shape == (3, 1, 24, 32)
    torch.testing.assert_close(ours.expand_as(theirs), theirs.detach(), rtol=0, atol=1e-5)


def test_captums_users_may_normalize_their_inputs(images):
    network = Network().eval()
    baseline = normalized(torch.full_like(images, 0.25))
    theirs = captum.attr.Occlusion(network).attribute(
        normalized(images),
        (3, 6, 6),
        strides=(3, 3, 3),
        baselines=baseline,
        target=1,
        perturbations_per_eval=8,
    )
    for forward in (network, lambda inputs: network(inputs)):
        front = Attributor(forward, SP, filler=Gray((0.25,) * 3), link=logit, denormalize=(MEAN, STD))
        ours = front.attribute(normalized(images), target=1)
        torch.testing.assert_close(ours.expand_as(theirs), theirs.detach(), rtol=0, atol=1e-5)


def test_captums_sensitivity_takes_the_front(images):
    front = Attributor(Network(), Rise(masks=20), filler=Blur(), clip=True)
    torch.manual_seed(0)
    sensitivity = captum.metrics.sensitivity_max(front.attribute, images, n_perturb_samples=2, target=1)
    assert sensitivity.shape == (3,)
    assert (sensitivity > 0).all()
    assert (sensitivity < 1).all()


def test_captums_infidelity_prefers_the_truth():
    image, network = square_image(), BrightSquare()

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(len(inputs))
        off = (torch.rand(len(inputs), 1, 5, 6, generator=generator) < 0.3).float()
        step = off.repeat_interleave(8, 2).repeat_interleave(8, 3).expand_as(inputs)
        return step, inputs * (1 - step)

    heatmap = Attributor(network, SP, filler=Gray((0.0,) * 3)).attribute(image, target=1)
    found, flipped = (
        captum.metrics.infidelity(network, perturb, image, some.expand_as(image), target=1, normalize=True)
        for some in (heatmap, heatmap.flip(3))
    )
    assert found < flipped


def test_attribute_takes_what_captum_takes(image, capsys):
    front = Attributor(Network(), SP, batch_size=3)
    expected = front.attribute(image, target=2)
    for target in ([2], torch.tensor(2), torch.tensor([2])):
        assert torch.equal(front.attribute(image, target=target), expected)
    inside = front.attribute((image.clone().requires_grad_(),), target=2)
    assert isinstance(inside, tuple)
    assert torch.equal(inside[0], expected)
    assert capsys.readouterr().err == ""
    assert torch.equal(front.attribute(image, target=2, show_progress=True), expected)
    assert "SlidingPatch: 100%" in capsys.readouterr().err


def test_perturbations_per_eval_is_the_batch_size(image):
    sizes = []

    def forward(inputs: Tensor) -> Tensor:
        sizes.append(len(inputs))
        return inputs.mean(dim=(2, 3))

    Attributor(forward, SP).attribute(image, target=0, perturbations_per_eval=4)
    assert max(sizes) == 4


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_the_captum_front_cannot_do_is_refused(image):
    front = Attributor(Network(), SP)
    with pytest.raises(ValueError, match=r"target must be given unless there is one number for each of 1 .*"):
        front.attribute(image)
    with pytest.raises(ValueError, match="inputs must be one tensor, got '2 tensors'"):
        front.attribute((image, image), target=0)
    with pytest.raises(ValueError, match=r"inputs must be in \[0, 1\], or normalized and denormalize=\(mean"):
        front.attribute(normalized(image), target=0)
    with pytest.raises(ValueError, match=r"denormalize must be \(mean, std\)"):
        Attributor(Network(), SP, denormalize=((0.5,), (0.2, 0.2)))
    with pytest.raises(ValueError, match=r"denormalize must be \(mean, std\)"):
        Attributor(Network(), SP, denormalize=((0.5,), (0.0,)))


@pytest.mark.parametrize("normalize", [False, True])
def test_quantus_gets_our_heatmap(quantus, images, normalize):
    network = Network().eval()
    model = nn.Sequential(Undo(), network) if normalize else network
    explain = quantus_explain(SP, filler=Blur(), denormalize=(MEAN, STD) if normalize else None)
    inputs = (normalized(images) if normalize else images).numpy()
    metric = quantus.Sparseness(disable_warnings=True, display_progressbar=False)
    attributions = explain(model=model, inputs=inputs, targets=np.array([0, 1, 2]))
    expected = SP(MaskedScore(images, [0, 1, 2], network, Blur()))
    assert attributions.dtype == np.float32
    np.testing.assert_allclose(attributions[:, 0], expected.numpy(), atol=1e-5)
    assert attributions.shape == (3, 1, 24, 32)
    scores = metric(
        model=model, x_batch=inputs, y_batch=np.array([0, 1, 2]), explain_func=explain, device="cpu"
    )
    given = metric(
        model=model, x_batch=inputs, y_batch=np.array([0, 1, 2]), a_batch=attributions, device="cpu"
    )
    np.testing.assert_allclose(scores, given)
    assert all(0 < score < 1 for score in scores)


class Undo(nn.Module):
    """Turns normalized inputs into the images that the small network expects."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]


def test_quantus_pixel_flipping_prefers_the_truth(quantus):
    image, model = square_image().numpy(), BrightSquare().eval()
    metric = quantus.PixelFlipping(
        features_in_step=40 * 48 // 8,
        perturb_baseline="black",
        disable_warnings=True,
        display_progressbar=False,
    )
    areas = [
        np.mean(
            metric(model=model, x_batch=image, y_batch=np.array([1]), explain_func=explain, device="cpu")[0]
        )
        for explain in (quantus_explain(SP), lambda **given: -quantus_explain(SP)(**given))
    ]
    assert areas[0] < areas[1]


def test_quantus_max_sensitivity_adds_noise(quantus, images):
    metric = quantus.MaxSensitivity(nr_samples=2, disable_warnings=True, display_progressbar=False)
    batch = {"model": Network(), "x_batch": images.numpy(), "y_batch": np.array([0, 1, 2]), "device": "cpu"}
    np.random.seed(0)  # noqa: NPY002  (the library draws from there)
    scores = metric(**batch, explain_func=quantus_explain(Rise(masks=20), clip=True))
    assert all(0 < score < 1 for score in scores)
    with pytest.raises(ValueError, match=r"inputs must be in \[0, 1\], or normalized and denormalize=\(mean"):
        quantus_explain(Rise(masks=20))(Network(), images.numpy() + 0.5, np.array([0, 1, 2]))


class Conditioned(nn.Module):
    """A model with arguments beside the images: a number for each, a factor, a word."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Network()

    def forward(self, images, strength, factor=1.0, word="plus"):
        logits = self.network(images) * (factor if word == "plus" else -factor)
        return logits * strength[:, None]


@pytest.mark.parametrize("as_module", [True, False])
def test_additional_forward_args_are_handed_on_as_captum_does(images, as_module):
    model = Conditioned().eval()
    forward = model if as_module else lambda *given: model(*given)
    further = (torch.tensor([0.5, 1.0, 2.0]), 0.7, "minus")
    ours = Attributor(forward, SlidingPatch(8, 8, average=True), filler=BLACK, link=logit).attribute(
        images, target=[0, 1, 2], additional_forward_args=further
    )
    theirs = captum.attr.Occlusion(forward).attribute(
        images, (3, 8, 8), (3, 8, 8), 0, target=[0, 1, 2], additional_forward_args=further
    )
    torch.testing.assert_close(ours[:, 0], theirs.detach().mean(1), rtol=0, atol=1e-4)
    alone = Attributor(forward, SlidingPatch(8, 8), filler=BLACK)
    one = alone.attribute(images[:1], 1, additional_forward_args=torch.tensor([2.0]))
    assert one.shape == (1, 1, *images.shape[2:])


@pytest.mark.parametrize("shape", ["(n,)", "(n, 1)"])
@pytest.mark.parametrize("as_module", [True, False])
def test_a_single_output_needs_no_target(images, shape, as_module):
    network = Network(classes=1).eval()
    module = nn.Sequential(network, nn.Flatten(0)) if shape == "(n,)" else network
    forward = module if as_module else lambda some: module(some)
    ours = Attributor(forward, SlidingPatch(8, 8, average=True), filler=BLACK).attribute(images)
    theirs = captum.attr.Occlusion(module).attribute(images, (3, 8, 8), (3, 8, 8), 0)
    torch.testing.assert_close(ours[:, 0], theirs.detach().mean(1), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("baselines", "baselines must be left out \\(the filler is what takes the pixels' place\\), got 0"),
        ("feature_mask", "give Lime\\(segmentation=feature_mask\\)"),
        ("strides", "give SlidingPatch\\(patch, stride\\) as the explainer"),
        ("bogus", "captum has no such argument"),
    ],
)
def test_what_is_not_taken_is_refused_with_the_remedy(image, name, said):
    with pytest.raises(ValueError, match=said):
        Attributor(Network(), SlidingPatch()).attribute(image, 0, **{name: 0})


@pytest.mark.parametrize("count", [1, 2])
def test_one_number_in_a_row_is_for_all_images(images, count):
    network, factor = Network().eval(), torch.tensor([2.0])

    def forward(some, times):
        assert times.shape == (1,)
        return network(some) * times

    ours = Attributor(forward, SlidingPatch(8, 8, average=True), filler=BLACK, link=logit).attribute(
        images[:count], 1, additional_forward_args=factor
    )
    theirs = captum.attr.Occlusion(forward).attribute(
        images[:count], (3, 8, 8), (3, 8, 8), 0, target=1, additional_forward_args=factor
    )
    torch.testing.assert_close(ours[:, 0], theirs.detach().mean(1), rtol=0, atol=1e-4)


def scaled(network, times, images):
    return network(images) * times


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_a_regressions_units_do_not_matter(images, unit):
    network, method = Network(classes=1).eval(), MeaningfulPerturbation(steps=5, cells=4)
    found, expected = (
        Attributor(partial(scaled, network, times), method, filler=BLACK, **more).attribute(images[:1])
        for times, more in ((unit, {}), (1.0, {"link": Value()}))
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("given", [(0.5, 0.5), ((0.5,), (0.0,)), ((), ()), ("a", "b"), 3])
def test_what_is_no_mean_and_std_is_refused(given):
    with pytest.raises(ValueError, match=r"denormalize must be \(mean, std\), positive std"):
        Attributor(Network(), SlidingPatch(), denormalize=given)


def test_mean_and_std_of_other_channels_are_refused_and_tensors_are_taken(images, recwarn):
    front = Attributor(Network(), SlidingPatch(8, 8), denormalize=((0.5, 0.5), (0.2, 0.2)))
    with pytest.raises(ValueError, match=r"inputs must be of 2 channels, as denormalize has, got 3"):
        front.attribute(images, 0)
    pair = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.2, 0.3])
    found, expected = (
        Attributor(Network().eval(), SlidingPatch(8, 8), denormalize=each, clip=True).attribute(images, 0)
        for each in (pair, tuple(map(torch.Tensor.tolist, pair)))
    )
    torch.testing.assert_close(found, expected)
    assert not [each for each in recwarn if "copy construct" in str(each.message)]
