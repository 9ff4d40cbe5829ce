"""Known weights that are models on the hub: what its client is asked for, and what is made of its cache."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from models.weights import catalog, environment, store
from models.weights.catalog import CatalogEntry

MODEL = CatalogEntry(
    "sd", "a/model", "hub", None, None, "CC0-1.0", ("https://hub/a/model",), "", "", ("unet", "vae")
)


def fault() -> str:
    with pytest.raises(ValueError, match=r"^weights: ") as caught:
        store.fetch("sd")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """A hub whose model has safetensors for one part and a pickled file for the other; what it was asked."""
    monkeypatch.setattr(catalog, "CATALOG", {"sd": MODEL})
    monkeypatch.delenv("INFILL_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    asked: list[list[str]] = []

    def download(
        model: str,
        cache_dir: Path,
        allow_patterns: list[str],
        ignore_patterns: list[str],
        local_files_only: bool,
    ) -> str:
        assert (model, cache_dir, local_files_only) == ("a/model", tmp_path, False)
        assert huggingface_hub.utils.are_progress_bars_disabled()
        asked.append(allow_patterns)
        kept(tmp_path, "model_index.json", '{"unet": ["a", "b"], "safety_checker": ["a", "b"]}')
        kept(tmp_path, "unet/config.json")
        kept(tmp_path, "vae/config.json")
        kept(tmp_path, "unet/it.safetensors")
        if "vae/*.bin" in allow_patterns:
            kept(tmp_path, "vae/it.bin")
        return str(tmp_path / "models--a--model" / "snapshots" / "abc")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: None)
    return asked


def kept(cache: Path, file: str, content: str = "") -> Path:
    """Keep a file as the hub's client does: by its hash, with a link from the snapshot."""
    content = content or file
    blob = cache / "models--a--model" / "blobs" / hashlib.sha256(content.encode()).hexdigest()
    link = cache / "models--a--model" / "snapshots" / "abc" / file
    for path in (blob, link, cache / "models--a--model" / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_text(content)
    link.unlink(missing_ok=True)
    link.symlink_to(blob)
    (cache / "models--a--model" / "refs" / "main").write_text("abc")
    return blob


def test_a_model_of_the_hub_is_fetched_by_the_hubs_client(hub: list[list[str]], tmp_path: Path) -> None:
    assert not store.here("sd")
    with pytest.raises(ValueError, match=r"a/model is not here; get it from https://hub/a/model"):
        store.path("sd")
    shown = not huggingface_hub.utils.are_progress_bars_disabled()
    snapshot = tmp_path / "models--a--model" / "snapshots" / "abc"
    assert store.fetch("sd") == snapshot == store.path("sd") == store.location("sd")
    assert [patterns[-2:] for patterns in hub] == [
        ["unet/*.safetensors", "vae/*.safetensors"],
        ["*.txt", "vae/*.bin"],
    ]
    assert shown == (not huggingface_hub.utils.are_progress_bars_disabled())
    assert store.fetch("sd") == snapshot
    assert len(hub) == 2
    assert store.verify("sd") == "ok: 5 files have the hub's hashes"


def test_a_damaged_model_of_the_hub_is_found(hub: list[list[str]], tmp_path: Path) -> None:
    store.fetch("sd")
    blob = kept(tmp_path, "vae/it.bin")
    blob.write_text("damaged")
    with pytest.raises(ValueError, match=r"it\.bin is damaged: its hash is not the hub's; delete "):
        store.verify("sd")


def test_a_hub_that_cannot_be_reached_is_one_line(
    hub: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("\n  no route\nmore of it")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    assert fault() == "weights: a/model cannot be had from the hub (no route)"
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    assert fault() == "weights: a/model cannot be had from the hub (it has no weights in unet)"
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert fault() == (
        "weights: a/model needs huggingface_hub, which is not installed: "
        "pip install 'infill-attribution[hub]'"
    )
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert "INFILL_OFFLINE" in fault()


def test_the_hubs_cache_is_where_its_client_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME")
    look = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    for used in (names[2:], names[3:], ()):
        with monkeypatch.context() as patch:
            for name in names:
                patch.delenv(name, raising=False)
            for name in used:
                patch.setenv(name, str(tmp_path / name))
            said = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
            assert str(environment.hub_folder()) == said.stdout.strip()


def test_the_hubs_own_client_refuses_in_one_line_without_a_network(tmp_path: Path) -> None:
    code = "from studio.cli.main import main; main(['weights', 'fetch', 'mae'])"
    surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path)}
    root = Path(store.__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=surroundings, cwd=root
    )
    assert said.returncode == 2
    assert said.stderr.startswith("infill: weights: facebook/vit-mae-base cannot be had from the hub (")
    assert said.stderr.count("\n") == 1
