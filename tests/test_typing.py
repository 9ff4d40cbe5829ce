"""A user's own code passes mypy --strict: everything public is typed, and the packages say so."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = """
from pathlib import Path

import numpy as np
from torch import nn

import infill
from attribution import SlidingPatch
from infill import Counterfactual, Explanation, Explanations, Gray


def explained(photo: Path, network: nn.Module) -> Explanation:
    return infill.explain(photo, network, target="fish", method=SlidingPatch(patch=41), filler=Gray(), seed=1)


def compared(photos: list[Path]) -> Explanations:
    return infill.explain(photos, "scenes", method=["sp", "lime"], filler="blur", batch_size=8)


def gone(pixels: np.ndarray) -> Counterfactual:
    return infill.counterfactual(pixels, lambda images: images.mean((2, 3)))


found = explained(Path("photo.jpg"), nn.Identity())
peak: float = found.heatmap.max().item()
label: str = found.target.label
chance: float = found.probability
saved: list[Path] = found.save("there")
error: np.ndarray | None = found.error
best = compared([Path("a.jpg")]).only(method="lime").heatmap
table: str = str(infill.evaluate("scenes:10", method="sp", filler=["gray", "blur"]))
rows = infill.realism("scenes:10", filler=Gray()).rows
classifier = infill.load_classifier(nn.Identity(), labels=["a", "b"])
"""
WRONG = """
import infill

found = infill.explain("photo.jpg", "scenes")
text: str = found.probability
found.heatmapp
infill.explain(3, "scenes")
infill.Grey()
"""


def checked(source: str, folder: Path) -> str:
    (folder / "user.py").write_text(source)
    # With the settings, and so the cache, of the packages' own check.
    command = [sys.executable, "-m", "mypy", "--strict", str(folder / "user.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_users_code_is_typed_and_what_is_wrong_in_it_is_found(tmp_path: Path) -> None:
    assert "Success: no issues found" in checked(EXAMPLE, tmp_path)
    said = checked(WRONG, tmp_path)
    assert said.count("error:") == 4, said
    for number in (5, 6, 7, 8):
        assert f"user.py:{number}: error:" in said


def test_the_packages_say_that_they_are_typed() -> None:
    for package in ("infill", "attribution", "models", "studio"):
        assert (ROOT / package / "py.typed").is_file()
