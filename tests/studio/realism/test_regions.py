"""Where holes come from, against pictures drawn by hand and plain loops."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from attribution import Lime
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.data.example import Example
from studio.realism.asked import check_annotated, hole_kind
from studio.realism.kinds import HOLE_KINDS, HoleKind
from studio.realism.regions import Regions

HALF = ImageClassifier(nn.Identity(), Preprocessing(crop=16, resize=20))
"""Of an image of 40 x 52 pixels, it sees every second one from row 4 and column 10 on."""

WIDE = (40, 52)


def whole(size: int) -> ImageClassifier:
    """An eye that sees images of this size as they are."""
    return ImageClassifier(nn.Identity(), Preprocessing(crop=size, resize=size))


def rng(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def rectangle(size: tuple[int, int], top: int, left: int, bottom: int, right: int) -> Tensor:
    region = torch.zeros(size, dtype=torch.bool)
    region[top:bottom, left:right] = True
    return region


def example(image: Tensor | int | tuple[int, int], **known: Any) -> Example:
    """An image of this size, or this image, and what is known about it."""
    if not isinstance(image, Tensor):
        height, width = (image, image) if isinstance(image, int) else image
        image = torch.linspace(0, 1, 3 * height * width).reshape(3, height, width)
    return Example("made-up", image, **known)


def hole(regions: Regions, shown: Example, eye: ImageClassifier | None = None, seed: int = 0) -> Tensor:
    """The hole, of which the form is checked."""
    eye = eye or whole(shown.image.shape[1])
    found = regions(shown, eye, rng(seed))
    assert found.shape == (1, eye.crop, eye.crop)
    assert found.dtype == torch.float32
    assert set(found.unique().tolist()) <= {0, 1}
    return found


def fault(regions: Regions, shown: Example, eye: ImageClassifier | None = None) -> str:
    with pytest.raises(ValueError, match=" ") as caught:
        hole(regions, shown, eye)
    return str(caught.value)


def pixels(found: Tensor) -> set[tuple[int, int]]:
    """The rows and columns of what is set."""
    return {(int(y), int(x)) for y, x in found.reshape(found.shape[-2:]).nonzero()}


def near(region: Tensor, reach: int) -> set[tuple[int, int]]:
    """All places whose row and column are both at most ``reach`` away from one of the region's."""
    size, steps = len(region), range(-reach, reach + 1)
    reached = {(y + down, x + right) for y, x in pixels(region) for down in steps for right in steps}
    return {(y, x) for y, x in reached if 0 <= y < size and 0 <= x < size}


@st.composite
def silhouettes(draw: st.DrawFn) -> Tensor:
    """A few pixels of 8 x 8."""
    place = st.tuples(st.integers(0, 7), st.integers(0, 7))
    silhouette = torch.zeros(8, 8, dtype=torch.bool)
    for y, x in draw(st.sets(place, min_size=1, max_size=5)):
        silhouette[y, x] = True
    return silhouette


# Silhouettes and boxes.


@given(silhouettes(), st.integers(0, 4))
def test_a_silhouette_is_grown_by_exactly_so_many_pixels(silhouette: Tensor, grow: int) -> None:
    expected = near(silhouette, grow)
    assume(len(expected) < 64)
    assert pixels(hole(Regions("silhouettes", grow), example(8, silhouette=silhouette))) == expected


