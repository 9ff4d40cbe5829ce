"""The command itself, before any of its commands."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from studio.cli import main as command
from studio.cli.main import main
from studio.memory import LackingMemoryError


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


def _raising(error: Exception) -> Callable[..., None]:
    def run(*_: object, **__: object) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory; try a"),
        (RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory"), "out of memory; try a"),
        (MemoryError(), "out of memory; try a smaller --batch-size"),
        (LackingMemoryError("a worker ran out; fewer --workers"), "a worker ran out; fewer --workers"),
    ],
)
def test_too_little_memory_is_said_in_a_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command.infill, "main", _raising(error))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"infill: {said}")


@pytest.mark.parametrize(
    "text", ["CUDA error: an illegal memory access was encountered", "unsupported memory format option"]
)
def test_other_faults_with_memory_are_not_taken_for_that(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command.infill, "main", _raising(RuntimeError(text)))
    with pytest.raises(RuntimeError, match=text):
        main([])


def test_all_warnings_of_our_own_are_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from attribution.engine.incremental import WholeImagesWarning
    from studio.registry.fill_cache import opened_cache

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = command._show_ours
        cache = opened_cache(tmp_path, 1.0)
        assert cache is not None
        cache.cache.get = _raising(OSError("no disk"))
        assert cache.get("x") is None
        warnings.warn("whole images are classified: it draws", WholeImagesWarning, stacklevel=1)
        warnings.warn("advice to programmers", UserWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert said.splitlines() == [
        f"infill: --fill-cache: {tmp_path} cannot be used (no disk)",
        "infill: whole images are classified: it draws",
    ]
