"""Fill in the blanks: the expected update restated plainly, which masks count, and progressive filling."""

from dataclasses import replace

import pytest
import torch
from planted import BLACK, Linear, Network, likeliest

from attribution import Execution, FillInBlanks, MaskedScore, ProgressiveBlanks, logit, probability
from attribution.blanks import RandomBlanks, Threshold, TiledBlanks
from infill import Noise

FEW = FillInBlanks(masks=40, correct=1000, patch=4)


def scored(images, network=None, filler=BLACK, **settings):
    network = network or Linear()
    return MaskedScore(images, likeliest(network, images), network, filler, **settings)


def restated(image, network, method):
    """The updates of a linear classifier, mask by mask, and the masks that count."""
    holes = RandomBlanks(method.masks, (24, 32), method.patch, method.ratio, method.seed)[:]
    target, rows = likeliest(network, image)[0], network.weight.detach()
    updates, counted = [], []
    for hole in holes:
        masked = (1 - hole) * image
        shares = network(masked).detach().softmax(1)[0]
        if int(shares.argmax()) == target:
            updates.append(rows[target] - torch.einsum("k,kchw->chw", shares, rows))
            counted.append(hole)
    return torch.stack(updates), torch.stack(counted)


def test_the_expected_update_of_a_linear_classifier(image):
    network = Linear(seed=3)
    updates, holes = restated(image, network, FEW)
    assert len(updates) >= 2
    found = FEW.expected(scored(image, network))
    torch.testing.assert_close(found.update[0], updates.mean(0), rtol=1e-4, atol=1e-7)
    assert found.masks.tolist() == [40]
    assert found.correct.tolist() == [len(updates)]
    hidden = holes.sum(0).clamp_min(1)
    blank = (updates * holes).sum(0) / hidden
    expected = {"update": updates.mean(0), "blank": blank, "returned": blank * image[0]}
    for shown, map_ in expected.items():
        heatmap = replace(FEW, shown=shown)(scored(image, network))[0]
        torch.testing.assert_close(heatmap, map_.sum(0), rtol=1e-4, atol=1e-6)


def test_no_more_masks_are_tried_than_it_takes_whatever_the_batch_size(image):
    network, few = Network(seed=4), FEW
    every = few.expected(scored(image, network))
    assert 5 < int(every.correct) < int(every.masks), "some masks must take the class away, and some not"
    found = [
        replace(few, correct=5).expected(scored(image, network, execution=Execution(size)))
        for size in (1, 3, 40)
    ]
    assert len({int(each.masks) for each in found}) == 1
    for each in found:
        assert int(each.correct) == 5
        assert 5 <= int(each.masks) < 40
        torch.testing.assert_close(each.update, found[0].update, rtol=1e-4, atol=1e-7)
    prototypes = [Threshold()(each.update, torch.ones(1, 1, 24, 32)) for each in found]
    assert all(torch.equal(each, prototypes[0]) for each in prototypes)


def test_a_map_has_its_error(image):
    estimate = replace(FEW, masks=200).estimate(scored(image, Network()))
    assert estimate.error.isfinite().all()
    assert 0.2 < float(estimate.reliability) <= 1
    assert 0 < float(estimate.told.float().mean()) < 1
    ended = replace(FEW, masks=2000, until=0.3).estimate(scored(image, Network()))
    assert int(ended.samples) < 2000


@pytest.mark.parametrize("shown", ["blank", "returned"])
def test_of_pixels_that_were_hardly_hidden_nothing_is_known(image, shown):
    found = replace(FEW, correct=3, shown=shown).estimate(scored(image, Linear(seed=3)))
    _, holes = restated(image, Linear(seed=3), FEW)
    hidden = holes[:3, 0].sum(0)
    assert torch.equal(found.error[0].isinf(), hidden < 2)
    assert not found.told[0][hidden < 2].any()


def test_a_class_that_is_never_seen_is_told(image):
    network = Network()
    with torch.no_grad():
        seldom = int(network.eval()(image).argmin())
    score = MaskedScore(image, seldom, network, BLACK)
    with pytest.raises(ValueError, match=r"target must be a class that the classifier still sees when 0\.25"):
        FEW(score)


def test_margins_are_refused(image):
    for call in (FEW, ProgressiveBlanks().fill_in):
        with pytest.raises(ValueError, match="score must be of images as the classifier sees them"):
            call(scored(image).enlarged(2))


def test_bfgs_agrees_with_the_first_order_on_two_linear_classes(image):
    score = scored(image[:, :, :8, :8], Linear(3, 8, 8, classes=2))
    first = ProgressiveBlanks().fill_in(score)
    second = ProgressiveBlanks(update="bfgs", steps=3).fill_in(score)
    assert torch.equal(first.filled, second.filled)
    few = replace(FEW, masks=4)
    maps = [replace(few, update=update, steps=2)(score).flatten() for update in ("first", "l-bfgs")]
    assert float(torch.corrcoef(torch.stack(maps))[0, 1]) > 0.999


@pytest.mark.parametrize("filler", [BLACK, Noise()], ids=["black", "noise"])
def test_progressive_filling_goes_part_by_part(images, filler):
    method, score = ProgressiveBlanks(parts=5, patch=3), scored(images, Network(), filler)
    found = method.fill_in(score)
    tiles = TiledBlanks(5, (24, 32), 3)[:]
    assert torch.equal(found.tiles, tiles)
    before, done = images, torch.zeros(1, 24, 32)
    for tile, masked, filled in zip(tiles, found.masked, found.filled, strict=True):
        outside = (tile == 0).expand_as(images)
        assert torch.equal(masked[outside], before[outside])
        assert torch.equal(filled[outside], before[outside])
        if filler is BLACK:
            assert not masked[~outside].any()
        done = done + tile
        observed = (done == 0).expand_as(images)
        assert torch.equal(filled[observed], images[observed])
        assert set(filled[~observed].unique().tolist()) == {0.0, 1.0}
        before = filled
    assert torch.equal(found.prototype, found.filled[-1])
    alone = method.fill_in(score[1].with_execution(batch_size=1))
    assert torch.equal(alone.prototype[0], found.prototype[1])


def test_derivatives_that_are_no_numbers_are_the_classifiers(image):
    class Root(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = Linear()

        def forward(self, images):
            return self.linear(images.sqrt())

    with pytest.raises(
        ValueError, match="classifier must be one with finite derivatives, got 'NaN or infinite"
    ):
        replace(FEW, correct=10)(scored(image, Root()))


@pytest.mark.parametrize("update", ["first", "l-bfgs", "bfgs"])
def test_the_callers_inference_mode_does_not_matter(image, update):
    image = image[..., :12, :12]
    method = replace(FEW, masks=6, correct=4, update=update, steps=3)
    network = Linear(height=12, width=12)
    expected = method(scored(image, network))
    with torch.inference_mode():
        found = method(scored(image, network))
    torch.testing.assert_close(found, expected)


def test_one_logit_without_the_sigmoid_is_refused(image):
    for link in (probability, logit):
        score = MaskedScore(image, 0, Network(classes=1).eval(), BLACK, link=link)
        for call in (FEW, ProgressiveBlanks().fill_in):
            with pytest.raises(
                ValueError, match="link must be sigmoid for one logit, whose softmax is alway"
            ):
                call(score)
