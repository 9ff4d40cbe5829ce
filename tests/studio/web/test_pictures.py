"""The pictures of the page: those that stand ready, and uploads within limits."""

import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from png import huge

from models import scenes
from studio.data.image import read_picture
from studio.web.choice import Choice
from studio.web.networks import Networks
from studio.web.pictures import MEGAPIXELS, chosen, offered, thumbnail, uploaded
from studio.web.spelled import command, python


def test_scenes_and_examples_stand_ready_without_fetching() -> None:
    keys = offered()
    assert sum(key.startswith("scene:") for key in keys) == 8
    assert {"example:rocket", "example:coffee"} <= set(keys)
    title, small = thumbnail("scene:4")
    assert title == "scene 4: crate and gear"
    assert small.shape == (3, 112, 112)


def test_a_scene_is_that_of_the_command() -> None:
    picture = chosen("scene:11")
    assert torch.equal(picture.image.pixels, scenes.draw(11).image)
    assert (picture.scene, picture.file) == (11, b"")


def test_an_example_is_the_file_that_goes_into_the_archive(tmp_path: Path) -> None:
    picture = chosen("example:rocket")
    assert picture.key in offered()
    assert picture.name == "rocket.jpg"
    (tmp_path / picture.name).write_bytes(picture.file)
    assert torch.equal(read_picture(tmp_path / picture.name).image, picture.image.pixels)
    assert picture.image.origin["file"] == "rocket.jpg"  # and not where it is here


@pytest.mark.parametrize(
    "key",
    ["scene:-1", "scene:1e9", "scene:99999999", "scene:", "example:../rocket", "upload:x", "", "/etc/passwd"],
)
def test_what_is_not_offered_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        chosen(key)


def saved(path: Path, size: tuple[int, int]) -> Path:
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ["what?  a *cat*: <1>.png", "a|b\\c.png", " c.png"])
def test_an_upload_keeps_its_name_for_the_command(name: str, tmp_path: Path) -> None:
    picture = uploaded(saved(tmp_path / "0a1b.png", (40, 30)), name)
    assert picture.name == picture.image.origin["file"] == name
    asked, networks = Choice("scenes", "sp", "gray"), Networks()
    assert shlex.split(command("explain", picture, asked, networks))[2] == name
    assert repr(name) in python("explain", picture, asked, networks)
    assert picture.image.title == f"{' '.join(name.split())}, 40 x 30"


@pytest.mark.parametrize("name", ["-v.png", "scene:3"])
def test_no_upload_is_an_option_or_a_scene(name: str, tmp_path: Path) -> None:
    picture = uploaded(saved(tmp_path / "0a1b.png", (40, 30)), name)
    asked, networks = Choice("scenes", "sp", "gray"), Networks()
    assert shlex.split(command("explain", picture, asked, networks))[2] == f"./{name}"
    assert f"'./{name}'" in python("explain", picture, asked, networks)


def test_an_upload_is_read_and_its_file_is_gone(tmp_path: Path) -> None:
    path = saved(tmp_path / "0a1b.png", (40, 30))
    picture = uploaded(path, "my <b>cat</b>.png")
    assert picture.image.pixels.shape == (3, 30, 40)
    assert picture.name == "b>.png"  # what stands behind the last slash, as for any path
    assert not path.exists()
    assert str(tmp_path) not in picture.image.title + str(picture.image.origin)


def test_two_uploads_of_one_name_are_two_pictures(tmp_path: Path) -> None:
    keys = [
        uploaded(saved(tmp_path / "0a.png", size), "photo.png").key for size in ((40, 30), (30, 40), (40, 30))
    ]
    assert keys[0] == keys[2] != keys[1]


def test_a_text_called_jpg_is_refused_by_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "f3.jpg"
    path.write_text("no picture")
    with pytest.raises(ValueError, match=r"holiday\.jpg is not an image") as error:
        uploaded(path, "holiday.jpg")
    assert str(tmp_path) not in str(error.value)
    assert not path.exists()


@pytest.mark.parametrize(("size", "said"), [((20000, 10000), "too many|200"), ((6000, 5000), "30")])
def test_too_many_pixels_are_refused_before_any_is_decoded(
    size: tuple[int, int], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "0a.png"
    path.write_bytes(huge(*size))
    with pytest.raises(ValueError, match=f"big.png has .*({said}) megapixels; .* up to {MEGAPIXELS}"):
        uploaded(path, "big.png")
    assert not path.exists()


def test_too_large_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    with path.open("wb") as file:
        file.truncate(30 * 2**20)
    with pytest.raises(ValueError, match=r"x\.jpg has 30 MB"):
        uploaded(path, "x.jpg")
    assert not path.exists()
