"""Weights and their folders are told as they are."""

from pathlib import Path

import pytest

from models.weights import environment
from studio.doctor import kept


def test_weights_that_ship_and_are_not_there_break_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kept, "_CHECKPOINTS", tmp_path)
    (tmp_path / "scene_classifier.safetensors").touch()
    first = next(kept.weights())
    assert first.broken
    assert first.state == f"lack small_inpainter.safetensors, small_inpainter_even.safetensors in {tmp_path}"


def test_a_weight_file_is_found_where_it_belongs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("INFILL_HOME", str(tmp_path))
    (tmp_path / "big-lama.pt").touch()
    told = {line.thing: line for line in kept.weights()}
    assert told["weights lama"].state == f"here: {tmp_path / 'big-lama.pt'}"
    assert not told["weights lama"].remedy


def test_offline_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert kept.network().remedy == "unset INFILL_OFFLINE to fetch weights"
    monkeypatch.delenv("INFILL_OFFLINE")
    assert not kept.network().remedy


def test_links_count_where_they_lead(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(bytes(3_000_000))
    (tmp_path / "snapshot").symlink_to(tmp_path / "blob")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert f"{tmp_path}: 1 files, 3 MB, " in [str(line) for line in kept.caches()][-1]


def test_a_cache_that_cannot_be_written_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "file"))
    assert next(kept.caches()).remedy == "it cannot be written: INFILL_HOME moves it"


def test_what_cannot_be_read_is_a_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    denied = PermissionError(13, "Permission denied", str(tmp_path))

    def deny(*_: object) -> bool:
        raise denied

    monkeypatch.setattr(kept.store, "here", deny)
    monkeypatch.setattr(Path, "exists", deny)
    weights, caches = list(kept.weights()), list(kept.caches())
    assert len(weights) == 1 + len(kept.CATALOG)
    for line in (*weights[1:], *caches):
        assert line.state == f"{tmp_path} cannot be read (Permission denied)"
        assert line.remedy.startswith("make it readable")
    assert "INFILL_HOME" in caches[0].remedy


def test_a_home_that_nobody_knows_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("INFILL_HOME", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    said = "\n".join(map(str, (*kept.weights(), *kept.caches())))
    assert "the home directory is not known; write the whole path, or set HOME" in said
    with pytest.raises(ValueError, match=r"~/\.cache: the home directory is not known"):
        environment.infill_folder()
