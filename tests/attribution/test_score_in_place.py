"""Classifiers, fillers and links that change what they are given: nobody else may notice."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from planted import Linear, Network, Recorder
from torch import Generator, Tensor, nn

from attribution import Execution, Lime, MaskedScore, SlidingPatch, logit
from attribution.integrations.captum import Attributor
from attribution.integrations.quantus import quantus_explain
from infill import Blur, Gray, Learned, Mean

NETWORK = Linear().eval().requires_grad_(False)
SP = SlidingPatch(patch=8, stride=8, average=True)


def bright(images: Tensor) -> Tensor:
    return NETWORK(images.pow_(2.2))


def normalized(images: Tensor) -> Tensor:
    return NETWORK(images.sub_(0.5).div_(0.25))


def behind(images: Tensor) -> Tensor:
    """Changes pixels past the counter of changes."""
    images.data.mul_(0.5)
    return NETWORK(images)


class InPlace(nn.Module):
    """A module that normalizes in place."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Linear()

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images.sub_(0.5).div_(0.25))


TWINS = [
    (bright, lambda images: NETWORK(images**2.2)),
    (normalized, lambda images: NETWORK((images - 0.5) / 0.25)),
    (behind, lambda images: NETWORK(images * 0.5)),
    (InPlace(), lambda images: NETWORK((images - 0.5) / 0.25)),
]
NAMES = ["gamma", "normalized", "data", "module"]


@pytest.mark.parametrize(("rude", "polite"), TWINS, ids=NAMES)
@pytest.mark.parametrize("filler", [Gray(), Blur(3.0), Recorder(per_hole=True)], ids=["gray", "blur", "own"])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_a_classifier_may_change_its_input(images, holes, rude, polite, filler, batch_size):
    before, cut, execution = images.clone(), holes.clone(), Execution(batch_size=batch_size)
    score, expected = (
        MaskedScore(images, [0, 1, 2], classifier, filler, execution=execution)
        for classifier in (rude, polite)
    )
    for ask in (
        lambda score: score.clean,
        lambda score: score(holes),
        lambda score: score(holes),
        lambda score: score.logits(holes),
        lambda score: score.enlarged(2).clean,
        lambda score: score.perturbed(holes),
        lambda score: replace(score, link=logit).clean,
        lambda score: torch.cat([some for _, some in score[1].stream([holes], 3)]),
        lambda score: torch.cat([some for _, some, _ in score[1].stream_images([holes], 3)]),
        SP,
    ):
        torch.testing.assert_close(ask(score), ask(expected), rtol=1e-4, atol=1e-5)
    assert torch.equal(images, before)
    assert torch.equal(holes, cut)
    assert torch.equal(score.image, before)


@pytest.mark.parametrize(("rude", "polite"), [TWINS[1], TWINS[3]], ids=["function", "module"])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_gradients_come_through_a_classifier_that_changes_its_input(images, holes, rude, polite, batch_size):
    gradients = []
    for classifier in (rude, polite):
        hole = (0.5 * holes).requires_grad_()
        score = MaskedScore(images, 1, classifier, Blur(3.0), execution=Execution(batch_size=batch_size))
        score(hole).sum().backward()
        gradients.append(hole.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)
    assert gradients[0].abs().sum() > 0


def test_lime_measures_distances_to_what_was_shown(image):
    method = Lime(segments=6, samples=20, distance="l2")
    heatmaps = [method(MaskedScore(image, 1, classifier)) for classifier in (normalized, TWINS[1][1])]
    torch.testing.assert_close(heatmaps[0], heatmaps[1], rtol=1e-4, atol=1e-6)


@dataclass(eq=False)
class Spoiler:
    """A filler that changes the image and the hole in place."""

    per_hole: bool = True
    sees_hidden: bool = True
    stochastic: bool = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Generator | None = None) -> Tensor:
        hole.zero_()
        return image.mul_(0.5).expand(len(hole), -1, -1, -1)


