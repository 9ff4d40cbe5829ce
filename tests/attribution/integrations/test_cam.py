"""Class activation maps, beside pytorch-grad-cam itself and a closed form."""

import pytest
import torch
import torch.nn.functional as F
from differentiated import Functional, Tiny, cam_of
from planted import Linear
from torch import nn

from attribution import ClassActivationMap, Execution, FullGradient, MaskedScore, Sampling, ScoreCam
from attribution.baseline import baselines
from infill import Blur, Gray, Noise, Telea

BLACK = Gray((0.0, 0.0, 0.0))
CLASSES = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "ablation": "AblationCAM",
    "cam": "HiResCAM",
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("layer", ["features.2", "features.4"])
def test_maps_are_the_librarys(images, kind, layer):
    network = Tiny().eval()
    network.features[4].inplace = False  # on a processor the library would note maps that are changed later
    expected = [
        cam_of(CLASSES[kind], network, network.get_submodule(layer), image, target)
        for image, target in zip(images.split(1), [2, 0, 3], strict=True)
    ]
    if kind == "cam" and layer == "features.2":
        with pytest.raises(ValueError, match="classifier must be one with global average pooling and one"):
            ClassActivationMap(kind, layer)(MaskedScore(images, [2, 0, 3], Tiny()))
        return
    found = ClassActivationMap(kind, layer)(MaskedScore(images, [2, 0, 3], Tiny()))
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_score_cams_blank_is_a_filler(image, batch_size):
    network, score = Tiny().eval(), MaskedScore(image, 2, Tiny(), BLACK, execution=Execution(batch_size))
    expected = cam_of("ScoreCAM", network, network.features[4], image, 2)
    torch.testing.assert_close(ScoreCam()(score), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("filler", [Gray(), Blur(3.0), Telea()])
def test_score_cam_is_the_papers_with_any_blank(image, filler):
    """Wang et al. (2020), with the library's softmax over the scores; all in a few lines."""
    network = Tiny().eval()
    score = MaskedScore(image, 2, network, filler)
    with torch.no_grad():
        maps = network.features(image)[0]
        seen = F.interpolate(maps[:, None], size=(24, 32), mode="bilinear", align_corners=True)
        low, high = seen.amin(dim=(2, 3), keepdim=True), seen.amax(dim=(2, 3), keepdim=True)
        seen = (seen - low) / (high - low + 1e-8)
        shown = seen * image + (1 - seen) * baselines(score)[0]
        weights = network(shown)[:, 2].softmax(dim=0)
    expected = torch.einsum("k,kyx->yx", weights, maps)
    found = ScoreCam()(score)[0]
    enlarged = F.interpolate(expected[None, None], size=(24, 32), mode="bilinear")[0, 0]
    assert float(torch.corrcoef(torch.stack([found.flatten(), enlarged.flatten()]))[0, 1]) > 0.999
    assert not torch.allclose(found, ScoreCam()(MaskedScore(image, 2, network, BLACK))[0], atol=1e-4)


def test_score_cam_is_averaged_over_fills(image):
    score = MaskedScore(image, 2, Tiny(), Noise(), sampling=Sampling(samples=2))
    found = ScoreCam().attribute(score)
    assert found.baseline.shape == (1, 2, 3, 24, 32)
    assert found.change is None
    first = ScoreCam()(score.with_sampling(samples=1))
    assert not torch.allclose(found.heatmap, first, atol=1e-4)


def test_cam_is_the_weights_of_the_last_layer(image):
    network = Tiny().eval()
    with torch.no_grad():
        maps = network.features(image)
        expected = torch.einsum("k,nkyx->nyx", network.head.weight[1], maps).clamp(min=0)[0]
    found = ClassActivationMap("cam")(MaskedScore(image, 1, network))[0]
    enlarged = F.interpolate(expected[None, None], size=(24, 32), mode="bilinear")[0, 0]
    enlarged = (enlarged - enlarged.min()) / (enlarged.max() - enlarged.min())
    torch.testing.assert_close(found, enlarged, rtol=0, atol=1e-3)


def test_full_gradients_are_the_librarys(images):
    network = Tiny().eval()
    expected = [
        cam_of("FullGrad", network, network.head, image, target)
        for image, target in zip(images.split(1), [2, 0, 3], strict=True)
    ]
    found = FullGradient()(MaskedScore(images, [2, 0, 3], Tiny()))
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-4, atol=1e-5)


