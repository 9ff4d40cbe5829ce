"""Batches of examples with their holes, and what a long job keeps of them in parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy import ndarray
from torch import Tensor, nn

from infill.fillers.crops import dilated
from models import scenes
from models.classifiers import ImageClassifier
from models.preprocessing import Preprocessing
from studio.data.chance import generator
from studio.data.classes import class_of
from studio.data.dataset import open_dataset
from studio.data.example import Dataset, Example
from studio.data.selection import Selection, select
from studio.realism.batches import ExampleBatch, Reader
from studio.realism.cache import Cache
from studio.realism.kinds import HoleKind
from studio.realism.regions import Regions
from studio.realism.request import LabelSource
from studio.runs.arrays import write_arrays

LABELS = ("Red", "green", "blue")
EYE = ImageClassifier(nn.Identity(), Preprocessing(crop=8, resize=8), labels=LABELS)


@dataclass(frozen=True)
class Made:
    """Six examples, as whose class the data says the next after the brightest channel."""

    broken: frozenset[int] = frozenset()
    kind: str = "silhouettes"
    offers: frozenset[str] = frozenset({"labels", "silhouettes"})
    title: str = "made-up"
    notes: Sequence[str] = ()
    names: Sequence[str] = tuple(f"{letter}/ä.png" for letter in "abcdef")
    changed: Mapping[int, Mapping[str, Any]] = ()  # type: ignore[assignment]

    @property
    def photographs(self) -> Sequence[str]:
        return self.names

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Example:
        if index in self.broken:
            raise ValueError(f"{self.names[index]} is cut off")
        image = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(index)) / 2
        image[index % 3] += 0.5
        silhouette = torch.zeros(8, 10, dtype=torch.bool)
        silhouette[index : index + 2, 3:6] = True
        example = Example(self.names[index], image, (index + 1) % 3, silhouette)
        return replace(example, **dict(self.changed).get(index, {}))

    def fingerprint(self) -> str:
        return "made-up"


def brightest(images: Tensor) -> Tensor:
    return images.mean((2, 3))


def reader(
    data: Dataset | None = None,
    kind: HoleKind = "silhouettes",
    top: Callable[[Tensor], Tensor] | None = brightest,
    labels: LabelSource = "data",
    seed: int = 0,
    eye: ImageClassifier = EYE,
    **settings: Any,
) -> Reader:
    settings = {"grow": 0, "side": 3, **settings}
    return Reader(data or Made(), Regions(kind, **settings), eye, top, labels, seed)


def equal(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)


def same(one: ExampleBatch, other: ExampleBatch) -> bool:
    tensors = ("images", "holes", "truth", "targets")
    return (one.numbers, one.names, one.skipped) == (other.numbers, other.names, other.skipped) and all(
        equal(getattr(one, name), getattr(other, name)) for name in tensors
    )


# Batches.


def test_a_batch_is_its_examples_in_the_view() -> None:
    batch = reader().read([1, 4])
    assert (batch.numbers, batch.names, batch.skipped) == ((1, 4), ("b/ä.png", "e/ä.png"), [])
    for row, number in enumerate((1, 4)):
        example = Made().read(number)
        assert example.silhouette is not None
        assert torch.equal(batch.images[row], example.image[:, :, 1:9])
        assert torch.equal(batch.holes[row, 0], example.silhouette[:, 1:9].float())
    assert equal(batch.targets, torch.tensor([2, 2]))


@pytest.mark.parametrize("kind", ["silhouettes", "squares"])
def test_bad_examples_are_left_out_by_name(kind: HoleKind) -> None:
    bad, good = reader(Made(frozenset({2})), kind).read(range(6)), reader(Made(), kind).read([0, 1, 3, 4, 5])
    assert list(bad.skipped) == [("c/ä.png", "c/ä.png is cut off")]
    assert good.skipped == []
    assert same(replace(bad, skipped=[]), good)


def test_every_fault_of_an_example_leaves_it_out() -> None:
    changed = {
        0: {"silhouette": None},
        1: {"silhouette": torch.ones(8, 10, dtype=torch.bool)},
        3: {"label": 3},
        5: {"label": None},
    }
    batch = reader(Made(frozenset({4}), changed=changed)).read([5, 4, 3, 2, 1, 0])
    assert batch.numbers == (2,)
    assert list(batch.skipped) == [
        ("f/ä.png", "f/ä.png: its class is not known"),
        ("e/ä.png", "e/ä.png is cut off"),
        ("d/ä.png", "d/ä.png: class 3 is none of the classifier's 3"),
        ("b/ä.png", "the hole covers all of the classifier's view"),
        ("a/ä.png", "no silhouette is annotated"),
    ]


@pytest.mark.parametrize("kind", ["silhouettes", "squares", "all"])
@pytest.mark.parametrize("labels", get_args(LabelSource))
def test_a_batch_of_bad_examples_is_empty(kind: HoleKind, labels: LabelSource) -> None:
    def never(_: Tensor) -> Tensor:
        raise AssertionError("asked about no image")

    batch = reader(Made(frozenset({0, 3})), kind, never, labels).read([3, 0])
    assert [name for name, _ in batch.skipped] == ["d/ä.png", "a/ä.png"]
    assert (len(batch.numbers), len(batch.names)) == (0, 0)
    assert batch.images.shape == (0, 3, 8, 8)
    assert batch.holes.shape == (0, 1, 8, 8)
    assert batch.truth is None if kind != "squares" else batch.truth.shape == (0, 3, 8, 8)
    assert equal(batch.targets, torch.empty(0, dtype=torch.long))


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(-5, 2**70))
def test_a_hole_does_not_depend_on_what_is_read_beside_it(numbers: list[int], seed: int) -> None:
    read = reader(kind="squares", seed=seed).read
    batch = read(numbers)
    assert batch.skipped == []
    for row, number in enumerate(numbers):
        assert torch.equal(batch.holes[row], read([number]).holes[0])
        assert torch.equal(batch.images[row], read([number]).images[0])


def test_images_and_seeds_have_holes_of_their_own() -> None:
    holes = [reader(kind="squares", seed=seed).read(range(6)).holes for seed in range(8)]
    assert len({tuple(each.flatten().tolist()) for each in holes}) == 8
    assert len({tuple(hole.flatten().tolist()) for hole in torch.cat(holes)}) > 20  # of 36 possible ones


@given(st.integers(-(2**80), 2**80), st.integers(0, 2**31))
def test_the_chance_of_an_image_is_the_same_each_time(seed: int, number: int) -> None:
    first, second = (torch.rand(4, generator=generator(seed, number, "fill")) for _ in range(2))
    assert torch.equal(first, second)


def test_every_image_and_seed_has_another_chance() -> None:
    seeds = (0, 1, 2, 1000, 2**32 - 1, 2**32, -1, -2, -(2**63))
    uses: tuple[Literal["hole", "fill"], ...] = ("hole", "fill")
    drawn = [
        float(torch.rand((), generator=generator(seed, number, use), dtype=torch.float64))
        for seed in seeds
        for number in range(20)
        for use in uses
    ]
    assert len(set(drawn)) == 2 * 20 * len(seeds)
    assert abs(sum(drawn) / len(drawn) - 0.5) < 0.1


# Targets.


def test_the_data_or_the_classifier_says_the_class() -> None:
    assert equal(reader(labels="data").read([0, 1, 5]).targets, torch.tensor([1, 2, 0]))
    assert equal(reader(labels="top1").read([0, 1, 5]).targets, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("labels", get_args(LabelSource))
def test_without_a_classifier_there_are_no_targets(labels: LabelSource) -> None:
    data = Made(changed={1: {"label": "a zebra"}})
    batch = reader(data, top=None, labels=labels).read([0, 1])
    assert batch.targets is None
    assert batch.skipped == []


def test_the_classifiers_word_needs_no_label() -> None:
    data = Made(changed={0: {"label": None}, 1: {"label": "a zebra"}})
    assert equal(reader(data, labels="top1").read([0, 1]).targets, torch.tensor([0, 1]))
    assert len(reader(data, labels="data").read([0, 1]).skipped) == 2


def test_the_classifier_is_asked_once_about_the_views() -> None:
    asked = []

    def classifier(images: Tensor) -> Tensor:
        asked.append(images)
        return brightest(images)

    batch = reader(top=classifier, labels="top1").read([3, 4])
    assert len(asked) == 1
    assert torch.equal(asked[0], batch.images)


def known(label: int | str | None) -> Example:
    return Example("a.png", torch.zeros(3, 4, 4), label)


@pytest.mark.parametrize(
    ("kind", "label", "labels", "expected"),
    [
        ("scenes", scenes.CLASSES.index("gear"), scenes.CLASSES, scenes.CLASSES.index("gear")),
        ("scenes", scenes.CLASSES.index("gear"), ("moon", "Gear", "cross"), 1),
        ("boxes", 2, LABELS, 2),
        ("boxes", 0, LABELS, 0),
        ("voc", "RED", LABELS, 0),
        ("voc", "Blue", LABELS, 2),
        ("images", "green", LABELS, 1),
        ("ilsvrc", 999, [f"class {index}" for index in range(1000)], 999),
        ("places", 364, [f"class {index}" for index in range(365)], 364),
    ],
)
def test_the_class_that_the_data_means(
    kind: str, label: int | str, labels: Sequence[str], expected: int
) -> None:
    assert class_of(known(label), kind, labels) == expected


@pytest.mark.parametrize(
    ("kind", "label", "labels", "message"),
    [
        ("images", None, LABELS, "its class is not known"),
        ("scenes", None, scenes.CLASSES, "its class is not known"),
        ("scenes", scenes.CLASSES.index("gear"), LABELS, "the classifier has no class 'gear'"),
        ("boxes", 3, LABELS, "class 3 is none of the classifier's 3"),
        ("boxes", -1, LABELS, "class -1 is none of the classifier's 3"),
        ("boxes", 0, (), "class 0 is none of the classifier's 0"),
        ("voc", "zebra", LABELS, "the classifier has no class 'zebra'"),
        ("ilsvrc", 1, LABELS, "its class is one of 1000, the classifier has 3"),
        ("places", 1, LABELS, "its class is one of 365, the classifier has 3"),
        ("places", 1, ["x"] * 1000, "its class is one of 365, the classifier has 1000"),
    ],
)
def test_other_classes_are_refused(
    kind: str, label: int | str | None, labels: Sequence[str], message: str
) -> None:
    with pytest.raises(ValueError, match=r"a\.png") as caught:
        class_of(known(label), kind, labels)
    assert str(caught.value) == f"a.png: {message}"


# The truth.

SCENES = ImageClassifier(
    nn.Identity(), Preprocessing(crop=scenes.SIDE, resize=scenes.SIDE), labels=scenes.CLASSES
)


@pytest.mark.parametrize("kind", ["silhouettes", "boxes", "object"])
def test_behind_the_objects_of_scenes_is_their_background(kind: HoleKind) -> None:
    made = reader(open_dataset("scenes:2"), kind, eye=SCENES)
    batch, drawn = made.read([1, 0]), [scenes.draw(number, objects=1) for number in (1, 0)]
    assert made.knows_truth
    assert made.true_background
    assert equal(batch.truth, torch.stack([scene.background for scene in drawn]))
    assert torch.equal(batch.images, torch.stack([scene.image for scene in drawn]))
    assert equal(batch.targets, torch.tensor([scene.labels[0] for scene in drawn]))
    hidden = [scene.silhouettes[0] for scene in drawn]
    if kind == "boxes":
        hidden = [torch.zeros_like(silhouette) for silhouette in hidden]
        for scene, silhouette in zip(drawn, hidden, strict=True):
            left, top, right, bottom = scene.boxes[0].tolist()
            silhouette[top:bottom, left:right] = True
    assert torch.equal(batch.holes[:, 0], torch.stack(hidden).float())


@pytest.mark.parametrize("kind", ["surroundings", "segments", "squares"])
def test_behind_other_holes_is_the_image_itself(kind: HoleKind) -> None:
    made = reader(open_dataset("scenes:2"), kind, eye=SCENES)
    batch = made.read([1])
    assert made.knows_truth
    assert not made.true_background
    assert equal(batch.truth, batch.images)


def test_a_hole_in_the_background_has_another_objects_shape_and_does_not_touch_the_own() -> None:
    data = open_dataset("scenes:6")
    made = reader(data, "background", eye=SCENES, grow=2, others=data)
    batch = made.read(range(6))
    areas = {number: reader(data, grow=2, eye=SCENES).read([number]).holes.sum() for number in range(6)}
    for number, hole in zip(batch.numbers, batch.holes, strict=True):
        own = dilated(data.read(number).silhouette[None, None], 2)  # type: ignore[index]
        assert not (dilated(own, 1) & (hole[None] > 0)).any()
        assert hole.sum() in [areas[other] for other in range(6) if other != number]
        assert torch.equal(made.read([number]).holes[0], hole)
    assert made.knows_truth
    assert equal(batch.truth, batch.images)
    small = reader(data, "background", eye=SCENES, others=data, hole_area=3).read(range(6))
    torch.testing.assert_close(small.holes.mean((1, 2, 3)), torch.full((6,), 0.03), rtol=0.05, atol=0)
    assert not same(made.read([1]), reader(data, "background", eye=SCENES, others=data, seed=1).read([1]))


def test_a_hole_in_the_background_touches_no_other_object_of_the_photograph_and_is_of_another() -> None:
    data = open_dataset("scenes-two:6")
    batch = reader(data, "background", eye=SCENES, grow=2, others=data).read(range(12))
    areas = reader(data, grow=2, eye=SCENES).read(range(12)).holes.sum((1, 2, 3))
    for number, hole in zip(batch.numbers, batch.holes, strict=True):
        for mate in (number, number ^ 1):
            object_ = dilated(data.read(mate).silhouette[None, None], 2)  # type: ignore[index]
            assert not (object_ & (hole[None] > 0)).any()
        lent = [place for place in range(12) if areas[place] == hole.sum()]
        assert not lent or any(place // 2 != number // 2 for place in lent)


def test_nor_does_it_touch_an_object_that_is_no_example_here() -> None:
    data = select(open_dataset("scenes-two:24"), Selection(sample=12, seed=0))
    batch = reader(data, "background", eye=SCENES, grow=2, others=data).read(range(12))
    assert len(batch.numbers) > 6
    for number, hole in zip(batch.numbers, batch.holes, strict=True):
        scene = scenes.draw(int(data.photographs[number].removeprefix("scene-")), objects=2)
        objects = dilated(scene.silhouettes.any(0)[None, None], 2)
        assert not (objects & (hole[None] > 0)).any()


def test_a_hole_of_an_area_has_it_or_is_none() -> None:
    data = open_dataset("scenes:12")
    batch = reader(data, "background", eye=SCENES, others=data, hole_area=30).read(range(12))
    areas = batch.holes.mean((1, 2, 3))
    torch.testing.assert_close(areas, torch.full_like(areas, 0.3), rtol=0.03, atol=0)
    assert len(areas) > 0
    reasons = {reason for _, reason in batch.skipped}
    assert reasons == {"the object leaves no room for a hole of 30 % of the view in the background"}


def test_other_images_that_are_of_no_use_are_passed_over() -> None:
    data = Made(broken=frozenset({2, 3}), changed={1: {"silhouette": None}})
    batch = reader(data, "background", others=data).read([0, 4])
    assert [name for name, _ in batch.skipped] == []
    alone = Made(broken=frozenset({1, 2, 3, 4, 5}))
    (told,) = reader(alone, "background", others=alone).read([0]).skipped
    assert told[1] == "no other image has an object whose shape could be put into the background"


@pytest.mark.parametrize("data", [open_dataset("scenes:2"), Made()])
def test_nothing_is_known_behind_a_hole_that_is_all(data: Dataset) -> None:
    made = reader(data, "all", top=None, eye=SCENES)
    batch = made.read([1])
    assert not made.knows_truth
    assert not made.true_background
    assert batch.truth is None
    assert batch.holes.min() == 1


@pytest.mark.parametrize("kind", ["silhouettes", "object"])
def test_behind_the_objects_of_photographs_nothing_is_known(kind: HoleKind) -> None:
    made = reader(Made(), kind)
    assert not made.knows_truth
    assert made.read([0]).truth is None


def test_the_background_is_seen_as_the_image_is() -> None:
    background = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(9))
    data = Made(offers=frozenset({"silhouettes", "background"}), changed={0: {"background": background}})
    batch = reader(data).read([0])
    assert equal(batch.truth, background[None, :, :, 1:9])


# What is remembered.


def parts(folder: Path, settings: Any = None, **common: Any) -> Cache:
    made = Cache(folder, common)
    made.add_kind("examples", settings)
    return made


def equal_arrays(one: Mapping[str, ndarray] | None, other: Mapping[str, ndarray]) -> bool:
    return (
        one is not None
        and one.keys() == other.keys()
        and all(
            np.array_equal(one[name], other[name]) and one[name].dtype.kind == other[name].dtype.kind
            for name in other
        )
    )


def the_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.parquet")
    return path


@pytest.mark.parametrize("top", [brightest, None])
@pytest.mark.parametrize("broken", [frozenset({2}), frozenset(range(6)), frozenset[int]()])
def test_what_is_described_comes_back(
    top: Callable[[Tensor], Tensor] | None, broken: frozenset[int], tmp_path: Path
) -> None:
    batch = reader(Made(broken), top=top).read(range(6))
    parts(tmp_path).save("examples", 0, batch.arrays())
    found = parts(tmp_path).load("examples", 0)
    assert found is not None
    rest = [number for number in range(6) if number not in broken]
    targets = [(number + 1) % 3 if top else -1 for number in rest]
    assert found["numbers"].tolist() == rest
    assert found["names"].tolist() == [Made().names[number] for number in rest]
    assert found["targets"].tolist() == targets
    assert found["targets"].dtype == found["numbers"].dtype == np.int64
    assert found["areas"].tolist() == pytest.approx([6 / 64] * len(rest))
    skipped = [Made().names[number] for number in sorted(broken)]
    assert found["skipped"].tolist() == skipped
    assert found["reasons"].tolist() == [f"{name} is cut off" for name in skipped]
    assert equal_arrays(found, batch.arrays())


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"names": np.array(["a", "ö/雪.png", ""])},
        {"features": np.random.default_rng(0).random((3, 5), np.float32), "label": np.array([1, 2, 3])},
        {"l1": np.array([0.5, np.inf, np.nan])},
    ],
)
def test_what_is_kept_comes_back(arrays: dict[str, ndarray], tmp_path: Path) -> None:
    assert parts(tmp_path).load("examples", 7) is None
    parts(tmp_path).save("examples", 7, arrays)
    found = parts(tmp_path).load("examples", 7)
    assert found is not None
    assert found.keys() == arrays.keys()
    for name, values in arrays.items():
        np.testing.assert_array_equal(found[name], values, strict=True)
    assert parts(tmp_path).load("examples", 8) is None


def test_other_settings_have_parts_of_their_own(tmp_path: Path) -> None:
    made = [
        parts(tmp_path),
        parts(tmp_path, {"radius": 3}),
        parts(tmp_path, {"radius": 4}),
        parts(tmp_path, {"radius": 3, "file": Path("a")}),
        parts(tmp_path, {"radius": 3, "file": Path("b")}),
        parts(tmp_path, seed=0),
        parts(tmp_path, seed=1),
        parts(tmp_path, {"radius": 3}, seed=1),
    ]
    for number, each in enumerate(made):
        assert each.load("examples", 0) is None
        each.save("examples", 0, {"number": np.array(number)})
    for number, each in enumerate(made):
        assert equal_arrays(each.load("examples", 0), {"number": np.array(number)})


def test_kinds_have_parts_of_their_own(tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.add_kind("gray")
    made.save("gray", 0, {"l1": np.ones(2)})
    assert made.load("examples", 0) is None


def test_the_order_of_settings_does_not_matter(tmp_path: Path) -> None:
    one = parts(tmp_path, {"radius": 3, "of": {"a": 1, "b": (2, 3)}}, seed=0, data="scenes:3")
    other = parts(tmp_path, {"of": {"b": [2, 3], "a": 1}, "radius": 3}, data="scenes:3", seed=0)
    one.save("examples", 0, {"l1": np.ones(2)})
    assert equal_arrays(other.load("examples", 0), {"l1": np.ones(2)})


ARRAYS = {"l1": np.arange(4.0), "names": np.array(["a", "bc"])}


def test_a_file_that_is_cut_off_counts_as_not_there(tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.save("examples", 0, ARRAYS)
    content = the_file(tmp_path).read_bytes()
    for length in range(0, len(content), 5):
        the_file(tmp_path).write_bytes(content[:length])
        assert made.load("examples", 0) is None
    made.save("examples", 0, ARRAYS)
    assert equal_arrays(made.load("examples", 0), ARRAYS)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: b"no table",
        lambda content: bytes(len(content)),
        lambda content: content[:-8] + bytes(4) + content[-4:],  # the length of what describes the table
        lambda content: content[:4] + bytes(40) + content[44:],  # the first column
    ],
)
def test_a_damaged_file_counts_as_not_there(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    made = parts(tmp_path)
    made.save("examples", 0, ARRAYS)
    content = the_file(tmp_path).read_bytes()
    assert damage(content) != content
    the_file(tmp_path).write_bytes(damage(content))
    assert made.load("examples", 0) is None
    assert made.damaged == [the_file(tmp_path)]


def test_a_wrong_byte_among_the_numbers_is_noticed(tmp_path: Path) -> None:
    made, numbers = parts(tmp_path), np.random.default_rng(0).random(64)
    made.save("examples", 0, {"l1": numbers})
    content = the_file(tmp_path).read_bytes()
    begin = content.index(numbers.tobytes()[:32])  # what is random cannot be packed
    for place in range(begin, begin + 512, 37):
        wrong = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        the_file(tmp_path).write_bytes(wrong)
        assert made.load("examples", 0) is None


def test_nothing_is_ever_unpickled(tmp_path: Path) -> None:
    made = parts(tmp_path)
    path = tmp_path / "an.npy"
    np.save(path, np.array([{}], dtype=object))
    made.save("examples", 0, ARRAYS)
    the_file(tmp_path).write_bytes(path.read_bytes())
    assert made.load("examples", 0) is None
    write_arrays({"l1": np.array([{}], dtype=object)}, the_file(tmp_path))
    assert made.load("examples", 0) is None


@pytest.mark.parametrize("fault", [OSError("no space left"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [True, False])
def test_a_part_is_kept_whole_or_not_at_all(
    fault: BaseException, before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts(tmp_path)
    if before:
        made.save("examples", 0, ARRAYS)

    def break_off(table: object, path: Path) -> None:
        path.write_bytes(b"PAR1 half of it")
        raise fault

    monkeypatch.setattr("studio.runs.arrays.write_table", break_off)
    with pytest.raises(type(fault)):
        made.save("examples", 0, {"l1": np.zeros(9)})
    found = made.load("examples", 0)
    assert equal_arrays(found, ARRAYS) if before else found is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == list(tmp_path.rglob("*.parquet"))