@pytest.mark.parametrize("per_hole", [True, False])
@pytest.mark.parametrize("several", [True, False])
def test_a_filler_may_change_what_it_is_given(images, holes, per_hole, several):
    images = images if several else images[:1]
    before, cut = images.clone(), holes.clone()
    score = MaskedScore(images, 1, NETWORK, Spoiler(per_hole))
    for _ in range(2):
        torch.testing.assert_close(score.perturbed(holes), torch.lerp(before, before / 2, cut))
        expected = NETWORK(torch.lerp(before, before / 2, cut)).softmax(1)[:, 1]
        torch.testing.assert_close(score(holes), expected)
    assert torch.equal(images, before)
    assert torch.equal(holes, cut)


def test_a_learned_filler_may_change_what_it_is_given(image, holes):
    def network(shown: Tensor, hole: Tensor) -> Tensor:
        shown.add_(hole.mul_(0.4))
        return shown

    before, cut = image.clone(), holes.clone()
    fill = MaskedScore(image, 1, NETWORK, Learned(network)).fills(holes)
    assert torch.equal(fill[(cut > 0).expand_as(fill)], torch.full_like(fill, 0.4)[(cut > 0).expand_as(fill)])
    assert torch.equal(image, before)
    assert torch.equal(holes, cut)


def test_a_link_may_change_what_it_is_given(image, holes):
    def centered(logits: Tensor, target: Tensor) -> Tensor:
        return logit(logits.sub_(logits.mean(dim=1, keepdim=True)).mul_(2), target)

    score = MaskedScore(image, 1, NETWORK, link=centered)
    logits = score.clean_logits.clone()
    assert score.clean == 2 * (logits[0, 1] - logits.mean())
    assert torch.equal(score.clean_logits, logits)


def test_logits_may_stand_in_memory_that_is_used_again(images, holes):
    kept = torch.empty(3, 3)

    def classifier(some: Tensor) -> Tensor:
        return kept[: len(some)].copy_(NETWORK(some))

    score = MaskedScore(images, 0, classifier, execution=Execution(batch_size=2))
    logits = score.clean_logits
    score(holes)
    torch.testing.assert_close(logits, NETWORK(images))


@pytest.mark.parametrize("denormalize", [None, ((0.5,) * 3, (0.25,) * 3)], ids=["plain", "denormalized"])
def test_inputs_of_the_fronts_stay_as_they_are(images, denormalize):
    inputs = images if denormalize is None else (images - 0.5) / 0.25
    before, targets = inputs.clone(), [0, 1, 2]
    for classifier, polite in (TWINS[1], TWINS[3]):
        options = {"filler": Gray(), "denormalize": denormalize}
        ours, expected = (
            Attributor(some, SP, **options).attribute(inputs, target=targets) for some in (classifier, polite)
        )
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    array = inputs.numpy()
    heatmap = quantus_explain(SP, **options)(InPlace(), array, np.array(targets))
    np.testing.assert_allclose(heatmap, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("incremental", [False, True])
def test_an_image_that_has_been_written_over_is_another_one(incremental):
    first, second = torch.rand(2, 1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).unbind()
    buffer, holes = first.clone(), torch.zeros(2, 1, 24, 24)
    holes[0, :, 4:9, 4:9] = holes[1, :, 12:20, 2:9] = 1
    execution = Execution(incremental=incremental)
    score = MaskedScore(buffer, 1, Network().eval(), Mean(), link=logit, execution=execution)
    score(holes)
    buffer.copy_(second)
    again, fresh = replace(score, image=buffer), MaskedScore(second, 1, Network().eval(), Mean(), link=logit)
    torch.testing.assert_close(again.clean, fresh.clean)
    torch.testing.assert_close(again(holes), fresh(holes))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_rows_are_numbers_of_any_width_and_no_masks(dtype):
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    score, holes = MaskedScore(images, 1, Network().eval(), Mean()), torch.zeros(2, 1, 24, 24)
    expected = score(holes, torch.tensor([1, 1]))
    assert torch.equal(score(holes, torch.tensor([1, 1], dtype=dtype)), expected)
    for wrong in (torch.tensor([True, True]), torch.tensor([1.0, 1.0])):
        with pytest.raises(ValueError, match="index must be whole numbers"):
            score(holes, wrong)
