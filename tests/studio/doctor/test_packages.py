"""Libraries that are missing, too old or broken are told apart, each with its remedy."""

import re
import sys
from pathlib import Path

import pytest

from studio.doctor import packages


def test_a_library_that_ends_python_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "abrupt.py").write_text("import os; os._exit(139)")
    (tmp_path / "broken.py").write_text("raise ImportError('libGL.so.1: no such file\\nmore')")
    (tmp_path / "noisy.py").write_text("import os; print('hello'); os.system('echo from a library')")
    monkeypatch.syspath_prepend(tmp_path)
    assert packages._faults(["json", "noisy", "broken", "abrupt", "re"]) == {
        "json": "",
        "noisy": "",
        "broken": "ImportError: libGL.so.1: no such file",
        "abrupt": "it ended Python (code 139)",
        "re": "",
    }


def test_one_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "endless.py").write_text("import time; time.sleep(60)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(packages, "_PATIENCE", 1)
    assert packages._faults(["json", "endless"]) == {"json": "", "endless": "it takes more than 1 s"}


def test_missing_old_and_broken_ones_have_their_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"no-such-package": ">=2", "numpy": ">=999", "scipy": ">=1", "click": ">=8"}
    faults = {"no_such_package": "ModuleNotFoundError: no", "scipy": "ImportError: luck"}
    monkeypatch.setattr(packages, "_wanted", lambda extra="": wanted)
    monkeypatch.setattr(packages, "_faults", lambda modules: {**dict.fromkeys(modules, ""), **faults})
    lines = packages.core()
    assert all(line.broken for line in lines)
    said = "\n".join(map(str, lines))
    assert "no-such-package is missing -> pip install 'no-such-package>=2'" in said
    assert " is not >=999 -> pip install 'numpy>=999'" in said
    assert " cannot be imported (ImportError: luck) -> pip install --force-reinstall 'scipy>=1'" in said
    assert "click" not in said


def test_the_core_is_what_the_package_requires() -> None:
    wanted = packages._wanted()
    assert wanted["torch"] == ">=2.6"
    assert "lpips" not in wanted


def test_an_extra_that_lacks_a_library_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    told = {line.thing: line for line in packages.extras()}
    assert told["extra realism"].state == "lacks lpips"
    assert told["extra realism"].remedy == "pip install 'infill-attribution[realism]'"
    assert not told["extra hub"].remedy
    assert "unknown version" not in "".join(line.state for line in told.values())


def test_an_extra_of_a_version_that_will_not_do_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"gradio": ">=999", "jinja2": ">=3", "no-such-package": ">=1"}
    monkeypatch.setattr(packages, "_wanted", lambda extra="": wanted if extra == "web" else {})
    told = {line.thing: line for line in packages.extras()}
    assert re.fullmatch(r"gradio [\d.]+ is not >=999", told["extra web"].state)
    assert told["extra web"].remedy == "pip install 'infill-attribution[web]'"
    assert not told["extra evaluate"].remedy


def test_plugins_are_told_and_what_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    info = tmp_path / "toy-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[infill.fillers]\npink = no_such_module:Pink\n[infill.metrics]\nx = json:dumps\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    first, second = packages.plugins(frozenset())
    assert str(first) == "plugin                 toy 1.2: filler pink, metric x"
    assert "filler 'pink' of toy 1.2 is left out: cannot import no_such_module:Pink" in second.state
    assert second.remedy
