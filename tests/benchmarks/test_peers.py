"""Every peer gets the batch with which it is fastest, and pays for no import."""

from types import SimpleNamespace

import numpy as np

from benchmarks import peers
from benchmarks.rivals import Tally


def test_a_peer_gets_the_fastest_batch_and_says_so(monkeypatch):
    tried = []

    def fastest(jobs):
        for job in jobs.values():
            job()
        return 4

    monkeypatch.setattr(peers, "fastest", fastest)
    ((name, job),) = peers.tuned("other", tried.append, lambda batch: np.full(1, batch)).items()
    assert name == "other, 4 a call"
    assert job() == 4
    assert tried == list(peers.TRIED)
    assert {2, 4, 8} <= set(peers.TRIED)


def test_a_peer_that_is_missing_is_a_row_that_says_so_and_the_first_round_does_not_count():
    calls = []

    def missing(batch):
        raise ModuleNotFoundError("No module named 'other'")

    def ours():
        calls.append(1)
        it.network.tally.images += 3
        return np.arange(4.0)

    it = SimpleNamespace(network=SimpleNamespace(tally=Tally()))
    jobs = {"ours": ours, **peers.tuned("other", missing, missing)}
    rows = list(peers.compared("work", it, lambda: jobs, 2))
    assert len(calls) == 3
    assert rows[0][:2] == ["work", "ours"]
    assert rows[0][4] == 3
    assert rows[1][:2] == ["work", "other"]
    assert "ModuleNotFoundError" in rows[1][2]
