"""What is put into the holes of a score and shown of it: fills asked for and kept, samples, draws, shifts."""

from dataclasses import replace

import pytest
import torch
from planted import Network, Recorder
from torch import Tensor

from attribution import Execution, MaskedScore, Sampling, log_odds
from attribution.engine.fill import UnsteadyFillerWarning
from attribution.engine.sampling import pooled_odds
from infill import Blur, Gray, Mean, Noise, composite


def test_the_fill_outside_the_hole_is_ignored(image, holes):
    scores = [MaskedScore(image, 0, Network(), Recorder(True, outside=value))(holes) for value in (0.3, 0.9)]
    assert torch.equal(*scores)


def test_a_fill_that_does_not_depend_on_the_hole_is_made_once(images, holes):
    filler = Recorder()
    score = MaskedScore(images, [0, 1, 2], Network(), filler, execution=Execution(batch_size=1))
    score(holes)
    for one in score:
        one(holes)
    score[1](holes)
    assert filler.asked == [(3, 3), (1, 1)], "the second time, whether that is true"


class Unlike(Recorder):
    """Says that the hole does not matter, and means the hole, or chance."""

    def __init__(self, by_chance: bool):
        super().__init__()
        self.by_chance = by_chance

    def __call__(self, image, hole, generator=None):
        return torch.rand_like(image) if self.by_chance else (0.5 * hole.mean()).expand_as(image)


@pytest.mark.parametrize("by_chance", [True, False])
def test_a_filler_that_is_otherwise_than_it_says_is_told(image, holes, by_chance):
    with pytest.warns(UnsteadyFillerWarning, match="filler Unlike says per_hole=False, and does not fill"):
        MaskedScore(image, 0, Network(), Unlike(by_chance))(holes)


def test_a_fill_that_depends_on_the_hole_is_made_per_batch(image, holes):
    filler = Recorder(per_hole=True)
    MaskedScore(image, 0, Network(), filler, execution=Execution(batch_size=2))(holes)
    assert filler.asked == [(1, 2), (1, 1)]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_noise_does_not_depend_on_batches(image, holes, batch_size):
    score = MaskedScore(image, 0, Network(), Noise(), sampling=Sampling(seed=3))
    other = score.with_execution(batch_size=batch_size)
    torch.testing.assert_close(other(holes), score(holes), rtol=0, atol=1e-6)
    streamed = [scores for _, scores in other.stream(torch.split(holes, 2), 3)]
    torch.testing.assert_close(torch.cat(streamed), score(holes), rtol=0, atol=1e-6)
    assert torch.equal(other.perturbed(holes), score.perturbed(holes))


def test_noise_follows_seed_and_generator(image, holes):
    score = MaskedScore(image, 0, Network(), Noise(), sampling=Sampling(seed=3))
    assert torch.equal(score(holes), score(holes))
    assert not torch.equal(score(holes), score.with_sampling(seed=4)(holes))
    assert torch.equal(
        score(holes, generator=torch.Generator().manual_seed(4)), score.with_sampling(seed=4)(holes)
    )
    generator = torch.Generator().manual_seed(3)
    assert torch.equal(score(holes, generator=generator), score(holes))
    assert not torch.equal(score(holes, generator=generator), score(holes)), "the generator goes on"


