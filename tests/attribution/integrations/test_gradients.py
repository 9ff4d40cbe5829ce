"""Methods of gradients, beside captum itself."""

import captum.attr
import pytest
import torch
from differentiated import Functional, Tiny, largest, quiet
from planted import Linear, Network

from attribution import Gradient, GuidedGradCam, MaskedScore, NoisyGradient, log_odds, probability, sigmoid
from attribution.integrations.scalar import Scalar
from infill import Gray

KINDS = {
    "plain": captum.attr.Saliency,
    "guided": captum.attr.GuidedBackprop,
    "deconvnet": captum.attr.Deconvolution,
}
TARGETS = [2, 0, 3]


def theirs(kind, images, network=None):
    with quiet():
        method = KINDS[kind](network or Tiny().eval())
        return largest(method.attribute(images.clone().requires_grad_(), target=TARGETS))


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_are_captums(images, kind):
    found = Gradient(kind)(MaskedScore(images, TARGETS, Tiny()))
    torch.testing.assert_close(found, theirs(kind, images), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("how", ["function", "method", "in place", "twice"])
@pytest.mark.parametrize("kind", ["guided", "deconvnet"])
def test_activations_need_not_be_modules(images, kind, how):
    """Where captum itself would leave functions as they are."""
    network = Functional(Tiny(), how).eval()
    found = Gradient(kind)(MaskedScore(images, TARGETS, network))
    torch.testing.assert_close(found, theirs(kind, images), rtol=1e-5, atol=1e-7)
    if how == "function":
        assert not torch.allclose(theirs(kind, images, network), found), "captum has learned it"


def test_a_capped_activation_is_guided_as_a_relu_below_its_ceiling(images):
    capped, images = Tiny(), images / 4
    capped.features[2] = torch.nn.ReLU6()
    assert float(capped.eval().features[:2](images).detach().max()) < 6
    found = Gradient("guided")(MaskedScore(images, TARGETS, capped))
    torch.testing.assert_close(found, theirs("guided", images), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("kind", "theirs"), [("mean", "smoothgrad"), ("variance", "vargrad")])
@pytest.mark.parametrize("batch_size", [3, 64])
def test_noise_goes_through_captums_tunnel(image, kind, theirs, batch_size, monkeypatch):
    network = Tiny().eval()
    generator = torch.Generator().manual_seed(7)
    noise = torch.stack([torch.randn(3, 24, 32, generator=generator) for _ in range(5)])
    monkeypatch.setattr(torch, "normal", lambda mean, std: mean + std * noise)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(network))
    with quiet():
        expected = tunnel.attribute(
            image.clone().requires_grad_(), nt_type=theirs, nt_samples=5, stdevs=0.2, target=1, abs=False
        )
    score = MaskedScore(image, 1, network).with_execution(batch_size=batch_size)
    found = NoisyGradient(kind, samples=5, std=0.2, seed=7)(score)
    torch.testing.assert_close(found, largest(expected), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_gradients_that_are_all_alike_vary_by_nothing(image, batch_size):
    score = MaskedScore(image, 1, Linear(seed=3)).with_execution(batch_size=batch_size)
    assert not NoisyGradient("variance", samples=5, std=0.2, explained="logit")(score).any()


def test_guided_grad_cam_is_captums(images):
    network = Tiny().eval()
    with quiet():
        method = captum.attr.GuidedGradCam(network, network.features[4])
        expected = method.attribute(images.clone().requires_grad_(), TARGETS, interpolate_mode="bilinear")
    for layer in ("auto", "features.4"):
        found = GuidedGradCam(layer)(MaskedScore(images, TARGETS, Tiny()))
        torch.testing.assert_close(found, largest(expected), rtol=1e-4, atol=1e-8)
    assert not torch.allclose(GuidedGradCam("features.2")(MaskedScore(images, TARGETS, Tiny())), found)


@pytest.mark.parametrize("explained", ["logit", "log-odds", "score"])
@pytest.mark.parametrize("link", [probability, sigmoid])
def test_the_number_that_is_differentiated_can_be_chosen(image, explained, link):
    network = Tiny().eval()
    leaf = image.clone().requires_grad_()
    target = torch.tensor([1])
    number = {"logit": lambda some, which: some[:, 1], "log-odds": log_odds, "score": link}[explained]
    (expected,) = torch.autograd.grad(number(network(leaf), target).sum(), leaf)
    found = Gradient(explained=explained)(MaskedScore(image, 1, network, link=link))
    torch.testing.assert_close(found, largest(expected), rtol=1e-4, atol=1e-8)


def test_one_class_against_another_is_followed_as_it_is(image):
    from attribution import Against

    network = Tiny().eval()
    leaf = image.clone().requires_grad_()
    logits = network(leaf)
    (expected,) = torch.autograd.grad((logits[:, 1] - logits[:, 3]).sum(), leaf)
    found = Gradient()(MaskedScore(image, 1, network, link=Against(3)))
    torch.testing.assert_close(found, largest(expected), rtol=1e-4, atol=1e-8)


def test_bfloat16_does_not_round_gradients(image):
    score = MaskedScore(image, 1, Network())
    exact, coarse = (Gradient()(score.with_execution(precision=each)) for each in ("float32", "bfloat16"))
    assert torch.equal(exact, coarse)


def test_a_plain_callable_has_a_gradient_but_no_insides(image):
    network = Tiny().eval()
    score = MaskedScore(image, 1, lambda some: network(some))
    assert torch.equal(Gradient()(score), Gradient()(MaskedScore(image, 1, network)))
    with pytest.raises(ValueError, match="classifier must be a torch module"):
        GuidedGradCam()(score)


@pytest.mark.parametrize(
    ("network", "method", "message"),
    [
        (
            lambda some: some.detach().mean(dim=(2, 3)),
            Gradient(),
            "classifier must be differentiable by torch",
        ),
        (Linear(), Gradient("guided"), "classifier must be one with ReLUs, whose derivative is changed"),
        (Tiny(), GuidedGradCam("features.9"), r"layer must be a layer of the network \(nearest: features"),
        (Tiny(), GuidedGradCam("head"), "layer must be one that gives maps"),
        (Linear(), GuidedGradCam(), "classifier must be one with convolutions, got 'none"),
    ],
)
def test_what_cannot_be_differentiated_is_refused_in_a_line(image, network, method, message):
    with pytest.raises(ValueError, match=message) as caught:
        method(MaskedScore(image, 1, network, Gray()))
    assert "\n" not in str(caught.value)


def test_images_that_the_classifier_sees_in_part_are_refused(image):
    with pytest.raises(ValueError, match="score must be of images that the classifier sees whole"):
        Gradient()(MaskedScore(image, 1, Tiny()).enlarged(4))


@pytest.mark.usefixtures("unchecked_shapes")
def test_settings_out_of_range_are_refused():
    for make in (lambda: Gradient("vanilla"), lambda: NoisyGradient(samples=1), lambda: NoisyGradient(std=0)):
        with pytest.raises(ValueError, match="must be"):
            make()


def test_images_that_are_shown_are_counted(images):
    found = NoisyGradient(samples=7).attribute(MaskedScore(images, TARGETS, Tiny()))
    assert found.forwards.tolist() == [7, 7, 7]
    assert found.baseline is None
    assert Scalar(MaskedScore(images, 0, Tiny())).shown == 0
