"""The command line: what it writes, and that whatever is wrong ends in one line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from command import Run, refused, runner, saved_photograph, undrawn
from PIL import Image
from safetensors.torch import load_file, save_file

from attribution import Lime, MaskedScore, SlidingPatch
from infill import Blur
from models import scenes
from models.classifiers import load_classifier
from models.classifiers import scenes as scene_classifier
from studio.cli.main import infill
from studio.explain.figure import Page
from studio.libraries import versions
from studio.registry.tables import FILLERS, METHODS

ROOT = Path(__file__).resolve().parents[3]
QUICK = ["--set", "sp.stride=48", "--set", "lime.samples=6", "--set", "rise.masks=6"]
BLUR = ["--method", "sp", "--filler", "blur"]
FILES = {"explain.json", "explain.png", "heatmaps.npz"}
MAIN = "from studio.cli.main import main; main()"
SP = ["--method", "sp", "--set", "sp.stride=64", "--filler", "gray"]
SCENES = ["--classifier", "scenes"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill explain`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    return runner(capsys)


@pytest.fixture
def drawn(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, and its picture is drawn."""
    monkeypatch.chdir(tmp_path)
    return runner(capsys)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    return saved_photograph(tmp_path)


def test_a_scene_with_its_truth(drawn: Run) -> None:
    said = drawn("--scene", 4, "--filler", "blur", "--filler", "gray", *QUICK)
    assert said.code == 0, said.err
    folder = Path("infill-out")
    assert {path.name for path in folder.iterdir()} == FILES
    with np.load(folder / "heatmaps.npz") as maps:
        names = [f"{m}/{f}" for m in ("sp", "lime", "rise") for f in ("gray", "blur")]
        errors = [f"{name}/error" for name in names if not name.startswith("sp")]
        assert sorted(maps) == sorted([*names, *errors])
        assert all(maps[name].shape == (224, 224) for name in maps)
        assert all(maps[name].dtype == np.float32 for name in maps)
        assert all(np.ptp(maps[name]) > 0 for name in names)
    told = json.loads((folder / "explain.json").read_text("utf-8"))
    assert told["image"]["scene"] == 4
    assert [thing["label"] for thing in told["image"]["objects"]] == ["crate", "gear"]
    assert told["methods"]["sp"]["stride"] == 48
    assert told["fillers"]["blur"] == {
        "class": "Blur",
        "sigma": 10.0,
        "levels": 2,
        "beyond": "mirrored",
    }
    assert [(each["method"], each["filler"], each["composites"]) for each in told["runs"]] == [
        (method, filler, count)
        for filler in ("blur", "gray")
        for method, count in (("sp", 25), ("lime", 6), ("rise", 6))
    ]
    assert all(each["seconds"] > 0 and each["composites_per_second"] > 0 for each in told["runs"])
    assert told["target"] == told["top"][0]
    assert set(told["versions"]) == set(versions())
    assert {"infill", "torch", "python", "torchvision"} <= set(told["versions"])
    with Image.open(folder / "explain.png") as image:
        assert image.format == "PNG"
        assert image.width > 1000
    assert said.err.count("composites in") == 6
    assert "100 %" in said.err
    assert "scene 4: crate and gear" in said.out


def test_heatmaps_are_the_librarys_in_the_inputs_coordinates(run: Run, photograph: Path) -> None:
    said = run(
        photograph, *SCENES, "--method", "sp", "--filler", "blur", "--set", "blur.sigma=6",
        "--set", "sp.stride=32", "--set", "sp.patch=64", "--target", "lifebuoy", "--precision", "float32",
        "--out", "there",
    )  # fmt: skip
    assert said.code == 0, said.err
    with np.load("there/heatmaps.npz") as maps:
        got = maps["sp/blur"]
    classifier = load_classifier()
    pixels = torch.from_numpy(np.array(Image.open(photograph))).permute(2, 0, 1) / 255
    target = scenes.CLASSES.index("lifebuoy")
    score = MaskedScore(classifier.view(pixels), target, classifier, Blur(6.0))
    expected = classifier.to_input(SlidingPatch(patch=64, stride=32)(score)[0], (280, 400))
    assert got.shape == (280, 400)
    np.testing.assert_allclose(got, expected.numpy(), rtol=0, atol=1e-5)
    told = json.loads(Path("there/explain.json").read_text("utf-8"))
    left, top, right, bottom = told["image"]["view"]
    assert (top, bottom) == (0, 280)
    assert right - left == pytest.approx(280, abs=2)
    assert (got[:, : int(left)] == 0).all()
    assert (got[:, int(right) + 1 :] == 0).all()
    assert told["target"]["index"] == target
    assert told["target"]["probability"] == pytest.approx(float(score.clean[0]), abs=1e-5)
    assert told["settings"]["computed_in"].startswith("float32")


