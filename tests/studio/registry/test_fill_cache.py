"""The folder of fills: shared, bounded, and never in the way."""

import shutil
import sqlite3
from dataclasses import replace

import diskcache
import pytest
import torch

from infill import Gray, Marginal, Telea
from studio.registry import fill_cache
from studio.registry.fill_cache import opened_cache
from studio.registry.tables import ALL_FILLERS

IMAGE = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
HOLE = torch.zeros(2, 1, 12, 12)
HOLE[:, :, 4:8, 4:8] = 1


def test_another_command_finds_the_fills(tmp_path):
    first = opened_cache(tmp_path, 1.0)
    expected = first.keeping("telea", {}, "float32", Telea())(IMAGE, HOLE)
    assert (first.found, first.missed) == (0, 1)

    second = opened_cache(tmp_path, 1.0)  # beside the first, as another process has it
    assert torch.equal(second.keeping("telea", {}, "float32", Telea())(IMAGE, HOLE), expected)
    assert (second.found, second.missed) == (1, 0)
    second.keeping("telea", {"telea": {"radius": "9"}}, "float32", Telea(radius=9))(IMAGE, HOLE)
    second.keeping("telea", {}, "bfloat16", Telea())(IMAGE, HOLE)
    assert (second.found, second.missed) == (1, 2)


def test_what_it_cannot_spare_it_leaves_alone(tmp_path):
    cache = opened_cache(tmp_path, 1.0)
    for filler in (Gray(), Marginal()):
        assert cache.keeping("x", {}, "float32", filler) is filler
    assert opened_cache(None, 10.0) is None
    with pytest.raises(ValueError, match="--fill-cache-size: only with --fill-cache FOLDER, got 3"):
        opened_cache(None, 3.0)


def test_it_stays_as_large_as_it_may_be(tmp_path):
    cache = opened_cache(tmp_path, 2e-3)
    for number in range(40):
        cache.set(str(number), bytes(200_000))
    assert cache.cache.volume() < 4e6
    assert cache.get("39") is not None
    assert cache.get("0") is None


def test_a_folder_that_is_no_cache_is_refused_in_one_line(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match=r"--fill-cache: cannot use .*file"):
        opened_cache(file, 1.0)
    (tmp_path / "cache.db").write_bytes(b"no database" * 1000)
    with pytest.raises(ValueError, match=r"--fill-cache: cannot use .*; remove it"):
        opened_cache(tmp_path, 1.0)
    assert file.read_text() == "mine"


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_a_size_must_be_one(tmp_path, size):
    with pytest.raises(
        ValueError, match=r"--fill-cache-size: expected above 0 and finite \(gigabytes\), got"
    ):
        opened_cache(tmp_path, size)


@pytest.mark.parametrize("failure", [sqlite3.OperationalError, diskcache.Timeout])
def test_what_fails_later_is_said_once_and_stops_nothing(tmp_path, monkeypatch, failure):
    cache = opened_cache(tmp_path, 1.0)
    filler = cache.keeping("telea", {}, "float32", Telea())

    def full(*args, **kwargs):
        raise failure("database or disk is full")

    monkeypatch.setattr(diskcache.Cache, "set", full)
    with pytest.warns(UserWarning, match=r"--fill-cache: .* cannot be used \(database or disk is full\)"):
        fill = filler(IMAGE, HOLE)
    assert torch.equal(filler(IMAGE, HOLE), fill)  # a second warning would be an error


def test_files_that_are_gone_are_filled_anew(tmp_path):
    cache = opened_cache(tmp_path, 1.0)
    cache.set("large", bytes(10**6))
    for folder in tmp_path.glob("*/"):
        shutil.rmtree(folder)
    assert cache.get("large") is None


def test_what_others_have_pickled_is_not_unpickled(tmp_path):
    opened_cache(tmp_path, 1.0)
    diskcache.Cache(str(tmp_path)).set("name", {"any": "object"})
    with pytest.warns(UserWarning, match="it holds something else"):
        assert opened_cache(tmp_path, 1.0).get("name") is None


def test_fills_are_made_anew_when_code_that_fills_changes(tmp_path, monkeypatch):
    cache, filler = opened_cache(tmp_path, 1.0), Telea()
    before = cache.keeping("telea", {}, "float32", filler).identity
    assert cache.keeping("telea", {}, "float32", filler).identity == before
    for changed in ("infill/filler.py", "infill/fillers/seam.py", "models/inpainters/texture.py"):
        stamp = fill_cache.size_and_time
        monkeypatch.setattr(
            fill_cache,
            "size_and_time",
            lambda path, name=changed, stamp=stamp: None if path.as_posix().endswith(name) else stamp(path),
        )
        assert cache.keeping("telea", {}, "float32", filler).identity != before
        monkeypatch.undo()


def test_fills_are_made_anew_when_an_added_fillers_code_changes(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text("from infill import Telea\n")
    monkeypatch.syspath_prepend(tmp_path)
    entry = replace(ALL_FILLERS["telea"], target="theirs:Telea", origin="theirs 1.0")
    monkeypatch.setitem(ALL_FILLERS, "theirs", entry)
    cache, filler = opened_cache(tmp_path / "cache", 1.0), Telea()
    before = cache.keeping("theirs", {}, "float32", filler).identity
    assert cache.keeping("theirs", {}, "float32", filler).identity == before
    (tmp_path / "theirs.py").write_text("from infill import Telea  # and more\n")
    assert cache.keeping("theirs", {}, "float32", filler).identity != before
