"""Labels of a method's own samples: those of a plain loop over its composites."""

import pytest
import torch
from planted import BLACK, Network, scored

from attribution import Execution, Lime, MaskedScore, Rise, SlidingPatch
from attribution.evaluation.labels import top_labels
from infill import Noise

IMAGE = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", [SlidingPatch(17, 9), Lime(samples=20), Rise(masks=20)])
@pytest.mark.parametrize("filler", [BLACK, Noise()])
@pytest.mark.parametrize("batch_size", [3, 64])
def test_they_are_what_the_classifier_says_of_the_composites(method, filler, batch_size):
    score = scored(IMAGE, filler, execution=Execution(batch_size=batch_size))
    holes = method.holes(score)
    found = top_labels(score, holes)
    composites = [images for _, images, _ in score.stream_images([holes[:]], len(holes))]
    expected = Network().eval()(torch.cat(composites)).argmax(1)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("batch_size", [3, 64])
def test_they_are_of_the_very_fills(batch_size):
    """Of a classifier whose first choice hangs on every draw."""

    def fickle(images):
        sign = (1e5 * images.mean((1, 2, 3))).sin()
        return torch.stack([sign, -sign], 1)

    score = MaskedScore(IMAGE, 0, fickle, Noise(), execution=Execution(batch_size=batch_size))
    holes = SlidingPatch(17, 9).holes(score)
    composites = torch.cat([images for _, images, _ in score.stream_images([holes[:]], len(holes))])
    expected = fickle(composites).argmax(1)
    assert 0 < int(expected.sum()) < len(expected)
    assert torch.equal(top_labels(score, holes), expected)
