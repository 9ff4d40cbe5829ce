"""Models of the hub where there is no network: said at once, and read from the hub's cache on disk."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import tiny_classifiers
import tiny_ddpm
import tiny_diffusion
import tiny_mae
import torch
from hub_server import COMMIT, Hub, directed, planted, serving
from safetensors.torch import load_file, save_file

from models.classifiers import load_classifier
from models.inpainters import diffusion, mae, repaint
from models.segmenters import load_segmenter
from models.weights import catalog, store
from models.weights import diffusers as hub
from models.weights import hub as hub_cache
from models.weights.catalog import CatalogEntry

SAFE = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models of all kinds, as they are published, by their ids."""
    import timm
    import transformers

    place = tmp_path_factory.mktemp("published")
    (place / "timm").mkdir()
    network = tiny_classifiers.seeded(lambda: timm.create_model("test_resnet"))
    save_file(network.state_dict(), place / "timm" / "model.safetensors")
    squares = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    transformers.utils.logging.disable_progress_bar()
    config = transformers.SegformerConfig(
        hidden_sizes=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_attention_heads=(1, 2, 3, 4),
        decoder_hidden_size=16,
    )  # fmt: skip
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(place / "segformer")
    transformers.SegformerImageProcessor(size={"height": 64, "width": 96}).save_pretrained(
        place / "segformer"
    )
    with hub.quiet():
        (place / "words").mkdir()
        tiny_diffusion.stable_diffusion(place / "words", 9, guarded=True).save_pretrained(place / "sd")
    return {
        "timm/test_resnet.r160_in1k": place / "timm",
        "a/vit": tiny_classifiers.saved(place / "vit", tiny_classifiers.vit(), squares),
        "a/clip": tiny_classifiers.save_clip(place / "clip"),
        "a/segformer": place / "segformer",
        "a/mae": tiny_mae.save_model(place / "mae"),
        "a/sd": place / "sd",
        "a/ddpm": tiny_ddpm.save_model(place / "ddpm"),
    }


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    return tmp_path / "labels.txt"


Load = Callable[[str, Path], Any]
LOADERS: dict[str, Load] = {
    "timm/test_resnet.r160_in1k": lambda place, labels: load_classifier("timm:test_resnet"),
    "a/vit": lambda place, labels: load_classifier(f"hf:{place}"),
    "a/clip": lambda place, labels: load_classifier(f"clip:{place}@labels={labels}"),
    "a/segformer": lambda place, labels: load_segmenter(f"hf:{place}"),
    "a/mae": lambda place, labels: mae.load(place).network,
    "a/sd": lambda place, labels: diffusion.load(place, steps=2).network,
    "a/ddpm": lambda place, labels: repaint.load(place, steps=2, jump=1).network,
}
every_model = pytest.mark.parametrize("model", LOADERS)


@pytest.fixture
def cache(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, whose address refuses connections; all libraries are imported."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    directed(monkeypatch, f"http://127.0.0.1:{port}", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is asked of the network."""
    asked: list[object] = []
    look, connect = socket.getaddrinfo, socket.socket.connect
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *said, **more: asked.append(said) or look(*said, **more)
    )
    monkeypatch.setattr(
        socket.socket, "connect", lambda one, address: asked.append(address) or connect(one, address)
    )
    return asked


