"""Processes of Ray do what one process does, and one that is killed costs its item only."""

import os
import signal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from studio.runs.workers import Workers, installed

if find_spec("ray") is None:
    pytest.skip("Ray is not installed", allow_module_level=True)


class Doubles:
    """Doubles numbers; dies at one of them, once."""

    def __init__(self, killed: Path | None) -> None:
        self.killed = killed

    def __call__(self, item: int) -> int:
        if item == 13:
            raise ValueError("thirteen")
        if self.killed is not None and item == 5 and not self.killed.exists():
            self.killed.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * item


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    support = os.pathsep.join(str(Path(__file__).parents[3] / place) for place in ("", "tests/studio/runs"))
    monkeypatch.setenv("PYTHONPATH", support)
    return Workers(2)


@pytest.mark.filterwarnings("ignore")  # Ray's own, of its sockets and processes
def test_items_come_back_even_if_a_process_is_killed(workers: Workers, tmp_path: Path) -> None:
    mark = tmp_path / "killed"
    with workers.sharing(partial(Doubles, mark)) as share:
        found = dict(share(range(12)))
        assert mark.exists()
        assert found == {item: 2 * item for item in range(12)}
        with pytest.raises(ValueError, match="thirteen"):
            list(share([13]))
    assert not installed().is_initialized()


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_told() -> None:
    with (
        pytest.raises(ValueError, match=r"no cluster at 127\.0\.0\.1:1"),
        Workers(1, "127.0.0.1:1").sharing(dict),
    ):
        pass
