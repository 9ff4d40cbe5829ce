"""Running the command line inside a test."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from PIL import Image

from models import scenes
from studio.cli.main import main


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]


def runner(capsys: pytest.CaptureFixture[str], usual: str = "explain") -> Run:
    """Runs ``infill`` in the working folder, with the usual command or another."""

    def run(*arguments: object, command: str = usual) -> Said:
        try:
            main([command, *map(str, arguments)])
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return Said(code, *capsys.readouterr())

    return run


def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a blank picture, for tests that do not look at it: drawing takes most of a small job."""

    def blank(_: object, path: Path) -> None:
        Image.new("RGB", (1, 1)).save(path)

    for command in ("explain", "counterfactual"):
        monkeypatch.setattr(f"studio.explain.{command}.draw", blank)


def saved_photograph(folder: Path) -> Path:
    """A scene on a wider canvas, in another size than the classifier's."""
    scene = scenes.draw(6).image
    wide = torch.nn.functional.pad(scene, (40, 60), value=0.4)
    pixels = (wide.permute(1, 2, 0) * 255).round().byte().numpy()
    path = folder / "photo.png"
    Image.fromarray(pixels).resize((400, 280)).save(path)
    return path


def refused(said: Said, message: str) -> None:
    """Check for exit code 2, one line on stderr, nothing on stdout, and no new file."""
    assert message in said.err
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert said.err.startswith("infill: ")
    assert said.out == ""
    assert not Path("infill-out").exists()
