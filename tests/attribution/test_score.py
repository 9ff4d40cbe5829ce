"""The score of a hole: composites, batches, parts, links, gradients, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from planted import Linear, Network, Recorder
from torch import Tensor, nn

from attribution import Execution, MaskedScore, Sampling, log_odds, logit, probability, sigmoid
from infill import Blur, Gray, Noise, composite


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


ASKED_FIRST = [1, 1, 2]  # twice about the image alone, and once beside another one
"""Any classifier is asked about the first image twice, when it is prepared."""


def test_the_classifier_never_sees_more_than_a_batch(image):
    sizes = []

    def classifier(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return some.mean(dim=(2, 3))

    score = MaskedScore(image, 0, classifier, execution=Execution(batch_size=4))
    assert score(torch.zeros(10, 1, 24, 32)).shape == (10,)
    assert sizes == [*ASKED_FIRST, 4, 4, 2]


def test_index_tells_the_image_of_each_hole(images, holes):
    score = MaskedScore(images, [0, 1, 2], Network(), Noise(), execution=Execution(batch_size=2))
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
    assert calls == [*ASKED_FIRST, 3]


def test_clean_logits_are_computed_again_only_where_they_may_differ(images):
    calls = []

    def classifier(some: Tensor) -> Tensor:
        calls.append(len(some))
        return some.mean(dim=(2, 3))

    score = MaskedScore(images, 0, classifier)
    logits = score.clean_logits
    for other in (
        replace(score, filler=Blur(), target=[0, 1, 2], link=logit),
        score.with_sampling(samples=3, seed=1),
        score.with_execution(progress=print),
        replace(score[1], filler=Blur()),
    ):
        assert torch.equal(other.clean_logits, logits if len(other) == 3 else logits[1:2])
        assert torch.equal(other.clean, other.link(other.clean_logits, other.target))
    assert calls == [*ASKED_FIRST, 3]
    for other in (
        replace(score, image=images.clone()),
        score.with_execution(batch_size=3),
        replace(score, classifier=lambda some: classifier(some)),
        score.enlarged(2),
    ):
        _ = other.clean_logits
    assert calls == [*ASKED_FIRST, 3, *ASKED_FIRST, 3, 3, 3, 3]


def test_replacing_does_not_copy_the_classifier_again(image):
    score = MaskedScore(image, 0, Network())
    assert replace(score, filler=Blur()).classifier is score.classifier
    assert score.with_execution(precision="bfloat16").classifier.source is score.classifier.source


def test_progress_counts_the_holes_of_all_images(images):
    reports = []
    score = MaskedScore(
        images,
        0,
        Network(),
        execution=Execution(batch_size=2, progress=lambda done, total: reports.append((done, total))),
    )
    for one in score:
        list(one.stream([torch.zeros(3, 1, 24, 32)], 3))
    assert reports == [(2, 9), (3, 9), (5, 9), (6, 9), (8, 9), (9, 9)]
    reports.clear()
    list(score[2].stream([torch.zeros(3, 1, 24, 32)], 3))
    assert reports == [(2, 3), (3, 3)]


def test_gradient_of_a_linear_score_is_closed_form(image, holes):
    network = Linear()
    score = MaskedScore(image, 1, network, Gray(), link=logit, execution=Execution(batch_size=2))
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
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_arguments_are_named(image, change, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(**{"image": image, "target": 0, "classifier": Network(), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number, got 2.5"),
        ({"batch_size": "8"}, "batch_size must be a whole number, got '8'"),
        ({"batch_size": True}, "batch_size must be a whole number, got True"),
        ({"precision": "float16"}, "precision must be one of .*float32.*bfloat16.*auto.*, got 'float16'"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_executions_are_named(image, change, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(image, 0, Network(), execution=Execution(**change))
    with pytest.raises(ValueError, match=message):
        MaskedScore(image, 0, Network()).with_execution(**change)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_link_tells_one_number_of_each_image(image, holes):
    for link, got in (
        (lambda logits, target: logits[:1, 0], r"\(1,\)"),
        (lambda logits, target: logits, r"\("),
        (lambda logits, target: logits.mean(), r"\(\)"),
        (lambda logits, target: 0.5, "'float'"),
    ):
        with pytest.raises(ValueError, match=f"link must be one that returns a tensor of shape .*got {got}"):
            MaskedScore(image, 0, classifier=lambda x: x.mean((2, 3)), link=link)(holes)


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
        (
            torch.zeros(3, 1, 24, 32).numpy(),
            None,
            r"hole must be a tensor \(torch.from_numpy\), got 'ndarray'",
        ),
        (torch.full((3, 1, 24, 32), 255.0), None, r"hole must be in \[0, 1\].*got '255 to 255'"),
        (torch.full((3, 1, 24, 32), -0.1), None, r"hole must be in \[0, 1\]"),
        (torch.zeros(2, 1, 24, 32), [0, 1], r"index must be a tensor \(torch.tensor\), got 'list'"),
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
    with pytest.raises(ValueError, match="fill of NanFill must be finite and in"):
        MaskedScore(image, 0, Network(), NanFill())(holes)
    with pytest.raises(ValueError, match=r"hole must be in \[0, 1\].*nan"):
        MaskedScore(image, 0, Network())(holes * torch.nan)
    with pytest.raises(
        ValueError, match="classifier must return numbers, got NaN logits for the first image"
    ):
        MaskedScore(image, 0, lambda images: images.mean(dim=(2, 3)) * torch.nan)

    def late(images: Tensor) -> Tensor:
        """NaN for all but the first image alone."""
        return images.mean(dim=(2, 3)) * (torch.nan if len(images) > 1 else 1)

    with pytest.raises(ValueError, match="classifier must return numbers, got NaN logits for perturbed"):
        MaskedScore(image, 0, late)(holes)
    with pytest.raises(ValueError, match="classifier must be one that returns numbers"):
        _ = MaskedScore(image.repeat(2, 1, 1, 1), 0, late).clean
    with pytest.raises(ValueError, match="classifier must be one whose logits give finite scores"):
        MaskedScore(image, 0, lambda images: images.mean(dim=(2, 3)) * torch.inf, link=logit)(holes)


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


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("filler", [Blur(3.0), Noise()], ids=["blur", "noise"])
def test_the_streamed_gradient_is_that_of_one_batch(images, holes, filler, samples):
    """However many holes there are, no graph is larger than a batch."""
    network, sizes = Network().eval().requires_grad_(False), []

    def classifier(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return network(some)

    index = torch.tensor([2, 0, 0, 1, 2])
    score = MaskedScore(images, [0, 1, 2], classifier, filler, sampling=Sampling(samples=samples))
    weight = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    gradients = []
    for batch_size in (64, 4):
        hole = (0.5 * holes)[[0, 1, 2, 0, 1]].requires_grad_()
        scores = score.with_execution(batch_size=batch_size)(hole, index)
        (weight * scores.square()).sum().backward()
        gradients.append(hole.grad)
        assert max(sizes) <= batch_size
        sizes.clear()
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)
    assert gradients[0][:4].abs().amax(dim=(1, 2, 3)).min() > 0
    assert gradients[0][4].abs().max() == 0


def test_a_streamed_gradient_is_not_differentiated_twice(image, holes):
    hole = (0.5 * holes).requires_grad_()
    score = MaskedScore(image, 0, Network(), execution=Execution(batch_size=2))
    gradient = torch.autograd.grad(score(hole).square().sum(), hole, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_no_holes_have_no_scores(image):
    score = MaskedScore(image, 0, Network(), Noise(), sampling=Sampling(samples=2))
    nothing = torch.zeros(0, 1, 24, 32)
    assert score(nothing).shape == (0,)
    assert score.perturbed(nothing).shape == (0, 3, 24, 32)
    assert [len(scores) for _, scores in score.stream([nothing], 0)] == [0]


@pytest.mark.parametrize(
    ("link", "expected"),
    [(probability, 0.2), (sigmoid, 0.5), (logit, 0.0), (log_odds, -1.3862944)],
    ids=["probability", "sigmoid", "logit", "log_odds"],
)
def test_chance_is_the_score_of_whoever_cannot_tell_classes_apart(images, link, expected):
    score = MaskedScore(images, [0, 1, 2], Network(), link=link)
    torch.testing.assert_close(score.chance, torch.full((3,), expected))


def test_a_part_shares_what_is_known(images, holes):
    calls, filler = [], Recorder()

    def classifier(some: Tensor) -> Tensor:
        calls.append(len(some))
        return 4 * some.mean(dim=(2, 3))

    score = MaskedScore(images, [0, 1, 2], classifier, filler, sampling=Sampling(seed=4))
    assert score.clean.shape == score.chance.shape == (3,)
    part = score.part(slice(1, 3))
    assert len(part) == 2
    assert part.target.tolist() == [1, 2]
    assert torch.equal(part.clean, score.clean[1:])
    assert torch.equal(part.chance, score.chance[1:])
    assert calls == [*ASKED_FIRST, 3]
    torch.testing.assert_close(part(holes[1:]), score(holes)[1:])
    assert filler.asked == [(3, 3), (1, 1)]
    assert part.sampling.seed == 4


class Keeping(nn.Module):
    """A network that keeps what it made for images of a shape, as position encodings are kept."""

    def __init__(self):
        super().__init__()
        self.kept = None

    def forward(self, images: Tensor) -> Tensor:
        if self.kept is None or self.kept.shape != images.shape:
            self.kept = torch.ones_like(images) * 0.9
        return 4 * (images * self.kept).mean(dim=(2, 3))


@pytest.mark.parametrize("wrapped", [False, True], ids=["module", "function"])
def test_what_a_network_keeps_serves_derivatives_later(image, wrapped):
    network = Keeping()
    score = MaskedScore(image, 0, (lambda some: network(some)) if wrapped else network)
    score(torch.zeros(3, 1, 24, 32))
    hole = torch.full((3, 1, 24, 32), 0.5, requires_grad=True)
    score(hole).sum().backward()
    assert hole.grad.isfinite().all()
    network(torch.rand(3, 3, 24, 32, requires_grad=True)).sum().backward()  # nor is the caller's own spoilt


def test_a_link_may_change_the_logits(image, holes):
    def in_place(logits: Tensor, target: Tensor) -> Tensor:
        logits -= logits.amax(dim=1, keepdim=True)
        return logits.gather(1, target[:, None])[:, 0]

    score = MaskedScore(image, 2, Network(), link=in_place)
    plain = MaskedScore(image, 2, Network())
    expected = plain.logits(holes)
    torch.testing.assert_close(score(holes), expected[:, 2] - expected.amax(1))
    assert torch.equal(score.logits(holes), expected)


@pytest.mark.parametrize("incremental", [False, True])
def test_no_holes_of_images_have_no_scores(images, incremental):
    none, execution = torch.zeros(0, 1, 24, 32), Execution(incremental=incremental)
    assert MaskedScore(images[:1], 0, Network(), execution=execution)(none).shape == (0,)
    several = MaskedScore(images, [0, 1, 2], Network(), execution=execution)
    assert several(none, torch.zeros(0, dtype=torch.long)).shape == (0,)
