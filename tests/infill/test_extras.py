"""Every library is the core's or an extra's; one that is missing is named with the command that brings it."""

import ast
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infill.extras import DISTRIBUTION, EXTRAS, missing, optional, require_extra
from infill.realism.similarity import ms_ssim

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGES = ("infill", "attribution", "models", "studio")
IMPORTED_AS = {
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "pypatchmatch": "patchmatch",
    "grad-cam": "pytorch_grad_cam",
}
OF_THE_USER = {"quantus"}
"""Whoever comes from it has it."""


def libraries(requirements: list[str]) -> set[str]:
    """The names under which requirements are imported."""
    names = {re.split(r"[\[<>=~! ;]", each)[0] for each in requirements}
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def imported(source: str) -> set[str]:
    """The top-level names that a file imports, at its top or later."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return {name.partition(".")[0] for name in found}


def test_the_extras_are_those_of_the_project() -> None:
    declared = PROJECT["optional-dependencies"]
    assert PROJECT["name"] == DISTRIBUTION
    assert {extra: libraries(needs) for extra, needs in declared.items() if extra in EXTRAS} == {
        extra: set(names) for extra, names in EXTRAS.items()
    }
    every = re.fullmatch(rf"{DISTRIBUTION}\[(.*)\]", *declared["all"])
    assert every
    assert set(every[1].split(",")) == declared.keys() - {"all"}


def test_what_is_imported_is_declared() -> None:
    core = libraries(PROJECT["dependencies"])
    of_extras = {library for names in EXTRAS.values() for library in names}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            strange = imported(path.read_text("utf-8")) - sys.stdlib_module_names - {*PACKAGES}
            assert strange <= core | of_extras | OF_THE_USER, path


def test_the_core_is_lean() -> None:
    assert not libraries(PROJECT["dependencies"]) & {name for names in EXTRAS.values() for name in names}


def test_what_is_there_is_imported() -> None:
    assert optional("json", "nobody").dumps([1]) == "[1]"


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, image: Any) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    with pytest.raises(ValueError, match="MS-SSIM") as caught:
        ms_ssim(image.new_zeros(1, 3, 161, 161), image.new_zeros(1, 3, 161, 161))
    assert str(caught.value) == (
        "MS-SSIM needs pytorch_msssim, which is not installed: pip install 'infill-attribution[realism]'"
    )


def test_one_that_is_broken_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lpips.py").write_text("import no_such_library_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "lpips", raising=False)
    with pytest.raises(
        ValueError, match=r"LPIPS needs lpips, which cannot be imported \(No module named 'no_"
    ):
        optional("lpips", "LPIPS")


def test_all_that_an_extra_lacks_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra("realism", "it")
    for library in ("lpips", "pyarrow"):
        monkeypatch.setitem(sys.modules, library, None)
    assert missing("realism") == ["lpips", "pyarrow"]
    with pytest.raises(ValueError, match="it needs lpips, pyarrow, which are not installed: pip install "):
        require_extra("realism", "it")
    with pytest.raises(ValueError, match="it needs pyarrow, which is not installed: pip install "):
        require_extra("evaluate", "it")
