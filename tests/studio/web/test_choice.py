"""What a browser may ask for, and how a result is spelled for the shell and for Python."""

import ast
import shlex
from pathlib import Path

import pytest

from studio.web.choice import SKETCH, Choice, choice, request
from studio.web.networks import Networks, fillers
from studio.web.pictures import chosen
from studio.web.spelled import command, python


def test_a_first_look_is_quicker_and_own_settings_come_first() -> None:
    assert choice("scenes", "sp", "gray", sketch=True).settings == ("sp.stride=16",)
    assert choice("scenes", "sp", "gray").settings == ()
    own = choice("scenes", "sp", "gray", sketch=True, settings="sp.stride=40  sp.patch=41")
    assert own.settings == ("sp.stride=40", "sp.patch=41")


@pytest.mark.parametrize("method", SKETCH)
def test_every_first_look_is_one_that_the_command_takes(method: str) -> None:
    from studio.explain.explain import explaining

    asked = request(chosen("scene:1"), choice("scenes", method, "gray", sketch=True), Networks())
    assert explaining(asked, print).selection.settings.keys() == {method}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"method": "spp"}, "unknown method 'spp'; did you mean 'sp'"),
        ({"filler": "lama:/etc/passwd"}, "unknown filler"),
        ({"filler": "blur@sigma=5"}, "unknown filler"),
        ({"settings": "lama.checkpoint=/etc/passwd"}, "lama.checkpoint can be set on the command line only"),
        ({"settings": "sp.patch='1"}, "settings: No closing quotation"),
        ({"settings": "x" * 2000}, "at most 1000 letters"),
    ],
)
def test_paths_and_unknown_names_are_refused(words: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        choice(**{"classifier": "scenes", "method": "sp", "filler": "gray", **words})


@pytest.mark.parametrize("target", ["like:/etc/passwd", "box:dog", "region:dog", "text:dog", "output:1"])
def test_targets_are_classes(target: str) -> None:
    asked = choice("scenes", "sp", "gray", target)
    with pytest.raises(ValueError, match=f"target: expected a class, got '{target}'"):
        request(chosen("scene:1"), asked, Networks())


def test_a_classifier_without_a_view_is_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wide.py").write_text(
        "import infill\n\n\ndef net():\n    return infill.load_classifier(lambda x: x.mean((2, 3)))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ValueError, match="--classifier: expected one that says its crop, got python:wide:net"
    ):
        Networks("python:wide:net").classifier("python:wide:net")


@pytest.mark.parametrize("name", ["file:/etc/passwd", "python:os:getcwd", "hf:/", "resnet9000", ""])
def test_only_classifiers_of_the_list_are_ever_loaded(name: str) -> None:
    with pytest.raises(ValueError, match="classifier: expected one of"):
        Networks().classifier(name)


def test_fillers_are_those_that_run_here() -> None:
    assert {"gray", "inpaint", "exemplar"} <= set(fillers())
    assert "repaint" not in fillers()  # it has no checkpoint of its own


@pytest.mark.parametrize("key", ["scene:7", "example:rocket"])
def test_the_command_asks_for_the_same(key: str) -> None:
    from click.testing import CliRunner

    from studio.cli.explain import explain

    picture, networks = chosen(key), Networks()
    asked = choice("scenes", "rise", "blur", "gear", settings="rise.masks=9 rise.border=constant")
    words = shlex.split(command("explain", picture, asked, networks))
    assert words[:2] == ["infill", "explain"]
    with explain.make_context("explain", words[2:]) as context:
        given = {name: value for name, value in context.params.items() if value not in (None, ())}
    ours = request(picture, asked, networks)
    for name, value in given.items():
        expected = getattr(ours, name)
        if name != "classifier" or value is not None:
            assert value == (tuple(expected) if isinstance(expected, tuple) else expected), name
    assert CliRunner().invoke(explain, ["--help"]).exit_code == 0


def test_python_says_the_same_as_the_command() -> None:
    asked = Choice("scenes", "sp", "gray", "3", ("sp.patch=41", "sp.average=true"), seed=5)
    tree = ast.parse(python("explain", chosen("scene:7"), asked, Networks()))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call))
    assert ast.unparse(call.func) == "infill.explain"
    assert [ast.literal_eval(each) for each in call.args] == ["scene:7", "scenes"]
    assert {each.arg: ast.literal_eval(each.value) for each in call.keywords} == {
        "target": 3, "method": "sp", "filler": "gray", "seed": 5,
        "settings": {"sp.patch": 41, "sp.average": True},
    }  # fmt: skip


def test_a_classifier_of_the_command_line_is_spelled_as_it_was_given() -> None:
    networks = Networks("mobilenet_v2", Path("my weights.safetensors"), device="cpu")
    asked = Choice("mobilenet_v2", "sp", "gray")
    words = shlex.split(command("explain", chosen("example:coffee"), asked, networks))
    assert words == [
        "infill", "explain", "coffee.png", "--classifier", "mobilenet_v2", "--weights",
        "my weights.safetensors", "--method", "sp", "--filler", "gray", "--device", "cpu",
    ]  # fmt: skip
