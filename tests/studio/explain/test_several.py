"""Several images: what is done stays done, what is bad is told at the end, and two jobs do not mix."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from command import Run, refused, runner, saved_photograph, undrawn
from filelock import FileLock

from models.classifiers import scenes
from studio.explain.default_classifier import with_classifier
from studio.explain.explain import explaining
from studio.explain.request import ExplainRequest
from studio.explain.several import identity
from studio.output import output_folder
from studio.registry.identity import files_named

SMALL = ("--classifier", "scenes", "--method", "sp", "--set", "sp.stride=64", "--filler", "gray")
QUICK = ("--classifier", "scenes", "--filler", "gray", "--set", "mp2-descent.cells=4")
NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "infill"))
    undrawn(monkeypatch)
    return runner(capsys)


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    pixels = saved_photograph(tmp_path).read_bytes()
    for name in NAMES:
        (tmp_path / name).write_bytes(pixels)
    return [Path(name) for name in NAMES]


def times() -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in Path("infill-out").glob("*/explain.json")}


def test_what_is_done_is_not_done_again_unless_something_changed(run: Run, photographs: list[Path]) -> None:
    assert run(*photographs[:2], *SMALL).code == 0
    before = times()
    said = run(*photographs, *SMALL)
    assert said.code == 0, said.err
    assert said.out.count("done before with the same settings (--again does it again)") == 2
    assert {name: time_ for name, time_ in times().items() if name != "c"} == before
    assert set(times()) == {"a", "b", "c"}
    assert "done before" not in run(*photographs, *SMALL, "--again").out
    assert "done before" not in run(*photographs, *SMALL, "--seed", 3).out
    os.utime("b.png", (1, 1))
    said = run(*photographs, *SMALL, "--seed", 3)
    assert said.out.count("done before") == 2
    (Path("infill-out") / "a" / "explain.json").write_text("{")
    assert run(*photographs, *SMALL, "--seed", 3).out.count("done before") == 2
    heatmaps = Path("infill-out") / "c" / "heatmaps.npz"
    heatmaps.unlink()
    assert run(*photographs, *SMALL, "--seed", 3).out.count("done before") == 2
    assert heatmaps.is_file()


def test_what_a_name_points_to_may_change(run: Run, photographs: list[Path]) -> None:
    """A file behind ``file:``, a module behind ``python:``, an image behind ``like:``, and what ships."""
    module = "def net():\n    return lambda images: {} * images.mean((2, 3))\n"
    Path("mine.py").write_text(module.format(8))
    Path("like.png").write_bytes(Path("a.png").read_bytes())
    folder = Path("folder")
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    names = {
        "python:mine:net": Path("mine.py"), "file:a.png": Path("a.png"), "like:like.png": Path("like.png"),
        "clip:folder@labels=like.png,template=a {}": Path("like.png"), "hf:folder": folder,
    }  # fmt: skip
    sys.path.insert(0, str(Path.cwd()))
    try:
        for name, file in names.items():
            assert file.resolve() in [each.resolve() for each in files_named(name)], name
    finally:
        sys.path.remove(str(Path.cwd()))
    assert files_named("scenes") == [scenes.FILE]
    assert files_named("resnet50") == files_named("python:not.there:f") == files_named("top1") == []
    job = explaining(ExplainRequest(images=(Path("a.png"),), classifier="hf:folder"), print)
    before = identity(job, Path("a.png"))
    assert identity(job, Path("a.png")) == before
    (folder / "config.json").write_text("{ }")
    assert identity(job, Path("a.png")) != before


def test_the_weights_of_what_fills_in_the_end_count(run: Run, photographs: list[Path]) -> None:
    Path("big.pt").write_bytes(b"one")
    request = ExplainRequest(
        images=(Path("a.png"),), classifier="scenes", methods=("mp2-descent",), final="lama:big.pt"
    )
    job = explaining(request, print)
    before = identity(job, Path("a.png"))
    assert identity(explaining(replace(request, final="gray"), print), Path("a.png")) != before
    assert identity(job, Path("a.png")) == before
    Path("big.pt").write_bytes(b"three")
    assert identity(job, Path("a.png")) != before


def test_what_was_explained_with_another_library_is_explained_again(
    run: Run, photographs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = explaining(ExplainRequest(images=(Path("a.png"),), classifier="scenes"), print)
    before = identity(job, Path("a.png"))
    known = importlib.metadata.version
    monkeypatch.setattr(
        "importlib.metadata.version", lambda name: known(name) + "x" * (name == "torchvision")
    )
    assert identity(job, Path("a.png")) != before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_name_that_is_no_text_stops_nothing(run: Run, photographs: list[Path]) -> None:
    odd = Path(os.fsdecode(b"caf\xe9.png"))
    try:
        odd.write_bytes(photographs[0].read_bytes())
    except OSError as error:
        pytest.skip(f"this file system has no such names ({error})")
    said = run(odd, photographs[1], *SMALL)
    assert said.code == 0, said.err
    assert "caf\ufffd" in said.out
    assert {path.parent.name for path in Path("infill-out").glob("*/explain.json")} == {"caf\ufffd", "b"}


def test_traces_of_a_former_result_go_with_it(run: Run) -> None:
    asked = ("--scene", 1, "--filler", "gray", "--set", "mp2.cells=4", "--method", "mp2")
    assert run(*asked, "--trace").code == 0
    Path("infill-out/trace.gif").write_text("somebody's own")
    assert [path.name for path in Path("infill-out").glob("trace-*.gif")] == ["trace-mp2-gray.gif"]
    assert run(*asked).code == 0
    assert [path.name for path in Path("infill-out").glob("*.gif")] == ["trace.gif"]


def test_one_alone_is_always_done(run: Run, photographs: list[Path]) -> None:
    for _ in range(2):
        assert "done before" not in run(photographs[0], *SMALL).out


@pytest.mark.parametrize("command", ["explain", "counterfactual"])
def test_a_bad_image_is_told_at_the_end(command: str, run: Run, photographs: list[Path]) -> None:
    Path("b.png").write_text("no image")
    quick = SMALL if command == "explain" else QUICK
    said = run(*photographs, *quick, command=command)
    assert said.code == 1
    last = said.err.splitlines()[-1]
    assert last.startswith(
        "infill: 1 of 3 images could not be explained: b.png: image: b.png is not an image"
    )
    assert {path.parent.name for path in Path("infill-out").glob(f"*/{command}.json")} == {"a", "c"}
    again = run(*photographs, *quick, command=command)
    assert again.out.count("done before") == 2
    assert again.code == 1


def test_strict_stops_before_any_work(run: Run, photographs: list[Path]) -> None:
    Path("c.png").write_text("no image")
    refused(run(*photographs, *SMALL, "--strict"), "image: c.png is not an image")


def test_killed_in_the_middle_it_goes_on(run: Run, photographs: list[Path], tmp_path: Path) -> None:
    slow = """
