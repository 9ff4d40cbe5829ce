"""Data sets of scenes and of folders: what is known is read rightly, and what is wrong is named."""

import csv
import hashlib
import os
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attribution.evaluation.localization import covered
from models import scenes
from studio.data.annotation import by_area
from studio.data.classes import others_of, shows_several, unknown
from studio.data.dataset import open_dataset
from studio.data.example import Dataset
from studio.data.selection import Selection, select

NAMED = "file,split,class,x0,y0,x1,y1\n"
HEADER = "file,label,xmin,ymin,xmax,ymax\n"


def paint(path: Path, width: int = 16, height: int = 12) -> Path:
    """Save a picture that is different everywhere."""
    pixels = np.arange(height * width * 3).reshape(height, width, 3) % 251
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def paint_silhouette(path: Path, width: int = 16, height: int = 12, mode: str = "1") -> None:
    """Save a rectangle of 4 x 3 pixels whose corner is at (5, 2)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.new("L", (width, height))
    drawn.paste(255, (5, 2, 9, 5))
    drawn.convert(mode).save(path)


def boxed(folder: Path, rows: str, names: tuple[str, ...] = ("a.png",), header: str = HEADER) -> Path:
    for name in names:
        paint(folder / "images" / name)
    (folder / "boxes.csv").write_text(header + rows)
    return folder


def first(data: str, limit: int | None) -> Dataset:
    """The first so many examples."""
    return select(open_dataset(data), Selection(limit=limit))


def fault(data: Path | str) -> str:
    """What opening says, which always tells that it is about DATA."""
    with pytest.raises(ValueError, match=r"^DATA: ") as caught:
        open_dataset(str(data))
    return str(caught.value)


def assert_boxes_inside(dataset: Dataset, index: int) -> None:
    example = dataset.read(index)
    height, width = example.image.shape[1:]
    assert example.boxes is not None
    for left, top, right, bottom in example.boxes.tolist():
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def test_scenes_are_drawn_with_one_object() -> None:
    dataset = open_dataset("scenes:12")
    assert (dataset.title, dataset.kind, len(dataset)) == ("scenes:12", "scenes", 12)
    assert dataset.offers == {"labels", "silhouettes", "boxes", "background"}
    assert dataset.names[:3] == ("scene-0", "scene-1", "scene-2")
    example, drawn = dataset.read(11), scenes.draw(11, objects=1)
    assert example.name == "scene-11"
    assert example.label == drawn.labels[0]
    assert torch.equal(example.image, drawn.image)
    assert torch.equal(example.background, drawn.background)
    assert torch.equal(example.silhouette, drawn.silhouettes[0])
    assert torch.equal(example.boxes, drawn.boxes)


def test_scenes_alone_are_a_hundred() -> None:
    assert (open_dataset("scenes").title, len(open_dataset("scenes"))) == ("scenes:100", 100)
    assert len(first("scenes", 7)) == 7
    assert len(first("scenes:3", 7)) == 3
    with pytest.raises(IndexError):
        open_dataset("scenes:3").read(3)


def test_scenes_have_a_fingerprint_of_their_number() -> None:
    assert open_dataset("scenes:3").fingerprint() == first("scenes:9", 3).fingerprint()
    assert open_dataset("scenes:3").fingerprint() != open_dataset("scenes:4").fingerprint()


def test_each_of_two_objects_is_the_target_in_turn() -> None:
    dataset = open_dataset("scenes-two:6")
    assert (dataset.title, dataset.kind, len(dataset)) == ("scenes-two:6", "scenes", 12)
    assert dataset.offers == {"labels", "silhouettes", "boxes", "others"}
    assert (dataset.names[10], dataset.names[11]) == ("scene-5:0", "scene-5:1")
    drawn = scenes.draw(5, objects=2)
    for place in (0, 1):
        example = dataset.read(10 + place)
        assert example.label == drawn.labels[place]
        assert dataset.classes(10 + place) == [scenes.CLASSES[drawn.labels[place]]]
        assert torch.equal(example.image, drawn.image)
        assert torch.equal(example.silhouette, drawn.silhouettes[place])
        assert torch.equal(example.boxes, drawn.boxes[place : place + 1])
        ((label, boxes),) = example.others.items()
        assert (label, boxes.tolist()) == (drawn.labels[1 - place], [drawn.boxes[1 - place].tolist()])
        assert example.background is None
        left, top, right, bottom = example.boxes[0].tolist()
        assert example.difficult == ((right - left) * (bottom - top) < 224 * 224 / 4)
    assert not (dataset.read(10).silhouette & dataset.read(11).silhouette).any()


def test_scenes_of_two_are_chosen_like_others() -> None:
    dataset = open_dataset("scenes-two:6")
    assert len(open_dataset("scenes-two")) == 200
    assert first("scenes-two:6", 3).names == ("scene-0:0", "scene-0:1", "scene-1:0")
    wanted = dataset.classes(11)[0]
    chosen = select(dataset, Selection(targets="every", classes=[wanted]))
    assert "scene-5:1" in chosen.names
    assert {chosen.classes(index)[0] for index in range(len(chosen))} == {wanted}
    assert dataset.fingerprint() != open_dataset("scenes:12").fingerprint()
    assert fault("scenes-two:x").startswith("DATA: expected scenes-two:N with N from 1 to 999999")
    with pytest.raises(
        ValueError, match=r"--split: only for PASCAL VOC and boxes\.csv, got scenes-two and a"
    ):
        open_dataset("scenes-two", split="a")


@pytest.mark.parametrize(
    "text", ["scenes:0", "scenes:x", "scenes:", "scenes:-1", "scenes:1.5", "scenes:" + "9" * 5000]
)
def test_other_numbers_of_scenes_are_refused(text: str) -> None:
    assert fault(text) == f"DATA: expected scenes:N with N from 1 to 999999, got {text}; a folder is ./{text}"


def test_a_folder_named_scenes_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paint(tmp_path / "scenes" / "a.png")
    monkeypatch.chdir(tmp_path)
    assert open_dataset("./scenes").names == ("a.png",)
    assert open_dataset("scenes").kind == "scenes"


def test_ecssd_has_silhouettes(assets: Path) -> None:
    dataset = open_dataset(str(assets / "ecssd"))
    assert (dataset.title, dataset.kind, len(dataset)) == ("ecssd", "silhouettes", 216)
    assert dataset.offers == {"silhouettes"}
    assert list(dataset.names) == sorted(dataset.names)
    for index in (0, 100, 215):
        example = dataset.read(index)
        truth = np.asarray(Image.open(assets / "ecssd/masks" / Path(example.name).with_suffix(".png")))
        assert example.silhouette.dtype == torch.bool
        assert example.silhouette.shape == example.image.shape[1:]
        assert np.array_equal(example.silhouette.numpy(), truth)
        assert example.label is example.boxes is example.background is None


def test_imagenet_has_boxes(assets: Path) -> None:
    dataset = open_dataset(str(assets / "imagenet_val"))
    assert (dataset.kind, len(dataset), list(dataset.notes)) == ("boxes", 293, [])
    assert dataset.offers == {"labels", "boxes", "others"}
    with (assets / "imagenet_val" / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    for index in (0, 1, 150, 292):
        assert_boxes_inside(dataset, index)
        example = dataset.read(index)
        own = [row for row in rows if row["file"] == example.name]
        assert example.label == int(own[0]["label"])
        assert example.boxes.tolist() == [
            [int(row[key]) for key in HEADER.strip().split(",")[2:]] for row in own
        ]


@pytest.mark.parametrize(
    ("file", "mode"),
    [("a.png", "1"), ("a.png", "L"), ("a.PNG", "RGB"), ("a.bmp", "L"), ("a.jpg", "L"), ("a.gif", "L")],
)
def test_silhouettes_come_in_any_format(file: str, mode: str, tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.jpg")
    paint_silhouette(tmp_path / "masks" / file, mode=mode)
    silhouette = open_dataset(str(tmp_path)).read(0).silhouette
    expected = torch.zeros(12, 16, dtype=torch.bool)
    expected[2:5, 5:9] = True
    assert torch.equal(silhouette, expected)


def test_a_colored_silhouette_is_where_the_mean_of_its_colors_is_bright(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.png")
    drawn = Image.new("RGB", (16, 12))
    for left, color in ((0, "yellow"), (4, "cyan"), (8, "red"), (12, "blue")):
        drawn.paste(color, (left, 0, left + 4, 12))
    (tmp_path / "masks").mkdir()
    drawn.save(tmp_path / "masks" / "a.png")
    silhouette = open_dataset(str(tmp_path)).read(0).silhouette
    assert silhouette.all(0).tolist() == silhouette.any(0).tolist() == [True] * 8 + [False] * 8


def test_a_transparent_silhouette_is_refused(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.png")
    drawn = Image.new("RGBA", (16, 12))
    drawn.paste("black", (4, 4, 8, 8))
    (tmp_path / "masks").mkdir()
    drawn.save(tmp_path / "masks" / "a.png")
    with pytest.raises(ValueError, match=r"silhouette: .*a\.png is transparent in places; lay it on black"):
        open_dataset(str(tmp_path)).read(0)


def test_bad_silhouettes_are_named(tmp_path: Path) -> None:
    for stem in "abcde":
        paint(tmp_path / "images" / f"{stem}.jpg")
    paint_silhouette(tmp_path / "masks" / "a.png", width=12, height=16)
    Image.new("1", (16, 12)).save(tmp_path / "masks" / "b.png")
    Image.new("1", (16, 12), 1).save(tmp_path / "masks" / "c.png")
    (tmp_path / "masks" / "d.png").write_text("no image")
    dataset = open_dataset(str(tmp_path))
    said = []
    for index in range(5):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the messages are compared below
            dataset.read(index)
        said.append(str(caught.value))
    assert re.search(r"a\.png is for 12 x 16 pixels, but .*a\.jpg has 16 x 12", said[0])
    assert re.search(r"the object in .*b\.png is nothing", said[1])
    assert re.search(r"the object in .*c\.png is all of the image", said[2])
    assert re.search(r"d\.png is not an image", said[3])
    assert re.search(r"e\.jpg has none; expected .*masks/e\.png", said[4])


def test_two_silhouettes_of_an_image_are_refused(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.jpg")
    for name in ("a.png", "a.bmp"):
        paint_silhouette(tmp_path / "masks" / name)
    assert "has both a.bmp and a.png" in fault(tmp_path)


def test_a_folder_may_have_silhouettes_and_boxes(tmp_path: Path) -> None:
    boxed(tmp_path, 'a.png,7,5,2,9,5\n\n"a.png",7,0,0,16,12\n')
    paint_silhouette(tmp_path / "masks" / "a.png")
    dataset = open_dataset(str(tmp_path))
    example = dataset.read(0)
    assert dataset.kind == "silhouettes"
    assert dataset.offers == {"labels", "silhouettes", "boxes", "others"}
    assert example.label == 7
    assert example.boxes.tolist() == [[5, 2, 9, 5], [0, 0, 16, 12]]
    assert int(example.silhouette.sum()) == 12


def test_of_the_silhouette_of_several_objects_each_class_has_its_own(tmp_path: Path) -> None:
    boxed(tmp_path, "a.png,7,0,0,7,12\na.png,4,7,2,9,5\na.png,5,10,0,16,12\n")
    before = open_dataset(str(tmp_path)).fingerprint()
    paint_silhouette(tmp_path / "masks" / "a.png")
    every = select(open_dataset(str(tmp_path)), Selection("every"))
    cases = {name: number for number, name in enumerate(every.names)}
    for name, left, right in (("a.png:7", 5, 7), ("a.png:4", 7, 9)):
        silhouette = every.read(cases[name]).silhouette
        expected = torch.zeros(12, 16, dtype=torch.bool)
        expected[2:5, left:right] = True
        assert silhouette.equal(expected)
    with pytest.raises(ValueError, match=r"silhouette: that of a\.png has nothing in the boxes of class 5"):
        every.read(cases["a.png:5"])
    assert before != open_dataset(str(tmp_path)).fingerprint()


def test_runs_with_the_silhouette_of_all_objects_do_not_go_on(tmp_path: Path) -> None:
    """Nor are others hindered: where there is one class, nothing has changed."""

    def digest(kind: str) -> str:
        text = f"{kind}\n"
        for case, name in (("", "boxes.csv"), *(("a.png", f"{each}/a.png") for each in ("images", "masks"))):
            content = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
            text += f"{case}\0{Path(name).name}\0{content}\n"
        return "content:" + hashlib.sha256(text.encode()).hexdigest()

    paint_silhouette(tmp_path / "masks" / "a.png")
    before = "silhouettes ['boxes', 'labels', 'silhouettes']"
    one = boxed(tmp_path, "a.png,4,5,2,7,5\na.png,4,7,2,9,5\n")
    assert open_dataset(str(one)).fingerprint() == digest(before)
    several = boxed(tmp_path, "a.png,4,5,2,7,5\na.png,7,7,2,9,5\n")
    assert open_dataset(str(several)).fingerprint() != digest(before)


@pytest.mark.parametrize(
    "box", ["-1,0,5,5", "0,-1,5,5", "0,0,17,5", "0,0,5,13", "5,0,5,5", "0,6,5,5", "20,20,30,30"]
)
def test_boxes_outside_or_empty_are_named(box: str, tmp_path: Path) -> None:
    dataset = open_dataset(str(boxed(tmp_path, f"a.png,1,{box}\n")))
    with pytest.raises(ValueError, match=r"boxes\.csv: a\.png has the box .* inside of 16 x 12 pixels"):
        dataset.read(0)


def test_images_and_rows_that_miss_each_other(tmp_path: Path) -> None:
    dataset = open_dataset(str(boxed(tmp_path, "a.png,1,0,0,5,5\nc.png,1,0,0,5,5\n", ("a.png", "b.png"))))
    assert dataset.notes == ["1 of the files in boxes.csv not in images/, as c.png"]
    with pytest.raises(ValueError, match=r"boxes\.csv has no row for b\.png"):
        dataset.read(1)


def test_an_image_may_show_several_classes(tmp_path: Path) -> None:
    dataset = open_dataset(str(boxed(tmp_path, "a.png,4,0,0,3,3\na.png,7,2,2,16,12\na.png,4,4,4,6,6\n")))
    assert (dataset.read(0).label, dataset.read(0).boxes.tolist()) == (7, [[2, 2, 16, 12]]), "the largest"
    every = select(dataset, Selection("every"))
    assert every.names == ("a.png:7", "a.png:4")
    assert every.read(1).boxes.tolist() == [[0, 0, 3, 3], [4, 4, 6, 6]]
    assert {each: boxes.tolist() for each, boxes in every.read(1).others.items()} == {7: [[2, 2, 16, 12]]}
    assert others_of(every.read(1), "boxes", [str(i) for i in range(8)], 4).keys() == {7}
    assert others_of(every.read(1), "boxes", [str(i) for i in range(6)], 4) == {}, "no such class"
    assert (every.read(0).difficult, every.read(1).difficult) == (False, True)


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), *[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2),
        min_size=1,
        max_size=8,
    )
)
def test_classes_are_ordered_by_the_pixels_in_their_boxes(
    rows: list[tuple[str, int, int, int, int]],
) -> None:
    objects = [(label, (x, y, x + w, y + h)) for label, x, y, w, h in rows]
    pixels = {
        label: int(covered(torch.tensor([box for each, box in objects if each == label]), (18, 18)).sum())
        for label, _ in objects
    }
    assert by_area(objects) == sorted(pixels, key=lambda label: -pixels[label]), "as they come where equal"


def test_a_row_that_stands_twice_changes_no_target(tmp_path: Path) -> None:
    once, twice = "a.png,4,0,0,8,8\n", "a.png,7,8,2,16,9\n"
    dataset = open_dataset(str(boxed(tmp_path, once + 2 * twice)))
    assert dataset.classes(0) == [4, 7], "64 pixels and 56"
    assert dataset.read(0).label == 4


def test_a_class_without_a_pixel_is_still_one(tmp_path: Path) -> None:
    dataset = open_dataset(str(boxed(tmp_path, "a.png,4,5,5,5,5\na.png,7,9,9,3,3\n")))
    assert dataset.classes(0) == [4, 7], "reading it says what is wrong"


def test_two_names_of_one_class_are_one_class(tmp_path: Path) -> None:
    rows = "a.png,test,cat,0,0,3,3\na.png,test,Dog,2,2,6,6\na.png,test,dog,7,7,9,9\n"
    dataset = open_dataset(str(boxed(tmp_path, rows, header=NAMED)))
    example = select(dataset, Selection("every", classes=["cat"])).read(0)
    assert list(example.others) == ["Dog"], "as it is spelled first"
    assert [name for name in select(dataset, Selection("every")).names] == ["a.png:Dog", "a.png:cat"]
    assert {each: len(boxes) for each, boxes in others_of(example, "boxes", ["cat", "dog"], 0).items()} == {
        1: 2
    }
    dogs = select(dataset, Selection("every", classes=["dog"])).read(0)
    assert others_of(dogs, "boxes", ["cat", "dog"], 1).keys() == {0}, "the other dog is no other class"
    assert shows_several(dataset, {"a.png"}, ["cat", "dog"])
    assert not shows_several(dataset, {"a.png"}, ["dog", "bird"]), "the classifier knows but one of them"
    assert not shows_several(dataset, {"b.png"}, ["cat", "dog"]), "it is not among those that are chosen"


def test_digests_are_as_they_were(tmp_path: Path) -> None:
    """Whoever has a run, or reference features, of a data set goes on with them."""
    dataset = open_dataset(str(boxed(tmp_path, "a.png,4,0,0,3,3\n")))
    text = "boxes ['boxes', 'labels']\n"
    for case, path in (("", tmp_path / "boxes.csv"), ("a.png", tmp_path / "images/a.png")):
        text += f"{case}\0{path.name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    assert dataset.fingerprint() == "content:" + hashlib.sha256(text.encode()).hexdigest()


def test_a_table_of_names_with_splits(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        paint(tmp_path / "images" / name)
    rows = "a.png,test,cat,0,0,5,5\na.png,test,bus,0,0,9,9\nb.png,train,cat,1,1,5,5\n"
    (tmp_path / "boxes.csv").write_text(NAMED + rows)
    assert open_dataset(str(tmp_path)).names == ("a.png", "b.png", "c.png")
    test = open_dataset(str(tmp_path), split="test")
    assert test.names == ("a.png",)
    assert (test.read(0).label, test.read(0).boxes.tolist()) == ("bus", [[0, 0, 9, 9]])
    assert select(test, Selection("every", classes=["cat"])).names == ("a.png:cat",)
    with pytest.raises(ValueError, match=r"--split: .*boxes\.csv has no split 'val'; it has test, train"):
        open_dataset(str(tmp_path), split="val")
    (tmp_path / "boxes.csv").unlink()
    paint_silhouette(tmp_path / "masks" / "a.png")
    with pytest.raises(ValueError, match=r"--split: only for PASCAL VOC and boxes\.csv, got .* and test"):
        open_dataset(str(tmp_path), split="test")


def test_photographs_with_every_box_of_five_classes(assets: Path) -> None:
    test = open_dataset(str(assets / "voc5"), split="test")
    assert len(test) == 500
    every = select(test, Selection("every"))
    cases = [every.read(index) for index in range(40)]
    assert {case.label for case in cases} <= {"bus", "car", "cat", "person", "train"}
    assert len(every) > 600
    assert {case.difficult for case in cases} == {True, False}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "has no boxes; expected rows of file,label"),
        (HEADER, "has no boxes; expected rows of file,label"),
        ("file,xmin,ymin,xmax,ymax\na.png,0,0,5,5\n", "line 1: expected the header file,label"),
        (HEADER + "a.png,1,0,0,5,5\na.png,1,0,0,5\n", "line 3: expected a file and five whole numbers"),
        (HEADER + "a.png,1,0,0,5,5,9\n", "line 2: expected a file and five whole numbers"),
        (HEADER + "a.png,dog,0,0,5,5\n", "under the heading file,split,class,x0,y0,x1,y1"),
        (HEADER + "a.png,1,0,0,5,5.5\n", "line 2: expected a file and five whole numbers"),
        (HEADER + "a.png,tench,0,0,5,5\n", "line 2: expected a file and five whole numbers"),
        (HEADER + ",1,0,0,5,5\n", "line 2: expected a file and five whole numbers"),
        (HEADER + "a.png,-1,0,0,5,5\n", "line 2: expected a class index of 0 or more, got -1"),
        (NAMED + "a.png,test,cat,0,0,5\n", "line 2: expected file, split, class and four whole numbers"),
        (NAMED + "a.png,test,,0,0,5,5\n", "line 2: expected file, split, class and four whole numbers"),
        (NAMED + "a.png,test,cat,0,0,5,5\na.png,train,cat,0,0,5,5\n", "line 3: a.png is of split train here"),
        (HEADER + 'a.png,1,0,0,5,5\n"b.png,1,0,0,5,5\nc.png,1,0,0,5,5\n', "unexpected end of data"),
        (HEADER + "\xff", "is no UTF-8 text"),
    ],
)  # fmt: skip
def test_malformed_tables_are_refused_at_once(table: str, said: str, tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.png")
    (tmp_path / "boxes.csv").write_bytes(table.encode("latin-1"))
    message = fault(tmp_path)
    assert "boxes.csv" in message
    assert said in message


def test_other_folders_are_images_without_annotation(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "c.tif", ".hidden.png", "deeper/d.png"):
        paint(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "folder.png").mkdir()
    dataset = open_dataset(str(tmp_path))
    assert dataset.names == ("a.jpeg", "b.PNG", "c.tif")
    assert (dataset.kind, dataset.offers, list(dataset.notes)) == ("images", frozenset(), [])
    example = dataset.read(1)
    assert (example.name, example.image.shape) == ("b.PNG", (3, 12, 16))
    assert example.label is example.silhouette is example.boxes is example.background is None


def test_a_table_that_would_not_be_read_is_told(tmp_path: Path) -> None:
    paint(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text("file,label,xmin,ymin,xmax,ymax\na.png,0,1,1,5,5\n")
    assert fault(tmp_path).endswith(f"expected the photographs in {tmp_path / 'images'}")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are Unicode")
def test_a_name_that_cannot_be_written_down_is_told(tmp_path: Path) -> None:
    strange = paint(tmp_path / "a.png")
    strange.rename(os.fsdecode(os.fsencode(tmp_path) + b"/gr\xfcn.png"))
    assert fault(tmp_path) == f"DATA: {tmp_path} has gr\\xfcn.png, whose name is no UTF-8; rename it"


def test_links_that_lead_nowhere_are_left_out_when_they_are_read(tmp_path: Path) -> None:
    paint(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to("missing.png")
    (tmp_path / "c.png").symlink_to("c.png")
    (tmp_path / "d.png").symlink_to("b.png")
    (tmp_path / "e.png").mkdir()
    dataset = open_dataset(str(tmp_path))
    assert dataset.names == ("a.png", "b.png", "c.png", "d.png")
    assert torch.equal(dataset.read(3).image, dataset.read(1).image)
    for number in (0, 2):
        with pytest.raises(ValueError, match=f"no such file: .*{dataset.names[number]}"):
            dataset.read(number)
    assert len(dataset.fingerprint()) > 16


def test_one_wrong_class_is_not_the_whole_folders(tmp_path: Path) -> None:
    rows = "a.png,test,zebra,1,1,5,5\nb.png,test,Cat,1,1,5,5\n"
    data = open_dataset(str(boxed(tmp_path, rows, ("a.png", "b.png"), NAMED)))
    assert unknown(data, data.read(0), ("dog", "cat")) is None
    assert unknown(data, data.read(1), ("dog", "cat")) is None
    reason = unknown(data, data.read(1), ("cat", "dog", "Cat"))
    assert str(reason) == "b.png: 'Cat' is the name of classes 0 and 2; give indices"
    reason = unknown(data, data.read(0), ("dog", "cow"))
    assert str(reason) == "a.png: the classifier has no class 'zebra'"


def test_every_example_says_of_which_photograph_it_is(tmp_path: Path) -> None:
    rows = "a.png,test,cow,1,1,5,5\na.png,test,cat,1,1,5,5\n"
    data = open_dataset(str(boxed(tmp_path, rows, header=NAMED)))
    every = select(data, Selection("every"))
    assert (list(every.names), list(every.photographs)) == (["a.png:cow", "a.png:cat"], ["a.png", "a.png"])
    assert list(open_dataset("scenes-two:2").photographs) == ["scene-0", "scene-0", "scene-1", "scene-1"]
    assert list(open_dataset("scenes:2").photographs) == ["scene-0", "scene-1"]


def test_images_may_be_in_a_folder_of_their_own(tmp_path: Path) -> None:
    paint(tmp_path / "images" / "a.png")
    dataset = open_dataset(str(tmp_path))
    assert (dataset.title, dataset.kind, dataset.names) == (tmp_path.name, "images", ("a.png",))
    assert dataset.read(0).image.shape == (3, 12, 16)


def test_only_the_first_are_taken(tmp_path: Path) -> None:
    for name in ("c.png", "a.png", "b.png"):
        paint(tmp_path / name)
    assert first(str(tmp_path), 2).names == ("a.png", "b.png")
    assert len(first(str(tmp_path), 9)) == 3


def test_what_is_no_folder_of_images_is_refused(tmp_path: Path) -> None:
    file = paint(tmp_path / "file" / "a.png")
    empty = tmp_path / "empty"
    (empty / "images").mkdir(parents=True)
    assert fault(tmp_path / "none") == f"DATA: no such folder: {tmp_path / 'none'}"
    assert fault("") == "DATA: no such folder: ''"
    assert fault(file) == f"DATA: {file} is a file; give the folder of the images"
    assert fault(empty).startswith(
        f"DATA: no image found in {empty / 'images'}; looked for .jpg, .jpeg, .png"
    )
    assert "cannot be read" in fault("x" * 5000)
    (empty / "masks").mkdir()
    assert "no image found" in fault(empty)


def test_a_folder_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)  # root, whom tests may run as, is never refused
    assert fault(tmp_path) == f"DATA: {tmp_path} cannot be read (Permission denied)"


def test_bad_images_are_named_when_they_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    gone = paint(tmp_path / "b.png")
    dataset = open_dataset(str(tmp_path))
    gone.unlink()
    with pytest.raises(ValueError, match=r"a\.png is not an image"):
        dataset.read(0)
    with pytest.raises(ValueError, match=r"no such file: .*b\.png"):
        dataset.read(1)


FILES = ("images/a.png", "images/b.png", "masks/a.png", "masks/b.bmp", "boxes.csv")


@given(
    file=st.sampled_from(FILES),
    change=st.sampled_from(["size", "content", "gone", "copied"]),
    limit=st.sampled_from([2, None]),
)
def test_the_fingerprint_tells_changes_and_nothing_else(file: str, change: str, limit: int | None) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = boxed(Path(name), "a.png,7,5,2,9,5\n", ("a.png", "b.png"))
        paint_silhouette(folder / "masks" / "a.png")
        paint_silhouette(folder / "masks" / "b.bmp")
        dataset, path = first(name, limit), folder / file
        before, status = dataset.fingerprint(), path.stat()
        if change == "size":
            path.write_bytes(path.read_bytes() + b"\n")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        elif change == "content":
            content = path.read_bytes()
            path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        elif change == "gone":
            path.unlink()
        else:
            os.utime(path, ns=(status.st_atime_ns + 10**9, status.st_mtime_ns + 10**9))
            (folder / "images" / "notes.txt").touch()
        assert (dataset.fingerprint() == before) == (change == "copied")
        if change != "gone":
            assert first(name, limit).fingerprint() == dataset.fingerprint()


@given(names=st.lists(st.sampled_from("abcdef"), min_size=2, unique=True), limit=st.integers(1, 6))
def test_an_added_file_changes_the_fingerprint_if_it_is_taken(names: list[str], limit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        for stem in names[:-1]:
            paint(Path(name) / f"{stem}.png")
        before = first(name, limit)
        fingerprint = before.fingerprint()
        paint(Path(name) / f"{names[-1]}.png")
        after = first(name, limit)
        assert (after.fingerprint() == fingerprint) == (after.names == before.names)
