"""The door: nothing is loaded before it is used, and strangers in its way are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import infill

ROOT = Path(__file__).resolve().parents[2]


def python(code: str, cwd: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_importing_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, time; begun = time.process_time()\n"
        "import infill\n"
        "assert time.process_time() - begun < 0.5\n"
        "assert {'explain', 'Gray', 'realism'} <= {*dir(infill)} | {'realism'}\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'studio', 'models'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "from infill import Gray\n"
        "assert 'torch' in sys.modules and not {'studio', 'models'} & set(sys.modules)\n"
    )
    done = python(code, tmp_path, ROOT)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there() -> None:
    for name in infill.__all__:
        assert getattr(infill, name).__name__.removeprefix("infill.") == name
        assert name in dir(infill)
    with pytest.raises(AttributeError, match="module 'infill' has no attribute 'explane'"):
        _ = infill.explane  # type: ignore[attr-defined]


@pytest.mark.parametrize("room", ["models", "attribution", "studio"])
def test_a_strangers_folder_of_the_same_name_is_told(room: str, tmp_path: Path) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "__init__.py").touch()
    told = (
        f"infill.explain: Python takes {tmp_path / room} for '{room}', a package of infill's own (in {ROOT})"
    )
    done = python("import infill; infill.explain", tmp_path, tmp_path, ROOT)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: {told}; start Python in another folder")
    done = python(f"import {room}, infill; infill.explain", tmp_path, tmp_path, ROOT)
    assert ", which is imported already" in done.stderr.strip().splitlines()[-1]


def test_a_folder_without_code_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    code = "import infill.door as door; door._require_ours('explain', 'models')"
    assert python(code, tmp_path, tmp_path, ROOT).returncode == 0
