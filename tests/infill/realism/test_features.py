"""The features before the last layer, of networks whose features are known."""

import pytest
import torch
import torchvision
from planted import Network, liven
from torch import nn
from torch.nn.functional import linear

from attribution.engine.precision import prepare
from infill.network import last_layer
from infill.realism.features import judge
from models.classifiers import load_classifier
from models.scenes import draw

IMAGES = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def untrained(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build(weights=None).eval().requires_grad_(False)
        liven(network)
    return network


@pytest.fixture(scope="module")
def mobilenet():
    return untrained(torchvision.models.mobilenet_v2)


@pytest.fixture(scope="module")
def squeezenet():
    return untrained(torchvision.models.squeezenet1_0)


def hooks(network):
    return [
        hook
        for module in network.modules()
        for hook in [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    ]


def test_features_of_a_linear_head_are_its_input(mobilenet):
    made = judge(mobilenet, mobilenet, IMAGES[:1])
    assert made.head is mobilenet.classifier[1]
    logits, features = made(IMAGES)
    assert torch.equal(logits, mobilenet(IMAGES))
    expected = mobilenet.features(IMAGES).mean((2, 3))
    assert expected.std() > 0.01
    assert features.shape == (3, 1280)
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-6)


def test_features_of_a_convolutional_head_are_averaged(squeezenet):
    made = judge(squeezenet, squeezenet, IMAGES[:1])
    assert made.head is squeezenet.classifier[1]
    logits, features = made(IMAGES)
    assert torch.equal(logits, squeezenet(IMAGES))
    maps = squeezenet.features(IMAGES)
    assert maps.shape[2] > 1
    torch.testing.assert_close(features, maps.mean((2, 3)), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def scenes():
    """More than a processor is given at once."""
    return torch.stack([draw(index).image for index in range(7)])


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_features_of_a_prepared_classifier(scenes, precision, tolerance):
    classifier = load_classifier("scenes")
    prepared = prepare(classifier, precision, scenes[:1])
    assert prepared.exact is (precision == "float32")
    with torch.no_grad():
        logits, features = judge(prepared, prepared.network, scenes[:1])(scenes)
        assert torch.equal(logits, prepared(scenes))
        seen = classifier.network.features((scenes - classifier.mean) / classifier.std)
    assert logits.dtype is features.dtype is torch.float32
    scale = float(seen.mean((2, 3)).abs().max())
    torch.testing.assert_close(features, seen.mean((2, 3)), rtol=0, atol=tolerance * scale)
    head = prepared.network.network.head
    torch.testing.assert_close(linear(features, head.weight, head.bias), logits, rtol=1e-4, atol=1e-4)


class Order(nn.Module):
    """Calls its layers in another order than it names them, one of them twice, and one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first, self.unused = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, images):
        return self.last(self.first(self.last(images.mean((2, 3)))).relu())


def test_the_last_layer_is_the_one_called_last():
    network = Order()
    assert last_layer(network, lambda: network(IMAGES)) is network.last
    with torch.no_grad():
        logits, features = judge(network, network, IMAGES)(IMAGES)
        expected = network.first(network.last(IMAGES.mean((2, 3)))).relu()
    assert torch.equal(features, expected), "what it read at last"
    assert torch.equal(logits, network.last(expected).detach())


class Mirrored(nn.Module):
    """Answers with the mean of what it says of an image and of its mirror."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 3)

    def forward(self, images):
        left = images[..., : images.shape[3] // 2].mean((2, 3))
        return (self.head(left) + self.head(images.mean((2, 3)))) / 2


def test_what_is_read_last_is_not_taken_for_all_that_is_read():
    network = Mirrored()
    with pytest.raises(
        ValueError, match=r"network must be one whose last layer is called once, .* '2 calls'"
    ):
        judge(network, network, IMAGES)


def test_whoever_runs_the_network_may_do_more():
    network = Network().eval()
    with torch.no_grad():
        logits, features = judge(lambda images: 2 * network(images / 2), network, IMAGES[:1])(IMAGES)
        torch.testing.assert_close(features, network.features(IMAGES / 2))
        torch.testing.assert_close(logits, 2 * network(IMAGES / 2))


def test_logits_and_features_are_float32():
    network = Network().eval().double()
    logits, features = judge(network, network, IMAGES[:1].double())(IMAGES.double())
    assert logits.dtype is features.dtype is torch.float32


def test_nothing_is_learned_while_the_layer_is_looked_for():
    graphs = []

    def classifier(images):
        graphs.append(torch.is_grad_enabled())
        return network(images)

    network = Network().eval()
    judge(classifier, network, IMAGES)
    assert graphs
    assert not any(graphs)


def test_no_hook_is_left_behind():
    network = Network().eval()
    theirs = network.head.register_forward_hook(lambda *_: None)
    made = judge(network, network, IMAGES)
    made(IMAGES)
    assert len(hooks(network)) == 1, "only the caller's own"
    theirs.remove()
    with pytest.raises(RuntimeError):
        made(IMAGES[:, :1])
    with pytest.raises(RuntimeError):
        last_layer(network, lambda: network(IMAGES[:, :1]))
    with pytest.raises(RuntimeError):
        judge(network, network, IMAGES[:, :1])
    assert hooks(network) == []


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 2)

    def forward(self, images):
        return images.mean((2, 3))


@pytest.mark.parametrize("network", [nn.Flatten(), Idle()])
def test_a_network_without_a_layer_is_refused(network):
    assert last_layer(network, lambda: network(IMAGES)) is None
    with pytest.raises(ValueError, match=r"network must call a linear or convolutional layer.*got none"):
        judge(network, network, IMAGES)


class Tokens(nn.Module):
    """Classifies parts of the image, and then averages."""

    def __init__(self, together: bool) -> None:
        super().__init__()
        self.head, self.together = nn.Linear(3, 2), together

    def forward(self, images):
        tokens = images.flatten(2).transpose(1, 2)
        answers = self.head(tokens.flatten(0, 1) if self.together else tokens)
        return answers.view(len(images), -1, 2).mean(1)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(("together", "shape"), [(False, r"\(3, 4096, 3\)"), (True, r"\(12288, 3\)")])
def test_features_must_be_one_row_an_image(together, shape):
    network = Tokens(together)
    message = f"features must be of shape n d before the last layer, for 3 images, got {shape}"
    with pytest.raises(ValueError, match=message):
        judge(network, network, IMAGES)
    assert hooks(network) == []


def test_what_changes_the_features_in_place_afterwards_does_not_change_them():
    class Spoiling(Network):
        def forward(self, images):
            features = self.features(images)
            logits = self.head(features)
            features.zero_()
            return logits

    network = Spoiling().eval()
    with torch.no_grad():
        assert torch.equal(judge(network, network, IMAGES)(IMAGES)[1], network.features(IMAGES))