@given(st.tuples(st.integers(0, 19), st.integers(0, 19)), st.tuples(st.integers(0, 25), st.integers(0, 25)))
def test_a_silhouette_is_resized_and_cropped_as_the_image_is(
    rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """The rectangle is told in pixels of the resized image, of which 16 from (2, 5) on are seen."""
    (top, bottom), (left, right) = sorted(rows), sorted(columns)
    silhouette = rectangle(WIDE, 2 * top, 2 * left, 2 * bottom + 2, 2 * right + 2)
    expected = {
        (y - 2, x - 5)
        for y in range(max(top, 2), min(bottom, 17) + 1)
        for x in range(max(left, 5), min(right, 20) + 1)
    }
    shown = example(WIDE, silhouette=silhouette)
    if not expected:
        assert "nothing" in fault(Regions("silhouettes", 0), shown, HALF)
    elif len(expected) == 256:
        assert "covers all" in fault(Regions("silhouettes", 0), shown, HALF)
    else:
        assert pixels(hole(Regions("silhouettes", 0), shown, HALF)) == expected


def test_growth_is_in_pixels_of_the_view() -> None:
    shown = example(WIDE, silhouette=rectangle(WIDE, 16, 22, 24, 28))
    found = hole(Regions("silhouettes"), shown, HALF)
    assert torch.equal(found[0], rectangle((16, 16), 3, 3, 13, 12).float())


def test_what_is_outside_of_the_view_does_not_grow_into_it() -> None:
    shown = example(WIDE, silhouette=rectangle(WIDE, 0, 0, 4, 10))
    assert fault(Regions("silhouettes"), shown, HALF) == (
        "nothing of what is to be removed is in the classifier's view"
    )


def test_a_pixel_half_covered_is_removed() -> None:
    """Columns 24 and 25 of the input are the view's column 7."""
    shown = example(WIDE, silhouette=rectangle(WIDE, 0, 25, *WIDE))
    found = hole(Regions("silhouettes", 0), shown, HALF)
    assert torch.equal(found[0], rectangle((16, 16), 0, 7, 16, 16).float())


@given(st.lists(st.tuples(*[st.integers(0, 8)] * 4), min_size=1, max_size=3))
def test_boxes_are_half_open_and_not_grown(corners: list[tuple[int, ...]]) -> None:
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]
    expected = {
        (y, x) for left, top, right, bottom in boxes for y in range(top, bottom) for x in range(left, right)
    }
    assume(0 < len(expected) < 64)
    assert pixels(hole(Regions("boxes", grow=3), example(8, boxes=torch.tensor(boxes)))) == expected


def test_a_box_is_seen_as_the_image_is() -> None:
    shown = example(WIDE, boxes=torch.tensor([[14, 8, 20, 10], [40, 0, 52, 40]]))
    expected = rectangle((16, 16), 2, 2, 3, 5) | rectangle((16, 16), 0, 15, 16, 16)
    assert torch.equal(hole(Regions("boxes"), shown, HALF)[0], expected.float())


@given(silhouettes(), st.integers(0, 3))
def test_the_surroundings_are_all_but_the_object(silhouette: Tensor, grow: int) -> None:
    assume(len(near(silhouette, grow)) < 64)
    shown = example(8, silhouette=silhouette)
    object_ = hole(Regions("object", grow), shown)
    assert torch.equal(object_, hole(Regions("silhouettes", grow), shown))
    assert torch.equal(hole(Regions("surroundings", grow), shown), 1 - object_)


# Segmenters.


class Finder(nn.Module):
    """Finds the same in every image, and remembers what it was asked."""

    prompted = False

    def __init__(self, found: Tensor) -> None:
        super().__init__()
        self.found = found
        self.asked: list[tuple[Tensor, str | None]] = []

    def silhouette(self, images: Tensor, label: str | None) -> Tensor:
        self.asked.append((images, label))
        return self.found[None]