class WideFill(Gray):
    def __call__(self, image: Tensor, hole: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return image.new_zeros(len(image), 3, 24, 33)


def test_a_fill_of_the_wrong_shape_is_refused(image, holes):
    with pytest.raises(ValueError, match="filler must be one whose fill is of shape"):
        MaskedScore(image, 0, Network(), WideFill())(holes)


class Returns(Gray):
    """Returns whatever it was made for."""

    per_hole = True

    def __init__(self, make):
        super().__init__()
        object.__setattr__(self, "make", make)

    def __call__(self, image, hole, generator=None):
        return self.make(image)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda image: (image * 255).to(torch.uint8), "torch.uint8"),
        (lambda image: image.numpy(), "'ndarray'"),
        (lambda image: None, "'NoneType'"),
    ],
)
def test_what_is_no_fill_is_refused(image, holes, make, got):
    with pytest.raises(ValueError, match=f"fill of Returns must be a floating-point tensor.*, got {got}"):
        MaskedScore(image, 0, Network(), Returns(make))(holes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_fills_of_other_precision_are_cast(image, holes, dtype):
    half = Returns(lambda image: torch.full_like(image, 0.5, dtype=dtype))
    found, expected = (MaskedScore(image, 0, Network(), each) for each in (half, Gray((0.5, 0.5, 0.5))))
    assert torch.equal(found(holes), expected(holes))
    assert torch.equal(found.perturbed(holes), expected.perturbed(holes))


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_score_is_the_mean_over_its_samples(image, holes, batch_size):
    network = Network().eval().requires_grad_(False)
    score = MaskedScore(
        image, 1, Network(), Noise(), execution=Execution(batch_size=batch_size), sampling=Sampling(samples=5)
    )
    images = score.perturbed(holes)
    assert images.shape == (15, 3, 24, 32)
    each = network(images).softmax(1)[:, 1].view(3, 5)
    assert (each.std(dim=1) > 0).all(), "every sample has a fill of its own"
    torch.testing.assert_close(score(holes), each.mean(dim=1), rtol=0, atol=1e-6)
    mean, error = score.spread(holes)
    torch.testing.assert_close(mean, score(holes))
    torch.testing.assert_close(error, each.std(dim=1) / 5**0.5, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(score.logits(holes), network(images)[::5], rtol=0, atol=1e-5)
    assert torch.equal(score.fills(holes)[5:10, :, holes[1, 0] > 0], images[5:10, :, holes[1, 0] > 0])
    streamed = list(score.stream_images(torch.split(holes, 2), 3))
    torch.testing.assert_close(torch.cat([part[2] for part in streamed]), score(holes))
    torch.testing.assert_close(torch.cat([part[1] for part in streamed]), images[::5])


@pytest.mark.parametrize("per_hole", [True, False])
def test_samples_of_a_filler_that_leaves_nothing_to_chance_are_one(per_hole, images, holes):
    filler = Recorder(per_hole)
    score = MaskedScore(images, 0, Network(), filler, sampling=Sampling(samples=7))
    assert score.fills_per_hole == 1
    assert torch.equal(score(holes), score.with_sampling(samples=1)(holes))
    mean, error = score.spread(holes)
    assert torch.equal(mean, score(holes))
    assert torch.equal(error, torch.zeros(3))
    assert score.perturbed(holes).shape == (3, 3, 24, 32)
    # Each call asks about its holes; without them, once for all calls of all scores.
    assert filler.asked == ([(3, 3)] * 5 if per_hole else [(3, 3), (1, 1)])


def test_no_more_than_a_batch_of_samples_is_classified_at_once(image, holes):
    filler, sizes = Recorder(per_hole=True, stochastic=True), []

    def classifier(some: Tensor) -> Tensor:
        sizes.append(len(some))
        return some.mean(dim=(2, 3))

    score = MaskedScore(
        image, 0, classifier, filler, execution=Execution(batch_size=4), sampling=Sampling(samples=3)
    )
    score(holes)
    assert sizes == [1, 1, 2, 4, 4, 1], "the first three look at the image itself"
    assert filler.asked == [(1, 4), (1, 4), (1, 1)]
    list(score.stream([holes], 3))
    assert max(sizes) <= 4


def test_fills_can_be_kept_for_other_holes(images, holes):
    score = MaskedScore(images, [0, 1, 2], Network(), Noise(), sampling=Sampling(samples=2))
    fill = score.fills(holes)
    assert fill.shape == (6, 3, 24, 32)
    torch.testing.assert_close(score(holes, fill=fill), score(holes), rtol=0, atol=1e-6)
    elsewhere = holes.roll(3, dims=2)
    removed = composite(images.repeat_interleave(2, 0), elsewhere.repeat_interleave(2, 0), fill)
    chances = Network().eval()(removed).detach().softmax(1)[torch.arange(6), [0, 0, 1, 1, 2, 2]]
    torch.testing.assert_close(score(elsewhere, fill=fill), chances.view(3, 2).mean(1), rtol=0, atol=1e-6)
    assert torch.equal(score.spread(elsewhere, fill=fill)[0], score(elsewhere, fill=fill))
    small = score.with_execution(batch_size=1)
    torch.testing.assert_close(small(elsewhere, fill=fill), score(elsewhere, fill=fill), rtol=0, atol=1e-6)


@pytest.mark.parametrize("filler", [Gray(), Recorder(per_hole=True)], ids=["gray", "recorder"])
def test_kept_fills_are_used_whatever_the_filler(image, holes, filler):
    black = torch.zeros(3, 3, 24, 32)
    score = MaskedScore(image, 0, Network(), filler)
    assert torch.equal(score(holes, fill=black), replace(score, filler=Gray((0.0, 0.0, 0.0)))(holes))
    assert not torch.equal(score(holes, fill=black), score(holes))


class OneForAll(Recorder):
    def __call__(self, image: Tensor, hole: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return image.flip(-1)[:1]


@pytest.mark.parametrize("per_hole", [True, False])
@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_there_is_a_fill_for_every_hole(image, holes, per_hole, batch_size):
    score = MaskedScore(image, 0, Network(), OneForAll(per_hole), execution=Execution(batch_size=batch_size))
    fill = score.fills(holes)
    assert torch.equal(fill, image.flip(-1).expand(3, -1, -1, -1))
    torch.testing.assert_close(score(holes, fill=fill), score(holes))


def test_fills_that_do_not_fit_are_refused(image, holes):
    score = MaskedScore(image, 0, Network(), Noise())
    with pytest.raises(ValueError, match=r"fill must be of shape \(3, 3, 24, 32\), got \(2, 3, 24, 32\)"):
        score(holes, fill=torch.zeros(2, 3, 24, 32))
    with pytest.raises(ValueError, match=r"fill must be of shape \(6, 3, 24, 32\), got \(3, 3, 24, 32\)"):
        score.with_sampling(samples=2)(holes, fill=torch.zeros(3, 3, 24, 32))


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_each_hole_may_have_a_generator_of_its_own(images, holes, batch_size):
    score = MaskedScore(
        images,
        0,
        Network(),
        Noise(),
        execution=Execution(batch_size=batch_size),
        sampling=Sampling(samples=3),
    )
    together = score(holes, generator=seeded(5, 6, 7))
    for i, seed in enumerate((5, 6, 7)):
        alone = score(holes[i : i + 1], torch.tensor([i]), seeded(seed))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)
    expected = score(holes[[2, 0]], torch.tensor([2, 0]), seeded(7, 5))
    torch.testing.assert_close(together[[2, 0]], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("count", [2, 4])
def test_generators_that_are_not_one_per_hole_are_refused(image, holes, count):
    score = MaskedScore(image, 0, Network(), Noise(), execution=Execution(batch_size=1))
    with pytest.raises(ValueError, match=rf"generator must be one, or one per hole \(3\), got {count}"):
        score(holes, generator=seeded(*range(count)))


def test_a_larger_image_is_shown_in_parts_of_the_former_size(images):
    views, network = [], Network().eval().requires_grad_(False)

    def classifier(some: Tensor) -> Tensor:
        views.append(some.clone())
        return network(some)

    score = MaskedScore(images, [0, 1, 2], classifier, Gray((0.0, 0.0, 0.0))).enlarged(4)
    assert score.margin == 4
    assert score.image.shape == (3, 3, 28, 36)
    larger = torch.nn.functional.interpolate(images, (28, 36), mode="bilinear", align_corners=False)
    torch.testing.assert_close(score.image, larger)
    hole = torch.zeros(3, 1, 28, 36)
    hole[..., 10:15, 5:30] = 1
    shift = torch.tensor([[0, 0], [4, 1], [2, 4]])
    score(hole, shift=shift)
    for image, part, (top, left) in zip(larger * (1 - hole), views[-1], shift.tolist(), strict=True):
        torch.testing.assert_close(part, image[:, top : top + 24, left : left + 32])
    score(hole)
    torch.testing.assert_close(views[-1], (larger * (1 - hole))[..., 2:26, 2:34])
    assert torch.equal(score.clean, score(torch.zeros(3, 1, 28, 36)))
    assert score.perturbed(hole).shape == (3, 3, 28, 36)
    assert score.enlarged(2).margin == 6
    score.enlarged(2)(torch.zeros(3, 1, 30, 38))
    assert views[-1].shape == (3, 3, 24, 32)


@pytest.mark.parametrize("room", [8, 9])
def test_a_larger_image_is_cut_out_of_the_view_around(smooth_image, room):
    size = (24 + room, 32 + room)
    around = torch.cat([smooth_image(*size), smooth_image(*size).flip(-1)])
    image = around[..., 4:28, 4:36]
    score = MaskedScore(image, 0, Network(), Blur(3.0), around=around)
    assert score.room == room
    assert MaskedScore(image, 0, Network()).room == 0
    for margin in (0, 3, 4, room):
        larger = score.enlarged(margin)
        before = 4 - margin // 2
        expected = around[..., before : before + 24 + margin, before : before + 32 + margin]
        assert torch.equal(larger.image, expected)
        torch.testing.assert_close(larger.clean, score.clean)
        hole = torch.ones(2, 1, 24 + margin, 32 + margin)
        torch.testing.assert_close(larger.fills(hole, torch.arange(2)), Blur(3.0)(expected, hole))
        torch.testing.assert_close(score[1].enlarged(margin).image, expected[1:])
    resized = torch.nn.functional.interpolate(image, (34, 42), mode="bilinear", align_corners=False)
    torch.testing.assert_close(score.enlarged(10).image, resized.clamp(0, 1))


@pytest.mark.parametrize("margin", [3, 4])
def test_what_knows_its_segments_goes_on_beyond_them(smooth_image, margin):
    around, before = smooth_image(28, 36), margin // 2
    image, segments = around[..., 2:26, 2:34], (torch.arange(32) // 8).expand(24, 32)
    filler = Mean("segment", segments)
    larger = MaskedScore(image, 0, Network(), filler, around=around).enlarged(margin)
    fill = larger.fills(torch.ones(1, 1, 24 + margin, 32 + margin))
    within = fill[..., before : before + 24, before : before + 32]
    torch.testing.assert_close(within, filler(image, torch.ones(1, 1, 24, 32)))
    above = fill[..., before : before + 1, :].expand(-1, -1, before, -1)
    torch.testing.assert_close(fill[..., :before, :], above)
    right = fill[..., before + 31 : before + 32].expand(-1, -1, -1, margin - before)
    torch.testing.assert_close(fill[..., before + 32 :], right)


@pytest.mark.parametrize(
    ("around", "message"),
    [
        (torch.zeros(1, 3, 28, 35), r"around must be a larger view .* got \(1, 3, 28, 35\)"),
        (torch.zeros(1, 3, 22, 30), r"around must be a larger view .* got \(1, 3, 22, 30\)"),
        (torch.zeros(2, 3, 28, 36), r"around must be a larger view .* got \(2, 3, 28, 36\)"),
        (
            torch.zeros(1, 3, 28, 36),
            "around must be a view with the images in its middle, .* got 'a difference of",
        ),
        (torch.full((1, 3, 28, 36), 2.0), r"around must be in \[0, 1\]"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_view_around_that_does_not_fit_is_refused(image, around, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(image, 0, Network(), around=around)


def test_shifts_go_with_their_holes_through_samples_and_batches(images):
    score = MaskedScore(images[:1], 0, Network(), Noise(), sampling=Sampling(samples=2)).enlarged(3)
    hole = torch.zeros(3, 1, 27, 35)
    hole[..., 10:15, 5:30] = 1
    shift = torch.tensor([[0, 0], [3, 1], [2, 3]])
    expected = score(hole, shift=shift)
    assert not torch.equal(expected, score(hole))
    torch.testing.assert_close(
        score.with_execution(batch_size=1)(hole, shift=shift), expected, rtol=0, atol=1e-6
    )
    soft = (0.5 * hole).requires_grad_()
    score.with_execution(batch_size=1)(soft, shift=shift)[1].backward()
    assert soft.grad[1, 0, 10:15, 5:30].abs().min() > 0
    assert soft.grad[[0, 2]].abs().max() == 0
    assert soft.grad[1, 0, :3].abs().max() == soft.grad[1, 0, :, 0].abs().max() == 0, (
        "nothing beside the view"
    )


@pytest.mark.parametrize(
    ("margin", "shift", "message"),
    [
        (2, [[0, 3]], r"shift must be in the margin, 0 to 2, got \[\[0, 3\]\]"),
        (2, [[-1, 0]], "shift must be in the margin, 0 to 2"),
        (0, [[1, 0]], "shift must be in the margin, 0 to 0"),
        (2, [[0, 0], [0, 0]], r"shift must be one row and column per hole \(1\)"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_shifts_are_refused(image, margin, shift, message):
    score = MaskedScore(image, 0, Network()).enlarged(margin)
    with pytest.raises(ValueError, match=message):
        score(torch.zeros(1, 1, 24 + margin, 32 + margin), shift=torch.tensor(shift))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"margin": -1}, "margin must be 0 to 23 for this image, got -1"),
        ({"margin": 24}, "margin must be 0 to 23 for this image, got 24"),
    ],
)
def test_bad_margins_are_named(image, change, message):
    with pytest.raises(ValueError, match=message):
        MaskedScore(image, 0, Network(), **change)


def test_less_than_one_sample_is_refused(image):
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        MaskedScore(image, 0, Network(), sampling=Sampling(samples=0))


class Bytes:
    """A filler that leaves [0, 1], in the hole or beside it."""

    per_hole, stochastic, sees_hidden = True, False, False

    def __init__(self, inside: bool, wrong: float):
        self.inside = inside
        self.wrong = wrong

    def __call__(self, image, hole, generator=None):
        wrong = torch.full_like(image, self.wrong).expand(len(hole), -1, -1, -1)
        return torch.where((hole > 0) == self.inside, wrong, 0.5)


@pytest.mark.parametrize("wrong", [200.0, -1.0, torch.nan, torch.inf])
def test_fills_beyond_the_range_are_refused_where_they_are_seen(image, wrong):
    hole = torch.zeros(2, 1, 24, 32)
    hole[:, :, 4:9, 4:9] = 1
    score = MaskedScore(image, 1, Network(), Bytes(inside=True, wrong=wrong))
    with pytest.raises(
        ValueError, match=r"fill of Bytes must be finite and in \[0, 1\] inside of holes, got '.* to .*'"
    ):
        score(hole)
    beside = MaskedScore(image, 1, Network(), Bytes(inside=False, wrong=wrong))
    torch.testing.assert_close(beside(hole), MaskedScore(image, 1, Network(), Gray((0.5, 0.5, 0.5)))(hole))
    perturbed = beside.perturbed(hole)
    assert torch.equal(perturbed, composite(image, hole, torch.full_like(image, 0.5)))
    slopes = torch.autograd.grad(beside(soft := hole.clone().requires_grad_()).sum(), soft)
    assert bool(slopes[0].isfinite().all())


def test_the_score_of_several_fills_is_the_same_with_its_error(image):
    score = MaskedScore(image, 1, Network(), Noise(), log_odds, sampling=Sampling(8, pool=pooled_odds))
    hole = torch.zeros(1, 1, *image.shape[2:])
    hole[..., :6, :6] = 1
    pooled, error = score.spread(hole)
    torch.testing.assert_close(pooled, score(hole))
    assert float(error) > 0


class Reusing:
    """A filler that writes every fill into the same memory."""

    per_hole, stochastic, sees_hidden = True, False, False

    def __init__(self):
        self.memory = None

    def __call__(self, image, hole, generator=None):
        if self.memory is None:
            self.memory = torch.empty(4, *image.shape[1:])
        memory = self.memory[: len(hole)]
        return memory.copy_(hole.mean((1, 2, 3), keepdim=True).expand_as(memory))


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_a_filler_may_use_its_memory_again(image, batch_size):
    hole = torch.stack([torch.full((1, 24, 32), 0.2 * number) for number in range(4)])
    score = MaskedScore(image, 1, Network(), Reusing(), execution=Execution(batch_size=batch_size))
    assert score.fills(hole).mean((1, 2, 3)).tolist() == pytest.approx([0.0, 0.2, 0.4, 0.6])
    kept = score.perturbed(hole)
    assert torch.equal(kept, torch.cat([score.perturbed(one[None]) for one in hole]))
