"""What is compared takes turns, and the first run of anything does not count."""

import pytest
import torch

from benchmarks import clock as clocks
from benchmarks import turns
from benchmarks.clock import Clock, networks_timed


@pytest.fixture
def now(monkeypatch):
    """A time that passes when it is told to."""
    time = [0.0]
    monkeypatch.setattr(turns.time, "perf_counter", lambda: time[0])
    return time


def job(now, asked, name, spans):
    def run():
        asked.append(name)
        now[0] += spans.pop(0)

    return run


def test_jobs_take_turns_after_a_warm_up(now):
    asked = []
    jobs = {"a": job(now, asked, "a", [9, 1, 2]), "b": job(now, asked, "b", [5, 3, 4])}
    spent = turns.turns(jobs, 2)
    assert asked == ["a", "b"] * 3
    assert spent == {"a": [1, 2], "b": [3, 4]}
    assert turns.ratios(spent["b"], spent["a"]) == (2.5, "2.00 to 3.00")


def test_what_runs_first_is_not_taken_for_slow(now):
    asked = []
    jobs = {1: job(now, asked, 1, [2.57, 1.02, 1.1]), 16: job(now, asked, 16, [1.76, 1.66, 1.7])}
    assert turns.fastest(jobs) == 1


def test_a_fillers_network_is_the_fillers(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(clocks.time, "perf_counter", lambda: float(next(ticks)))
    network, image = torch.nn.Sequential(torch.nn.Identity()), torch.zeros(1)
    found = []
    for but in (None, "fillers"):
        clock = Clock()
        with networks_timed(clock, but):
            clock.timed("fillers", network)(image)
            network(image)
        assert not clock.inside("fillers")
        found.append(dict(clock.spent))
    assert found[0] == {"fillers": 2, "networks": 6}
    assert found[1] == {"fillers": 5, "networks": 3}