def found_by(finder: nn.Module, kind: HoleKind = "object", **settings: Any) -> Regions:
    return Regions(kind, segmenter=finder, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("wanted", [None, "dog"])
def test_the_segmenter_looks_at_the_view(wanted: str | None) -> None:
    finder = Finder(rectangle((16, 16), 4, 5, 6, 9))
    shown = example(WIDE, silhouette=rectangle(WIDE, 30, 30, 40, 40))
    object_ = hole(found_by(finder, grow=2, label=wanted), shown, HALF)
    assert torch.equal(object_[0], rectangle((16, 16), 2, 3, 8, 11).float())
    ((images, label),) = finder.asked
    assert label == wanted
    assert torch.equal(images, HALF.view(shown.image)[None])
    rest = hole(found_by(finder, "surroundings", grow=2), shown, HALF)
    assert torch.equal(rest, 1 - object_)


def test_with_a_segmenter_nothing_needs_to_be_annotated() -> None:
    finder = Finder(rectangle((8, 8), 2, 2, 3, 3))
    assert hole(found_by(finder, grow=1), example(8)).sum() == 9


@pytest.mark.parametrize("kind", ["object", "surroundings"])
def test_a_segmenter_that_finds_nothing_or_everything(kind: HoleKind) -> None:
    nothing, everything = (Finder(torch.full((8, 8), found)) for found in (False, True))
    shown = example(8, silhouette=rectangle((8, 8), 2, 2, 4, 4))
    assert fault(found_by(nothing, kind), shown) == "the segmenter finds no object"
    assert fault(found_by(nothing, kind, label="dog"), shown) == "the segmenter finds no dog"
    expected = "covers all" if kind == "object" else "nothing"
    assert expected in fault(found_by(everything, kind), shown)


class Shown(nn.Module):
    """Finds the pixels whose middles are in the boxes, or next to the points; remembers the images."""

    prompted = True

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Tensor] = []

    def silhouette(self, images: Tensor, points: Tensor) -> Tensor:
        assert points.shape == (1, 1, 2)
        self.images.append(images[0])
        x, y = points[0, 0]
        return self.union(images[0], torch.stack([x - 1, y - 1, x + 1, y + 1])[None])[None]

    def union(self, image: Tensor, boxes: Tensor) -> Tensor:
        self.images.append(image)
        assert ((boxes >= -1) & (boxes <= 17)).all()
        y, x = (torch.arange(side) + 0.5 for side in image.shape[1:])
        y = y[:, None]
        inside = [(x > left) & (x < right) & (y > top) & (y < bottom) for left, top, right, bottom in boxes]
        return torch.stack(inside).any(0)


def shown_by(finder: nn.Module, kind: HoleKind = "object", **settings: Any) -> Regions:
    return Regions(kind, 0, segmenter=finder, **settings)  # type: ignore[arg-type]


@given(st.integers(0, 16), st.integers(0, 16))
def test_a_point_is_told_in_fractions_of_the_view(x: int, y: int) -> None:
    shown, finder = example(WIDE, boxes=torch.tensor([[14, 8, 20, 10]])), Shown()
    found = hole(shown_by(finder, point=(x / 16, y / 16)), shown, HALF)
    near_by = {(row, column) for row in (y - 1, y) for column in (x - 1, x)}
    assert pixels(found) == {place for place in near_by if min(place) >= 0 and max(place) < 16}
    assert torch.equal(finder.images[0], HALF.view(shown.image))
    rest = hole(shown_by(Shown(), "surroundings", point=(x / 16, y / 16)), shown, HALF)
    assert torch.equal(rest, 1 - found)


@given(st.lists(st.tuples(*[st.integers(0, 19), st.integers(0, 25)] * 2), min_size=1, max_size=3))
def test_boxes_as_prompts_are_those_of_the_view(corners: list[tuple[int, int, int, int]]) -> None:
    """They are told in pixels of the resized image, of which 16 from (2, 5) on are seen."""
    spans = [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in corners]
    boxes = torch.tensor([[2 * left, 2 * top, 2 * right, 2 * bottom] for top, left, bottom, right in spans])
    expected = {
        (y - 2, x - 5)
        for top, left, bottom, right in spans
        for y in range(max(top, 2), min(bottom, 18))
        for x in range(max(left, 5), min(right, 21))
    }
    shown, finder = example(WIDE, boxes=boxes), Shown()
    if not expected:
        assert fault(shown_by(finder), shown, HALF) == NOTHING
        assert not finder.images
    elif len(expected) == 256:
        assert fault(shown_by(finder), shown, HALF) == ALL
    else:
        assert pixels(hole(shown_by(finder), shown, HALF)) == expected
        assert torch.equal(hole(shown_by(finder), shown, HALF), hole(Regions("boxes"), shown, HALF))
        (image, _) = finder.images[:2]
        assert torch.equal(image, HALF.view(shown.image))


