"""Processes of Ray do what one process does, and one that is killed costs its item only."""

import os
import signal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from studio.runs.workers import Workers, gpus_each, installed

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


class Refuses:
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("weights: /data/w.pt is not here")


@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_made_is_told_as_it_is(workers: Workers) -> None:
    with workers.sharing(Refuses) as share:
        assert list(share([])) == []
        with pytest.raises(ValueError, match=r"^weights: /data/w\.pt is not here$"):
            list(share([1]))


class Counted:
    """Answers with its process."""

    def __call__(self, item: int) -> int:
        return os.getpid()


@pytest.mark.filterwarnings("ignore")
def test_processes_are_started_once_and_nobody_waits_for_those_without_room(
    monkeypatch: pytest.MonkeyPatch, workers: Workers
) -> None:
    monkeypatch.setattr("studio.runs.workers.gpus_each", lambda gpus, count: 0)
    crowded = Workers(3)
    init = installed().init
    monkeypatch.setattr(installed(), "init", lambda **options: init(**{**options, "num_cpus": 2}))
    with crowded.sharing(Counted) as share:
        first, again = ({found for _, found in share(range(20))} for _ in range(2))
    assert again <= first
    assert 1 <= len(first) <= 2


@pytest.mark.parametrize(
    ("gpus", "count", "each"),
    [(0, 4, 0), (1, 1, 1), (1, 4, 1 / 4), (2, 3, 1 / 2), (3, 2, 1), (4, 6, 1 / 2), (8, 12, 1 / 2), (8, 2, 4)],
)
def test_gpus_are_shared_so_that_all_find_room(gpus: int, count: int, each: float) -> None:
    assert gpus_each(gpus, count) == each
    if 0 < each < 1:  # so many find room on one of them
        assert gpus * int(1 / each) >= count
    else:
        assert each * count <= gpus


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_not_there_is_told() -> None:
    with (
        pytest.raises(ValueError, match=r"no cluster at 127\.0\.0\.1:1"),
        Workers(1, "127.0.0.1:1").sharing(dict),
    ):
        pass
