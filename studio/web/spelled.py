"""A result as the command and as the Python call that give the same."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from studio.explain.request import COMPLETING, FILLER, METHOD, ExplainRequest
from studio.web.choice import Choice
from studio.web.networks import Networks
from studio.web.pictures import Chosen

Task: TypeAlias = Literal["explain", "counterfactual"]
FOLDER = str(ExplainRequest.out)
"""Where results go."""
_USUAL: Mapping[Task, Mapping[str, str]] = {
    "explain": {},
    "counterfactual": {"method": METHOD, "filler": FILLER},
}
"""What need not be said."""


def command(task: Task, chosen: Chosen, choice: Choice, networks: Networks) -> str:
    """Return the command that writes the same files."""
    words = ["infill", task, *_shown(chosen, choice, networks)]
    for name in ("method", "filler"):
        value = getattr(choice, name)
        words += [f"--{name}", value] if _USUAL[task].get(name) != value else []
    words += _more(choice, networks)
    words += [word for setting in choice.settings for word in ("--set", setting)]
    return shlex.join(words)


def command_of_hole(
    hole: str, fillers: Sequence[str], chosen: Chosen, choice: Choice, networks: Networks
) -> str:
    """Return the command that completes the hole in the file of this name."""
    words = ["infill", "remove", *_shown(chosen, choice, networks), "--hole", hole]
    words += [word for name in fillers for word in ("--filler", name)] if tuple(fillers) != COMPLETING else []
    return shlex.join([*words, *_more(choice, networks)])


def python(task: Task, chosen: Chosen, choice: Choice, networks: Networks) -> str:
    """Return the lines of Python that find the same."""
    words = _shown_to_python(chosen, choice, networks)
    words += [f"target={_target(choice.target)!r}"] if choice.target != "top1" else []
    words += [f"method={choice.method!r}", f"filler={choice.filler!r}"]
    words += _more_of_python(choice, networks)
    settings = [text.partition("=")[::2] for text in choice.settings]
    if settings:
        words += ["settings={" + ", ".join(f"{key!r}: {_value(value)!r}" for key, value in settings) + "}"]
    return _called(task, words)


def python_of_hole(
    hole: str, fillers: Sequence[str], chosen: Chosen, choice: Choice, networks: Networks
) -> str:
    """Return the lines of Python that complete the hole in the file of this name."""
    words = [*_shown_to_python(chosen, choice, networks), f"hole={hole!r}"]
    words += [f"filler={list(fillers)!r}"] if tuple(fillers) != COMPLETING else []
    words += [f"target={_target(choice.target)!r}"] if choice.target != "top1" else []
    return _called("remove", [*words, *_more_of_python(choice, networks)])


def _shown(chosen: Chosen, choice: Choice, networks: Networks) -> list[str]:
    """Return what is looked at, and by whom."""
    words = [_place(chosen)] if chosen.scene is None else ["--scene", str(chosen.scene)]
    given = networks.given if choice.classifier == networks.own else choice.classifier
    if given and not (given == "scenes" and chosen.scene is not None):
        words += ["--classifier", given]
    weights = networks.weights_of(choice.classifier)
    words += ["--weights", str(weights)] if weights else []
    return words + (["--multi-label"] if networks.multi_label and choice.classifier == networks.own else [])


def _place(chosen: Chosen) -> str:
    """Return where a file is, so that it is no option and no scene, whatever it is called."""
    return f"./{chosen.name}" if chosen.name.startswith(("-", "scene:")) else chosen.name


def _more(choice: Choice, networks: Networks) -> list[str]:
    words = ["--target", choice.target] if choice.target != "top1" else []
    words += ["--seed", str(choice.seed)] if choice.seed else []
    return words + (["--device", networks.device] if networks.device != "auto" else [])


def _shown_to_python(chosen: Chosen, choice: Choice, networks: Networks) -> list[str]:
    picture = _place(chosen) if chosen.scene is None else f"scene:{chosen.scene}"
    given = networks.given if choice.classifier == networks.own else choice.classifier
    return [repr(picture), repr(given)]


def _more_of_python(choice: Choice, networks: Networks) -> list[str]:
    weights = networks.weights_of(choice.classifier)
    words = [f"weights={str(weights)!r}"] if weights else []
    words += ["multi_label=True"] if networks.multi_label and choice.classifier == networks.own else []
    words += [f"seed={choice.seed}"] if choice.seed else []
    return words + ([f"device={networks.device!r}"] if networks.device != "auto" else [])


def _called(task: str, words: list[str]) -> str:
    """Return lines that write what the command writes, and end with what a notebook shows."""
    return f"import infill\n\nresult = infill.{task}({_wrapped(words)})\nresult.save({FOLDER!r})\nresult"


def _target(text: str) -> str | int:
    return int(text) if text.isdecimal() else text


def _value(text: str) -> object:
    """Return a setting as Python writes it, where it is a number, a truth or several numbers."""
    plain = {"true": True, "yes": True, "false": False, "no": False, "none": None}
    if text.lower() in plain:
        return plain[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _wrapped(words: list[str]) -> str:
    line = ", ".join(words)
    return line if len(line) < 80 else "\n    " + ",\n    ".join(words) + ",\n"