def test_prompts_need_boxes_or_a_point() -> None:
    assert shown_by(Shown()).needs == "boxes"
    assert shown_by(Shown(), "surroundings").needs == "boxes"
    assert shown_by(Shown(), point=(0.5, 0.5)).needs is None
    assert fault(shown_by(Shown()), example(WIDE), HALF) == "no box is annotated"


def test_a_prompt_where_nothing_is_found() -> None:
    finder = Shown()
    finder.silhouette = lambda *_, **__: torch.zeros(1, 16, 16, dtype=torch.bool)  # type: ignore[method-assign]
    assert fault(shown_by(finder, point=(0.5, 0.5)), example(WIDE), HALF) == "the segmenter finds no object"


# Regions of chance.


@given(st.integers(1, 11), st.integers(0, 2**32))
def test_a_square_has_its_side_and_lies_inside(side: int, seed: int) -> None:
    found = hole(Regions("squares", side=side), example(12), seed=seed)
    rows, columns = found[0].any(1).nonzero().flatten(), found[0].any(0).nonzero().flatten()
    assert found.sum() == side * side
    assert int(rows[-1] - rows[0]) == int(columns[-1] - columns[0]) == side - 1


def test_where_a_square_lies_is_the_generators_choice_alone() -> None:
    regions = Regions("squares", side=4)
    annotated = example(torch.zeros(3, 6, 6), label=1, silhouette=rectangle((6, 6), 0, 0, 2, 2))
    places = []
    for seed in range(200):
        places.append(min(pixels(hole(regions, example(6), seed=seed))))
        assert min(pixels(hole(regions, annotated, seed=seed))) == places[-1]
    counts = {place: places.count(place) for place in places}
    assert set(counts) == {(top, left) for top in range(3) for left in range(3)}
    assert max(counts.values()) < 50  # 22 of each are expected


@pytest.mark.parametrize("superpixels", [12, 13, 50])
def test_half_of_the_superpixels_are_removed_whole(
    superpixels: int, smooth_image: Callable[..., Tensor]
) -> None:
    shown = example(smooth_image(48, 48)[0])
    labels = Lime(segments=superpixels).segment(shown.image)
    regions = Regions("segments", superpixels=superpixels)
    holes = [hole(regions, shown, seed=seed)[0] for seed in range(5)]
    for found in holes:
        gone, left = set(labels[found > 0].tolist()), set(labels[found == 0].tolist())
        assert not gone & left
        assert len(gone) == len(labels.unique()) // 2
    assert len({tuple(sorted(pixels(found))) for found in holes}) == 5
    assert torch.equal(hole(regions, shown, seed=3)[0], holes[3])


def test_superpixels_are_those_of_the_view(smooth_image: Callable[..., Tensor]) -> None:
    shown = example(smooth_image(*WIDE)[0])
    seen = example(HALF.view(shown.image))
    regions = Regions("segments", superpixels=9)
    assert torch.equal(hole(regions, shown, HALF), hole(regions, seen))


def test_all_is_all() -> None:
    assert torch.equal(hole(Regions("all"), example(WIDE), HALF), torch.ones(1, 16, 16))


# What cannot be.


@pytest.mark.parametrize(
    ("regions", "known", "message"),
    [
        (Regions("silhouettes"), {}, "no silhouette is annotated"),
        (Regions("object"), {}, "no silhouette is annotated"),
        (Regions("surroundings"), {"boxes": torch.tensor([[1, 1, 2, 2]])}, "no silhouette is annotated"),
        (Regions("boxes"), {"silhouette": rectangle((8, 8), 0, 0, 2, 2)}, "no box is annotated"),
    ],
)
def test_what_is_not_annotated_is_said(regions: Regions, known: dict[str, Any], message: str) -> None:
    assert fault(regions, example(8, **known)) == message