def test_the_peak_lies_on_the_object(run: Run) -> None:
    """Scene 3 shows a heart and a crate; large holes of blur find the heart."""
    said = run(
        "--scene",
        3,
        "--method",
        "sp",
        "--filler",
        "blur",
        "--set",
        "sp.patch=56",
        "--set",
        "sp.stride=14",
        "--target",
        "heart",
    )
    assert said.code == 0, said.err
    scene = scenes.draw(3)
    silhouette = scene.silhouettes[scene.labels.index(scenes.CLASSES.index("heart"))]
    with np.load("infill-out/heatmaps.npz") as maps:
        peak = np.unravel_index(maps["sp/blur"].argmax(), (224, 224))
    assert bool(silhouette[peak])


def test_several_images_get_a_folder_each(run: Run, photograph: Path) -> None:
    other = Path("other")
    other.mkdir()
    (other / "Photo.png").write_bytes(photograph.read_bytes())
    (other / "wide.jpg").write_bytes(photograph.read_bytes())
    said = run(photograph, other / "Photo.png", other / "wide.jpg", *SP, *SCENES)
    assert said.code == 0, said.err
    assert sorted(path.name for path in Path("infill-out").iterdir()) == ["Photo-2", "photo", "wide"]
    for folder in Path("infill-out").iterdir():
        assert sorted(path.name for path in folder.iterdir()) == [
            "explain.json",
            "explain.png",
            "heatmaps.npz",
        ]
    assert said.err.count("100 %") == 1


@pytest.mark.parametrize("size", [(900, 700), (36, 3600)])
def test_a_photograph_that_is_larger_than_it_is_shown_and_a_map_with_errors(
    drawn: Run, tmp_path: Path, size: tuple[int, int]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    said = drawn("large.png", "--method", "lime", "--set", "lime.samples=24", "--filler", "gray", *SCENES)
    assert said.code == 0, said.err
    with np.load("infill-out/heatmaps.npz") as arrays:
        assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(
            ("lime/gray", "lime/gray/error"), size[::-1]
        )
    with Image.open("infill-out/explain.png") as sheet:
        assert min(sheet.size) > 300


def test_an_image_whose_files_cannot_be_drawn_does_not_stop_the_others(
    run: Run, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photograph.parent / "other.png").write_bytes(photograph.read_bytes())

    def fails(page: Page, path: Path) -> None:
        if "photo.png" in page.subtitle:
            raise ValueError("cannot be drawn")
        Image.new("RGB", (1, 1)).save(path)

    monkeypatch.setattr("studio.explain.explain.draw", fails)
    said = run(photograph, photograph.parent / "other.png", *SP, *SCENES)
    assert said.code == 1
    assert "photo.png: cannot be drawn" in said.out + said.err
    assert Path("infill-out/other/explain.json").exists()
    assert not Path("infill-out/photo").exists()


def test_the_composites_of_all_fillers_are_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Page] = []
    monkeypatch.setattr("studio.explain.explain.draw", lambda page, path: (shown.append(page), path.touch()))
    said = run("--scene", 1, "--method", "rise", "--until", 0.7, "--filler", "gray", "--filler", "noise")
    assert said.code == 0, said.err
    counts = [int(count) for count in re.findall(r"(\d+) forwards", said.out)]
    ((_, column),) = shown[0].methods
    assert len(counts) == 2
    assert min(counts) < max(counts)
    assert column.endswith(f"{min(counts)} to {max(counts)} composites")


