"""What is explained, and as which class."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from models import scenes
from studio.explain.inputs import InputImages, target_index

LABELS = ("tench", "Crane", "crane", "gear", "7")


def test_targets_are_indices_names_or_the_top() -> None:
    assert target_index("top1", LABELS, top=3) == 3
    assert target_index("0", LABELS, top=3) == 0
    assert target_index("4", LABELS, top=3) == 4
    assert target_index("gear", LABELS, top=0) == 3
    assert target_index("TENCH", LABELS, top=3) == 0


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("5", "--target: expected 0 to 4, got 5"),
        ("-1", "--target: expected 0 to 4, got -1"),
        ("crane", "'crane' is the name of classes 1 and 2; give one"),
        ("gears", "has no class 'gears'; did you mean 'gear'?"),
        ("Trench", "did you mean 'tench'?"),
        ("--", "give an index, a class name or top1"),
        ("", "give an index, a class name or top1"),
    ],
)
def test_other_targets_are_refused(target: str, message: str) -> None:
    with pytest.raises(ValueError, match="--target") as caught:
        target_index(target, LABELS, top=0)
    assert message in str(caught.value)


def test_without_files_the_scene_is_drawn() -> None:
    (image,) = InputImages([], 1)
    drawn = scenes.draw(1)
    assert torch.equal(image.pixels, drawn.image)
    assert image.scene is not None
    assert torch.equal(image.scene.background, drawn.background)
    assert [thing["box"] for thing in image.origin["objects"]] == drawn.boxes.tolist()


def test_files_get_folders_of_their_own(tmp_path: Path) -> None:
    names = ["a/x.png", "b/x.png", "b/X.jpg", "b/x-2.png", "b/y.png"]
    paths = [tmp_path / name for name in names]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)
    subjects = InputImages(paths, 0)
    folders = [image.folder for image in subjects]
    assert len(subjects) == len({folder.casefold() for folder in folders}) == 5
    assert folders[:2] == ["x", "x-2"]
    assert [image.origin["file"] for image in subjects] == [str(path) for path in paths]


def test_the_last_files_fault_is_found_at_once(tmp_path: Path) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"no such file: .*b\.png"):
        InputImages([tmp_path / "a.png", tmp_path / "b.png"], 0, strict=True)
