"""Which layer's maps are taken."""

import pytest
import torch
from differentiated import Functional, Tiny
from planted import Network
from torch import nn

from attribution import MaskedScore
from attribution.integrations.maps import layer_of
from attribution.integrations.scalar import Scalar


def chosen(network: nn.Module, side: int = 64, name: str = "auto") -> str:
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    scalar = Scalar(MaskedScore(image, 0, network))
    layer = layer_of(scalar, image, name)
    return next(path for path, part in scalar.module.named_modules() if part is layer)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("alexnet", "features.11"),  # the last convolution's ReLU, before its pooling
        ("resnet18", "layer4"),
        ("squeezenet1_1", "classifier.2"),
        ("mobilenet_v3_small", "features"),  # squeeze and excitation do not count
        ("densenet121", "features"),
    ],
)
def test_torchvisions_networks_end_in_their_last_maps(name, layer):
    models = pytest.importorskip("torchvision.models")
    with torch.device("meta"):  # only shapes matter: nothing is drawn
        network = getattr(models, name)(weights=None)
    network = network.to_empty(device="cpu")
    for value in network.state_dict().values():
        value.fill_(0.01 if value.is_floating_point() else 1)
    assert chosen(network) == layer


def test_the_networks_that_ship_end_in_their_last_maps():
    from models.classifiers import load_classifier

    assert chosen(load_classifier("scenes"), 224) == "network.features"
    assert chosen(load_classifier("scenes"), 224, "features.3") == "network.features.3"
    assert chosen(Tiny()) == "features"
    assert chosen(Network()) == "features.5"


class Tokens(nn.Module):
    """Patches that are no maps any longer."""

    def __init__(self):
        super().__init__()
        self.patches, self.mixed, self.head = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images):
        return self.head(self.mixed(self.patches(images).flatten(2).transpose(1, 2)).mean(dim=1))


def test_transformers_are_asked_for_a_layer():
    with pytest.raises(ValueError, match=r"classifier must be one whose convolutions lead to its pooling"):
        chosen(Tokens())
    assert chosen(Tokens(), name="patches") == "patches"


def test_a_layer_that_runs_twice_has_no_maps_of_its_own():
    class Twice(Tiny):
        def forward(self, images):
            return self.head(self.pool(self.features(images) + self.features(images)).flatten(1))

    with pytest.raises(ValueError, match="layer must be one that is run once"):
        chosen(Twice(), name="features")


@pytest.mark.parametrize("how", ["twice", "function"])
def test_an_activation_that_layers_share_is_not_the_last_maps(how):
    assert chosen(Functional(Tiny(), how)) == "second"


def test_where_all_that_comes_last_runs_twice_a_layer_must_be_named():
    class Twice(Tiny):
        def forward(self, images):
            return self.head(self.pool(self.features(images) + self.features(images)).flatten(1))

    with pytest.raises(ValueError, match="layer must be named where all last ones run several times"):
        chosen(Twice())
