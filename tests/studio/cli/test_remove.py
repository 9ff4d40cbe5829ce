"""``infill remove``: a hole that somebody has drawn, and ``infill.remove``, which gives the same bytes."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from command import Run, refused, runner, saved_photograph
from PIL import Image
from torch import Tensor

import infill
from models.preprocessing import Preprocessing
from studio.door.remove import _boxes

FILES = ["original.png", "hole.png", "completion-gray.png", "completion-telea.png", "remove.png"]
SIDE = 32
WHERE = (slice(8, 16), slice(16, 28))
AS_THEY_ARE = Preprocessing(SIDE, SIDE, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill remove`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys, "remove")


def corner(images: Tensor) -> Tensor:
    """Sees red in one rectangle, and nothing else."""
    red = images[:, 0, *WHERE].mean((1, 2))
    return torch.stack([8 * red - 4, torch.zeros_like(red)], dim=1)


@pytest.fixture
def red() -> Tensor:
    pixels = torch.full((3, SIDE, SIDE), 0.2)
    pixels[0, *WHERE] = 1.0
    return pixels


@pytest.fixture
def inside() -> Tensor:
    hole = torch.zeros(SIDE, SIDE)
    hole[WHERE] = 1
    return hole


def removed(image: Tensor, hole: Tensor, filler: Any, **more: Any) -> infill.Removal:
    given = {"preprocessing": AS_THEY_ARE, "labels": ["red", "not red"], **more}
    return infill.remove(image, corner, hole=hole, filler=filler, **given)


def pixels(path: Path | str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_hole_of_a_photograph_is_completed_by_the_command_and_by_python_alike(run: Run) -> None:
    photo, hole = saved_photograph(Path()), np.zeros((280, 400), np.uint8)
    hole[100:180, 150:260] = 255
    Image.fromarray(hole).save("drawn.png")
    said = run(
        photo.name, "--classifier", "scenes", "--hole", "drawn.png", "--filler", "gray", "--filler", "telea"
    )
    assert said.code == 0, said.err
    assert "of the view removed, as drawn in the photograph" in said.out
    found = infill.remove(photo.name, "scenes", hole="drawn.png", filler=["gray", "telea"])
    found.save("python")
    for name in FILES:
        assert Path("infill-out", name).read_bytes() == Path("python", name).read_bytes(), name
    told, ours = (json.loads(Path(at, "remove.json").read_text()) for at in ("infill-out", "python"))
    for each in (*told["completions"], *ours["completions"]):
        assert each.pop("seconds") >= 0
    assert told == ours
    gray = told["completions"][0]
    assert gray["target"]["probability"] == gray["score"] == found.completions["gray"].probability
    white = pixels("infill-out/hole.png") == 255
    assert white.sum() == told["hole"]["pixels"]
    assert told["hole"]["area"] == found.area == pytest.approx(white.mean())
    original, filled = pixels("infill-out/original.png"), pixels("infill-out/completion-gray.png")
    assert (original[~white] == filled[~white]).all()
    assert (filled[white] == (124, 116, 104)).all()  # the mean color of ImageNet
    # The same hole from its view, and as a box.
    again = run(photo.name, "--classifier", "scenes", "--hole", "infill-out/hole.png", "--filler", "gray",
                "--out", "view")  # fmt: skip
    box = run(
        photo.name, "--classifier", "scenes", "--box", "150,100,260,180", "--filler", "gray", "--out", "box"
    )
    assert "as drawn in the view" in again.out
    assert box.code == 0, box.err
    for folder in ("view", "box"):
        assert (pixels(f"{folder}/completion-gray.png") == filled).all()


def test_each_filler_completes_the_hole_and_the_classifier_looks(red: Tensor, inside: Tensor) -> None:
    found = removed(red, inside, ["gray", "telea"])
    sure = pytest.approx(float(torch.tensor(4.0).sigmoid()), abs=1e-6)
    assert (found.target.label, found.probability, found.top[0]) == ("red", sure, ("red", sure))
    outside = inside.numpy() == 0
    np.testing.assert_array_equal(found.hole, inside)
    for each in found.completions.values():
        np.testing.assert_array_equal(each.image[outside], found.before[outside])
        assert each.top[0][0] == "not red"
        assert each.top[1] == ("red", each.probability)
        assert each.seconds > 0
    assert np.allclose(found.completions["gray"].image[~outside], (0.485, 0.456, 0.406))
    assert found.completions["telea"].image[~outside].std() < 0.05  # the surroundings are of one color
    shown = found._repr_html_()
    assert shown.count("<img") == 3
    assert "sees not red" in shown
    assert found._repr_png_().startswith(b"\x89PNG")


class Shy:
    """A filler of the caller's own, which fills nothing."""

    per_hole: ClassVar[bool] = True
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Any = None) -> Tensor:
        raise ValueError("this hole is too large")


