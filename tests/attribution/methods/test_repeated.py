"""A method whose fills are drawn is run until its mean map is reliable."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from planted import Network

from attribution import MaskedScore, SlidingPatch
from attribution.estimate import EstimatingExplainer
from attribution.methods.repeated import Repeated, repeatable
from infill import Gray, Noise

PATCHES = SlidingPatch(patch=8, stride=8)


def score(image: torch.Tensor, filler: object = None, seed: int = 0) -> MaskedScore:
    return MaskedScore(image, 1, Network(), filler or Noise()).with_sampling(seed=seed)


@dataclass(frozen=True)
class Noted(SlidingPatch):
    """Sliding patches that keep their maps."""

    maps: list[torch.Tensor] = field(default_factory=list)

    def __call__(self, score: MaskedScore) -> torch.Tensor:
        self.maps.append(super().__call__(score))
        return self.maps[-1]


def test_the_map_is_the_mean_of_passes_that_differ_and_the_error_theirs(image: torch.Tensor) -> None:
    noted = Noted(patch=8, stride=8)
    found = Repeated(noted, passes=10).estimate(score(image))
    ran = torch.cat(noted.maps).numpy()
    assert len(np.unique(ran, axis=0)) == 10
    np.testing.assert_allclose(found.heatmap[0], ran.mean(0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.error[0], ran.std(0, ddof=1) / 10**0.5, rtol=1e-3, atol=1e-7)
    holes = len(PATCHES.holes(score(image)))
    assert found.samples.tolist() == (found.forwards or found.samples).tolist() == [10 * holes]
    assert not torch.equal(Repeated(PATCHES, 10)(score(image, seed=1)), found.heatmap)


@pytest.mark.parametrize("passes", [14, 20])
def test_more_passes_than_groups_are_left_out_group_by_group(image: torch.Tensor, passes: int) -> None:
    noted = Noted(patch=8, stride=8)
    found = Repeated(noted, passes=passes).estimate(score(image))
    ran, number = torch.cat(noted.maps).double(), torch.arange(passes)
    rest = torch.stack([ran[number % 10 != group].mean(0) for group in range(10)])
    expected = (0.9 * (rest - rest.mean(0)).square().sum(0)).sqrt()
    torch.testing.assert_close(found.heatmap[0].double(), ran.mean(0), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.error[0].double(), expected, rtol=1e-3, atol=1e-7)


def test_passes_end_when_the_map_is_reliable_whatever_the_batch_size(images: torch.Tensor) -> None:
    ending = Repeated(PATCHES, passes=40, until=0.8)
    found = ending.estimate(score(images))
    assert all(found.reliability >= 0.8)
    assert all(found.samples < 40 * len(PATCHES.holes(score(images[:1]))))
    told: list[tuple[int, int]] = []
    ending(score(images).with_execution(progress=lambda done, total: told.append((done, total))))
    assert told[-1][0] == told[-1][1], "fewer are enough, so all is done"
    rounding = {"rtol": 0.0, "atol": 2e-7}  # some processors' last digits depend on the batch
    again = ending.estimate(score(images).with_execution(batch_size=5))
    assert again.samples.tolist() == found.samples.tolist()
    torch.testing.assert_close(again.heatmap, found.heatmap, **rounding)
    torch.testing.assert_close(ending(score(images[1:2])), found.heatmap[1:2], **rounding)


def test_one_pass_is_all_there_is_to_know_of_fills_that_are_not_drawn(image: torch.Tensor) -> None:
    found = Repeated(PATCHES, passes=5).estimate(score(image, Gray()))
    assert torch.equal(found.heatmap, PATCHES(score(image, Gray())))
    assert (found.reliability.item(), found.error.max().item()) == (1.0, 0.0)
    once = Repeated(PATCHES, passes=1).estimate(score(image))
    assert once.reliability.item() == 0
    assert bool(once.error.isinf().all())
    assert not once.told.any()


def test_it_is_for_methods_that_draw_nothing_themselves() -> None:
    assert repeatable(PATCHES)
    assert not repeatable(Repeated(PATCHES))
    assert isinstance(Repeated(PATCHES), EstimatingExplainer)
    with pytest.raises(ValueError, match="until"):
        Repeated(PATCHES, until=1.0)