def test_results_are_the_same_again_and_replaced(run: Run) -> None:
    arguments = ["--scene", 2, "--filler", "noise", "--seed", 3, *QUICK]
    found = []
    for _ in range(2):
        assert run(*arguments).code == 0
        with np.load("infill-out/heatmaps.npz") as maps:
            found.append({name: maps[name] for name in maps})
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])


def test_the_default_job_fills_with_the_inpainter(run: Run) -> None:
    said = run("--set", "sp.stride=96", *QUICK[2:])
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert list(told["methods"]) == ["sp", "lime", "rise"]
    assert list(told["fillers"]) == ["gray", "blur", "inpaint"]
    assert told["fillers"]["inpaint"]["network"] == "SmallInpainter"
    assert told["settings"]["precision"] == "auto"


def test_quick_settings_are_told_and_paper_takes_the_papers(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate = Lime.estimate
    monkeypatch.setattr(Lime, "estimate", lambda self, score: estimate(replace(self, samples=6), score))
    arguments = ["--scene", 0, "--method", "lime", "--filler", "gray"]
    quick = run(*arguments)
    assert "quick settings: lime.samples 500 (paper: 1000); --paper" in quick.out
    paper = run(*arguments, "--paper")
    assert "quick" not in paper.out
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["methods"]["lime"]["samples"] == 1000


def test_notes_on_reading_the_file_are_told(run: Run, photograph: Path) -> None:
    with Image.open(photograph) as image:
        image.convert("RGBA").resize((90, 80)).save(
            "a.png", save_all=True, append_images=[image.resize((90, 80))]
        )
    said = run("a.png", *SP, *SCENES)
    assert said.code == 0, said.err
    assert "first of 2 frames" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.png"], "image: no such file: nothing.png"),
        (["."], "image: . is a folder; give the image files in it"),
        (["empty.png"], "image: empty.png is empty (0 bytes)"),
        (["text.png"], "image: text.png is not an image that Pillow can read"),
        (["cut.png"], "image: cut.png is damaged or cut short"),
        (["dot.png"], "image: dot.png is 1 x 1 pixels; expected at least 8 x 8"),
        (["photo.png", "nothing.png", "--strict"], "image: no such file: nothing.png"),
        (["nothing.png", "empty.png"], "nothing.png: image: no such file: nothing.png; empty.png: image: "),
        (
            ["--set", "lime.segments=1"],
            "lime: segments must be at least 2, got",
        ),
        (["--classifier", ""], "--classifier: expected a name, as in `infill list`, got ''"),
        (["--seed", "-1"], "-1 is not in the range 0<=x<="),
        (["photo.png", "--scene", "3"], "give images or --scene, not both"),
        (["--out", ""], "'--out': expected a path, got ''"),
        (["--target=--5"], "--target: the classifier has no class '--5'"),
        (["--target", "like:nothing.jpg"], "--target: like: no such file: nothing.jpg"),
        (["--method", "mp", "--final", "grey"], "--final: unknown filler 'grey'; did you mean 'gray'?"),
        (["--device", "meta"], "--device: 'meta' cannot be used here; try cpu"),
        (["--scene", "-1"], "--scene: expected 0 or more, got -1"),
        (["--scene", "x"], "'x' is not a valid integer"),
        (["--filler", "blurr"], "unknown filler 'blurr'; did you mean 'blur'? known: gray, mean,"),
        (["--method", "lyme"], "unknown method 'lyme'; did you mean 'lime'? known: sp, lime, rise"),
        (["--method", "dsr-plus"], "unknown method 'dsr-plus'; did you mean 'dssr-plus'?"),
        (["--method", "mp3", "--trace"], "unknown method 'mp3'; did you mean 'mp'?"),
        (
            ["--trace"],
            "--trace: expected one of mp, mp-code, mp2, mp2-descent, fido, ",
        ),
        (["--method", "mp2", "--target", "5"], "mp2: target must be a class above chance (0.0833), got 0.0"),
        (["--method", "sp", "--method", "mp", "--set", "mp.cells=0"], "mp: cells must be at least 1, got 0"),
        (["--method", "mp", "--set", "mp.cells=300"], "mp: cells must be 1 to 224 in a 224 x 224 image"),
        (["--samples", "0"], "0 is not in the range x>=1"),
        (
            ["--classifier", "resnet51"],
            "unknown classifier 'resnet51'; did you mean 'resnet50'? see",
        ),
        (["--target", "13"], "--target: expected 0 to 11, got 13"),
        (["--target", "-1"], "--target: expected 0 to 11, got -1"),
        (["--target", "fich"], "--target: the classifier has no class 'fich'; did you mean 'fish'?"),
        (["--target", "zzz"], "give an index, a class name or top1"),
        (["--set", "sp.patch=300"], "sp: patch must be 1 to 224 in a 224 x 224 image, got 300"),
        (["--set", "sp.patch=0"], "sp: patch must be at least 1, got 0"),
        (["--set", "sp.pach=3"], "unknown field of sp 'pach'; did you mean 'patch'?"),
        (["--fill-cache-size", "-1"], "--fill-cache-size: expected above 0 and finite (gigabytes), got -1"),
        (["--set", "blur.sigma=-1"], "blur: sigma must be positive, got -1"),
        (["--set", "telea.radius=3"], "--set telea.radius=3: telea is not used here"),
        (["--set", "sp"], "--set: expected NAME.FIELD=VALUE, as in sp.patch=41, got 'sp'"),
        (["--precision", "float16"], "'float16' is not one of 'float32', 'bfloat16', 'auto'"),
        (["--batch-size", "0"], "0 is not in the range 1<=x<=4096"),
        (["--batch-size", "1000000000"], "1000000000 is not in the range 1<=x<=4096"),
        (["--filler", "blur@sigma=1e9"], "blur: sigma must be at most 1000, got 1000000000"),
        (["--device", "gpu9"], "--device: 'gpu9' cannot be used here; try cpu"),
        (["--weights", "nothing.pth"], "weights: no such file: nothing.pth"),
        (["--weights", "text.png", "--classifier", "resnet18"], "weights: text.png is no weight file"),
        (["--out", "text.png"], "--out: cannot write to text.png, which is a file; give a folder"),
        (["--out", "text.png/below"], "--out: cannot write to text.png/below (Not a directory)"),
        (["--methd", "sp"], "No such option"),
    ],
)
def test_bad_input_ends_in_one_line(arguments: list[str], message: str, run: Run, photograph: Path) -> None:
    assert photograph.name == "photo.png"
    Path("empty.png").touch()
    Path("text.png").write_text("not an image")
    Path("cut.png").write_bytes(photograph.read_bytes()[:3000])
    Image.new("RGB", (1, 1)).save("dot.png")
    before = sorted(Path().iterdir())
    fillers = [] if "--filler" in arguments else ["--filler", "gray", "--filler", "blur"]
    classifier = SCENES if arguments[0][0] != "-" and "--classifier" not in arguments else []
    refused(run(*arguments, *fillers, *classifier), message)
    assert sorted(Path().iterdir()) == before


