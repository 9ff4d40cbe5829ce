"""The score of a hole: composites, batches, generators, gradients, and what is refused."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from planted import Linear, Network
from torch import Tensor, nn

from attribution import MaskedScore, log_odds, logit, probability, sigmoid
from infill import Blur, Gray, Noise, composite


@dataclass(eq=False)
class Recorder:
    """A filler that remembers what it was asked."""

    per_hole: bool = False
    sees_hidden: bool = False
    outside: float = 0.3

    def __post_init__(self):
        self.asked = []

    def __call__(self, image: Tensor, hole: Tensor, generator: torch.Generator | None = None) -> Tensor:
        self.asked.append((len(image), len(hole)))
        fill = torch.full_like(image, 0.3).expand(len(hole), -1, -1, -1)
        return torch.where(hole > 0, fill, torch.full_like(fill, self.outside)) if self.per_hole else fill


def test_score_is_the_probability_of_the_composite(image, holes):
    network = Network().eval()
    expected = [
        network(composite(image, hole[None], Blur()(image, hole[None]))).softmax(1)[0, 2] for hole in holes
    ]
    score = MaskedScore(image, 2, Network(), Blur())
    torch.testing.assert_close(score(holes), torch.stack(expected).detach(), rtol=0, atol=1e-6)


def test_an_empty_hole_leaves_the_clean_score(image):
    score = MaskedScore(image, 1, Network())
    torch.testing.assert_close(score(torch.zeros(1, 1, 24, 32)), score.clean)
    expected = Network().eval()(image).softmax(1)[:, 1].detach()
    torch.testing.assert_close(score.clean, expected, rtol=0, atol=1e-6)


def test_a_single_image_may_come_without_batch_axis(image, holes):
    assert torch.equal(MaskedScore(image[0], 1, Network())(holes), MaskedScore(image, 1, Network())(holes))


def test_the_fill_outside_the_hole_is_ignored(image, holes):
    scores = [MaskedScore(image, 0, Network(), Recorder(True, outside=value))(holes) for value in (0.3, 0.9)]
    assert torch.equal(*scores)


def test_a_fill_that_does_not_depend_on_the_hole_is_made_once(images, holes):
    filler = Recorder()
    score = MaskedScore(images, [0, 1, 2], Network(), filler, batch_size=1)
    score(holes)
    for one in score:
        one(holes)
    score[1](holes)
    assert filler.asked == [(3, 3)]


def test_a_fill_that_depends_on_the_hole_is_made_per_batch(image, holes):
    filler = Recorder(per_hole=True)
    MaskedScore(image, 0, Network(), filler, batch_size=2)(holes)
    assert filler.asked == [(1, 2), (1, 1)]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_noise_does_not_depend_on_batches(image, holes, batch_size):
    score = MaskedScore(image, 0, Network(), Noise(), seed=3)
    other = replace(score, batch_size=batch_size)
    torch.testing.assert_close(other(holes), score(holes), rtol=0, atol=1e-6)
    streamed = [scores for _, scores in other.stream(torch.split(holes, 2), 3)]
    torch.testing.assert_close(torch.cat(streamed), score(holes), rtol=0, atol=1e-6)
    assert torch.equal(other.perturbed(holes), score.perturbed(holes))


def test_noise_follows_seed_and_generator(image, holes):
    score = MaskedScore(image, 0, Network(), Noise(), seed=3)
    assert torch.equal(score(holes), score(holes))
    assert not torch.equal(score(holes), replace(score, seed=4)(holes))
    assert torch.equal(
        score(holes, generator=torch.Generator().manual_seed(4)), replace(score, seed=4)(holes)
    )
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(score(holes, generator=generator), score(holes))
    assert not torch.equal(score(holes, generator=generator), score(holes)), "the generator goes on"


def test_the_classifier_never_sees_more_than_a_batch(image):
    seen = []

    def classifier(some: Tensor) -> Tensor:
        seen.append(len(some))
        return some.mean(dim=(2, 3))

    score = MaskedScore(image, 0, classifier, batch_size=4)
    assert score(torch.zeros(10, 1, 24, 32)).shape == (10,)
    assert seen == [4, 4, 2]


def test_index_tells_the_image_of_each_hole(images, holes):
    score = MaskedScore(images, [0, 1, 2], Network(), Noise(), batch_size=2)
    index = torch.tensor([2, 0, 2])
    alone = torch.cat(
        [
            MaskedScore(images[i : i + 1], int(i), Network(), Blur())(holes[n : n + 1])
            for n, i in enumerate(index)
        ]
    )
    torch.testing.assert_close(replace(score, filler=Blur())(holes, index), alone, rtol=0, atol=1e-6)
    assert torch.equal(score(holes), score(holes, torch.arange(3)))
    assert score.perturbed(holes, index).shape == (3, 3, 24, 32)
    observed = (holes == 0).expand(-1, 3, -1, -1)
    assert torch.equal(score.perturbed(holes, index)[observed], images[index][observed])


def test_parts_equal_the_whole(images, holes):
    score = MaskedScore(images, [0, 1, 2], Network(), Blur())
    torch.testing.assert_close(
        torch.cat([one(holes[i : i + 1]) for i, one in enumerate(score)]), score(holes)
    )
    torch.testing.assert_close(score[-1].clean, score.clean[2:])
    assert score[1].classifier is score.classifier
    assert [len(score), len(score[0])] == [3, 1]
    with pytest.raises(IndexError, match="below the number of images 3, got 3"):
        score[3]


def test_clean_logits_are_computed_once(images):
    calls = []

    def classifier(some: Tensor) -> Tensor:
        calls.append(len(some))
        return some.mean(dim=(2, 3))

    score = MaskedScore(images, 0, classifier)
    assert torch.equal(score.clean, probability(score.clean_logits, torch.zeros(3, dtype=torch.long)))
    assert torch.equal(torch.cat([one.clean for one in score]), score.clean)
    assert calls == [3]


def test_replacing_does_not_copy_the_classifier_again(image):
    score = MaskedScore(image, 0, Network())
    assert replace(score, filler=Blur()).classifier is score.classifier
    assert replace(score, precision="bfloat16").classifier.source is score.classifier.source


def test_progress_counts_the_holes_of_all_images(images):
    told = []
    score = MaskedScore(
        images, 0, Network(), batch_size=2, progress=lambda done, total: told.append((done, total))
    )
    for one in score:
        list(one.stream([torch.zeros(3, 1, 24, 32)], 3))
    assert told == [(2, 9), (3, 9), (5, 9), (6, 9), (8, 9), (9, 9)]
    told.clear()
    list(score[2].stream([torch.zeros(3, 1, 24, 32)], 3))
    assert told == [(2, 3), (3, 3)]


def test_gradient_of_a_linear_score_is_closed_form(image, holes):
    network = Linear()
    score = MaskedScore(image, 1, network, Gray(), link=logit, batch_size=2)
    holes.mul_(0.5).requires_grad_()
    score(holes).sum().backward()
    expected = (network.weight[1] * (Gray()(image, holes.detach()) - image)).sum(dim=1, keepdim=True)
    torch.testing.assert_close(holes.grad, expected.detach().expand_as(holes), rtol=1e-4, atol=1e-6)
    assert network.weight.grad is None


def test_gradient_reaches_the_hole_but_not_the_fill(image, holes):
    filler = Recorder(per_hole=True)
    score = MaskedScore(image, 1, Network(), filler)
    hole = (0.5 * holes).requires_grad_()
    score.logits(hole).sum().backward()
    assert hole.grad.abs().sum() > 0
    assert not score.perturbed(hole).requires_grad


def test_a_score_made_in_inference_mode_has_gradients_later(holes):
    with torch.inference_mode():
        score = MaskedScore(torch.full((1, 3, 24, 32), 0.5), 1, Network(), Blur())
        score(holes)
        assert score.clean.shape == (1,)
    hole = (0.5 * holes).requires_grad_()
    score(hole).sum().backward()
    assert hole.grad.isfinite().all()


def test_scores_may_be_used_in_a_graph(image, holes):
    weight = torch.ones(3, requires_grad=True)
    (weight * MaskedScore(image, 0, Network())(holes)).sum().backward()
    assert weight.grad.isfinite().all()


def test_links_against_plain_formulas():
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 1, 2, 3, 0, 1])
    chosen = logits[torch.arange(6), target]
    share = logits.exp()[torch.arange(6), target] / logits.exp().sum(1)
    torch.testing.assert_close(probability(logits, target), share)
    torch.testing.assert_close(sigmoid(logits, target), 1 / (1 + (-chosen).exp()))
    assert torch.equal(logit(logits, target), chosen)
    torch.testing.assert_close(log_odds(logits, target), (share / (1 - share)).log(), rtol=1e-5, atol=1e-5)


def test_log_odds_stay_finite_where_the_probability_saturates():
    logits = torch.tensor([[200.0, 0.0, -100.0]])
    assert float(log_odds(logits, torch.tensor([0]))) == 200
    assert float(log_odds(logits, torch.tensor([2]))) == -300


def test_answers_may_carry_their_logits(image, holes):
    network = Network().eval()
    score = MaskedScore(image, 2, lambda images: SimpleNamespace(logits=network(images)))
    torch.testing.assert_close(score(holes), MaskedScore(image, 2, network)(holes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.rand(24, 32)}, "image must be of shape c h w or b c h w"),
        ({"image": torch.zeros(1, 3, 24, 32, dtype=torch.uint8)}, "image must be floating point"),
        ({"image": torch.full((1, 3, 24, 32), torch.nan)}, "image must be finite"),
        ({"image": torch.full((1, 3, 24, 32), 1.5)}, r"image must be in \[0, 1\].*1\.5"),
        ({"image": torch.full((1, 3, 24, 32), -0.1)}, r"image must be in \[0, 1\].*-0\.1"),
        ({"image": torch.rand(0, 3, 24, 32)}, "image must be at least one pixel"),
        ({"target": -1}, "target must be at least 0, got -1"),
        ({"target": [0, 1]}, r"target must be one class, or one per image \(1\)"),
        ({"target": torch.tensor([0.5])}, "target must be whole numbers"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, auto, got 'float16'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_arguments_are_named(image, change, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(**{"image": image, "target": 0, "classifier": Network(), **change})


def test_rounding_out_of_the_range_is_forgiven():
    score = MaskedScore(torch.full((1, 3, 24, 32), 1 + 1e-6), 0, Network())
    assert float(score.image.max()) == 1


@pytest.mark.parametrize("ask", [lambda score, holes: score(holes), lambda score, holes: score.clean])
def test_a_target_beyond_the_classes_is_refused(image, holes, ask):
    score = MaskedScore(image, 5, Network(classes=5))
    with pytest.raises(ValueError, match="target must be below the classifier's 5 classes, got 5"):
        ask(score, holes)


@pytest.mark.parametrize(
    ("hole", "index", "message"),
    [
        (torch.zeros(2, 1, 24, 31), None, "hole must be of shape n 1 24 32"),
        (torch.zeros(2, 3, 24, 32), None, "hole must be of shape n 1 24 32"),
        (torch.zeros(2, 1, 24, 32), None, "index must be given"),
        (torch.zeros(2, 1, 24, 32), torch.tensor([0]), "index must be one image per hole"),
        (torch.zeros(2, 1, 24, 32), torch.tensor([0, 3]), "index must be below the number of images 3"),
        (torch.zeros(2, 1, 24, 32), torch.tensor([0, -1]), "index must be below the number of images 3"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_holes_are_refused(images, hole, index, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(images, 0, Network())(hole, index)


def test_streaming_several_images_is_refused(images):
    with pytest.raises(ValueError, match="score must be of one image to be streamed"):
        next(MaskedScore(images, 0, Network()).stream([torch.zeros(1, 1, 24, 32)], 1))


class NanFill(Gray):
    def __call__(self, image: Tensor, hole: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.full_like(image, torch.nan)


def test_whoever_makes_nan_is_named(image, holes):
    with pytest.raises(ValueError, match=r"filler must be one whose fill is finite, got NanFill"):
        MaskedScore(image, 0, Network(), NanFill())(holes)
    with pytest.raises(ValueError, match="hole must be finite"):
        MaskedScore(image, 0, Network())(holes * torch.nan)
    with pytest.raises(ValueError, match="classifier must return numbers, got NaN logits for perturbed"):
        MaskedScore(image, 0, lambda images: images.mean(dim=(2, 3)) * torch.nan)(holes)
    with pytest.raises(ValueError, match="classifier must be one that returns numbers"):
        _ = MaskedScore(image, 0, lambda images: images.mean(dim=(2, 3)) * torch.nan).clean
    with pytest.raises(ValueError, match="classifier must be one whose logits give finite scores"):
        MaskedScore(image, 0, lambda images: images.mean(dim=(2, 3)) * torch.inf, link=logit)(holes)


class WideFill(Gray):
    def __call__(self, image: Tensor, hole: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return image.new_zeros(len(image), 3, 24, 33)


def test_a_fill_of_the_wrong_shape_is_refused(image, holes):
    with pytest.raises(ValueError, match="filler must be one whose fill is of shape"):
        MaskedScore(image, 0, Network(), WideFill())(holes)


@pytest.mark.parametrize("answer", [torch.zeros(1, 3, 2, 2), torch.zeros(7, 3), "cat"])
def test_an_answer_that_is_no_logits_is_refused(image, holes, answer):
    with pytest.raises(ValueError, match=r"classifier must return logits of shape \(images, classes\)"):
        MaskedScore(image, 0, lambda images: answer)(holes)


def test_a_module_is_run_in_evaluation_mode_and_left_alone(image, holes):
    network = Network().train()
    network.head.weight.grad = torch.ones_like(network.head.weight)
    network.features[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    score = MaskedScore(image, 0, network)
    score(holes.requires_grad_()).sum().backward()
    assert network.training
    assert all(module.training for module in network.modules())
    assert not network.features[0].weight.requires_grad
    assert network.head.weight.requires_grad
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert isinstance(network.features[1], nn.BatchNorm2d)