@pytest.fixture
def online(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the models, and an empty cache."""
    one = Hub(folders)
    with serving(one) as address:
        directed(monkeypatch, address, tmp_path / "cache")
        yield one
    huggingface_hub.close_session()


def fault(model: str, labels: Path) -> str:
    started = time.monotonic()
    with pytest.raises(ValueError, match=": ") as caught:
        LOADERS[model](model, labels)
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert "\n" not in message
    assert f"`hf download {model} model.safetensors`" in message or (
        f"'hf download {model} --local-dir FOLDER'" in message
    )
    return message


@every_model
def test_a_hub_that_is_not_reached_is_named_at_once(
    model: str, cache: Path, labels: Path, calls: list[object]
) -> None:
    message = fault(model, labels)
    assert "refused" in message
    assert "INFILL_OFFLINE" not in message
    assert calls


@every_model
def test_forbidden_to_fetch_nobody_is_asked(
    model: str, cache: Path, labels: Path, calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert "INFILL_OFFLINE forbids to fetch it" in fault(model, labels)
    assert not calls


@every_model
@pytest.mark.parametrize("forbidden", [True, False])
def test_what_is_in_the_cache_is_read_without_a_network(
    forbidden: bool, model: str, folders: dict[str, Path], cache: Path, labels: Path,
    calls: list[object], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if model.startswith("timm/"):
        file = folders[model] / "model.safetensors"
        expected = load_classifier("timm:test_resnet", file).state_dict()
    else:
        expected = LOADERS[model](str(folders[model]), labels).state_dict()
    planted(cache, model, folders[model])
    if forbidden:
        monkeypatch.setenv("INFILL_OFFLINE", "1")
    found = LOADERS[model](model, labels).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    assert bool(calls) != forbidden


@every_model
def test_from_a_hub_comes_what_is_needed_and_only_once(
    model: str, online: Hub, folders: dict[str, Path], labels: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(folders[model], tmp_path / "model")
    (tmp_path / "model" / "all_in_one.ckpt").write_bytes(b"large")
    (tmp_path / "model" / "README.md").write_text("a model")
    online.models = {model: tmp_path / "model"}
    first = LOADERS[model](model, labels).state_dict()
    assert online.fetched
    assert not {"all_in_one.ckpt", "README.md"} & set(online.fetched)
    assert len(set(online.fetched)) == len(online.fetched)
    online.fetched.clear()
    again = LOADERS[model](model, labels).state_dict()
    assert not online.fetched
    online.asked.clear()
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    offline = LOADERS[model](model, labels).state_dict()
    assert not online.asked
    for state in (again, offline):
        assert state.keys() == first.keys()
        assert all(torch.equal(value, first[name]) for name, value in state.items())


@every_model
def test_the_hub_is_asked_once_for_a_model(
    model: str, online: Hub, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, refusal = [], hub_cache._refusal
    monkeypatch.setattr(hub_cache, "_refusal", lambda name: asked.append(name) or refusal(name))
    LOADERS[model](model, labels)
    # CLIP's tokenizer is fetched once the labels are to be read.
    assert asked == [model] * (2 if model == "a/clip" else 1)


def test_a_model_that_the_hub_does_not_have_is_said_so(online: Hub, labels: Path) -> None:
    online.models = {}
    assert "it has no such model, or shows it to its friends only: `hf auth login`" in fault("a/vit", labels)


@pytest.mark.parametrize("model", ["timm/test_resnet.r160_in1k", "a/vit"])
def test_a_model_without_weights_is_said_so(
    model: str, online: Hub, folders: dict[str, Path], labels: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    shutil.copytree(folders[model], tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "model" / "README.md").write_text("a model")
    online.models = {model: tmp_path / "model"}
    assert "(it has no " in fault(model, labels)
    planted(tmp_path / "other", model, tmp_path / "model")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    assert "(INFILL_OFFLINE forbids to fetch it)" in fault(model, labels)


@pytest.mark.parametrize("model", ["timm/test_resnet.r160_in1k", "a/vit"])
def test_pickled_weights_are_fetched_where_there_are_no_others(
    model: str, online: Hub, folders: dict[str, Path], labels: Path, tmp_path: Path
) -> None:
    expected = LOADERS[model](model, labels).state_dict()
    folder = Path(shutil.copytree(folders[model], tmp_path / "model"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    online.models, online.commit = {model: folder}, "f" * 40
    found = LOADERS[model](model, labels).state_dict()
    assert online.fetched[-1] == "pytorch_model.bin"
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


def test_a_silent_hub_is_left(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_cache, "_PATIENCE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        directed(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path / "cache")
        message = fault("a/vit", labels)
    assert "no answer within 0.5 s" in message


def test_of_stable_diffusion_only_what_is_needed_is_fetched(
    online: Hub, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = CatalogEntry(
        "sd", "a/sd", "hub", None, None, "MIT", ("https://hub/a/sd",), "", "", catalog.CATALOG["sd"].parts
    )
    monkeypatch.setattr(catalog, "CATALOG", {"sd": row})
    model = Path(shutil.copytree(folders["a/sd"], tmp_path / "model"))
    online.models = {"a/sd": model}
    needed = {str(path.relative_to(model)) for path in model.rglob("*") if path.is_file()}
    needed = {name for name in needed if not name.startswith("safety_checker/")}
    for name in (
        "sd-inpainting.ckpt", "sd-inpainting.safetensors", "README.md", "unet/diffusion_pytorch_model.bin",
        "unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/pytorch_model.fp16.bin",
        "unet/diffusion_pytorch_model.non_ema.safetensors", "vae/diffusion_flax_model.msgpack",
    ):  # fmt: skip
        (model / name).write_bytes(b"not needed")
    assert not store.here("sd")
    place = store.fetch("sd")
    assert set(online.fetched) == needed
    assert store.path("sd") == place == tmp_path / "cache" / "models--a--sd" / "snapshots" / COMMIT
    assert store.verify("sd") == f"ok: {len(needed)} files have the hub's hashes"
    monkeypatch.setenv("INFILL_OFFLINE", "1")
    expected = diffusion.load(folders["a/sd"], steps=2).network.state_dict()
    for given in (place, "a/sd"):
        found = diffusion.load(given, steps=2).network.state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in found.items())
        with pytest.raises(ValueError, match=r"^safety: .* lacks the files of its safety checker") as caught:
            diffusion.load(given, safety=True)
        command = f"`hf download a/sd --include 'safety_checker/*' --revision {COMMIT}`"
        assert command in str(caught.value)
    huggingface_hub.snapshot_download("a/sd", revision=COMMIT, allow_patterns="safety_checker/*")
    assert store.path("sd") == place
    assert diffusion.load(place, safety=True).stochastic
    shutil.copytree(folders["a/sd"], tmp_path / "sd", ignore=shutil.ignore_patterns("safety_checker"))
    with pytest.raises(ValueError, match=r"--include 'safety_checker/\*' --local-dir .*/sd`, ID being"):
        diffusion.load(tmp_path / "sd", safety=True)


@pytest.mark.parametrize(
    "lost",
    ["model_index.json", "unet/config.json", f"vae/{SAFE}", "scheduler/scheduler_config.json", "tokenizer"],
)
def test_a_pipeline_that_came_in_part_is_not_here(
    lost: str, folders: dict[str, Path], cache: Path, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(folders["a/sd"], tmp_path / "model"))
    shutil.rmtree(model / "safety_checker")
    snapshot = planted(cache, "a/sd", model)
    parts = catalog.CATALOG["sd"].parts
    assert hub_cache.snapshot("a/sd", parts) == snapshot
    if (model / lost).is_dir():
        shutil.rmtree(model / lost)
    else:
        (model / lost).unlink()
    if lost.startswith("scheduler"):
        (model / "scheduler").rmdir()
    assert hub_cache.snapshot("a/sd", parts) is None
    if lost.startswith("vae"):
        (model / "vae" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"of another variant")
        assert hub_cache.snapshot("a/sd", parts) is None
        (model / "vae" / "diffusion_pytorch_model.bin").write_bytes(b"pickled")
        assert hub_cache.snapshot("a/sd", parts) == snapshot
