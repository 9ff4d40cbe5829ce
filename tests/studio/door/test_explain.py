"""`infill.explain`: the command's own results, from whatever shows and whatever classifies."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from command import Run, runner, saved_photograph
from numpy import ndarray
from PIL import Image
from torch import Tensor, nn

import infill
from attribution import Gradient, IntegratedGradients, Lime, Rise, SlidingPatch
from infill import Blur, Explanation, Explanations
from models.classifiers import ImageClassifier, load_classifier
from models.preprocessing import Preprocessing
from studio.door.things import methods_of
from studio.registry.build import build_classifier

FILES = ["explain.png", "heatmaps.npz", "explain.json"]
TIMES = ("seconds", "composites_per_second")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    return saved_photograph(tmp_path)


def told(folder: Path) -> dict[str, Any]:
    """What explain.json says, but for the time it took."""
    text = (folder / "explain.json").read_text("utf-8")
    return json.loads(text, object_hook=lambda each: {k: v for k, v in each.items() if k not in TIMES})


def tiny(images: Tensor) -> Tensor:
    """Logits of three classes: how red, green and blue an image is."""
    return 8 * images.mean((2, 3))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images)).mean((2, 3))


def small(seed: int = 0) -> ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def quick(image: Any, classifier: Any = tiny, **more: Any) -> Any:
    settings = {"patch": 16, "stride": 16} if "method" not in more else {}
    return infill.explain(image, classifier, **{"filler": "gray", **settings, **more})


def test_the_command_and_the_call_write_the_same_bytes(run: Run, photograph: Path) -> None:
    words = (
        "--classifier",
        "scenes",
        "--method",
        "sp",
        "--method",
        "rise",
        "--filler",
        "blur@sigma=5",
        "--set",
        "sp.stride=64",
        "--set",
        "rise.masks=20",
        "--seed",
        3,
        "--target",
        "crate",
    )
    said = run(photograph.name, *words, "--out", "command")  # fmt: skip
    assert said.code == 0, said.err
    grid = infill.explain(
        photograph.name,
        "scenes",
        target="crate",
        method=["sp", "rise"],
        filler=["blur@sigma=5"],
        seed=3,
        settings={"sp.stride": 64, "rise.masks": 20},
    )
    assert [path.name for path in grid.save("call")] == FILES
    for name in ("heatmaps.npz", "explain.png"):
        assert Path("call", name).read_bytes() == Path("command", name).read_bytes()
    assert told(Path("call")) == told(Path("command"))
    assert told(Path("call"))["identity"]
    one = grid.only(method="rise", filler="blur")
    with np.load("command/heatmaps.npz") as maps:
        np.testing.assert_array_equal(one.heatmap, maps["rise/blur"])
        np.testing.assert_array_equal(one.error, maps["rise/blur/error"])
    assert (one.target.index, one.target.label) == (told(Path("call"))["target"]["index"], "crate")
    assert one.probability == told(Path("call"))["target"]["probability"]


def test_an_image_is_the_same_from_a_file_and_from_memory(photograph: Path) -> None:
    with Image.open(photograph) as picture:
        picture.load()
    pixels = np.array(picture)
    from_file = quick(photograph, "scenes", stride=64, patch=64)
    forms: list[Any] = [
        str(photograph),
        picture,
        pixels,
        pixels.astype(np.float32) / 255,
        torch.from_numpy(pixels).permute(2, 0, 1),
        (torch.from_numpy(pixels).permute(2, 0, 1) / 255)[None],
    ]
    for form in forms:
        np.testing.assert_array_equal(quick(form, "scenes", stride=64, patch=64).heatmap, from_file.heatmap)
    assert from_file.heatmap.shape == pixels.shape[:2]
    assert from_file.heatmap.dtype == np.float32


def test_a_function_is_shown_the_pixels_as_they_are() -> None:
    image, seen = small(), []

    def watched(images: Tensor) -> Tensor:
        seen.append(images[0].clone())
        return tiny(images)

    found = quick(image, watched, target=0, filler=infill.Gray(color=(0.0, 0.0, 0.0)), precision="float32")
    assert found.heatmap.shape == image.shape[:2]
    assert all(each.shape == (3, *image.shape[:2]) for each in seen)
    assert torch.equal(seen[0], torch.from_numpy(image).permute(2, 0, 1) / 255)
    assert (found.target.index, found.target.label) == (0, "class 0")
    red = (image / 255).mean((0, 1))
    assert found.probability == pytest.approx(np.exp(8 * red[0]) / np.exp(8 * red).sum(), abs=1e-5)
    assert [each.image.shape for each in found.shown()] == [(40, 56, 3)] * 4


def test_a_module_is_as_before_and_gets_its_preprocessing() -> None:
    from torchvision import transforms

    steps = transforms.Compose(
        [
            transforms.Resize(36),
            transforms.CenterCrop(32),
            transforms.ToTensor(),
            transforms.Normalize((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)),
        ]
    )
    network = Network().train()
    before = {name: each.clone() for name, each in network.state_dict().items()}
    labels = ["a", "b", "c", "d"]
    one = quick(small(), network, preprocessing=steps, labels=labels, target="c")
    same = ImageClassifier(network, Preprocessing(32, 36, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)), labels)
    np.testing.assert_array_equal(one.heatmap, quick(small(), same, target="c").heatmap)
    assert (one.target.index, one.target.label) == (2, "c")
    assert one.heatmap[:, :4].any() == 0
    assert all(part.training for part in network.modules())
    assert all(each.requires_grad and each.grad is None for each in network.parameters())
    assert all(torch.equal(each, before[name]) for name, each in network.state_dict().items())


@pytest.mark.parametrize("bound", [False, True], ids=["copied", "lent"])
def test_likeness_leaves_the_network_as_it_was(bound: bool, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    Image.fromarray(small()).save(file)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.append(nn.Dropout(0.5)).append(nn.Linear(4, 3)).train()
    if bound:
        network.lock = threading.Lock()  # which cannot be copied
    with torch.no_grad():
        for _ in range(20):
            network(torch.rand(4, 3, 40, 56))
    before = {name: each.clone() for name, each in network.state_dict().items()}
    chance = torch.get_rng_state()
    found = infill.explain(file, network, target=f"like:{file}", filler="gray", patch=16, stride=16)
    assert torch.equal(chance, torch.get_rng_state())
    assert network.training
    assert all(torch.equal(before[name], each) for name, each in network.state_dict().items())
    assert found.whole.clean == pytest.approx(1, abs=1e-5), "the image is like itself"


def test_scenes_and_photographs_together_have_each_their_classifier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A photograph's is the first whose weights are here: this one knows other classes."""
    file = tmp_path / "a.png"
    Image.fromarray(small()).save(file)
    monkeypatch.setattr("studio.explain.default_classifier.store.here", lambda name: name == "resnet50")
    built = build_classifier

    def build(name: str | None, *more: Any) -> ImageClassifier:
        return infill.load_classifier(tiny, labels=list("rgb")) if name == "resnet50" else built(name, *more)

    monkeypatch.setattr("studio.registry.ask.build_classifier", build)
    scene, photograph = infill.explain(["scene:1", file], None, filler="gray", patch=40, stride=40)
    assert (scene.classifier, photograph.classifier) == ("scenes", "resnet50")
    assert photograph.target.label in "rgb"
    assert scene.target.label not in "rgb"
    assert any("classifier: resnet50" in note for note in photograph.notes)
    assert not any("resnet50" in note for note in scene.notes)