def test_no_network_for_weights_says_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(Path("home").resolve()))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    refused(run("--classifier", "resnet18", *SP), "run `infill weights fetch resnet18` where there is a ")


def test_weights_that_do_not_fit(run: Run) -> None:
    state = load_file(scene_classifier.FILE)
    del state["head.weight"]
    save_file(state, "w.safetensors")
    said = run("--classifier", "scenes", "--weights", "w.safetensors", *SP)
    refused(said, "weights: w.safetensors does not fit scenes: it lacks head.weight")


def test_nan_from_the_classifier(run: Run) -> None:
    state = load_file(scene_classifier.FILE)
    state["head.bias"] = state["head.bias"] * float("nan")
    save_file(state, "w.safetensors")
    said = run("--classifier", "scenes", "--weights", "w.safetensors", *SP)
    refused(said, "got NaN logits")


def test_own_weights_are_used(run: Run) -> None:
    state = load_file(scene_classifier.FILE)
    state["head.bias"] = state["head.bias"] + 50 * (torch.arange(12) == 7)
    save_file(state, "w.safetensors")
    said = run("--classifier", "scenes", "--weights", "w.safetensors", *SP)
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["target"]["index"] == 7


def test_a_failure_while_writing_leaves_what_was_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--scene", 2, *SP).code == 0
    before = {path.name: path.read_bytes() for path in Path("infill-out").iterdir()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("studio.explain.explain.save_report", full)
    said = run("--scene", 4, *SP)
    assert said.code == 2
    assert "No space left on device" in said.err
    assert {path.name: path.read_bytes() for path in Path("infill-out").iterdir()} == before


def test_running_out_of_memory_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore words")

    monkeypatch.setattr(SlidingPatch, "__call__", greedy)
    said = run("--scene", 2, *SP)
    assert said.code == 2
    assert said.err.endswith("infill: out of memory; try a smaller --batch-size\n")
    assert not Path("infill-out").exists()


def test_faults_of_the_program_keep_their_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(SlidingPatch, "__call__", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        run("--scene", 2, *SP)
    assert not Path("infill-out").exists()


def test_errors_come_with_a_traceback_if_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFILL_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown filler"):
        run("--filler", "blurr")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "TORCH_HOME": str(tmp_path / "home")}


def test_warnings_of_libraries_stay_away_and_ours_come_in_a_line(
    run: Run, photograph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
import warnings
import torch
from torch import nn

def build():
    warnings.warn("advice to programmers")
    class Unsteady(nn.Module):
        def forward(self, images):
            return torch.nn.functional.dropout(images, training=True).mean((2, 3))
    return Unsteady()
"""
    Path("unsteady.py").write_text(source)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    asked = ("--classifier", "python:unsteady:build", "--method", "rise", "--set", "rise.masks=8")
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        said = run(photograph, *asked)
    assert said.code == 0, said.err
    assert "advice" not in said.err
    (line,) = (line for line in said.err.splitlines() if "answers differently" in line)
    assert line.startswith("infill: classifier answers differently when asked twice about the same image")
    assert "Warning" not in said.err


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interruption_leaves_nothing(
    sent: signal.Signals, code: int, tmp_path: Path, environment: dict[str, str]
) -> None:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from studio.cli.main import main; main()",
            "explain",
            "--filler",
            "gray",
            "--paper",
        ],
        cwd=tmp_path,
        env=environment,
        # A test run in the background ignores Ctrl-C, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("infill-out/.unfinished-*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == "infill: stopped; nothing is left half-written\n"
    assert list(tmp_path.iterdir()) == []


def test_help_and_version_load_nothing_heavy(environment: dict[str, str]) -> None:
    code = (
        "import sys, time; begun = time.process_time()\n"
        "from studio.cli.main import main\n"
        "main([sys.argv[1]])\n"
        "assert time.process_time() - begun < 1\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'torchvision', 'skimage', 'cv2', 'tqdm'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    for argument in ("--help", "--version", "list"):
        command = [sys.executable, "-c", code, argument]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_every_option_is_explained() -> None:
    text = CliRunner().invoke(infill, ["explain", "--help"]).output
    for option in ("scene", "classifier", "weights", "method", "filler", "target", "out", "seed", "device",
                   "precision", "batch-size", "samples", "set", "paper", "trace"):  # fmt: skip
        assert f"--{option}" in text
    assert "See `infill list`" in text


def test_list_says_which_weights_are_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("home/hub/checkpoints")
    folder.mkdir(parents=True)
    (folder / "resnet18-f37072fd.pth").touch()
    monkeypatch.setenv("TORCH_HOME", "home")
    said = run(command="list")
    assert f"present: {scene_classifier.FILE}" in said.out
    assert "there now: resnet18-f37072fd.pth" in said.out
    for name in (*METHODS, *FILLERS, "scenes"):
        assert f"\n  {name} " in said.out
    every = run("--all", command="list").out
    assert re.search(r"deeplabv3_resnet50 +missing +deeplabv3_resnet50_coco-cd0a2569.pth", every)
    assert re.search(r"resnet18 +present +resnet18-f37072fd.pth", every)
    assert re.search(r"vgg16 +missing +vgg16-397923af.pth", every)


def test_list_names_the_models_of_the_hub_that_are_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    assert "kept in hub\n  here now: nothing\n" in run(command="list").out
    for file in ("models--b--some-vit/snapshots/01/config.json", "models--a/snapshots/02/model.safetensors"):
        Path("hub", file).parent.mkdir(parents=True)
        Path("hub", file).touch()
    Path("hub/models--c--empty/snapshots").mkdir(parents=True)
    Path("hub/datasets--d/snapshots/03").mkdir(parents=True)
    assert "here now: a, b/some-vit\n" in run(command="list").out


def test_thick_holes_of_the_inpainter_are_told(run: Run) -> None:
    said = run("--method", "lime", "--filler", "inpaint@by=auto", "--set", "lime.samples=4")
    assert said.code == 0, said.err
    filler = json.loads(Path("infill-out/explain.json").read_text("utf-8"))["fillers"]["inpaint"]
    assert filler["class"] == "Adaptive"
    assert filler["by"] == "auto"
    assert min(filler["filled"].values()) >= 0
    assert filler["filled"]["exemplar"] > 0


def test_a_final_filler_needs_a_method_that_finds_a_hole(run: Run) -> None:
    refused(run("--method", "sp", "--final", "exemplar"), "--final: expected one of mp, mp-code, mp2")
    said = run(*SP, "--method", "mp2", "--set", "mp2.cells=4", "--final", "telea")
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    assert told["final"]["name"] == "telea"
    assert ["as_found" in one for one in told["runs"]] == [False, True]


def test_sampling_ends_when_the_map_is_reliable(run: Run) -> None:
    words = ("--method", "rise", "--method", "lime", "--method", "sp", "--filler", "gray", "--until", 0.7)
    said = run(*words, "--set", "sp.stride=64", "--set", "rise.masks=3000", "--set", "lime.samples=100")
    assert said.code == 0, said.err
    runs = {each["method"]: each for each in json.loads(Path("infill-out/explain.json").read_text())["runs"]}
    assert 0 < runs["rise"]["composites"] < 3000
    assert runs["rise"]["composites"] % 100 == 0
    assert runs["rise"]["reliability"] >= 0.7
    assert runs["rise"]["forwards"] == runs["rise"]["composites"]
    assert "reliability" not in runs["sp"]
    assert f"{runs['rise']['forwards']} forwards" in said.out
    assert "reliability 0." in said.out
    with np.load("infill-out/heatmaps.npz") as maps:
        assert {"rise/gray/error", "lime/gray/error"} < set(maps.files)
        assert "sp/gray/error" not in maps.files
        assert maps["rise/gray/error"].shape == maps["rise/gray"].shape
        assert float(maps["rise/gray/error"].min()) > 0


def test_a_reliability_that_is_not_reached_is_told_with_the_remedy(run: Run) -> None:
    said = run("--method", "lime", "--filler", "gray", "--until", 0.999, "--set", "lime.samples=50")
    assert said.code == 0, said.err
    assert "0.999 not reached: --set lime.samples=200 takes more" in said.out


def test_fills_are_drawn_until_the_map_is_reliable(run: Run) -> None:
    said = run("--method", "sp", "--filler", "noise", "--filler", "gray", "--until", 0.999, "--samples", 4,
               "--set", "sp.stride=97")  # fmt: skip
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text("utf-8"))
    noise, gray = told["runs"]
    assert noise["forwards"] == noise["composites"] == 4 * gray["composites"]
    assert 0 < noise["reliability"] < 0.999
    assert "reliability" not in gray
    assert "0.999 not reached: --samples 16 takes more" in said.out
    with np.load("infill-out/heatmaps.npz") as maps:
        assert "sp/noise/error" in maps.files


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--until", "0"), "--until: expected a reliability between 0 and 1, as in 0.95, got 0"),
        (("--until", "1"), "--until: expected a reliability between 0 and 1, as in 0.95, got 1"),
        (("--until", "nan"), "--until: expected a reliability between 0 and 1, as in 0.95, got nan"),
        (
            ("--until", ".9", "--method", "sp", "--filler", "gray"),
            "--until: expected one of rise, lime, pda, blanks among the methods, or sp with a filler that "
            "draws (noise), got sp with gray",
        ),
    ],
)
def test_until_that_means_nothing_is_refused(run: Run, words: tuple[str, ...], message: str) -> None:
    refused(run(*words), message)


def test_openvino_gives_the_same_maps_and_is_told(run: Run) -> None:
    pytest.importorskip("openvino")
    words = ("--method", "sp", "--filler", "gray", "--set", "sp.stride=56", "--precision", "float32")
    assert run(*words, "--out", "eager").code == 0
    said = run(*words, "--runtime", "openvino", "--out", "fast")
    assert said.code == 0, said.err
    settings = [json.loads(Path(out, "explain.json").read_text())["settings"] for out in ("eager", "fast")]
    assert [each["runtime"] for each in settings] == ["eager", "openvino"]
    maps = [np.load(Path(out, "heatmaps.npz"))["sp/gray"] for out in ("eager", "fast")]
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-4)


def test_incremental_gives_the_same_maps_and_is_told(run: Run) -> None:
    words = ("--method", "sp", "--filler", "gray", "--set", "sp.stride=56", "--precision", "float32")
    for out in ("eager", "incremental"):
        said = run(*words, "--runtime", out, "--out", out)
        assert said.code == 0, said.err
    told = json.loads(Path("incremental/explain.json").read_text())["settings"]["runtime"]
    assert told.startswith("incremental (")
    maps = [np.load(Path(out, "heatmaps.npz"))["sp/gray"] for out in ("eager", "incremental")]
    np.testing.assert_allclose(maps[1], maps[0], atol=1e-5)


def test_a_method_that_follows_gradients_is_refused_or_run_by_torch(run: Run) -> None:
    pytest.importorskip("openvino")
    words = ("--method", "mp2", "--filler", "gray", "--set", "mp2.cells=4")
    refused(run(*words, "--runtime", "openvino"), "--runtime: OpenVINO gives no gradients, which mp2 needs")
    said = run(*words, "--runtime", "auto")
    assert said.code == 0, said.err
    told = json.loads(Path("infill-out/explain.json").read_text())["settings"]["runtime"]
    assert told == "eager (OpenVINO gives no gradients, which mp2 needs)"


def test_fills_that_are_all_the_same_are_not_averaged(run: Run) -> None:
    refused(
        run("--scene", 1, "--method", "lime", "--filler", "gray", "--samples", 20),
        "expected a filler that draws (noise, marginal, sd), got gray; lime has a number of its own, lime.sa",
    )
    final = ("--method", "mp2", "--set", "mp2.cells=4", "--filler", "gray", "--final", "noise")
    assert run("--scene", 1, *final, "--samples", 2).code == 0
    drawing = ("--filler", "noise", "--samples", 2)
    assert run("--scene", 1, *SP, *drawing).code == 0


def test_samples_that_remove_nothing_show_nothing(drawn: Run) -> None:
    nothing = ("--set", "lime.samples=2", "--set", "lime.keep=0.9999999", "--set", "lime.segments=4")
    assert drawn("--scene", 1, "--method", "lime", *nothing, "--filler", "gray").code == 0


def test_patches_that_leave_gaps_are_told(run: Run) -> None:
    said = run(
        "--scene", 1, "--method", "sp", "--filler", "gray", "--set", "sp.patch=56", "--set", "sp.stride=112"
    )
    assert "about 75 % never hidden (stride above patch)" in said.out
    assert "never hidden" not in run("--scene", 1, *SP, "--set", "sp.patch=64").out


def test_a_module_of_the_working_folder_is_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    assert run("--scene", 1, *SP).code == 0
    assert "" not in sys.path
    Path("networks_of_mine.py").write_text(
        "import torch\n"
        "def load():\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 224 * 224, 3))\n"
    )
    said = run("--scene", 1, *SP, "--classifier", "python:networks_of_mine:load")
    assert said.code == 0, said.err
