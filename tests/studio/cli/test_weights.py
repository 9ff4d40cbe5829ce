"""``infill weights``: what it lists, fetches, verifies and says."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command import Run, Said, refused, runner

from models.weights import catalog, store
from models.weights.catalog import CATALOG, CatalogEntry
from studio.cli import names
from studio.registry.tables import PRETRAINED

CONTENT = b"weights" * 1000


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill weights`` with three known files of this machine, one of which is missing."""
    monkeypatch.chdir(tmp_path)
    for name in ("INFILL_HOME", "TORCH_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("INFILL_OFFLINE", raising=False)
    source = tmp_path / "source.pt"
    source.write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    one = CatalogEntry(
        "one", "one.pt", "infill", len(CONTENT), digest, "MIT", (source.as_uri(),), "https://a", "filler one"
    )
    rows = (
        one,
        replace(one, name="two", file="two.pt", size=None, sha256=None, kept="torch"),
        replace(one, name="three", file="three.pt", urls=((tmp_path / "missing.pt").as_uri(),)),
        replace(one, name="four", file="a/model", kept="hub"),
    )
    monkeypatch.setattr(catalog, "CATALOG", {row.name: row for row in rows})
    inner = runner(capsys, "weights")

    def weights(*arguments: object) -> Said:
        return inner(*arguments)

    return weights


def test_the_list_names_what_is_here_and_what_is_missing(run: Run) -> None:
    assert run("fetch", "one").code == 0
    said = run("list")
    assert (said.code, said.err) == (0, "")
    one, about, two = said.out.splitlines()[:3]
    assert one.split() == ["one", "here", "0.0", "MB", "filler", "one"]
    assert two.split()[:4] == ["two", "missing", "size", "unknown"]
    assert about.strip() == "one.pt; license MIT; https://a"


def test_every_row_is_listed_without_torch(tmp_path: Path) -> None:
    code = "\n".join(
        [
            "import sys; from studio.cli.main import main",
            "try: main(['weights', 'list'])",
            "finally: print('torch' in sys.modules)",
        ]
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines()[-1] == "False"
    for row in CATALOG.values():
        assert row.file in said.stdout
        assert row.license in said.stdout


def test_files_are_fetched_and_verified(run: Run, tmp_path: Path) -> None:
    said = run("fetch", "one", "two")
    assert said.code == 0, said.err
    one, two = tmp_path / "INFILL_HOME" / "one.pt", tmp_path / "TORCH_HOME/hub/checkpoints/two.pt"
    unpublished = "not verified: no published hash; unchanged since it was fetched"
    assert said.out.splitlines() == [f"one: {one}; ok: SHA-256", f"two: {two}; {unpublished}"]
    assert said.err == ""
    assert one.read_bytes() == two.read_bytes() == CONTENT
    assert run("fetch", "one").out == f"one: already at {one}; ok: SHA-256\n"
    assert run("verify").out.splitlines() == ["one: ok: SHA-256", f"two: {unpublished}"]
    assert run("verify", "two").out == f"two: {unpublished}\n"


def test_damage_ends_in_one_line_after_the_rest_is_verified(run: Run, tmp_path: Path) -> None:
    run("fetch", "one", "two")
    (tmp_path / "INFILL_HOME" / "one.pt").write_bytes(CONTENT[::-1])
    said = run("verify")
    assert said.code == 2
    assert said.out.startswith("two: not verified")
    assert said.err.startswith("infill: weights: ")
    assert "one.pt is damaged" in said.err
    assert said.err.count("\n") == 1
    refused(run("fetch", "one"), "delete it and fetch it again")


def test_nothing_here_is_said(run: Run) -> None:
    said = run("verify")
    assert (said.code, said.out) == (0, "no known weights are here; see `infill weights list`\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "three"), "; get it elsewhere and put it to "),
        (("fetch", "one", "tow"), "unknown name 'tow'; did you mean 'two'?"),
        (("verify", "one"), "one.pt is not here; get it from file://"),
        (("where", "deepfill-v1"), "weights: deepfill-v1 has none to fetch: the authors'"),
        (("where", "nothing"), "unknown name 'nothing'; known: one, two, three, four, and torchvision's"),
        (("fetch",), "Missing argument 'NAME...'"),
        (("fetsh",), "No such command 'fetsh'"),
    ],
)
def test_what_is_wrong_ends_in_one_line(
    arguments: tuple[str, ...], message: str, run: Run, tmp_path: Path
) -> None:
    refused(run(*arguments), message)
    assert not list(tmp_path.rglob("one.pt"))


def test_offline_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    refused(run("fetch", "one"), "INFILL_OFFLINE forbids")


def test_where_things_are(run: Run, tmp_path: Path) -> None:
    said = run("where").out.splitlines()
    assert said[0] == f"{tmp_path / 'INFILL_HOME'} (infill's own; INFILL_HOME moves it)"
    assert "TORCH_HOME/hub/checkpoints (torchvision's, kept by torch hub" in said[1]
    assert "HF_HUB_CACHE (the hub's, kept by huggingface_hub" in said[2]
    assert run("where", "one").out == f"{tmp_path / 'INFILL_HOME' / 'one.pt'} (missing)\n"
    run("fetch", "one")
    assert run("where", "one").out.endswith("one.pt (here)\n")
    assert run("where", "two").out.endswith("two.pt (missing, kept by torch hub)\n")
    assert run("where", "four").out.endswith("models--a--model (missing, kept by huggingface_hub)\n")


def test_networks_of_torchvision_go_by_their_names(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "TORCH_HOME/hub/checkpoints"
    for name, file in {
        "resnet18": "resnet18-f37072fd.pth",
        "deeplabv3_resnet50": "deeplabv3_resnet50_coco-cd0a2569.pth",
    }.items():
        assert run("where", name).out == f"{folder / file} (missing, kept by torch hub)\n"
        monkeypatch.setenv("INFILL_OFFLINE", "1")
        refused(run("fetch", name), f"{file} (https://download.pytorch.org/models/{file}) is not here, and")
        refused(run("verify", name), f"{file} is not here; get it from https://download.pytorch.org/models/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(CONTENT)
        assert run("where", name).out == f"{folder / file} (here, kept by torch hub)\n"
        refused(run("verify", name), f"{file} is damaged, or another file")
    assert run("list").out.endswith("are known by their names, such as resnet18.\n")


def test_the_lists_tell_what_is_here(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``infill list`` speaks of the same rows as ``infill weights list``, and of torchvision's files."""
    monkeypatch.setattr(catalog, "CATALOG", CATALOG)
    hub = tmp_path / "HF_HUB_CACHE"
    places = {row.name: store.location(row.name) for row in CATALOG.values() if row.kept != "hub"}
    for name, row in CATALOG.items():
        assert f"{name:15} missing" in run("list").out
        if row.kept == "hub":
            here = hub / f"models--{row.file.replace('/', '--')}"
            for part in row.parts:
                (here / "snapshots" / "abc" / part).mkdir(parents=True)
                (here / "snapshots" / "abc" / part / "it.safetensors").write_bytes(b"")
                (here / "snapshots" / "abc" / part / "config.json").write_text("{}")
            (here / "snapshots" / "abc" / "model_index.json").write_text("{}")
            (here / "refs").mkdir()
            assert f"{name:15} missing" in run("list").out
            (here / "refs" / "main").write_text("abc")
            places[name] = here / "snapshots" / "abc"
        else:
            places[name].parent.mkdir(parents=True, exist_ok=True)
            places[name].write_bytes(b"")
        assert f"{name:15} here" in run("list").out
    lines = list(names.lines(every=True))
    for entry in PRETRAINED.values():
        if entry.weights:
            assert f"  {'':15} weights present: {places[entry.weights]}" in lines
    assert f"  {'':15} weights present: {places['places365']}" in lines
    assert f"  {'resnet50':31} present  resnet50-11ad3fa6.pth" in lines
    assert f"  {'resnet18':31} missing  resnet18-f37072fd.pth" in lines
    for name in ("lama", "mae", "places365", "resnet50"):
        shutil.rmtree(places[name]) if places[name].is_dir() else places[name].unlink()
    lines = list(names.lines(every=True))
    for name in ("lama", "mae", "places365"):
        assert f"  {'':15} weights missing: `infill weights fetch {name}`" in lines
    assert f"  {'resnet50':31} missing  resnet50-11ad3fa6.pth" in lines


def test_a_terminal_sees_a_bar(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    said = run("fetch", "one")
    assert "one.pt: 100%" in said.err
    assert "7.00k/7.00k" in said.err
