"""Other packages add names by entry points; what is wrong with one is told in a line, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.classifiers import load_classifier
from models.classifiers.custom import as_classifier
from models.scenes import draw
from studio.registry import added
from studio.registry.plugins import PluginWarning

ROOT = Path(__file__).resolve().parents[3]
GUIDE = (ROOT / "docs" / "plugins.md").read_text("utf-8")
(PROJECT,), (SOURCE,) = (
    re.findall(rf"```{kind}\n(.*?)```", GUIDE, flags=re.DOTALL) for kind in ("toml", "python")
)
OURS = frozenset({"gray", "sp", "pointing"})

Installed = Callable[..., None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Installs a package of one module, with entry points ``group: {name: object}``."""

    def install(source: str, package: str = "toy", **points: dict[str, str]) -> None:
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [
            f"[infill.{group}]\n" + "".join(f"{k} = {v}\n" for k, v in each.items())
            for group, each in points.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        (tmp_path / f"{package}_module.py").write_text(source)
        monkeypatch.delitem(sys.modules, f"{package}_module", raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    added.classifiers.cache_clear()
    added.metrics.cache_clear()
    yield install
    added.classifiers.cache_clear()
    added.metrics.cache_clear()


FILLER = """
from dataclasses import dataclass
from typing import ClassVar
@dataclass(frozen=True)
class Pink:
    '''All pink.

    More of it.'''
    shade: float = 0.5
    source: ClassVar[str] = "Nobody 2020"
    per_hole: ClassVar[bool] = False
    sees_hidden: ClassVar[bool] = False
    stochastic: ClassVar[bool] = False
    def __call__(self, image, hole, generator=None): ...
@dataclass
class Searching:
    composites: int = 3
    quick: ClassVar[dict] = {"composites": 1}
    def optimize(self, score, watch=None): ...
    def __call__(self, score): ...
"""


def test_a_row_says_what_the_class_says_of_itself(installed: Installed) -> None:
    installed(FILLER, fillers={"pink": "toy_module:Pink"}, methods={"searching": "toy_module:Searching"})
    row = added.fillers(OURS)["pink"]
    assert (row.summary, row.source, row.origin) == ("All pink", "Nobody 2020", "toy 1.2")
    assert row.settings()["shade"] == (0.5, "a number")
    sampling, optimizing = added.methods(OURS)
    assert not sampling
    assert optimizing["searching"].quick == {"composites": 1}


def test_without_plugins_there_is_nothing() -> None:
    assert added.fillers(OURS) == {}
    assert added.methods(OURS) == ({}, {})


NO_DEFAULT = FILLER.replace("shade: float = 0.5", "shade: float")
BROKEN = {
    "fails": ("raise RuntimeError('no\\nluck')", "pink", r"cannot import \S+:Pink \(RuntimeError: no\)"),
    "exits": ("import sys; sys.exit(3)", "pink", r"cannot import toy_module:Pink \(SystemExit: 3\)"),
    "lacks the object": ("x = 1", "pink", r"cannot import toy_module:Pink \(AttributeError: "),
    "ours": (FILLER, "gray", "infill itself has that name"),
    "name": (FILLER, "Pink:er", "expected a name of small letters, digits, - and _"),
    "no class": ("Pink = 3", "pink", "expected the class of a filler, a dataclass, got 3"),
    "no filler": (FILLER.replace("stochastic", "random"), "pink", "Pink is not a filler: it has no sto"),
    "no default": (NO_DEFAULT, "pink", r"Pink\.shade has no default"),
    "strange types": (FILLER.replace("shade: float", "shade: 'No'"), "pink", "the types of its settings can"),
    "quick of nothing": (
        FILLER.replace("class Pink:", "class Pink:\n    quick = {'samplez': 5}"), "pink",
        "quick names 'samplez', which is none of its settings",
    ),
    "strange source": (FILLER.replace('"Nobody 2020"', "2020"), "pink", "expected source to be of type str"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "name", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_told_in_a_line_and_left_out(
    source: str, name: str, reason: str, installed: Installed
) -> None:
    installed(source, fillers={name: "toy_module:Pink"})
    with pytest.warns(PluginWarning, match=rf"filler '{name}' of toy 1.2 is left out: {reason}") as told:
        assert added.fillers(OURS) == {}
    assert len(told) == 1
    assert "\n" not in str(told[0].message)


def test_of_two_packages_with_one_name_the_first_keeps_it(installed: Installed) -> None:
    installed(FILLER, "alpha", fillers={"pink": "alpha_module:Pink"})
    installed(FILLER, "beta", fillers={"pink": "beta_module:Pink", "rose": "beta_module:Pink"})
    with pytest.warns(PluginWarning, match="'pink' of beta 1.2 is left out: alpha 1.2 has that name"):
        rows = added.fillers(OURS)
    assert {name: row.origin for name, row in rows.items()} == {"pink": "alpha 1.2", "rose": "beta 1.2"}


def test_a_torchvision_network_keeps_its_name(installed: Installed) -> None:
    installed(
        "def load(place, weights): ...",
        classifiers={"resnet18": "toy_module:load", "mine": "toy_module:load"},
    )
    with pytest.warns(PluginWarning, match="classifier 'resnet18' of toy 1.2 is left out: infill itself has"):
        assert list(added.classifiers()) == ["mine"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", r"mine \(toy 1.2\) must return a module or a callable, got int"),
        ("raise KeyError(place)", r"mine \(toy 1.2\) fails \(KeyError: 'here:there'\)"),
        ("raise ValueError('no ' + place)", "mine: no here:there"),
    ],
)
def test_what_a_classifiers_source_does_wrong_is_one_line(body: str, said: str, installed: Installed) -> None:
    installed(f"def load(place, weights):\n    {body}", classifiers={"mine": "toy_module:load"})
    with pytest.raises(ValueError, match=f"classifier: {said}"):
        load_classifier("mine:here:there", None, added.loaders())


METRIC = """
def blue(explained): return explained
def red(explained, filler): raise KeyError(filler)
red.removes, red.needs, red.better = True, "region", "lower"
def odd(explained): ...
odd.needs = "luck"
"""


def test_a_metric_says_what_it_needs_and_finds_a_number(installed: Installed) -> None:
    installed(METRIC, metrics={name: f"toy_module:{name}" for name in ("blue", "red", "odd")})
    with pytest.warns(
        PluginWarning, match="metric 'odd' of toy 1.2 is left out: expected needs to be one of"
    ):
        found = added.metrics(OURS)
    blue, red = found["blue"], found["red"]
    assert (red.removes, red.needs, red.better, blue.better, blue.of) == (
        True,
        "region",
        "lower",
        "neither",
        "heatmap",
    )
    assert blue.value(torch.tensor(0.25), "") == 0.25
    with pytest.raises(ValueError, match=r"expected a finite number, got nan"):
        blue.value(float("nan"), "")
    with pytest.raises(ValueError, match=r"fails \(KeyError: 'gray'\)"):
        red.value(None, "gray")


def test_all_metrics_of_infill_have_their_column() -> None:
    from studio.evaluate.metrics import METRICS
    from studio.report import figures

    assert set(METRICS) == figures.OURS


RUNS = """
import sys
from studio.cli.main import main
for line in sys.stdin:
    try:
        main(line.split())
    except SystemExit as ended:
        if ended.code:
            raise
    print("===", flush=True)
"""
QUICK = "--set sp.stride=112 --no-baselines --metric concentration --out run"


def test_the_guides_package_adds_its_names_to_every_command(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "toy" / "infill_toy.py").write_text(SOURCE)
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    install = ["pip", "install", "-q", "--no-deps", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([uv, *install, "--target", str(tmp_path / "site"), str(tmp_path / "toy")], check=True)
    commands = [
        "list --long",
        "explain --scene 3 --method quarters --filler mirror@axis=vertical --classifier brightness",
        f"evaluate scenes:1 --method sp --filler mirror@axis=vertical {QUICK}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUNS],
        input="\n".join(commands),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'site'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    listed, explained, evaluated, _ = done.stdout.split("===\n")
    for said in (
        "mirror          The picture, mirrored [infill-toy 1.2]",
        "mirror.axis=horizontal: 'horizontal' or 'vertical'",
        "quarters        The fall of the score without each quarter (your paper, 2027) [infill-toy 1.2]",
        "brightness      Tells dark images from bright ones [infill-toy 1.2]",
        "concentration     Share of the heatmap that its strongest tenth has [infill-toy 1.2]",
    ):
        assert said in listed
    assert re.search(r"(dark|bright), p = ", explained)
    assert re.search(r"concentration ↑", evaluated)
    said = json.loads((tmp_path / "infill-out" / "explain.json").read_text("utf-8"))
    assert said["versions"]["infill-toy"] == "1.2"
    settings = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))["settings"]
    assert settings["versions"]["infill-toy"] == "1.2"
    with np.load(tmp_path / "infill-out" / "heatmaps.npz") as heatmaps:
        assert heatmaps["quarters/mirror"][0, 0] == pytest.approx(fall_without_a_corner(), rel=1e-3)


def fall_without_a_corner() -> float:
    """How far the guide's classifier is less sure with a quarter from the image upside down."""
    names: dict[str, Any] = {}
    exec(SOURCE, names)
    classifier = as_classifier(names["Means"](), "toy")
    view = classifier.view(draw(3).image)
    changed = view.clone()
    changed[:, :48, :48] = view.flip(-2)[:, :48, :48]
    before, after = classifier(torch.stack([view, changed])).softmax(1)
    return float((before - after)[before.argmax()])
