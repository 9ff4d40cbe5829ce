"""Figures are kept by what they come from, and never by half."""

import numpy as np
import pytest

from attribution import MP2
from benchmarks import origin as origins
from benchmarks import (
    paired,
    presets,
    sampling,
)
from benchmarks.fillers import folder
from benchmarks.report import kept


def test_figures_are_kept_by_filler_and_those_of_the_shipped_network_by_its_weights(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"one")
    texts = ("gray", "inpaint", "inpaint@by=auto", "lama:some/where.pt@dilation=2", "blur", "blur@sigma=5")
    places = {folder(tmp_path, text, weights=weights) for text in texts}
    assert len(places) == 6
    assert all(place.parent == tmp_path for place in places)
    weights.write_bytes(b"other, longer")
    assert folder(tmp_path, "inpaint@by=auto", weights=weights) not in places
    assert folder(tmp_path, "gray", weights=weights) in places


def test_figures_are_kept_by_the_methods_settings(tmp_path):
    methods = [MP2(cells=4), MP2(cells=5)]
    places = {folder(tmp_path, "gray", some) for some in ([], methods[:1], methods[1:], methods)}
    assert len(places) == 4
    assert folder(tmp_path, "gray", [MP2(cells=4)]) in places
    assert presets.folder_of("mp").parent.name == "mp"


def test_figures_are_kept_by_the_content_of_classifiers_weights(tmp_path):
    weights = tmp_path / "weights"
    weights.write_bytes(b"one")
    before = folder(tmp_path, "gray", classifiers=[weights])
    weights.write_bytes(b"two")  # as long, and as old for all that a clock tells
    assert len({before, folder(tmp_path, "gray", classifiers=[weights]), folder(tmp_path, "gray")}) == 3


def test_scores_are_kept_by_their_chunk():
    course = sampling.Course.__new__(sampling.Course)
    course.name = "some"
    names = [course.path(range(0, stop)).name for stop in (100, 500)]
    assert names == ["some-0-100.npz", "some-0-500.npz"]


def test_ways_of_sampling_share_no_samples():
    seeds = [seed for both in paired.seeded(paired.WAYS).values() for seed in both]
    assert len(seeds) == len(set(seeds)) == 2 * (len(paired.WAYS) + 1)
    rng = np.random.default_rng(0)
    maps = {way: rng.random((2, 2, 40)) for way in (*paired.seeded(paired.WAYS),)}
    lines = paired.rows([maps], 100)
    assert [line[0] for line in lines] == list(paired.WAYS)
    assert lines[0][-1] != "1.000"


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Two files of a repository, one of which uses the other."""
    monkeypatch.setattr(origins, "ROOT", tmp_path)
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "__init__.py").write_text("")
    used = tmp_path / "rooms" / "used.py"
    used.write_text("VALUE = 1\n")
    (tmp_path / "rooms" / "one.py").write_text("import torch\n\nfrom rooms.used import VALUE\n")

    def write(text: str) -> str:
        used.write_text(text)
        for each in (origins._tree, origins._imports):
            each.cache_clear()
        return origins.origin(["rooms.one"], {"steps": 2})

    yield write
    for each in (origins._tree, origins._imports):
        each.cache_clear()


def test_figures_of_other_code_are_not_used_again(code):
    assert origins.used(["rooms.one"]) == {"rooms.one", "rooms.used"}
    first = code("VALUE = 1\n")
    assert len(first) == 12
    assert code('"""What it is."""\n\nVALUE = 1  # a number\n"""Of something."""\n') == first
    assert code("VALUE = 2\n") != first
    assert code("VALUE = 1\n") == first != origins.origin(["rooms.one"], {"steps": 3})


def test_an_inpainters_texture_is_among_the_code_of_its_fills():
    from benchmarks.fillers import _modules

    assert "models.inpainters.texture" in origins.used(_modules("inpaint"))
    assert "models.inpainters.texture" not in origins.used(_modules("telea"))
    assert "infill.fillers.exemplar" in origins.used(_modules("inpaint"))


def test_figures_are_computed_once_and_never_kept_by_half(tmp_path):
    calls = []

    def job(fails=False):
        calls.append(fails)
        if fails:
            raise RuntimeError("broken off")
        return {"lpips": np.array([0.25, 0.5])}

    path = tmp_path / "folder" / "some.npz"
    with pytest.raises(RuntimeError):
        kept(path, lambda: job(fails=True))
    assert not path.exists()
    for _ in range(2):
        assert kept(path, job)["lpips"].tolist() == [0.25, 0.5]
    assert calls == [True, False]