import time
from dataclasses import replace
from infill import Gray
real = Gray.__call__
def fill(self, image, hole, generator=None):
    from pathlib import Path
    if Path("infill-out/a/explain.json").exists():
        Path("filling").touch()
        time.sleep(60)
    return real(self, image, hole, generator)
Gray.__call__ = fill
from studio.cli.main import main
main()
"""
    command = [sys.executable, "-c", slow, "explain", *map(str, photographs), *SMALL]
    root = Path(__file__).resolve().parents[3]
    job = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)})
    try:
        deadline = time.monotonic() + 120
        while not Path("filling").exists():
            assert time.monotonic() < deadline
            assert job.poll() is None
            time.sleep(0.1)
        said = run(*photographs, *SMALL)
        refused_line = (
            "infill: --out: another command is writing to infill-out; give another folder, or wait\n"
        )
        assert (said.code, said.err) == (2, refused_line)
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert list(Path("infill-out").glob(".unfinished-*")), "nobody could clean up"
    said = run(*photographs, *SMALL)
    assert said.code == 0, said.err
    assert said.out.count("done before") == 1
    assert sorted(path.name for path in Path("infill-out").iterdir()) == ["a", "b", "c"]


def test_a_folder_belongs_to_one_job(tmp_path: Path) -> None:
    out, refusal = tmp_path / "out", "another command is writing to"
    with output_folder(out):
        with pytest.raises(ValueError, match=refusal), output_folder(out):
            pass
        with output_folder(tmp_path / "other"):
            pass
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    FileLock(tmp_path / "out" / ".infill.lock").acquire().lock.release()
    with output_folder(tmp_path / "out") as folder:
        folder.publish({"x.txt": lambda path: path.write_text("x")})
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.txt"]


def test_a_file_in_the_place_of_an_images_folder_is_told_before_any_work(
    run: Run, photographs: list[Path]
) -> None:
    Path("infill-out").mkdir()
    Path("infill-out/a").touch()
    said = run(*photographs[:2], *SMALL)
    assert said.code == 2
    assert said.err.startswith("infill: --out: cannot write to infill-out/a, which is a file")
    assert [path.name for path in Path("infill-out").iterdir()] == ["a"]


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(OSError, match=r"No space left on device: '.*x\.txt'"),
        output_folder(tmp_path) as folder,
    ):
        folder.publish({"x.txt": full})


def test_a_photograph_needs_a_classifier(run: Run, photographs: list[Path]) -> None:
    refused(
        run(photographs[0]),
        "a photograph needs one, as in: infill explain a.png --classifier mobilenet_v2 (fetches 14 MB",
    )
    place = Path("torch/hub/checkpoints/mobilenet_v2-7ebf99e0.pth")
    place.parent.mkdir(parents=True)
    place.touch()
    lines: list[str] = []
    asked = ExplainRequest(images=photographs)
    assert with_classifier(asked, lines.append).classifier == "mobilenet_v2"
    assert lines == ["classifier: mobilenet_v2, whose weights are here (--classifier names another)"]
    assert with_classifier(ExplainRequest(), lines.append).classifier == "scenes"
    weights = ExplainRequest(images=photographs, weights=Path("w.pt"))
    assert with_classifier(weights, lines.append) == weights


def test_a_name_with_a_line_break_stays_on_its_line(run: Run, photographs: list[Path]) -> None:
    odd = photographs[0].rename("a\nb.png")
    said = run(odd, *SMALL)
    assert said.code == 0, said.err
    assert len(said.out.splitlines()) == 3
    assert said.out.startswith("a b.png, 400 x 280: ")
    assert json.loads(Path("infill-out/explain.json").read_text("utf-8"))["image"]["file"] == "a\nb.png"