def test_the_papers_fillers_are_taken_where_none_is_named(photograph: Path) -> None:
    asked = {"paper": True, "settings": {"mp.steps": 1}, "progress": False}
    found = infill.explain(photograph, "scenes", method="mp", **asked)
    assert isinstance(found, Explanation)
    assert found.filler == "blur"
    assert any(note.startswith("mp (Agarwal & Nguyen 2020): departs from the paper:") for note in found.notes)
    both = infill.explain(photograph, "scenes", method="mp", filler=["gray", "inpaint"], **asked)
    assert both.fillers == ["gray", "inpaint"]
    assert infill.explain(photograph, "scenes", patch=41, stride=64).filler == "inpaint"


def test_nothing_is_saved_outside_of_the_folder(tmp_path: Path) -> None:
    grid = infill.explain(small(), {"..": tiny, ". ": tiny}, filler="gray", patch=16, stride=16)
    grid.save(tmp_path / "deep" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    homes = list((tmp_path / "deep" / "out").iterdir())
    assert len(homes) == 2
    assert all((home / "explain.json").is_file() for home in homes)


@pytest.mark.parametrize("folder", ["", None, 3])
def test_what_is_no_folder_is_told(folder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = infill.explain(small(), tiny, filler="gray", patch=16, stride=16)
    for each in (found, Explanations([found])):
        with pytest.raises(ValueError, match=f"folder: expected a path, got {folder!r}"):
            each.save(folder)
    assert list(tmp_path.iterdir()) == []


def test_preprocessing_is_not_given_twice() -> None:
    with pytest.raises(ValueError, match="preprocessing: expected none beside a classifier that has its own"):
        infill.explain(small(), load_classifier("scenes"), preprocessing=Preprocessing(32, 32), filler="gray")


def test_objects_stand_where_names_do(photograph: Path) -> None:
    by_name = quick(photograph, "scenes", filler="blur@sigma=6", patch=64, stride=64)
    by_object = infill.explain(
        photograph, load_classifier("scenes"), method=SlidingPatch(patch=64, stride=64), filler=Blur(6.0)
    )
    np.testing.assert_array_equal(by_name.heatmap, by_object.heatmap)
    assert (by_object.method, by_object.filler, by_object.classifier) == (
        "SlidingPatch", "Blur", "SceneClassifier",
    )  # fmt: skip
    assert "SlidingPatch (patch 64, stride 64" in str(by_object)


def test_lists_give_a_grid(tmp_path: Path) -> None:
    grid = infill.explain(
        {"first": small(), "second": small(1)},
        [tiny, Network().eval()],
        method={"coarse": SlidingPatch(20, 20), "fine": Lime(samples=4)},
        filler=["gray", "blur"],
    )
    assert isinstance(grid, Explanations)
    assert len(grid) == 16
    assert (grid.images, grid.classifiers) == (["first", "second"], ["tiny", "Network"])
    assert (grid.methods, grid.fillers) == (["coarse", "fine"], ["gray", "blur"])
    part = grid.where(image="second", classifier="tiny")
    assert [(each.method, each.filler) for each in part] == [
        ("coarse", "gray"), ("fine", "gray"), ("coarse", "blur"), ("fine", "blur"),
    ]  # fmt: skip
    alone = infill.explain(small(1), tiny, method=SlidingPatch(20, 20), filler="blur")
    np.testing.assert_array_equal(part.only(method="coarse", filler="blur").heatmap, alone.heatmap)
    coarse = grid.where(method="coarse", filler="gray")
    saved = {path.relative_to(tmp_path).as_posix() for path in coarse.save(tmp_path)}
    assert saved == {
        f"{which}/{image}/{file}"
        for which in ("tiny", "Network")
        for image in ("first", "second")
        for file in FILES
    }
    *lines, note = str(grid).splitlines()
    assert len(lines) == 17
    assert "pixels as they are" in note
    assert coarse._repr_html_().count("<img") == 4
    for wrong, message in (
        ({"method": "rise"}, "there is no method 'rise'"),
        ({"methd": "fine"}, "expected"),
    ):
        with pytest.raises(ValueError, match=message):
            grid.where(**wrong)


def test_a_call_s_seed_and_until_go_before_those_of_objects() -> None:
    def rise(method: Any, **more: Any) -> Any:
        return quick(small(), method=method, **more).heatmap

    drawn = {seed: rise(Rise(masks=8, seed=seed)) for seed in (0, 5)}
    assert not np.array_equal(drawn[0], drawn[5])
    np.testing.assert_array_equal(rise(Rise(masks=8), seed=5), drawn[5])
    np.testing.assert_array_equal(rise(Rise(masks=8, seed=5)), drawn[5])
    told = methods_of([Rise(masks=400), SlidingPatch()]).told({"until": 0.3, "seed": 2})
    assert told.own == {"Rise": Rise(masks=400, until=0.3, seed=2), "SlidingPatch": SlidingPatch()}

    class Seeded:
        """One that says no fields."""

        seed = 3

        def holes(self, score: Any) -> Any:
            raise AssertionError

        def __call__(self, score: Any) -> Any:
            return score.image.mean(1)

    with pytest.raises(ValueError, match="seed: Seeded has one of its own, 3; give it 4"):
        quick(small(), method=Seeded(), seed=4)


def test_attributes_that_are_not_read_are_told() -> None:
    network = Network()
    network.crop, network.resize = 32, (32, 32)  # type: ignore[assignment]
    notes = quick(small(), network, target=0).notes
    assert any("its crop and resize not read" in note and "give preprocessing=" in note for note in notes)
    fitting = quick(small(), network, target=0, preprocessing=Preprocessing(32, 32)).notes
    assert not any("not read" in note for note in fitting)


def test_a_number_is_an_index_also_where_classes_have_numbers_as_names() -> None:
    numbered = {"labels": ["2", "1", "0"], "precision": "float32"}
    for target in (0, 2):
        assert quick(small(), tiny, target=target, **numbered).target.index == target
    assert quick(small(), tiny, target=0, against=2, **numbered).target.index == 0
    with pytest.raises(
        ValueError, match="2 is the index of '0' and the name of class 0; give index:2 or index:0"
    ):
        quick(small(), tiny, target="2", **numbered)
    with pytest.raises(ValueError, match="expected 0 to 2, got 42"):
        quick(small(), tiny, target=42, labels=["42", "43", "44"])


def test_explanations_of_several_calls_stay_apart(tmp_path: Path) -> None:
    calls = [
        quick(small(), target=0),
        quick(small(1), target=1),
        quick(small(), method=[SlidingPatch(20, 20), Lime(samples=4)])[1],
    ]
    together = Explanations(calls)
    assert {path.parent.name for path in together.save(tmp_path)} == {"picture", "picture-2", "picture-3"}
    for place, each in zip(("picture", "picture-2", "picture-3"), calls, strict=True):
        with np.load(tmp_path / place / "heatmaps.npz") as maps:
            np.testing.assert_array_equal(maps[f"{each.method}/{each.filler}"], each.heatmap)
            assert not {name for name in maps if not name.startswith(f"{each.method}/")}
    assert together._repr_html_().count("<img") == 3
    with pytest.raises(ValueError, match="figure: expected one image and classifier, explained by one call"):
        together.figure()
    assert {path.parent for path in together[:1].save(tmp_path / "one")} == {tmp_path / "one"}


def test_a_gradient_method_may_be_an_object(tmp_path: Path) -> None:
    """What is hidden of the method by its name is hidden of it, too."""
    for name, thing in (("gradient", Gradient()), ("integrated", IntegratedGradients(steps=4))):
        more = {"steps": 4} if name == "integrated" else {}
        called = infill.explain(small(), tiny, method=thing, filler="gray", target=1, progress=False)
        named = infill.explain(small(), tiny, method=name, filler="gray", target=1, progress=False, **more)
        np.testing.assert_array_equal(called.heatmap, named.heatmap)
        assert "explain.png" in {path.name for path in called.save(tmp_path / name)}
        assert called._repr_html_().startswith("<")
        assert str(called)


def test_a_part_of_a_result_has_the_runs_that_are_asked_for() -> None:
    whole = quick(small(), filler=["gray", "blur"])[0].whole
    assert whole.part(list(whole.results)) is whole
    one, other = whole.results
    assert list(whole.part([one]).part([one]).results) == [one]
    assert not whole.part([one]).part([other]).results


def test_a_classifier_of_ones_own_gives_way_to_a_name_of_infills(tmp_path: Path) -> None:
    def scenes(images: Tensor) -> Tensor:
        return tiny(images)

    method, both = SlidingPatch(112, 112), [scenes, "scenes"]
    grid = infill.explain(torch.rand(3, 224, 224), both, method=method, filler="gray")  # type: ignore[arg-type]
    assert isinstance(grid, Explanations)
    assert grid.classifiers == ["scenes-2", "scenes"]
    assert {path.relative_to(tmp_path).parts[0] for path in grid.save(tmp_path)} == {"scenes", "scenes-2"}


def test_it_shows_itself() -> None:
    found = quick(small(), target=1)
    assert isinstance(found, Explanation)
    assert str(found).splitlines()[2].startswith("target      class 1 (class 1), p = ")
    assert repr(found) == f"<Explanation of picture, tiny: class 1 {found.probability:.3f} by sp/gray>"
    assert found._repr_png_().startswith(b"\x89PNG")
    assert found._repr_html_().count("<img") == 2
    assert found.figure().get_size_inches()[0] > 5


def test_what_no_filler_matters_to_shows_itself() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    found = quick(small(), network, method="gradient", target=1)
    assert (found.method, found.filler) == ("gradient", "none")
    assert "filler      none\n" in str(found)
    assert found._repr_html_().count("<img") == 2


class Optimizes:
    """A method that does not say how much it looks at."""

    def __call__(self, score: Any) -> Tensor:
        return self.optimize(score)

    def optimize(self, score: Any, watch: Any = None) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"method": "spp"}, "unknown method 'spp'; did you mean 'sp'?"),
        ({"filler": "grey"}, "unknown filler 'grey'; did you mean 'gray'?"),
        ({"target": "zzz"}, "--target: the classifier has no class 'zzz'"),
        ({"target": 3}, "--target: expected 0 to 2, got 3"),
        ({"target": True}, "--target: expected an index, a class name or top1, got True"),
        ({"against": True}, "--against: expected an index, a class name or top1 or next, got True"),
        ({"against": 3}, "--against: expected 0 to 2, got 3"),
        ({"against": 1.0}, "--against: expected an index, a class name or top1 or next, got 1.0"),
        ({"filler": "grey", "patch": 16}, "unknown filler 'grey'; did you mean 'gray'?"),
        ({"weights": "nofile.pt"}, "weights: expected none beside a classifier that is an object"),
        ({"runtime": "openvino"}, "--runtime: OpenVINO needs a classifier that says the size of its images"),
        ({"pach": 3}, "unknown setting 'pach'; did you mean 'patch'?"),
        ({"settings": {"sp.pach": 3}}, "unknown field of sp 'pach'; did you mean 'patch'?"),
        ({"settings": {"telea.radius": 3}}, "--set telea.radius=3: telea is not used here"),
        ({"method": ["sp", "pda"], "patch": 3}, "patch: sp and pda have it; say which, as in settings="),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"precision": "float16"}, "precision must be one of"),
        ({"device": "gpu9"}, "--device: 'gpu9' cannot be used here; try cpu"),
        ({"until": 0.9}, "--until: expected one of rise, lime"),
        ({"method": SlidingPatch}, "method: expected an object, got the class SlidingPatch"),
        ({"method": tiny}, "method: expected a name, or an object that is called with a score"),
        (
            {"method": Optimizes()},
            "method: expected composites, how many its steps score at most, beside opt",
        ),
        ({"filler": tiny}, "infill.Learned(f) makes a filler of a function"),
        ({"filler": {"gray": Blur()}}, "filler: 'gray' is the name of one of infill's own"),
        ({"filler": {"real": Blur()}}, "filler: 'real' is the name of one of infill's own"),
        ({"method": []}, "method: expected one or more, got none"),
        ({"method": SlidingPatch(), "paper": True}, "--paper: expected names of methods"),
        ({"until": "x"}, "until: expected a number, got 'x'"),
        ({"until": True}, "until: expected a number, got True"),
        ({"fill_cache_size": "x"}, "fill_cache_size: expected a number, got 'x'"),
        ({"weights": 5}, "weights: expected a path, got 5"),
        ({"fill_cache": ""}, "fill_cache: expected a path, got ''"),
        ({"multi_label": "x"}, "multi_label: expected True or False, got 'x'"),
        ({"method": "mp", "final": Blur()}, "final: expected a filler's name, got Blur("),
        ({"method": "mp", "final": "grey"}, "--final: unknown filler 'grey'; did you mean 'gray'?"),
        ({"method": "rise", "masks": 1}, "masks must be at least 2 for the covariance estimator, got 1"),
        ({"labels": ["a", "b"]}, "classifier has 3 classes, but names 2"),
        ({"preprocessing": 7}, "preprocessing: expected Resize, CenterCrop, Normalize"),
        ({"device": {}}, "--device: expected a name such as cpu or cuda:0, got {}"),
        ({"device": 0.5}, "--device: expected a name such as cpu or cuda:0, got 0.5"),
        ({"fill_cache_size": 3}, "--fill-cache-size: only with --fill-cache FOLDER, got 3"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        infill.explain(small(), tiny, **{"filler": "gray", **asked})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("runtime", ["auto", "incremental"])
def test_without_a_size_whole_images_are_classified(runtime: str) -> None:
    common = {"target": 1, "filler": "gray", "method": "sp", "stride": 16, "progress": False}
    found = infill.explain(small(), tiny, runtime=runtime, **common)
    assert np.array_equal(found.heatmap, infill.explain(small(), tiny, **common).heatmap)


@pytest.mark.parametrize("number", [np.int64, np.uint8, np.array, torch.tensor])
def test_numbers_of_numpy_and_torch_are_numbers(number: Any) -> None:
    common = {"filler": "gray", "method": "rise", "masks": 8, "progress": False}
    expected = infill.explain(small(), tiny, target=1, against=2, seed=4, **common)
    found = infill.explain(
        small(), tiny, target=number(1), against=number(2), seed=number(4), **{**common, "masks": number(8)}
    )
    assert np.array_equal(found.heatmap, expected.heatmap)
    assert found.target == expected.target


@pytest.mark.parametrize(("classifier", "filler"), [("scenes", "gray"), (tiny, "inpaint")])
def test_callers_draw_what_they_would_have_drawn(classifier: Any, filler: str) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    infill.explain(small(), classifier, filler=filler, method="sp", patch=40, stride=40, progress=False)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("method", ["sp", "mp", "gradient"])
def test_inference_mode_is_the_callers_own(method: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    common = {"filler": "gray", "method": method, "target": 1, "progress": False}
    expected = infill.explain(small(), network, **common)
    with torch.inference_mode():
        found = infill.explain(small(), network, **common)
        assert torch.is_inference_mode_enabled()
    assert np.array_equal(found.heatmap, expected.heatmap)


def test_a_result_does_not_take_the_place_of_its_image(run: Run, photograph: Path) -> None:
    image = photograph.rename("explain.png")
    before = image.read_bytes()
    said = run(image, "--classifier", "scenes", "--method", "sp", "--filler", "gray", "--out", ".")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "--out: . has the image itself, which explain.png would overwrite" in said.err
    found = quick(image, "scenes")
    for each in (found, quick([image], "scenes")):
        with pytest.raises(ValueError, match=r"has the image itself, which explain\.png would overwrite"):
            each.save(".")
    hole = image.rename("counterfactual-hole.png")
    said = run(hole, "--classifier", "scenes", "--filler", "gray", "--out", ".", command="counterfactual")
    assert "--out: . has the image itself, which counterfactual-hole.png would overwrite" in said.err
    assert hole.read_bytes() == before


def test_a_class_to_be_compared_with_is_an_index_or_a_name() -> None:
    common = {"target": 1, "filler": "gray", "method": "sp", "stride": 16, "progress": False}
    maps = [infill.explain(small(), tiny, against=other, **common).heatmap for other in (0, "0")]
    assert np.array_equal(*maps)
    assert not np.array_equal(maps[0], infill.explain(small(), tiny, **common).heatmap)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nothing.png", "image: no such file: nothing.png"),
        ("", "image: expected a file, a scene or an array, got ''"),
        ("scene:-1", "--scene: expected 0 or more, got -1"),
        (7, "image: expected a file, a PIL image, an array h w 3 or a tensor 3 h w, got int"),
        (np.zeros((3, 40, 40)), ".transpose(1, 2, 0) puts the channels last"),
        (torch.zeros(40, 40, 3), ".permute(2, 0, 1) puts the channels first"),
        (
            np.full((40, 40, 3), 128.0),
            "expected values in [0, 1] (normalization belongs to the classifier), got",
        ),
        (np.full((40, 40, 3), np.nan), "expected finite values, got NaN or infinity"),
        (np.zeros((40, 40, 3), np.int32), "expected bytes or floating-point numbers, got int32"),
        (torch.zeros(2, 3, 40, 40), "expected one image, got a batch of 2; list(images) gives a grid"),
        (np.zeros((4, 4, 3), np.uint8), "is 4 x 4 pixels; expected at least 8 x 8"),
        (Image.new("RGB", (4, 4)), "is 4 x 4 pixels; expected at least 8 x 8"),
        ([], "image: expected one or more, got none"),
    ],
)
def test_what_is_no_image_is_told(image: Any, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        quick(image)
    assert message in str(refused.value)


@pytest.mark.parametrize("classifier", [7, "resnet51", {"a": "scenes"}, [], None])
def test_what_is_no_classifier_is_told(
    classifier: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="classifier"):
        quick(small(), classifier)


def test_an_image_of_several_that_cannot_be_explained_is_named() -> None:
    def picky(images: Tensor) -> Tensor:
        return tiny(images) * (float("nan") if images.shape[3] == 64 else 1)

    wide = np.zeros((40, 64, 3), np.uint8)
    with pytest.raises(ValueError, match=r"picture-2: .*NaN"):
        quick([small(), wide], picky)


def test_a_method_of_ones_own_needs_no_more_than_holes() -> None:
    class Halves:
        signed = True

        def holes(self, score: Any) -> Tensor:
            holes = torch.zeros(2, 1, *score.size)
            holes[0, ..., : score.size[1] // 2], holes[1, ..., score.size[1] // 2 :] = 1, 1
            return holes

        def __call__(self, score: Any) -> Tensor:
            holes = self.holes(score)
            return ((score.clean - score(holes))[:, None, None] * holes[:, 0]).sum(0)[None]

    found = quick(small(), method=Halves(), target=0)
    assert found.method == "Halves"
    assert len(np.unique(found.heatmap)) == 2
    assert found.figure()


@dataclass
class Kept:
    """A filler whose settings are of all kinds."""

    colors: ndarray = field(default_factory=lambda: np.full(3, 0.25, np.float32))
    tensor: Tensor = field(default_factory=lambda: torch.zeros(2))
    limit: float = float("inf")
    count: Any = np.int64(3)  # noqa: RUF009
    share: Any = np.float32(0.5)  # noqa: RUF009
    sure: Any = np.True_
    several: Any = (np.int64(1), float("nan"))

    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False

    def __call__(self, image: Tensor, hole: Tensor, generator: Any = None) -> Tensor:
        return torch.from_numpy(self.colors)[:, None, None].expand_as(image)


def test_a_filler_may_have_settings_of_any_kind(tmp_path: Path) -> None:
    found = quick(small(), filler=Kept(count=np.int64(4)))
    assert "Kept (limit inf, count 4, share 0.5" in str(found)
    assert found.figure()
    found.save(tmp_path)
    assert told(tmp_path)["fillers"]["Kept"] == {
        "class": "Kept",
        "colors": "array of shape (3,)",
        "tensor": "tensor of shape (2,)",
        "limit": "inf",
        "count": 4,
        "share": 0.5,
        "sure": True,
        "several": [1, "nan"],
    }


class Returning:
    """A method that returns what it was made for, of a map "1 h w"."""

    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        self.make = make

    def holes(self, score: Any) -> Tensor:
        return torch.ones(1, 1, *score.size)

    def __call__(self, score: Any) -> Any:
        return self.make(score.image.mean(1))


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (lambda found: found[:, ::2], "torch.float32 of shape (1, 20, 56)"),
        (lambda found: found[0], "torch.float32 of shape (40, 56)"),
        (lambda found: found.long(), "torch.int64 of shape (1, 40, 56)"),
        (lambda found: found / 0, "2240 of 2240 values that are not finite"),
        (lambda found: found.double() * 1e300, "2240 of 2240 values that are not finite"),
        (lambda found: found.numpy(), "ndarray"),
        (lambda found: None, "NoneType"),
    ],
)
def test_what_a_method_of_ones_own_returns_must_be_a_map(make: Callable[[Tensor], Any], got: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        quick(small(), method=Returning(make))
    rule = "heatmap must be a finite floating-point tensor of shape (1, 40, 56), got "
    assert str(refused.value) == f"Returning: {rule}'{got}'"


def test_a_map_with_a_gradient_is_a_map(tmp_path: Path) -> None:
    found = quick(small(), method=Returning(lambda found: found.double().requires_grad_()))
    np.testing.assert_allclose(found.heatmap, small().mean(2) / 255, atol=1e-6)
    assert found.save(tmp_path)


def test_progress_says_nothing_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    quick(small())
    quick(small(), progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.fixture(scope="module")
def makes() -> Callable[..., Preprocessing]:
    from models.classifiers.transforms import preprocessing_of

    return preprocessing_of


def test_torchvisions_transforms_are_understood(makes: Callable[..., Preprocessing]) -> None:
    from torchvision import models, transforms
    from torchvision.transforms import v2

    normalize = transforms.Normalize((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert makes(models.ResNet18_Weights.DEFAULT.transforms()) == Preprocessing()
    squeezed = makes([v2.Resize((48, 48)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normalize])
    assert (squeezed.crop, squeezed.resize, squeezed.mean) == (48, (48, 48), (0.5, 0.5, 0.5))
    assert makes(normalize).crop is None
    both = [
        v2.ToImage(),
        v2.Resize(256),
        v2.CenterCrop(224),
        transforms.ToTensor(),
        v2.ToDtype(torch.float32),
    ]
    assert makes(both).resize == 256
    for steps, message in (
        (
            [v2.PILToTensor(), v2.ToDtype(torch.float32), normalize],
            "for images in \\[0, 1\\], got scale=False",
        ),
        ([v2.Resize(256, max_size=300), v2.CenterCrop(224)], "Resize without max_size, got max_size=300"),
        ([v2.Resize(256, antialias=False), v2.CenterCrop(224)], "Resize with antialias, got antialias=False"),
        ([transforms.CenterCrop(8)], "expected Resize before CenterCrop, got CenterCrop alone"),
        ([transforms.Resize(8)], "expected CenterCrop after Resize of the short side"),
        ([transforms.RandomCrop(8)], "in this order, got RandomCrop"),
        ([transforms.Resize((8, 9))], "expected a view that is square, got 8 x 9"),
        ([normalize, transforms.Resize((8, 8))], "in this order, got Normalize, Resize"),
    ):
        with pytest.raises(ValueError, match=message):
            makes(steps)