NOTHING = "nothing of what is to be removed is in the classifier's view"
LONE = "segments must be at least 2, got 1"
ALL = "the hole covers all of the classifier's view"


@pytest.mark.parametrize(
    ("regions", "known", "message"),
    [
        (Regions("silhouettes"), {"silhouette": rectangle((8, 8), 0, 0, 0, 0)}, NOTHING),
        (Regions("silhouettes", 0), {"silhouette": rectangle((8, 8), 0, 0, 8, 8)}, ALL),
        (Regions("silhouettes", 3), {"silhouette": rectangle((8, 8), 3, 3, 5, 5)}, ALL),
        (Regions("surroundings", 3), {"silhouette": rectangle((8, 8), 3, 3, 5, 5)}, NOTHING),
        (Regions("surroundings", 0), {"silhouette": rectangle((8, 8), 0, 0, 0, 0)}, ALL),
        (Regions("boxes"), {"boxes": torch.empty(0, 4, dtype=torch.int64)}, NOTHING),
        (Regions("boxes"), {"boxes": torch.tensor([[0, 0, 8, 8]])}, ALL),
        (Regions("segments", superpixels=1), {}, LONE),
    ],
)
def test_empty_and_full_holes_are_refused(regions: Regions, known: dict[str, Any], message: str) -> None:
    assert fault(regions, example(8, **known)) == message


@pytest.mark.parametrize("area", [0.0, 100.0, -1.0, float("nan")])
def test_a_share_of_the_view_is_between_nothing_and_all(area: float) -> None:
    with pytest.raises(ValueError, match="--hole-area: expected percent between 0 and 100, got"):
        Regions("background", hole_area=area)
    with pytest.raises(ValueError, match="--hole-area: only for --holes background, got --holes squares"):
        Regions("squares", hole_area=5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grow": -1}, "--grow: expected 0 or more, got -1"),
        ({"side": 0}, "--side: expected 1 or more, got 0"),
        ({"side": -8}, "--side: expected 1 or more, got -8"),
    ],
)
@pytest.mark.parametrize("kind", HOLE_KINDS)
def test_bad_settings_are_refused(kind: HoleKind, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match="--") as caught:
        Regions(kind, **settings)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_square_must_be_smaller_than_the_view() -> None:
    assert hole(Regions("squares", side=7), example(8)).sum() == 49
    for side in (8, 9):
        message = f"--side: expected less than the view's 8 pixels, got {side}"
        assert fault(Regions("squares", side=side), example(8)) == message
        with pytest.raises(ValueError, match="--side") as caught:
            Regions("squares", side=side).check_view(8)
        assert str(caught.value) == message
    Regions("squares", side=7).check_view(8)
    Regions("segments", side=8).check_view(8)


# What is needed, and which kind is taken.


def test_every_kind_is_described() -> None:
    assert tuple(HOLE_KINDS) == get_args(HoleKind)


def test_what_must_be_annotated() -> None:
    needs = {kind: Regions(kind).needs for kind in get_args(HoleKind)}
    assert needs == {
        "silhouettes": "silhouettes",
        "boxes": "boxes",
        "object": "silhouettes",
        "surroundings": "silhouettes",
        "background": "silhouettes",
        "segments": None,
        "squares": None,
        "all": None,
    }
    finder = Finder(torch.ones(8, 8))
    assert found_by(finder).needs is found_by(finder, "surroundings").needs is None


def test_where_the_object_is_to_go() -> None:
    removing = {kind for kind in get_args(HoleKind) if Regions(kind).removes}
    assert removing == {"silhouettes", "boxes", "object", "all"}


def data(*offers: str) -> Any:
    return SimpleNamespace(title="made-up", offers=frozenset(offers))


@pytest.mark.parametrize(
    ("offers", "segmented", "expected"),
    [
        (("labels", "boxes", "silhouettes"), False, "silhouettes"),
        (("boxes", "labels"), False, "boxes"),
        (("silhouettes",), False, "silhouettes"),
        (("silhouettes", "boxes"), True, "object"),
        ((), True, "object"),
    ],
)
def test_without_a_kind_it_is_what_the_data_knows_best(
    offers: Iterable[str], segmented: bool, expected: str
) -> None:
    assert hole_kind(None, data(*offers), segmented) == expected


