"""What is computed of a hole's surroundings alone is what whole images give."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from attribution import Execution, Lime, MaskedScore, SlidingPatch
from attribution.engine.incremental import Incremental, IncrementalImages, saving
from attribution.engine.precision import prepare

SIDE = 32


class Residual(nn.Module):
    """All that is followed: strides, padding, dilation, groups, poolings, sums, concatenation, in-place."""

    def __init__(self, stride: int = 2, kernel: int = 3) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(3, 8, kernel, stride, kernel // 2), nn.BatchNorm2d(8), nn.ReLU(True)
        )
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.left = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4)
        self.right = nn.Sequential(nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 1), nn.SiLU(), nn.Dropout())
        self.mean = nn.AvgPool2d(2, 2, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, images):
        maps = self.pool(self.first((images - 0.5) / torch.tensor([0.2, 0.3, 0.4]).view(3, 1, 1)))
        out = self.left(maps)
        out += maps
        both = torch.cat([F.relu(out), self.right(out)], dim=1)
        return self.head(self.mean(both * 2).mean((2, 3)))


class Excited(nn.Module):
    """Squeeze-and-excitation: each pixel is weighed by what all show."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)

    def forward(self, images):
        maps = self.conv(images).relu()
        maps = maps * self.gate(maps.mean((2, 3), keepdim=True)).sigmoid()
        return F.conv2d(maps, self.conv.weight.transpose(0, 1)[:, :4]).mean((2, 3))


class Stubborn(nn.Module):
    """Changes maps in place in a way that is not followed."""

    def forward(self, images):
        maps = images * 2
        maps[:, :, 0] = 0
        return maps.mean((2, 3))


class Gated(nn.Module):
    """A single image's maps are weighed by what all of them show, by a tensor without an axis of images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, images):
        maps = self.conv(images)
        if len(images) > 1:
            return torch.cat([self(one[None]) for one in images])
        return (maps * maps.mean((0, 2, 3)).view(4, 1, 1)).square().mean((2, 3))


class Filtering(Gated):
    """Convolves with filters that are made of the image."""

    def forward(self, images):
        if len(images) > 1:
            return torch.cat([self(one[None]) for one in images])
        maps = self.conv(images)
        return F.conv2d(maps, maps.mean((2, 3)).view(1, 4, 1, 1).expand(4, 4, 1, 1)).relu().mean((2, 3))


class Branching(Gated):
    """Chooses a filter by what is seen."""

    def forward(self, images):
        maps = self.conv(images)
        weight = self.conv.weight.transpose(0, 1)[:, :, :1, :1].repeat(1, 1, 1, 1)
        seen = float(images[0, :, 12:20, 12:20].mean()) > 0.8
        return F.conv2d(maps[:, :4], -weight if seen else weight).relu().mean((2, 3))


class Spreading(nn.Module):
    """Sums of the same maps: with one that sees nearly everything if the hole is large, and with numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 15, padding=7)

    def forward(self, images):
        near = self.near(images)
        three = (near + self.far(images), near + 1, near - 2)
        return torch.cat([maps.relu().mean((2, 3)) for maps in three], dim=1)


def prepared(network, image):
    torch.manual_seed(0)
    return prepare(network, "float32", image)


@pytest.fixture(scope="module")
def image():
    return torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def composites(image, places, size):
    hole = torch.zeros(len(places), 1, SIDE, SIDE)
    for one, (top, left) in zip(hole, places, strict=True):
        one[:, top : top + size, left : left + size] = 1
    return hole, image * (1 - hole) + 0.9 * hole


@pytest.fixture(scope="module")
def networks(image):
    found = {}
    for stride in (1, 2, 3):
        for kernel in (1, 3, 5):
            torch.manual_seed(stride)
            found[stride, kernel] = prepare(Residual(stride, kernel), "float32", image)
    return found


@given(st.data())
@settings(max_examples=30)
def test_every_stride_and_position_gives_the_logits_of_whole_images(networks, image, data):
    classifier = networks[data.draw(st.sampled_from(list(networks)))]
    place = st.integers(0, SIDE - 1)  # holes that stick out over the border are cut off there
    places = data.draw(st.lists(st.tuples(place, place), min_size=1, max_size=3))
    hole, images = composites(image, places, data.draw(st.integers(1, 9)))
    with torch.inference_mode():
        asked = Incremental(classifier, image)
        for _ in range(2):  # the second time the untouched image's maps are there
            torch.testing.assert_close(asked(images, hole), classifier(images), rtol=0, atol=1e-5)
    assert not asked.refused
    assert asked.trail.maps


