"""ImageNet, PASCAL VOC and Places365 as they are handed out: small trees made up in their layouts."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import ndarray
from PIL import Image, ImageOps

from studio.data.dataset import open_dataset
from studio.data.selection import Selection, select
from studio.data.voc import VOC_CLASSES

Thing = tuple[str, tuple[float, float, float, float]]
WIDTH, HEIGHT = 16, 12
TENCH, GOLDFISH = "n01440764", "n01443537"


def paint(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (10, 200, 90)).save(path)


def describe(path: Path, things: Sequence[Thing], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    """Write an XML file; VOC's have the box's numbers in any order, and boxes of parts."""
    objects = "".join(
        f"<object><name>{name}</name><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
        f"<bndbox><xmax>{box[2]}</xmax><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><ymax>{box[3]}</ymax></bndbox></object>"
        for name, box in things
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    path.write_text(f"<annotation><filename>x</filename>{stated}{objects}</annotation>")
    return path


def imagenet(
    root: Path, things: Sequence[Thing] = ((TENCH, (0, 0, WIDTH - 1, HEIGHT - 1)),), name: str = "v1"
) -> Path:
    """Add an image to an ILSVRC tree; the return value is its XML file."""
    paint(root / "Data/CLS-LOC/val" / f"{name}.JPEG")
    return describe(root / "Annotations/CLS-LOC/val" / f"{Path(name).stem}.xml", things)


def segment(path: Path, indices: ndarray, mode: str = "P") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = Image.fromarray(indices.astype(np.uint8)).convert("L")
    if mode == "P":
        drawn = Image.frombytes("P", drawn.size, drawn.tobytes())
        drawn.putpalette([value * 7 % 256 for value in range(768)])
    drawn.convert(mode).save(path)


def pascal(root: Path, stem: str, things: Sequence[Thing], indices: ndarray | None = None) -> None:
    paint(root / "JPEGImages" / f"{stem}.jpg")
    describe(root / "Annotations" / f"{stem}.xml", things)
    if indices is not None:
        segment(root / "SegmentationClass" / f"{stem}.png", indices)


def choose(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def fault(data: Path) -> str:
    with pytest.raises(ValueError, match=r"^DATA: ") as caught:
        open_dataset(str(data))
    return str(caught.value)


def test_imagenet_counts_pixels_from_zero(tmp_path: Path) -> None:
    things = [
        (GOLDFISH, (0, 0, 15, 11)),
        (TENCH, (2, 2, 3, 3)),
        (GOLDFISH, (2, 3, 2, 3)),
        (GOLDFISH, (0, 0, 99, 4)),
    ]
    imagenet(tmp_path / "ILSVRC", things)
    choose(tmp_path / "LOC_synset_mapping.txt", f"{TENCH} tench, Tinca tinca\n{GOLDFISH} goldfish\n")
    dataset = open_dataset(str(tmp_path))
    assert (dataset.kind, dataset.title, dataset.names) == ("ilsvrc", tmp_path.name, ("v1.JPEG",))
    assert dataset.offers == {"labels", "boxes"}
    assert dataset.notes == ["LOC_synset_mapping.txt has 2 classes, not 1000"]
    example = dataset.read(0)
    assert example.label == 1
    # The first object's class alone; what reaches over the border is clipped.
    assert example.boxes.tolist() == [[0, 0, 16, 12], [2, 3, 3, 4], [0, 0, 16, 5]]


def test_imagenet_is_found_at_and_below_its_root(tmp_path: Path) -> None:
    root = tmp_path / "ILSVRC"
    imagenet(root, name=f"{TENCH}/v2")
    imagenet(root, name="v1")
    imagenet(root, name=".trash/v3")
    for at in (root, tmp_path):
        assert open_dataset(str(at)).names == (f"{TENCH}/v2.JPEG", "v1.JPEG")
        assert open_dataset(str(at)).read(0).boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]


def test_a_full_mapping_needs_no_note(tmp_path: Path) -> None:
    imagenet(tmp_path, [("n00000999", (1, 1, 5, 5))])
    choose(tmp_path / "LOC_synset_mapping.txt", "".join(f"n{index:08} thing\n" for index in range(1000)))
    dataset = open_dataset(str(tmp_path))
    assert list(dataset.notes) == []
    assert dataset.read(0).label == 999
    path = next(tmp_path.rglob("LOC_synset_mapping.txt"))
    path.write_text("\n" + path.read_text().replace("\n", "\n\n"))
    assert open_dataset(str(tmp_path)).read(0).label == 999, "blank lines are no classes"


def test_without_a_mapping_the_training_folders_are_the_classes(tmp_path: Path) -> None:
    imagenet(tmp_path, [("n00000007", (1, 1, 5, 5))])
    for index in range(999):
        (tmp_path / f"Data/CLS-LOC/train/n{index:08}").mkdir(parents=True)
    dataset = open_dataset(str(tmp_path))
    assert (dataset.offers, dataset.read(0).label) == ({"boxes"}, None)
    assert dataset.notes == ["no LOC_synset_mapping.txt: classes are unknown"]
    (tmp_path / "Data/CLS-LOC/train/n00000999").mkdir()
    dataset = open_dataset(str(tmp_path))
    assert (dataset.offers, dataset.read(0).label, list(dataset.notes)) == ({"labels", "boxes"}, 7, [])


@pytest.mark.parametrize("text", [f"{TENCH} a\n\n{TENCH} b\n", f"{TENCH} a\n\ntench\n"])
def test_a_malformed_mapping_is_refused_at_once(text: str, tmp_path: Path) -> None:
    imagenet(tmp_path)
    choose(tmp_path / "LOC_synset_mapping.txt", text)
    assert re.search(
        r"LOC_synset_mapping\.txt, line 3: expected a new wnid as n01440764, got", fault(tmp_path)
    )


def test_imagenet_without_images_is_refused(tmp_path: Path) -> None:
    imagenet(tmp_path)
    (tmp_path / "Data/CLS-LOC/val/v1.JPEG").unlink()
    assert fault(tmp_path).startswith(f"DATA: no image found in {tmp_path / 'Data/CLS-LOC/val'}; looked for")


BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
BOXED = f"<annotation><object><name>{TENCH}</name>{BOX}</object></annotation>"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file: "),
        ("", "is broken XML"),
        ("<annotation><object>", "is broken XML"),
        ("<?xml version='1.0' encoding='nonsense'?><annotation/>", "is broken XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "declares entities"),
        ("<annotation/>", "has no <object>"),
        (f"<annotation><object>{BOX}</object></annotation>", "has an <object> without a <name>"),
        (f"<annotation><object><name>{TENCH}</name></object></annotation>", "an <object> without a <bndbox>"),
        (f"<a><object><name>n00000001</name>{BOX}</object></a>", "is about 'n00000001', which is not among"),
        (BOXED.replace("1</xmin>", "one</xmin>"), "a number as <xmin> of <bndbox>, got 'one'"),
        (BOXED.replace("5</xmax>", "nan</xmax>"), "a number as <xmax> of <bndbox>, got 'nan'"),
        (BOXED.replace("5</xmax>", "0</xmax>"), "nothing of the box (1, 1, 1, 6)"),
        (BOXED.replace("1</ymin>", "13</ymin>"), "nothing of the box (1, 13, 6, 6)"),
        ("<a><size><width>16</width></size></a>", "a number as <height> of <size>, got ''"),
        ("<a><size><width>12</width><height>16</height></size></a>", "is for 12 x 16 pixels, but"),
    ],
)  # fmt: skip
def test_bad_xml_is_named_when_its_image_is_read(text: str | None, said: str, tmp_path: Path) -> None:
    path = imagenet(tmp_path)
    choose(tmp_path / "LOC_synset_mapping.txt", f"{TENCH} tench\n")
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"v1\.xml") as caught:
        open_dataset(str(tmp_path)).read(0)
    assert said in str(caught.value)


def test_a_size_that_does_not_fit_tells_what_reading_did(tmp_path: Path) -> None:
    imagenet(tmp_path)
    Image.fromarray(np.ones((WIDTH, HEIGHT), np.uint16)).save(tmp_path / "Data/CLS-LOC/val/v1.JPEG", "PNG")
    with pytest.raises(ValueError, match=r"has 12 x 16 \(16-bit gray\)"):
        open_dataset(str(tmp_path)).read(0)


def test_pascal_segmentations_are_indices(tmp_path: Path) -> None:
    root = tmp_path / "VOC2012"
    dog, person = VOC_CLASSES.index("dog") + 1, VOC_CLASSES.index("person") + 1
    indices = np.zeros((HEIGHT, WIDTH))
    indices[:5] = 255  # more void than object, and more background
    indices[6:8, 3:7] = dog
    indices[9, :3] = person
    pascal(root, "b", [("person", (1, 1, 16, 12)), ("dog", (4, 7, 7, 8)), ("dog", (4.4, 6.6, 7, 8))], indices)
    pascal(root, "a", [("dog", (1, 1, 5, 5))], indices)
    pascal(root, "c", [("dog", (1, 1, 5, 5))])
    choose(root / "ImageSets/Segmentation/val.txt", "b\n\nd\n")
    dataset = open_dataset(str(root))
    assert (dataset.kind, dataset.names) == ("voc", ("b.jpg", "d.jpg"))
    assert dataset.offers == {"labels", "silhouettes", "boxes", "others"}
    example = dataset.read(0)
    assert example.label == "dog"
    assert np.array_equal(example.silhouette.numpy(), indices == dog)
    assert example.boxes.tolist() == [[3, 6, 7, 8], [3, 6, 7, 8]]
    with pytest.raises(ValueError, match=r"no such file: .*d\.jpg"):
        dataset.read(1)
    (root / "ImageSets/Segmentation/val.txt").unlink()
    assert open_dataset(str(root)).names == ("a.jpg", "b.jpg")


def test_pascal_gray_segmentations_are_indices_too(tmp_path: Path) -> None:
    indices = np.zeros((HEIGHT, WIDTH))
    indices[2:4] = 1
    pascal(tmp_path, "a", [("aeroplane", (1, 3, 16, 4))])
    segment(tmp_path / "SegmentationClass/a.png", indices, "L")
    example = open_dataset(str(tmp_path)).read(0)
    assert example.label == "aeroplane"
    assert torch.equal(example.silhouette, torch.from_numpy(indices == 1))


def test_pascal_without_segmentations_has_boxes(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2007"
    cats = [("cat", (1, 1, 6, 6)), ("cat", (7, 7, 12, 12))]
    pascal(root, "a", [("sofa", (1, 1, 7, 7)), *cats])
    pascal(root, "b", cats)
    for at in (root, root.parent, tmp_path):
        dataset = open_dataset(str(at))
        assert (dataset.kind, dataset.names, dataset.offers) == (
            "voc",
            ("a.jpg", "b.jpg"),
            {"labels", "boxes", "others"},
        )
    example = dataset.read(0)  # two cats of 25 pixels each cover more than a sofa of 49
    assert (example.label, example.boxes.tolist()) == ("cat", [[0, 0, 6, 6], [6, 6, 12, 12]])
    assert example.silhouette is None
    choose(root / "ImageSets/Main/val.txt", "b\n")
    assert open_dataset(str(tmp_path)).names == ("b.jpg",)
    pascal(tmp_path / "VOCdevkit" / "VOC2012", "a", cats)
    assert "has VOC2007 and VOC2012; give one of them" in fault(tmp_path)


@pytest.mark.parametrize(
    ("fill", "mode", "said"),
    [
        (0, "P", r"expected classes 1 to 20, got none"),
        (255, "P", r"expected classes 1 to 20, got none"),
        (21, "P", r"expected classes 1 to 20, got \[21\]"),
        (1, "P", r"the object in .*a\.png is all of the image"),
        (1, "RGB", r"a\.png holds RGB colors"),
        (1, "1", r"a\.png holds 1 colors"),
    ],
)
def test_bad_segmentations_are_named(fill: int, mode: str, said: str, tmp_path: Path) -> None:
    pascal(tmp_path, "a", [("aeroplane", (1, 1, 5, 5))])
    segment(tmp_path / "SegmentationClass/a.png", np.full((HEIGHT, WIDTH), fill), mode)
    with pytest.raises(ValueError, match=said):
        open_dataset(str(tmp_path)).read(0)


def test_segmentations_must_fit_image_and_boxes(tmp_path: Path) -> None:
    indices = np.zeros((HEIGHT, WIDTH))
    indices[3:5] = 8
    pascal(tmp_path, "a", [("cat", (1, 1, 5, 5))], indices.T)
    pascal(tmp_path, "b", [("dog", (1, 1, 5, 5))], indices)
    pascal(tmp_path, "c", [("cat", (1, 1, 5, 5))])
    (tmp_path / "SegmentationClass/d.png").write_text("no image")
    paint(tmp_path / "JPEGImages/d.jpg")
    choose(tmp_path / "ImageSets/Segmentation/val.txt", "a\nb\nc\nd\n")
    dataset = open_dataset(str(tmp_path))
    for index, said in enumerate(
        [
            r"a\.png is for 12 x 16 pixels, but .*a\.jpg has 16 x 12",
            r"b\.xml has no cat, which .*b\.png shows most of",
            r"no such file: .*SegmentationClass/c\.png",
            r"d\.png cannot be read",
        ]
    ):
        with pytest.raises(ValueError, match=said):
            dataset.read(index)


def test_pascal_without_images_is_refused(tmp_path: Path) -> None:
    describe(tmp_path / "Annotations/a.xml", [("cat", (1, 1, 5, 5))])
    (tmp_path / "JPEGImages").mkdir()
    assert "no image found in" in fault(tmp_path)
    paint(tmp_path / "JPEGImages/a.jpg")
    choose(tmp_path / "ImageSets/Main/val.txt", "\n")
    assert fault(tmp_path) == f"DATA: {tmp_path / 'ImageSets/Main/val.txt'} is empty"


@pytest.mark.parametrize("inside", ["val_large", "val_256", "."])
def test_places_have_labels(inside: str, tmp_path: Path) -> None:
    for name in ("Places365_val_00000001.jpg", "Places365_val_00000002.jpg"):
        paint(tmp_path / inside / name)
    (tmp_path / "val_large").mkdir(exist_ok=True)
    lines = ["Places365_val_00000002.jpg 165", "Places365_val_00000001.jpg 0", "Places365_val_00000003.jpg 2"]
    choose(tmp_path / "places365_val.txt", "\n".join(lines))
    dataset = open_dataset(str(tmp_path))
    assert (dataset.kind, dataset.offers, len(dataset)) == ("places", {"labels"}, 3)
    assert [dataset.read(index).label for index in range(2)] == [0, 165]
    assert dataset.read(1).name == "Places365_val_00000002.jpg"
    with pytest.raises(ValueError, match=r"no such file: .*00000003\.jpg"):
        dataset.read(2)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("a.jpg 1\n\na.jpg 1\n", "line 3: a.jpg is listed again"),
        ("a.jpg 1\nb.jpg 2\n", "line 2: b.jpg is of class 2, not in categories_places365.txt"),
        ("a.jpg\n", "line 1: expected a name and a class index, got 'a.jpg'"),
        ("a.jpg 1\nb.jpg -1\n", "line 2: expected a name and a class index, got 'b.jpg -1'"),
        ("\n", "places365_val.txt is empty"),
    ],
)
def test_malformed_lists_are_refused_at_once(listed: str, said: str, tmp_path: Path) -> None:
    paint(tmp_path / "a.jpg")
    choose(tmp_path / "places365_val.txt", listed)
    choose(tmp_path / "categories_places365.txt", "/a/airfield 0\n/a/alcove 1\n")
    assert said in fault(tmp_path)


def test_places_without_images_are_refused(tmp_path: Path) -> None:
    choose(tmp_path / "places365_val.txt", "a.jpg 1\n")
    assert "no image found in" in fault(tmp_path)


def test_fingerprints_know_the_published_files(tmp_path: Path) -> None:
    imagenet(tmp_path / "imagenet")
    choose(tmp_path / "imagenet/LOC_synset_mapping.txt", f"{TENCH} tench\n")
    indices = np.zeros((HEIGHT, WIDTH))
    indices[3:5] = 8
    pascal(tmp_path / "pascal", "a", [("cat", (1, 1, 5, 5))], indices)
    paint(tmp_path / "places/a.jpg")
    choose(tmp_path / "places/places365_val.txt", "a.jpg 1\n")
    choose(tmp_path / "places/categories_places365.txt", "/a/airfield 0\n/a/alcove 1\n")
    for path in [path for path in tmp_path.rglob("*.*") if path.is_file()]:
        dataset = open_dataset(str(tmp_path / path.relative_to(tmp_path).parts[0]))
        before = dataset.fingerprint()
        assert dataset.fingerprint() == before
        os.utime(path, ns=(0, 0))
        assert dataset.fingerprint() == before, path
        content = path.read_bytes()
        path.write_bytes(content[::-1])
        assert dataset.fingerprint() != before, path
        path.write_bytes(content)


def voc07(folder: Path) -> Path:
    """A test split: a small cat beside a large sofa, and a dog alone."""
    root = folder / "VOC2007"
    pascal(root, "a", [("cat", (1, 1, 3, 3)), ("sofa", (1, 1, 12, 12)), ("cat", (5, 5, 7, 7))])
    pascal(root, "b", [("dog", (1, 1, 5, 5))])
    pascal(root, "c", [("dog", (1, 1, 5, 5))])
    choose(root / "ImageSets/Main/test.txt", "a\nb\n")
    choose(root / "ImageSets/Main/val.txt", "c\n")
    choose(root / "ImageSets/Main/dog_test.txt", "b 1\n")
    return root


def test_a_list_of_one_class_leaves_out_what_is_without_it(tmp_path: Path) -> None:
    root = tmp_path / "VOC2007"
    for stem in "abc":
        pascal(root, stem, [("dog", (1, 1, 5, 5))])
    choose(root / "ImageSets/Main/dog_test.txt", "a  1\nb -1\nc  0\n")
    assert open_dataset(str(root), split="dog_test").names == ("a.jpg", "c.jpg")


def test_every_class_of_the_test_split_is_a_target(tmp_path: Path) -> None:
    root = voc07(tmp_path)
    indices = np.zeros((HEIGHT, WIDTH))
    indices[3:5] = VOC_CLASSES.index("dog") + 1
    segment(root / "SegmentationClass/c.png", indices)
    choose(root / "ImageSets/Segmentation/val.txt", "c\n")
    assert open_dataset(str(root)).names == ("c.jpg",)
    for split in ("test", "Main/test"):
        dataset = open_dataset(str(root), split=split)
        assert dataset.names == ("a.jpg", "b.jpg")
        assert dataset.offers == {"labels", "boxes", "others"}, "the lists of Main are of images with boxes"
    assert open_dataset(str(root), split="Segmentation/val").offers >= {"silhouettes"}
    every = select(dataset, Selection("every"))
    assert every.names == ("a.jpg:sofa", "a.jpg:cat", "b.jpg:dog")
    sofa, cat, dog = map(every.read, range(3))
    assert (sofa.name, sofa.label, sofa.boxes.tolist()) == ("a.jpg:sofa", "sofa", [[0, 0, 12, 12]])
    assert (cat.label, cat.boxes.tolist()) == ("cat", [[0, 0, 3, 3], [4, 4, 7, 7]])
    assert (sofa.difficult, cat.difficult, dog.difficult) == (False, True, False), "small, beside another"
    assert {each: len(boxes) for each, boxes in sofa.others.items()} == {"cat": 2}
    assert (list(cat.others), dog.others) == (["sofa"], {})
    assert select(dataset, Selection("every", classes=["CAT"])).names == ("a.jpg:cat",)
    assert every.fingerprint() != dataset.fingerprint()
    assert every.only([(1, None)]).names == ("a.jpg:cat",)


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = voc07(tmp_path)
    with pytest.raises(ValueError, match=r"no list ImageSets/Main/tset\.txt; it has Main/test, Main/val$"):
        open_dataset(str(root), split="tset")
    paint(tmp_path / "plain/a.jpg")
    for data in (str(tmp_path / "plain"), "scenes:3"):
        with pytest.raises(ValueError, match=r"--split: only for PASCAL VOC and boxes.csv, got .* and test"):
            open_dataset(data, split="test")


def test_each_class_of_a_segmentation_has_its_silhouette(tmp_path: Path) -> None:
    indices = np.zeros((HEIGHT, WIDTH))
    dog, person = VOC_CLASSES.index("dog") + 1, VOC_CLASSES.index("person") + 1
    indices[6:8, 3:7], indices[9, :3] = dog, person
    pascal(tmp_path, "a", [("person", (1, 1, 16, 12)), ("dog", (4, 7, 7, 8))], indices)
    every = select(open_dataset(str(tmp_path)), Selection("every"))
    assert every.names == ("a.jpg:dog", "a.jpg:person")
    for index, number in ((0, dog), (1, person)):
        assert np.array_equal(every.read(index).silhouette.numpy(), indices == number)


def test_imagenet_can_be_asked_by_index_and_by_name(tmp_path: Path) -> None:
    root = tmp_path / "ILSVRC"
    imagenet(root, [(GOLDFISH, (1, 1, 5, 5)), (TENCH, (1, 1, 9, 9))], name="v1")
    imagenet(root, [(TENCH, (1, 1, 5, 5))], name="v2")
    choose(tmp_path / "LOC_synset_mapping.txt", f"{TENCH} tench\n{GOLDFISH} goldfish\n")
    dataset, labels = open_dataset(str(tmp_path)), ("tench", "goldfish")
    for text, name in (("1", "v1.JPEG"), ("tench", "v2.JPEG"), ("Goldfish", "v1.JPEG")):
        assert select(dataset, Selection(classes=[text]), labels).names == (name,)
    with pytest.raises(
        ValueError, match=r"--classes: .* has no image of 'goldfsh'; did you mean 'goldfish'\?"
    ):
        select(dataset, Selection(classes=["goldfsh"]), labels)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_boxes_count_the_pixels_that_files_have_whatever_exif_says(tmp_path: Path, orientation: int) -> None:
    """A bright object in the box of each layout; of a boxes.csv, which is ours, of what is seen."""
    box = (2, 3, 6, 9)
    stored = Image.new("RGB", (WIDTH, HEIGHT))
    stored.paste((255, 255, 255), box)
    tag = Image.Exif()
    tag[0x0112] = orientation
    for root, layout in (("voc", pascal), ("ilsvrc", imagenet)):
        if layout is pascal:
            pascal(tmp_path / root, "a", [("dog", (3, 4, 6, 9))])
            choose(tmp_path / root / "ImageSets/Main/val.txt", "a\n")
        else:
            imagenet(tmp_path / root, [(TENCH, (2, 3, 5, 8))], "a")
        (file,) = [*(tmp_path / root).rglob("a.jpg"), *(tmp_path / root).rglob("a.JPEG")]
        stored.save(file, quality=95, exif=tag)
        example = open_dataset(str(tmp_path / root)).read(0)
        assert example.boxes.tolist() == [list(box)]
        inside = example.image[:, box[1] : box[3], box[0] : box[2]]
        assert float(inside.mean()) > 0.9, root
        assert float(example.image.mean()) < 0.2
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    stored.save(folder / "images" / "a.jpg", quality=95, exif=tag)
    seen = ImageOps.exif_transpose(Image.open(folder / "images" / "a.jpg"))
    bright = np.argwhere(np.asarray(seen).mean(2) > 128)
    (top, left), (bottom, right) = bright.min(0), bright.max(0) + 1
    (folder / "boxes.csv").write_text(
        f"file,label,xmin,ymin,xmax,ymax\na.jpg,1,{left},{top},{right},{bottom}\n"
    )
    example = open_dataset(str(folder)).read(0)
    assert float(example.image[:, top:bottom, left:right].mean()) > 0.9