@pytest.mark.parametrize("kind", get_args(HoleKind))
@pytest.mark.parametrize("segmented", [False, True])
def test_the_kind_asked_for_is_taken(kind: str, segmented: bool) -> None:
    assert hole_kind(kind, data("silhouettes", "boxes"), segmented) == kind


def test_data_that_knows_no_object_asks_for_a_kind() -> None:
    with pytest.raises(ValueError, match="--holes") as caught:
        hole_kind(None, data("labels"), segmented=False)
    assert str(caught.value) == (
        "--holes: made-up says nothing of objects; give squares, segments or all, or a --segmenter"
    )


def test_an_unknown_kind_suggests_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown kind of holes 'box'; did you mean 'boxes'"):
        hole_kind("box", data("boxes"), segmented=False)
    with pytest.raises(ValueError, match="unknown kind of holes ''"):
        hole_kind("", data("boxes"), segmented=False)


@pytest.mark.parametrize(
    ("regions", "offers", "message"),
    [
        (
            Regions("boxes"),
            ("silhouettes", "labels"),
            "--holes boxes: made-up has no boxes (it has labels, silhouettes)",
        ),
        (
            Regions("surroundings"),
            (),
            "--holes surroundings: made-up has no silhouettes (it has no annotation), or give a --segmenter",
        ),
        (
            Regions("object"),
            ("boxes",),
            "--holes object: made-up has no silhouettes (it has boxes), or give a --segmenter",
        ),
    ],
)
def test_data_without_the_annotation_is_refused(
    regions: Regions, offers: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match="--holes") as caught:
        check_annotated(regions, data(*offers))
    assert str(caught.value) == message


def test_data_with_the_annotation_is_taken() -> None:
    check_annotated(Regions("silhouettes"), data("silhouettes"))
    check_annotated(Regions("boxes"), data("labels", "boxes"))
    check_annotated(found_by(Finder(torch.ones(8, 8))), data())
    for kind in ("segments", "squares", "all"):
        check_annotated(Regions(kind), data())  # type: ignore[arg-type]


class Photographs:
    """One photograph of several things, and one of another thing that lends its shape."""

    def __init__(self, *examples: Example) -> None:
        self.examples = examples
        self.names = [each.name for each in examples]
        self.photographs = [each.name.partition(":")[0] for each in examples]

    def read(self, number: int) -> Example:
        return self.examples[number]


@given(st.integers(0, 99))
def test_holes_in_the_background_lie_on_no_annotated_object(seed: int) -> None:
    """Neither on a box of the class itself in which no silhouette is, nor on one whose class another has."""
    cat, dog = rectangle((40, 40), 2, 2, 14, 14), rectangle((40, 40), 22, 22, 38, 38)
    boxes = {"cat": torch.tensor([[2, 2, 14, 14]]), "dog": torch.tensor([[22, 22, 38, 38]])}
    image = torch.rand(3, 40, 40)

    def known(name: str, label: str, silhouette: Tensor) -> Example:
        others = {each: some for each, some in boxes.items() if each != label}
        return Example(name, image, label=label, silhouette=silhouette, boxes=boxes[label], others=others)

    lender = Example("other", image, label="cat", silhouette=rectangle((40, 40), 10, 10, 16, 16))
    # The silhouette that is known is the cat's, whatever the class; and of one example it is of neither.
    several = known("a:cat", "cat", cat), known("a:dog", "dog", cat)
    alone = known("b", "dog", rectangle((40, 40), 2, 24, 8, 34))
    for shown in (*several, alone):
        regions = Regions("background", grow=0, others=Photographs(*several, alone, lender))  # type: ignore[arg-type]
        found = hole(regions, shown, seed=seed)[0] > 0
        assert not (found & (dog | cat)).any()