def test_maps_are_kept_whatever_the_size_of_holes(networks, image):
    classifier = networks[2, 3]
    asked = Incremental(classifier, image)
    with torch.inference_mode():
        for size in (3, 12, 5, 20, 3):
            hole, images = composites(image, [(0, 0), (12, 7)], size)
            torch.testing.assert_close(asked(images, hole), classifier(images), rtol=0, atol=1e-5)


def test_what_sees_everything_gets_whole_maps_even_of_one_image(image):
    classifier = prepared(Excited(), image)
    asked = Incremental(classifier, image)
    with torch.inference_mode():
        for place in ((0, 0), (20, 3), (9, 9)):
            hole, images = composites(image, [place], 8)
            torch.testing.assert_close(asked(images, hole), classifier(images), rtol=0, atol=1e-5)
    assert not asked.refused


@pytest.mark.parametrize("network", [Gated, Filtering, Branching, Spreading])
def test_maps_that_depend_on_other_images_are_not_taken_for_the_same(image, network):
    torch.manual_seed(0)
    classifier = prepare(network(), "float32", image)
    asked = Incremental(classifier, image)
    with torch.inference_mode():
        for place, size in (((13, 13), 6), ((2, 3), 4), ((8, 8), 17), ((20, 9), 5), ((13, 13), 6)):
            hole, images = composites(image, [place], size)
            whole = classifier(images)
            torch.testing.assert_close(
                asked(images, hole), whole, rtol=0, atol=1e-5 * float(whole.abs().max())
            )
    assert not asked.refused


def test_maps_that_are_others_every_time_are_not_kept_for_ever(image):
    classifier = prepared(Gated(), image)
    asked = Incremental(classifier, image)
    places = [composites(image, [(3, left)], 5) for left in range(10)]
    with torch.inference_mode():
        with pytest.warns(UserWarning, match="other numbers for other images"):
            logits = [asked(images, hole) for hole, images in places]
        torch.testing.assert_close(logits, [classifier(images) for _, images in places], rtol=0, atol=1e-6)
    assert not asked.trail.maps


class Aliased(nn.Module):
    """Changes maps through a view of them."""

    def forward(self, images):
        maps = images * 2 - 1
        maps[:, :2].relu_()
        return maps.mean((2, 3))


def test_composites_that_show_the_image_prove_nothing(image):
    """The first hole changes nothing; another one does."""
    classifier = prepared(Aliased(), image)
    asked = Incremental(classifier, image)
    hole, images = composites(image, [(3, 4)], 5)
    negative = image * (1 - hole)
    with torch.inference_mode():
        trouble = Incremental(prepared(Residual(), image), image)
        trouble(image.clone(), hole)
        assert not trouble.checked
        trouble(negative, hole)
        assert trouble.checked
        with pytest.warns(UserWarning, match="logits would be others"):
            assert torch.equal(asked(images, hole), classifier(images))


def test_a_network_that_cannot_be_followed_is_run_whole_with_a_warning(image):
    classifier = prepared(Stubborn(), image)
    hole, images = composites(image, [(3, 4)], 5)
    asked = Incremental(classifier, image)
    with torch.inference_mode(), pytest.warns(UserWarning, match="__setitem__"):
        assert torch.equal(asked(images, hole), classifier(images))
    with pytest.raises(ValueError, match="cannot be followed"):
        saving(classifier, image)


def test_other_logits_are_noticed(networks, image):
    """Maps of another image are a mistake that the first batch shows."""
    asked = Incremental(networks[2, 3], 1 - image)
    hole, images = composites(image, [(3, 4)], 5)
    with torch.inference_mode(), pytest.warns(UserWarning, match="logits would be others"):
        assert torch.equal(asked(images, hole), networks[2, 3](images))


def test_less_is_computed(networks, image):
    assert saving(networks[1, 3], image) > 2
    body = nn.Sequential(*(nn.Conv2d(each, 8, 3, padding=1) for each in (3, 8, 8)), nn.AdaptiveAvgPool2d(1))
    head = nn.Linear(8, 4)
    with torch.no_grad():
        head.weight.mul_(1e-7)  # what it says hardly changes: it is checked again and again
    told, hardly = (
        prepared(nn.Sequential(body, nn.Flatten(), each), image) for each in (nn.Linear(8, 4), head)
    )
    assert saving(hardly, image) == saving(told, image) > 1.5
    assert saving(prepared(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4)), image), image) == 1


