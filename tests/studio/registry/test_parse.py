"""One word for a filler, its weights and its settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from command import refused, runner, undrawn

from studio.registry.parse import parse_device, parse_selection


def test_a_setting_of_a_fillers_name_is_not_given_otherwise_beside_it():
    assert parse_selection(["blur@sigma=5"], ["blur.sigma=5", "blur.levels=2"]).settings == {
        "blur": {"sigma": "5", "levels": "2"}
    }
    with pytest.raises(ValueError, match=r"--set blur\.sigma=20: blur\.sigma=5 was given with --filler"):
        parse_selection(["blur@sigma=5"], ["blur.sigma=20"])


def test_a_setting_holds_for_a_filler_in_all_of_its_settings():
    found = parse_selection(["blur@sigma=5", "blur", "gray"], ["blur.levels=3"])
    assert found.fillers == ("blur@sigma=5", "blur", "gray")
    assert found.settings == {"blur@sigma=5": {"sigma": "5", "levels": "3"}, "blur": {"levels": "3"}}
    with pytest.raises(ValueError, match=r"--set blur\.sigma=2: blur\.sigma=5 was given with --filler"):
        parse_selection(["blur@sigma=5", "blur"], ["blur.sigma=2"])
    with pytest.raises(ValueError, match=r"--set lime\.segments=4: lime is not used here"):
        parse_selection(["blur@sigma=5", "blur"], ["lime.segments=4"])
    with pytest.raises(ValueError, match="unknown filler 'blurr'"):
        parse_selection(["blurr@sigma=5", "blurr"], [])


def test_a_filler_is_not_given_twice_in_other_words():
    for fillers, more in (
        (["blur@sigma=5", "blur@sigma=5.0"], []),
        (["blur@sigma=5", "blur"], ["blur.sigma=5"]),
    ):
        with pytest.raises(
            ValueError, match=r"--filler: blur@sigma=5 and blur.* have the same settings; give one"
        ):
            parse_selection(fillers, more)


@pytest.mark.parametrize("name", ["cuda:99", "hpu", "privateuseone", "meta", "gpu"])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(ValueError, match=f"--device: '{name}' cannot be used here; try cpu"):
        parse_device(name)


def test_the_commands_understand_it(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    run = runner(capsys)
    quick = ("--scene", 1, "--method", "sp", "--set", "sp.stride=112")
    assert run(*quick, "--filler", "blur@sigma=5").code == 0
    word = json.loads(Path("infill-out/explain.json").read_text())
    assert word["fillers"]["blur"]["sigma"] == 5
    assert run(*quick, "--filler", "blur", "--set", "blur.sigma=5").code == 0
    assert json.loads(Path("infill-out/explain.json").read_text())["fillers"] == word["fillers"]
    assert run("scenes:1", "--filler", "gray@color=1,1,1", command="realism").code == 0
    told = json.loads(Path("infill-out/realism.json").read_text())
    assert told["settings"]["fillers"]["gray"]["set"] == {"color": "1,1,1"}


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("blur@colour=1", "unknown field of blur 'colour'"),
        ("blur@sigma=wide", "blur.sigma: expected a number, got 'wide'"),
        ("blur:x.pt", "blur:x.pt: blur has no checkpoint"),
        ("blur@", "--filler: expected NAME[:CHECKPOINT]"),
    ],
)
def test_what_cannot_be_understood_is_said_in_a_line(word, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, data in (("explain", ()), ("realism", ("scenes:1",)), ("counterfactual", ())):
        refused(runner(capsys, command)(*data, "--filler", word), message)


def test_commands_run_a_filler_in_several_settings(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    undrawn(monkeypatch)
    run, fillers = runner(capsys), ("--filler", "blur@sigma=1", "--filler", "blur@sigma=30")
    assert run("--scene", 1, "--method", "sp", "--set", "sp.stride=112", *fillers).code == 0
    told = json.loads(Path("infill-out/explain.json").read_text())
    assert {name: each["sigma"] for name, each in told["fillers"].items()} == {
        "blur@sigma=1": 1,
        "blur@sigma=30": 30,
    }
    with np.load("infill-out/heatmaps.npz") as maps:
        assert np.abs(maps["sp/blur@sigma=1"]).max() < np.abs(maps["sp/blur@sigma=30"]).max()
    assert run("scenes:1", *fillers, "--out", "real", command="realism").code == 0
    told = json.loads(Path("real/realism.json").read_text())
    assert told["settings"]["fillers"]["blur@sigma=30"]["set"] == {"sigma": "30"}
