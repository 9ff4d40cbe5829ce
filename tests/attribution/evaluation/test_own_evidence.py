"""The filler's share of a heatmap, against heatmaps whose share is known."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attribution.evaluation.own_evidence import own_evidence


def square(side: int, size: int = 20) -> Tensor:
    silhouette = torch.zeros(1, size, size, dtype=torch.bool)
    silhouette[:, 2 : 2 + side, 3 : 3 + side] = True
    return silhouette


@given(st.integers(1, 15), st.floats(0.1, 3), st.floats(0, 3))
def test_a_square_over_a_chessboard_of_noise(side: int, inside: float, outside: float) -> None:
    """Values of +-``outside`` around the object, and of ``inside`` on it."""
    silhouette, board = square(side), (torch.arange(20)[:, None] + torch.arange(20)) % 2 * 2.0 - 1
    heatmap = torch.where(silhouette, torch.tensor(inside), outside * board)
    area = side * side / 400
    expected = min(1.0, outside**2 / (area * inside**2 + (1 - area) * outside**2))
    assert own_evidence(heatmap, silhouette, signed=True).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("side", [2, 8, 15])
def test_all_on_the_object_is_none_and_noise_is_all(signed: bool, side: int) -> None:
    silhouette = square(side, 200)
    assert own_evidence(silhouette.float(), silhouette, signed).item() == 0
    noise = torch.randn(1, 200, 200, generator=torch.Generator().manual_seed(side))
    # Few pixels may by chance be louder than the rest.
    assert own_evidence(noise, silhouette, signed).item() == pytest.approx(1, abs=0.01)
    assert own_evidence(torch.zeros(1, 200, 200), silhouette, signed).item() == 0


@given(st.floats(0.1, 10), st.floats(-5, 5), st.booleans(), st.integers(0, 99))
def test_the_share_has_no_unit(scale: float, shift: float, signed: bool, seed: int) -> None:
    heatmap = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(seed)) + 3.0 * square(6)
    expected = own_evidence(heatmap, square(6), signed)
    moved = scale * heatmap + (0 if signed else shift)
    torch.testing.assert_close(own_evidence(moved, square(6), signed), expected, rtol=1e-3, atol=1e-4)
    if signed:
        assert torch.equal(own_evidence(-heatmap, square(6), signed), expected)


@pytest.mark.parametrize("nothing", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("side", [10, 15])
def test_what_an_unsigned_map_has_where_most_of_the_rest_is_claims_nothing(side: int, nothing: float) -> None:
    """One pixel in ten outside of the object is loud; the object may take more than a half."""
    silhouette, inside, outside = square(side), side**2, 400 - side**2
    heatmap = torch.where(silhouette, nothing + 1.5, nothing)
    loud = (~silhouette[0]).flatten().nonzero()[::10, 0]
    heatmap.view(-1)[loud] += 2.0
    assert len(loud) == -(-outside // 10)
    expected = (len(loud) * 2.0**2 / outside) / ((len(loud) * 2.0**2 + inside * 1.5**2) / 400)
    assert own_evidence(heatmap, silhouette, signed=False).item() == pytest.approx(expected, rel=1e-4)


def test_images_are_on_their_own() -> None:
    heatmaps = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(1))
    silhouettes = torch.cat([square(side) for side in (3, 6, 9)])
    alone = [own_evidence(heatmaps[i : i + 1], silhouettes[i : i + 1], False) for i in range(3)]
    assert torch.equal(own_evidence(heatmaps, silhouettes, False), torch.cat(alone))


def test_without_an_object_or_a_rest_there_is_no_share() -> None:
    heatmap = torch.ones(1, 20, 20)
    for silhouette in (square(0), ~square(0)):
        with pytest.raises(ValueError, match="silhouette must be neither empty nor all of the image"):
            own_evidence(heatmap, silhouette, signed=True)
    with pytest.raises(ValueError, match="heatmap must be finite"):
        own_evidence(heatmap / 0, square(3), signed=True)


def test_a_silhouette_is_of_its_heatmap() -> None:
    wide, silhouette = torch.rand(1, 20, 30), torch.zeros(1, 20, 30, dtype=torch.bool)
    silhouette[:, 3:9, 4:8] = True
    own_evidence(wide, silhouette, signed=True)
    for other in (silhouette.mT, silhouette.expand(2, -1, -1), silhouette[:, :9]):
        with pytest.raises(ValueError, match=r"silhouette must be of shape \(1, 20, 30\) as the heatmaps"):
            own_evidence(wide, other, signed=True)
    with pytest.raises(ValueError, match="silhouette must be of truth values"):
        own_evidence(wide, silhouette.float(), signed=True)