def test_methods_have_the_same_maps_and_fewer_pixels_reach_the_network(image):
    seen = []
    network = Residual(1)
    score = MaskedScore(image, 2, network, execution=Execution(8))
    fast = replace(score, execution=Execution(8, incremental=True))
    fast.classifier.network.left.register_forward_pre_hook(
        lambda module, given: seen.append(type(given[0]).__name__)
    )
    method = SlidingPatch(patch=5, stride=3, average=True)
    torch.testing.assert_close(method(fast), method(score), rtol=0, atol=1e-5)
    assert "Changed" in seen
    labels = torch.arange(SIDE * SIDE).view(SIDE, SIDE) % 7
    lime = Lime(samples=20, segmentation=labels)
    assert torch.equal(lime(fast), lime(score))  # its holes are everywhere: whole images


def test_gradients_and_mirrored_images_take_whole_images(networks, image):
    score = MaskedScore(image, 1, networks[2, 3], execution=Execution(4, incremental=True))
    usual = replace(score, execution=Execution(4))
    hole = composites(image, [(3, 4)], 5)[0]
    assert torch.equal(score(hole, mirrored=True), usual(hole, mirrored=True))
    followed = hole.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(followed).sum(), followed)
    assert gradient.any()


def test_several_images_are_followed_one_by_one(networks):
    images = torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    usual = MaskedScore(images, [0, 1, 2], networks[1, 3], execution=Execution(3))
    score = replace(usual, execution=Execution(3, incremental=True))
    hole, index = composites(images[:1], [(3, 4), (9, 9), (25, 2), (0, 0)], 5)[0], torch.tensor([2, 0, 2, 1])
    torch.testing.assert_close(score(hole, index), usual(hole, index), rtol=0, atol=1e-5)
    asked = score.evaluator.clean.changed
    assert {row: bool(one.trail.maps) for row, one in asked.followed.items()} == {0: True, 1: True, 2: True}
    stubborn = replace(score, classifier=Stubborn())
    with pytest.warns(UserWarning, match="whole images are classified") as told:
        stubborn.logits(hole, index)
    assert len(told) == 1  # not once for each image


def test_maps_of_few_images_are_kept(networks, image, monkeypatch):
    monkeypatch.setattr("attribution.engine.incremental.IMAGES", 2)
    asked = IncrementalImages(networks[2, 3], torch.cat([image] * 3))
    hole, images = composites(image, [(3, 4)], 5)
    with torch.inference_mode():
        for row in (0, 1, 0, 2):
            asked(images, hole, torch.tensor([row]))
    assert list(asked.followed) == [0, 2]


def test_weights_in_bfloat16_are_followed_and_autocast_is_not(image):
    hole, images = composites(image, [(3, 4), (20, 9)], 5)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16 * 16, 4))
    ready = prepare(plain, "bfloat16", image)
    assert ready.dtype is torch.bfloat16
    asked = Incremental(ready, image.bfloat16())
    with torch.inference_mode():
        whole = ready(images.bfloat16())
        torch.testing.assert_close(asked(images.bfloat16(), hole), whole, rtol=0, atol=1e-2)
        assert not asked.refused
        cast = Incremental(prepare(Residual(), "bfloat16", image), image)
        with pytest.warns(UserWarning, match="autocast"):
            cast(images, hole)


@pytest.mark.parametrize("told", [True, False])
def test_hooks_of_the_caller_are_followed_or_told(image, told):
    """One doubles what a layer returns; another one overwrites it in place."""

    def double(module, given, maps):
        return maps * 2

    def overwrite(module, given, maps):
        maps[:, 0] = 0

    torch.manual_seed(0)
    network = Residual()
    network.left.register_forward_hook(overwrite if told else double)
    usual = MaskedScore(image, 1, network, execution=Execution(4))
    score = replace(usual, execution=Execution(4, incremental=True))
    hole = composites(image, [(3, 4), (20, 9)], 5)[0]
    with pytest.warns(UserWarning, match="__setitem__") if told else nullcontext():
        logits = score.logits(hole)
    torch.testing.assert_close(logits, usual.logits(hole), rtol=0, atol=1e-5)
    assert bool(score.evaluator.clean.changed.followed[0].refused) == told
