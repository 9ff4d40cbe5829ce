"""Layers are found in every kind of convolutional network, and what they put out is theirs."""

from threading import Thread

import pytest
import torch
from planted import Network
from torch import Tensor, nn

from attribution.engine.layers import layer_named, listening, map_layers, network_of
from attribution.engine.precision import prepare


class Inside(nn.Module):
    """A network that somebody has put into another."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images - 0.5)


class Fire(nn.Module):
    """Two convolutions side by side, whose joint map no layer of its own puts out."""

    def __init__(self, inward: int):
        super().__init__()
        self.left, self.right = nn.Conv2d(inward, 4, 1), nn.Conv2d(inward, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.left(x), self.right(x)], dim=1).relu()


class Tokens(nn.Module):
    """A map whose places become a sequence."""

    def __init__(self):
        super().__init__()
        self.patches, self.mix, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.mix(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


def vgg() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(16),  # changes nothing at 32 x 32
        nn.Flatten(),
        nn.Linear(1024, 5),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


def squeezed() -> nn.Sequential:
    """Whose head is a convolution, behind dropout."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2),
        Fire(4),
        nn.Dropout(),
        nn.Conv2d(8, 3, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def prepared(network: nn.Module, side: int = 32):
    return prepare(network.eval(), "float32", torch.rand(1, 3, side, side), deterministic=False)


def names(network: nn.Module) -> list[str]:
    return [layer.name for layer in map_layers(prepared(network), torch.rand(1, 3, 32, 32))]


def test_the_last_map_is_what_the_head_reads():
    assert names(vgg()) == ["0", "1", "2"]
    assert names(squeezed())[-1] == "1"
    assert names(Inside(squeezed()))[-1] == "network.1"
    assert names(Network())[-1] == "features.6"


@pytest.mark.parametrize(
    ("name", "last", "shape"),
    [
        ("shufflenet_v2_x0_5", "conv5.2", (1024, 2, 2)),
        ("mobilenet_v3_small", "features.12.2", (576, 2, 2)),
        ("squeezenet1_1", "features.12", (512, 3, 3)),
    ],
)
def test_networks_of_torchvision_have_a_last_map(name, last, shape):
    models = pytest.importorskip("torchvision.models")
    network = prepared(getattr(models, name)(weights=None), side=64)
    layer = map_layers(network, torch.rand(1, 3, 64, 64))[-1]
    assert (layer.name, layer.shape) == (last, shape)
    assert layer.module is network_of(network).get_submodule(last)


def test_a_residual_network_has_its_last_block():
    """Whose one activation runs several times, and whose normalizations are folded."""
    resnet = pytest.importorskip("torchvision.models.resnet")
    network = prepared(resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1]), side=64)
    layers = map_layers(network, torch.rand(1, 3, 64, 64))
    assert layers[-1].name == "layer4.0"
    assert [layer.name for layer in layers if "layer4" in layer.name][:1] == ["layer4.0.conv1"]


def test_networks_without_maps_are_refused():
    with pytest.raises(
        ValueError, match=r"classifier must be a network whose layers put out maps.*Sequential"
    ):
        names(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)))
    with pytest.raises(ValueError, match="layer must be named where a network makes tokens of its maps"):
        names(Tokens())


def test_a_plain_callable_shows_no_layers():
    def plain(images: Tensor) -> Tensor:
        return images.mean((2, 3))

    classifier = prepare(plain, "float32", torch.rand(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"classifier must be a torch module, whose layers .* got 'plain'"):
        network_of(classifier)


def test_a_layer_is_found_by_the_end_of_its_name():
    network = Inside(Network())
    assert layer_named(network, "network.features.3") == "network.features.3"
    assert layer_named(network, "features.3") == "network.features.3"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "features.33",
            r"layer must be a layer of the network \(nearest: features\.3.*\), got 'features.33'",
        ),
        ("feature", r"nearest: features"),
        ("", r"layer must be a layer of the network \(nearest: .*head\), got ''"),
    ],
)
def test_the_nearest_names_are_told(name, message):
    with pytest.raises(ValueError, match=message):
        layer_named(Inside(Network()), name)


def test_a_name_that_fits_several_layers_is_refused():
    network = nn.ModuleDict({"a": nn.Sequential(nn.ReLU()), "b": nn.Sequential(nn.ReLU())})
    with pytest.raises(ValueError, match=r"the whole name of a layer: a\.0, b\.0 fit, got '0'"):
        layer_named(network, "0")


def test_what_a_layer_puts_out_is_its_own():
    """Not what a layer after it makes of it in place; and the hooks are gone, whatever happens."""
    network, images = vgg().eval(), torch.rand(2, 3, 32, 32)
    with listening(network, ["0", "1"]) as heard:
        network(images)
    torch.testing.assert_close(heard["0"], network[0](images))
    assert heard["0"].min() < 0
    torch.testing.assert_close(heard["1"], heard["0"].relu())
    heard["0"].sum().backward()
    assert network[0].bias.grad.abs().min() > 0
    with pytest.raises(RuntimeError), listening(network, ["0"]):
        network(images[:, :1])
    assert not network[0]._forward_hooks


def test_of_a_layer_that_runs_twice_the_last_output_counts():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act, self.head = nn.Conv2d(3, 3, 1), nn.ReLU(), nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.act(self.conv(self.act(images))).mean((2, 3)))

    network, images = Twice(), torch.rand(1, 3, 4, 4)
    with listening(network, ["act"]) as heard:
        network(images)
    assert torch.equal(heard["act"], network.conv(images).relu())
    assert [layer.name for layer in map_layers(prepared(network), images)] == ["act", "conv", "act"]


def test_what_other_threads_make_a_layer_put_out_is_not_listened_to():
    network, mine, theirs = Network().eval(), torch.rand(1, 3, 16, 16), torch.rand(2, 3, 16, 16)
    prepared = prepare(network, "float32", mine)
    module = network_of(prepared)
    alone = [layer.name for layer in map_layers(prepared, mine)]
    paths = [path for path, _ in module.named_modules() if path]

    def meanwhile(*_: object) -> None:
        other = Thread(target=prepared, args=(theirs,))
        hook.remove()  # once
        other.start()
        other.join()

    with listening(module, paths) as heard:
        hook = module.get_submodule(paths[-1]).register_forward_hook(meanwhile)
        prepared(mine)
    assert {len(output) for output in heard.values()} == {1}
    hook = module.get_submodule(paths[-1]).register_forward_hook(meanwhile)
    assert [layer.name for layer in map_layers(prepared, mine)] == alone
