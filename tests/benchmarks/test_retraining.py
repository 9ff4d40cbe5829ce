"""Baselines are drawn scene by scene, and networks explained for what they were taught."""

from types import SimpleNamespace

import torch

from benchmarks import retraining


def test_random_maps_are_of_their_scene():
    train, test = retraining.scenes(3, 0), retraining.scenes(2, 10**5)
    maps = torch.cat([retraining.heatmaps("random", None, each) for each in (train, test)])
    assert maps.shape == (5, retraining.SIDE, retraining.SIDE)
    for one in range(5):
        for other in range(one):
            assert not torch.equal(maps[one], maps[other])
    assert torch.equal(retraining.heatmaps("random", None, train.some(2)), maps[:2])


def test_each_network_is_explained_for_the_class_that_it_was_taught(monkeypatch):
    labels = torch.arange(8)
    train = retraining.Drawn(torch.rand(8, 3, 8, 8), labels, torch.zeros(8, 8, 8), 0)
    taught, explained = [], {}

    def trained(data, epochs, seed, shipped):
        taught.append((seed, data.labels))
        return SimpleNamespace(number=len(taught))

    def heatmaps(row, network, data):
        explained[network.number] = data.labels
        return torch.rand(len(data.labels), 64, 64)

    monkeypatch.setattr(retraining, "trained", trained)
    monkeypatch.setattr(retraining, "accuracy", lambda network, data: 1.0)
    monkeypatch.setattr(retraining, "heatmaps", heatmaps)
    retraining.by_heart(train, 1, 5)
    assert len({seed for seed, _ in taught}) == 3
    for number, (_, given) in enumerate(taught, 1):
        assert torch.equal(explained[number], given[:5])
    assert not torch.equal(taught[2][1], labels)
