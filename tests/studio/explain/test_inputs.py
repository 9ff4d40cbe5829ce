"""What is explained."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from models import scenes
from studio.explain.inputs import InputImages, folders


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


def test_a_folders_name_leads_nowhere_else_and_is_one_everywhere() -> None:
    assert folders(["..", ".", "a ", "a", "nul", "Con.x", "constant"]) == [
        "image", "image-2", "a", "a-2", "nul_", "Con_.x", "constant",
    ]  # fmt: skip
    assert folders(["caf\u00e9", "cafe\u0301"]) == ["caf\u00e9", "cafe\u0301-2"]  # one name to some systems
