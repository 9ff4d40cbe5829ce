"""The command itself, before any of its commands."""

import pytest

from studio.cli.main import main


@pytest.mark.parametrize("words", [[], ["weights"], ["train"]])
def test_without_a_command_its_help_is_shown_line_by_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith(f"Usage: {' '.join(['infill', *words])} [OPTIONS] COMMAND [ARGS]...\n\n")
    assert "\nCommands:\n" in said.err