class Backwards(Tiny):
    """Whose layers run in another order than they are named."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(self.features)
        self.after = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        return self.head(self.pool(self.features(self.after(images))).flatten(1))


class Dense(Tiny):
    """Whose maps are changed by a function in place."""

    def __init__(self):
        super().__init__()
        del self.features[4]

    def forward(self, images):
        return self.head(self.pool(F.relu(self.features(images), inplace=True)).flatten(1))


@pytest.mark.parametrize("kind", CLASSES)
def test_maps_are_noted_as_they_were(image, kind):
    class Later(Dense):
        def forward(self, images):
            return self.head(self.pool(F.relu(self.features(images))).flatten(1))

    layer = ClassActivationMap(kind, "features")
    found, expected = (layer(MaskedScore(image, 2, make())) for make in (Dense, Later))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("network", "method", "message"),
    [
        (Linear(), ClassActivationMap(), "classifier must be one with convolutions, got 'none"),
        (Linear(), ScoreCam(), "classifier must be one with convolutions, got 'none"),
        (Linear(), FullGradient(), "classifier must be one with convolutions that have a bias"),
        (
            Backwards(),
            FullGradient(),
            "classifier must be one that runs each layer with a bias once, in the order",
        ),
        (Tiny(), ClassActivationMap(layer="featurs.2"), r"nearest: features\.\d"),
        (Tiny(), ClassActivationMap(layer="pool"), "layer must be one that gives maps"),
        (lambda some: some.mean(dim=(2, 3)), ClassActivationMap(), "classifier must be a torch module"),
    ],
)
def test_what_has_no_maps_is_refused_in_a_line(image, network, method, message):
    with pytest.raises(ValueError, match=message) as caught:
        method(MaskedScore(image, 1, network))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "method", [ClassActivationMap(kind) for kind in CLASSES] + [ScoreCam(), FullGradient()]
)
def test_the_library_says_nothing_and_leaves_nothing(image, method, capfd):
    network = Tiny()
    method(MaskedScore(image, 1, network))
    assert capfd.readouterr() == ("", "")
    assert network.training
    assert not any(part._forward_hooks or part._backward_hooks for part in network.modules())
    assert all(value.grad is None for value in network.parameters())


@pytest.mark.parametrize("kind", [each for each in CLASSES if each != "cam"])
def test_a_shared_activation_changes_no_map_of_the_last_layer(image, kind):
    tiny = Tiny()
    found, expected = (
        ClassActivationMap(kind)(MaskedScore(image, 2, Functional(tiny, how)))
        for how in ("twice", "function")
    )
    torch.testing.assert_close(found, expected)
    assert float(expected.std()) > 0.01


@pytest.mark.parametrize("bias", [5.0, -5.0])
def test_ablation_is_what_is_lost_whatever_the_numbers_sign(image, bias):
    """Desai & Ramaswamy (2020) in a few lines, for a layer whose maps have both signs."""
    network = Tiny().eval()
    with torch.no_grad():
        network.head.bias.fill_(bias)
        maps = network.features[:4](image)
        whole = network.head(network.pool(maps.relu()).flatten(1))[0, 2]
        lost = []
        for number in range(8):
            without = maps.clone()
            without[:, number] = 0
            lost.append(whole - network.head(network.pool(without.relu()).flatten(1))[0, 2])
    weighed = (torch.stack(lost)[:, None, None] * maps[0]).sum(0).relu()
    weighed = weighed - weighed.min()
    expected = F.interpolate(
        (weighed / weighed.max())[None, None], size=image.shape[2:], mode="bilinear", align_corners=False
    )[0]
    for batch_size in (3, 64):
        score = MaskedScore(image, 2, network, execution=Execution(batch_size))
        found = ClassActivationMap("ablation", "features.3")(score)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=5e-3)  # the library enlarges by OpenCV


def test_maps_that_are_added_to_in_place_are_noted_as_they_were(image):
    class Added(Tiny):
        def __init__(self, in_place):
            super().__init__()
            self.in_place = in_place

        def forward(self, images):
            found = self.features(images)
            if self.in_place:
                found += 1.5
            else:
                found = found + 1.5
            return self.head(self.pool(found).flatten(1).square())

    layer = ClassActivationMap("ablation", "features")
    found, expected = (layer(MaskedScore(image, 2, Added(in_place))) for in_place in (True, False))
    torch.testing.assert_close(found, expected)


def test_biases_that_the_library_leaves_out_are_refused(image):
    class Grouped(Tiny):
        def __init__(self):
            super().__init__()
            self.features[1] = nn.GroupNorm(2, 6)

    class Own(nn.Conv2d):
        pass

    class Subclassed(Tiny):
        def __init__(self):
            super().__init__()
            self.features[3] = Own(6, 8, 3, stride=2)

    for network, name in ((Grouped(), "GroupNorm"), (Subclassed(), "Own")):
        with pytest.raises(
            ValueError, match=f"biases in Conv2d and BatchNorm2d alone, got '{name} with a bias'"
        ):
            FullGradient()(MaskedScore(image, 2, network))
