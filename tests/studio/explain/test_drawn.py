"""Holes that were drawn: read from what people have, and brought into the classifier's view."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.explain.drawn import drawn, parse_box, seen_of

SIZE, VIEW = (32, 48), (16, 16)


@pytest.fixture(scope="module")
def classifier() -> ImageClassifier:
    """Sees the middle of a photograph of 48 x 32, half as large: columns 8 to 40."""
    return ImageClassifier(torch.nn.Identity(), Preprocessing(crop=16, resize=16), ("a", "b"))


def square(size: tuple[int, int], rows: slice, columns: slice) -> Tensor:
    hole = torch.zeros(size)
    hole[rows, columns] = 1
    return hole


HOLE = square(SIZE, slice(8, 16), slice(12, 20))
SEEN = square(VIEW, slice(4, 8), slice(2, 6))


@pytest.mark.parametrize(
    "given",
    [HOLE, HOLE[None], HOLE.bool(), HOLE.numpy(), (HOLE * 255).byte().numpy(), HOLE.byte().numpy(),
     HOLE.numpy()[..., None], HOLE.bfloat16(),
     HOLE.clone().requires_grad_(), Image.fromarray((HOLE * 255).byte().numpy())],
)  # fmt: skip
def test_whatever_shows_a_hole_is_read(given: Any, classifier: ImageClassifier) -> None:
    hole, where = seen_of(drawn(given), SIZE, classifier, VIEW)
    assert where == "photograph"
    assert torch.equal(hole, SEEN)


def test_a_file_a_box_and_the_view_say_the_same(classifier: ImageClassifier, tmp_path: Path) -> None:
    Image.fromarray((HOLE * 255).byte().numpy()).save(tmp_path / "hole.png")
    Image.fromarray((SEEN * 254).byte().numpy()).convert("RGB").save(tmp_path / "view.png")
    ways = [
        (drawn(tmp_path / "hole.png"), "photograph"),
        (drawn(str(tmp_path / "view.png")), "view"),
        (drawn(boxes=[parse_box("12,8,20,16")]), "photograph"),
        (drawn(boxes=[(12, 8, 16, 16), (16, 8, 20, 16)]), "photograph"),
        (drawn(boxes=[parse_box("2,4,6,8")], where="view"), "view"),
    ]
    for given, expected in ways:
        hole, where = seen_of(given, SIZE, classifier, VIEW)
        assert where == expected
        assert torch.equal(hole, SEEN)


def test_of_a_photograph_that_is_seen_as_it_is_both_mean_the_same(classifier: ImageClassifier) -> None:
    for where in (None, "photograph", "view"):
        assert torch.equal(seen_of(drawn(SEEN, where=where), VIEW, classifier, VIEW)[0], SEEN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hole": torch.zeros(SIZE)}, "--hole: nothing is white"),
        ({"hole": torch.ones(9, 9)}, r"expected the photograph's 48 x 32 or .* view's 16 x 16 pixels, got 9"),
        ({"hole": SEEN, "where": "photograph"}, "expected the photograph's 48 x 32 pixels, got 16 x 16"),
        ({"hole": torch.full(SIZE, 0.5)}, "100 % of the pixels are neither"),
        ({"hole": torch.full(SIZE, 2.0)}, r"numbers in \[0, 1\]"),
        ({"hole": torch.zeros(3, *SIZE)}, "array or tensor h w, got Tensor, float32, 3 x 32 x 48"),
        ({"hole": {"a": 1}}, "expected a file"),
        ({"hole": np.zeros((0, 0))}, "array or tensor h w, got ndarray, float64, 0 x 0"),
        ({"hole": [[1, 0], [1]]}, "array or tensor h w, got list"),
        ({"hole": (255 * SEEN).requires_grad_()}, r"got Tensor, float32, 16 x 16 from 0 to 255"),
        ({"hole": Image.new("RGBA", (48, 32), (255, 255, 255, 0))}, "transparent in places; lay it on black"),
        ({"hole": SEEN, "where": "here"}, "--where: expected photograph or view, got 'here'"),
        ({}, "expected a drawing of the hole, or boxes, got neither"),
        ({"hole": SEEN, "boxes": [(1, 1, 2, 2)]}, "got both"),
        ({"boxes": [(1, 1, 1, 2)]}, "x0 < x1 and y0 < y1 within the photograph of 48 x 32 pixels, got 1,1,1"),
        ({"boxes": [(40, 1, 49, 2)]}, "--box: expected"),
        ({"boxes": [(0, 0, 7, 32)]}, "lies outside of what the classifier sees"),
    ],
)
def test_what_is_no_hole_is_told(given: dict[str, Any], message: str, classifier: ImageClassifier) -> None:
    with pytest.raises(ValueError, match=message):
        seen_of(drawn(**given), SIZE, classifier, VIEW)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,x", "", "nan,1,2,3"])
def test_what_is_no_box_is_told(text: str, classifier: ImageClassifier) -> None:
    with pytest.raises(ValueError, match="--box: expected"):
        seen_of(drawn(boxes=[parse_box(text)]), SIZE, classifier, VIEW)


def test_files_that_show_no_hole_are_told(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("white")
    Image.fromarray(np.full((*SIZE, 4), (255, 255, 255, 0), np.uint8)).save(tmp_path / "clear.png")
    for name, message in {
        "text.png": "--hole: .*text.png is not an image",
        "clear.png": "--hole: .*clear.png is transparent in places; lay it on black",
        "none.png": "--hole: no such file",
    }.items():
        with pytest.raises(ValueError, match=message):
            drawn(tmp_path / name)