def test_a_hole_over_everything_is_filled_or_told_why_not(red: Tensor) -> None:
    names = ["gray", "telea", "ns", "exemplar", "inpaint"]
    found = removed(red, torch.ones(SIDE, SIDE), [*names, Shy()])
    assert list(found.completions) == [*names, "Shy"]
    assert found.completions["Shy"].error == "filler Shy: this hole is too large"
    assert all((each.image is None) == bool(each.error) for each in found.completions.values())
    assert "covers everything" in found.notes[0]
    assert "no fill: filler Shy: this hole is too large" in str(found)
    assert found.figure().axes
    with pytest.raises(ValueError, match="Shy: this hole is too large"):
        removed(red, torch.ones(SIDE, SIDE), Shy())


def test_objects_settings_and_seeds(red: Tensor, inside: Tensor) -> None:
    blue = removed(red, inside, [infill.Gray((0.0, 0.0, 1.0)), "gray@color=0,0,1"], target="not red")
    own, named = blue.completions.values()
    np.testing.assert_array_equal(own.image, named.image)
    assert blue.target.label == "not red"
    noisy = [removed(red, inside, "noise", seed=seed).completions["noise"].image for seed in (0, 0, 1)]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert (noisy[0] != noisy[2]).any()
    against = removed(red, inside, "gray", target="red", against="not red", precision="float32")
    assert against.completions["gray"].score == pytest.approx(8 * 0.485 - 4, abs=1e-5)  # log-odds
    assert "log-odds" in str(against)


def test_a_network_without_preprocessing_is_told_of(red: Tensor, inside: Tensor) -> None:
    class Red(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return corner(images)

    network = Red()
    found = infill.remove(red, network, hole=inside, filler="gray")
    explained = infill.explain(red, network, filler="gray", stride=8, patch=16)
    for told in (str(found), str(explained), *found.notes, *explained.notes[:1]):
        assert "the network got the pixels as they are" in told
    known = infill.explain(red, network, filler="gray", stride=8, patch=16, preprocessing=AS_THEY_ARE)
    assert "as they are" not in str(known)


def test_completions_of_a_former_hole_go_with_it(run: Run, red: Tensor, inside: Tensor) -> None:
    asked = ("--scene", 4, "--box", "9,9,20,20")
    assert run(*asked, "--filler", "gray").code == 0
    assert run(*asked, "--filler", "mean").code == 0
    found = {path.name for path in Path("infill-out").glob("*.png")}
    assert found == {"original.png", "hole.png", "remove.png", "completion-mean.png"}
    removed(red, inside, "gray").save("infill-out")
    assert {path.name for path in Path("infill-out").glob("completion-*")} == {"completion-gray.png"}


def test_what_is_wrong_is_told_in_a_line(run: Run, red: Tensor, inside: Tensor) -> None:
    Image.fromarray(np.zeros((224, 224), np.uint8)).save("hole.png")
    refused(run("--scene", 4), "--hole, --box: expected a drawing of the hole, or boxes, got neither")
    refused(run("--scene", 4, "--hole", "hole.png"), "--hole: nothing is white")
    refused(run("--scene", 4, "--box", "1,2"), "--box: expected x0,y0,x1,y1 in pixels")
    refused(run("--scene", 4, "--box", "0,0,9,9", "--filler", "grey"), "unknown filler 'grey'")
    refused(run("a.png", "--scene", 4, "--box", "0,0,9,9"), "give images or --scene, not both")
    Image.fromarray(np.full((224, 224), 255, np.uint8)).save("hole.png")
    said = run("--scene", 4, "--hole", "hole.png", "--filler", "gray", "--out", ".")
    assert "which hole.png would overwrite" in said.err
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save("completion-gray.png")
    said = run(
        "completion-gray.png",
        "--box",
        "9,9,20,20",
        "--filler",
        "gray",
        "--out",
        ".",
        "--classifier",
        "scenes",
    )
    assert "has the image itself, which completion-gray.png would overwrite" in said.err
    for more, message in (
        ({"filler": "gray", "patch": 3}, "unknown setting 'patch'"),
        ({"filler": "gray", "target": "blue"}, "no class 'blue'"),
        ({"filler": []}, "filler: expected one or more"),
    ):
        with pytest.raises(ValueError, match=message):
            removed(red, inside, **more)
    with pytest.raises(ValueError, match="box: expected left, top, right, bottom"):
        infill.remove(red, corner, box=(1, 2, 3))
    with pytest.raises(ValueError, match="box: expected left, top, right, bottom in whole pixels, got 5"):
        infill.remove(red, corner, box=5)
    one = [tuple(each) for each in (_boxes(np.array([[1, 2, 3, 4]])), _boxes(torch.tensor([1, 2, 3, 4])))]
    assert one == [((1, 2, 3, 4),)] * 2
    with pytest.raises(ValueError, match="image: expected one, got list"):
        infill.remove([red], corner, box=(1, 2, 3, 4))
