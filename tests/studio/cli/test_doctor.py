"""``infill doctor`` ends well wherever it can say what is amiss, also where torch is broken."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import Run, runner

from studio import version
from studio.doctor import packages, run


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``infill doctor``."""
    return runner(capsys, "doctor")


def test_a_whole_installation_is_told_line_by_line(
    doctor: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(packages, "_faults", lambda modules: dict.fromkeys(modules, ""))
    monkeypatch.setenv("INFILL_HOME", str(tmp_path))
    (tmp_path / "big-lama.pt").write_bytes(bytes(2_000_000))
    said = doctor()
    assert (said.code, said.err) == (0, "")
    lines = dict(
        line.split("  ", 1) for line in said.out.splitlines() if not line.startswith(("cache", "device"))
    )
    told = {thing: rest.strip() for thing, rest in lines.items()}
    assert told["infill"].startswith(f"{version()} in ")
    assert "torch " in told["core"]
    assert told["weights that ship"] == "all 3 are here"
    assert told["weights sd"].endswith("-> infill weights fetch sd")
    assert " times as fast as the other" in told["precision"]
    assert {"threads", "instructions", "network", "extra hub", "extra ray"} <= told.keys()
    assert f"{tmp_path}: 1 files, 2 MB, " in said.out


def test_a_broken_torch_is_said_and_the_rest_is_told(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libtorch_cpu.so: no such file\\nmore')")
    source = "from studio.cli.main import main; main(['doctor'])"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("infill: infill cannot work here: torch ")
    assert done.stderr.count("\n") == 1
    assert (
        " cannot be imported (OSError: libtorch_cpu.so: no such file) -> pip install --force-reinstall"
        in done.stdout
    )
    assert "weights that ship      all 3 are here" in done.stdout
    assert "precision" not in done.stdout
    assert "numpy" not in done.stdout


def test_a_check_that_fails_is_a_line(monkeypatch: pytest.MonkeyPatch, doctor: Run) -> None:
    def fails() -> None:
        raise RuntimeError("no kernel\nat all")

    monkeypatch.setattr(packages, "_faults", lambda modules: dict.fromkeys(modules, ""))
    monkeypatch.setattr(run.machine, "precision", fails)
    said = doctor()
    assert said.code == 1
    assert "torch                  fails here (RuntimeError: no kernel)" in said.out
