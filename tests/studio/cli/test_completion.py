"""The shell completes names, without importing torch."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from models.classifiers import torchvision
from studio.cli.completion import torchvision_networks
from studio.cli.main import infill
from studio.registry.tables import ALL_FILLERS, METHODS, REMOVING


def completed(*words: str) -> list[str]:
    """What a shell is offered for the last of these words."""
    shell = ShellComplete(infill, {}, "infill", "_INFILL_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("explain", "--method", ""), list(METHODS)),
        (("counterfactual", "--method", ""), list(REMOVING)),
        (("realism", "--filler", ""), list(ALL_FILLERS)),
        (("explain", "--filler", "bl"), ["blur", "blur-pyramid"]),
        (("counterfactual", "--final", "exe"), ["exemplar"]),
        (("explain", "--classifier", "mobilenet_v2"), ["mobilenet_v2"]),
        (("evaluate", "--classifier", "sc"), ["scenes"]),
        (("studio", "--classifier", "sc"), ["scenes"]),
        (("realism", "--judge", "tim"), ["timm:"]),
        (("evaluate", "--metric", "delet"), ["deletion"]),
        (("evaluate", "--preset", "paper-"), ["paper-a", "paper-b", "paper-c"]),
        (("weights", "fetch", "lam"), ["lama"]),
        (("explain", "--filler", "no-such"), []),
        (("doc",), ["doctor"]),
    ],
)
def test_names_are_completed(words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(*words) == expected


def test_torchvisions_networks_are_all_of_them() -> None:
    assert sorted(torchvision_networks()) == sorted(torchvision.names())


def test_the_shells_own_way_imports_no_torch() -> None:
    source = (
        "import sys; from studio.cli.main import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    )
    asked = {
        "_INFILL_COMPLETE": "bash_complete",
        "COMP_WORDS": "infill explain --method mp2",
        "COMP_CWORD": "3",
    }
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["plain,mp2", "plain,mp2-descent", "False"]
