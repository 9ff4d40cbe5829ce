"""One word for a filler, its weights and its settings."""

import json
from pathlib import Path

import pytest
from command import refused, runner, undrawn
from hypothesis import given
from hypothesis import strategies as st

from studio.registry.parse import parse_device, parse_selection, split_fillers

FORMS = {
    "gray": ("gray", ()),
    "gray@color=0,0.5,1": ("gray", ("gray.color=0,0.5,1",)),
    "lama:big-lama.pt": ("lama", ("lama.checkpoint=big-lama.pt",)),
    "sd:C:\\models\\sd": ("sd", ("sd.checkpoint=C:\\models\\sd",)),
    "sd:runway/inpainting@steps=20,guidance=7.5,prompt=an empty street, at night": (
        "sd",
        (
            "sd.checkpoint=runway/inpainting",
            "sd.steps=20",
            "sd.guidance=7.5",
            "sd.prompt=an empty street, at night",
        ),
    ),
}


@pytest.mark.parametrize("text", FORMS)
def test_a_word_is_taken_apart(text):
    name, settings = FORMS[text]
    assert split_fillers([text]) == ((name,), settings)


def test_several_keep_their_order_and_equal_ones_are_one():
    assert split_fillers(["blur@sigma=5", "gray", "blur@sigma=5"]) == (("blur", "gray"), ("blur.sigma=5",))


@pytest.mark.parametrize("text", ["", ":x", "@a=1", "gray@", "gray:", "gray@sigma", "gray@=3", "gray@sigma="])
def test_other_forms_are_refused(text):
    with pytest.raises(ValueError, match="--filler: expected NAME") as caught:
        split_fillers([text])
    assert repr(text) in str(caught.value)


def test_one_name_has_one_checkpoint():
    with pytest.raises(ValueError, match="lama can be had with one checkpoint"):
        split_fillers(["lama:a.pt", "lama:b.pt"])


def test_a_setting_of_a_fillers_name_is_not_given_otherwise_beside_it():
    assert parse_selection(["blur@sigma=5"], ["blur.sigma=5", "blur.levels=2"]).settings == {
        "blur": {"sigma": "5", "levels": "2"}
    }
    with pytest.raises(ValueError, match=r"--set blur\.sigma=20: blur\.sigma=5 was given with --filler"):
        parse_selection(["blur@sigma=5"], ["blur.sigma=20"])


@pytest.mark.parametrize("name", ["cuda:99", "hpu", "privateuseone", "meta", "gpu"])
def test_a_device_that_is_not_here_is_refused(name):
    with pytest.raises(ValueError, match=f"--device: '{name}' cannot be used here; try cpu"):
        parse_device(name)


_WORD = st.text("abcxyz_", min_size=1, max_size=6)
_VALUE = st.text(st.characters(codec="ascii", exclude_characters="@=,"), min_size=1, max_size=8).filter(
    str.strip
)


@given(_WORD, st.none() | _VALUE, st.dictionaries(_WORD, _VALUE, max_size=3))
def test_what_is_put_together_is_taken_apart(name, checkpoint, fields):
    text = name + (f":{checkpoint}" if checkpoint else "")
    text += "@" * bool(fields) + ",".join(f"{key}={value}" for key, value in fields.items())
    given = [("checkpoint", checkpoint)] * bool(checkpoint) + list(fields.items())
    assert split_fillers([text]) == ((name,), tuple(f"{name}.{key}={value}" for key, value in given))


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
        ("blur:x.pt", "unknown field of blur 'checkpoint'"),
        ("blur@", "--filler: expected NAME[:CHECKPOINT]"),
    ],
)
def test_what_cannot_be_understood_is_said_in_a_line(word, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, data in (("explain", ()), ("realism", ("scenes:1",)), ("counterfactual", ())):
        refused(runner(capsys, command)(*data, "--filler", word), message)
