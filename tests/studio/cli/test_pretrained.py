"""The inpainters of the literature from tiny checkpoints, through the command line."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tiny_ddpm
import tiny_diffusion
import tiny_lama
import tiny_mae
import torch
from command import Run, refused, runner, undrawn

from models.inpainters import deepfill, deepfill_checkpoints, lama
from models.inpainters.lama import Lama
from models.weights import store
from studio.registry import pretrained
from studio.registry.build import build_filler, weights_of
from studio.registry.parse import parse_settings
from studio.registry.tables import PRETRAINED
from studio.registry.variants import split_fillers

QUICK = ("--scene", 1, "--method", "lime", "--set", "lime.segments=4", "--set", "lime.samples=3")


def _lama(folder: Path) -> str:
    torch.save(tiny_lama.randomized(Lama(base=4, blocks=1)).state_dict(), folder / "lama.pt")
    return f"lama:{folder / 'lama.pt'}"


def _deepfill(version: str, folder: Path) -> str:
    file = folder / "deepfill.safetensors"
    with torch.random.fork_rng(devices=[]):
        deepfill_checkpoints.save(deepfill.DeepFill(version), file)
    return f"deepfill-{version}:{file}"


def _sd(folder: Path) -> str:
    with torch.random.fork_rng(devices=[]):
        tiny_diffusion.stable_diffusion(folder, 9).save_pretrained(folder / "sd")
    return f"sd:{folder / 'sd'}@steps=2"


FAMILIES: dict[str, Callable[[Path], str]] = {
    "lama": _lama,
    "deepfill-v1": partial(_deepfill, "v1"),
    "deepfill-v2": partial(_deepfill, "v2"),
    "mae": lambda folder: f"mae:{tiny_mae.save_model(folder / 'mae')}",
    "sd": _sd,
    "repaint": lambda folder: f"repaint:{tiny_ddpm.save_model(folder / 'ddpm')}@steps=2,jump=1,resamples=1",
}
"""Saves a tiny checkpoint of each family, and returns the word that names the filler."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``infill explain`` in an empty folder, with no weights at hand and no network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pretrained._inpainter.cache_clear()
    undrawn(monkeypatch)
    return runner(capsys)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_explains_from_a_local_checkpoint(family: str, run: Run, tmp_path: Path) -> None:
    word = FAMILIES[family](tmp_path)
    maps = []
    for out in ("one", "other")[: 1 if family.startswith("deepfill") else 2]:  # which takes its time
        said = run(*QUICK, "--filler", word, "--out", out)
        assert said.code == 0, said.err
        with np.load(Path(out) / "heatmaps.npz") as found:
            assert list(found) == [f"lime/{family}", f"lime/{family}/error"]
            maps.append(found[f"lime/{family}"])
    assert np.isfinite(maps[0]).all()
    assert maps[0].std() > 0
    np.testing.assert_allclose(maps[0], maps[-1], atol=1e-5)  # the same seed, the same fills
    told = json.loads(Path("one/explain.json").read_text())["fillers"][family]
    assert told["class"] == "Learned"
    assert told["stochastic"] is (family in ("sd", "repaint"))
    assert f"{family}:{told['loaded']['checkpoint']}" == word.split("@")[0]
    if family in ("sd", "repaint"):
        assert told["loaded"]["steps"] == 2


def test_realism_knows_the_checkpoint_that_it_depends_on(run: Run, tmp_path: Path) -> None:
    word = _lama(tmp_path)
    assert run("scenes:1", "--filler", word, command="realism").code == 0
    before = json.loads(Path("infill-out/realism.json").read_text())
    network = tiny_lama.randomized(Lama(base=4, blocks=1), seed=1)
    torch.save(network.state_dict(), tmp_path / "lama.pt")
    pretrained._inpainter.cache_clear()
    assert run("scenes:1", "--filler", word, command="realism").code == 0
    after = json.loads(Path("infill-out/realism.json").read_text())
    figures = [found["metrics"]["l1"]["figures"]["lama"]["value"] for found in (before, after)]
    assert figures[0] != figures[1]


MISSING = {
    "lama": "or give another as --filler lama:FILE; 'inpaint' needs no download",
    "deepfill-v1": "as --filler deepfill-v1:FILE; 'inpaint' needs no download",
    "deepfill-v2": "infill weights fetch deepfill",
    "mae": "infill weights fetch mae",
    "sd": "infill weights fetch sd",
    "repaint": "expected a checkpoint: an unconditional model of diffusers such as google/ddpm-",
    "lama:nowhere.pt": "no such file: nowhere.pt",
    "lama@steps=3": "unknown field of lama 'steps'",
    "sd@stepz=3": "unknown field of sd 'stepz'; did you mean 'steps'",
    "sd@steps=many": "sd.steps: expected a whole number, got 'many'",
    "lama@network=x": "unknown field of lama 'network'",
    "deepfill-v1@version=v2": "unknown field of deepfill-v1 'version'",
}


@pytest.mark.parametrize("word", MISSING)
def test_what_is_missing_is_said_in_a_line(word: str, run: Run) -> None:
    refused(run(*QUICK, "--filler", word), MISSING[word])


def test_known_weights_are_known() -> None:
    for name, entry in PRETRAINED.items():
        assert entry.fields()["checkpoint"] == [str], name
        if entry.weights:
            store.location(entry.weights)


def test_a_network_is_loaded_once_for_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretrained._inpainter.cache_clear()
    loaded = []
    real = lama.load
    monkeypatch.setattr(lama, "load", lambda checkpoint: loaded.append(checkpoint) or real(checkpoint))
    name, said = split_fillers([_lama(tmp_path)])
    settings = parse_settings(["lama.dilation=2"], name, said)
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    fillers = [build_filler("lama", settings, image) for _ in range(3)]
    assert len(loaded) == 1
    assert {filler.dilation for filler in fillers} == {2}
    assert weights_of("lama", settings) == tmp_path / "lama.pt"


def test_weights_that_are_written_anew_are_read_anew(tmp_path: Path) -> None:
    name, said = split_fillers([_lama(tmp_path)])
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))

    def network() -> torch.nn.Module:
        return build_filler("lama", parse_settings([], name, said), image)._ready  # type: ignore[attr-defined,no-any-return]

    before = network()
    state = {key: value + 1 for key, value in before.state_dict().items()}
    assert network() is before
    torch.save(state, tmp_path / "lama.pt")
    key, value = next((key, value) for key, value in state.items() if value.is_floating_point())
    assert torch.equal(network().state_dict()[key], value)


def test_the_network_is_kept_once_in_memory_for_each_precision(tmp_path: Path) -> None:
    pretrained._inpainter.cache_clear()
    name, said = split_fillers([_lama(tmp_path)])
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))

    def network(*more: str) -> torch.nn.Module:
        return build_filler("lama", parse_settings(more, name, said), image)._ready  # type: ignore[attr-defined,no-any-return]

    exact = network()
    assert network() is exact
    state = {key: value.clone() for key, value in exact.state_dict().items()}
    rough = network("lama.precision=bfloat16")
    assert {value.dtype for value in rough.state_dict().values() if value.is_floating_point()} == {
        torch.bfloat16
    }
    again = network()
    assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


def test_what_is_not_said_of_loading_is_as_usual(tmp_path: Path) -> None:
    name, said = split_fillers([_sd(tmp_path)])
    told = pretrained.loading_options("sd", parse_settings(["sd.prompt=an empty street"], name, said), "auto")
    assert told == {
        "checkpoint": str(tmp_path / "sd"), "prompt": "an empty street", "negative_prompt": None, "steps": 2,
        "guidance": None, "strength": 1.0, "size": None, "precision": "float32", "variant": None,
        "safety": False,
    }  # fmt: skip
    assert (
        pretrained.loading_options("deepfill-v1", {"deepfill-v1": {"checkpoint": "a"}}, "auto")["version"]
        == "v1"
    )


@pytest.mark.parametrize("family", ["lama", "sd", "repaint"])
@pytest.mark.parametrize(
    ("asked", "own", "expected"),
    [("auto", "", "float32"), ("bfloat16", "", "bfloat16"), ("bfloat16", "float32", "float32")],
)
def test_the_precision_of_all_networks_is_theirs_unless_they_have_their_own(
    family: str, asked: str, own: str, expected: str, tmp_path: Path
) -> None:
    pretrained._inpainter.cache_clear()
    name, said = split_fillers([FAMILIES[family](tmp_path)])
    settings = parse_settings([f"{family}.precision={own}"] if own else [], name, said)
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    filler = build_filler(family, settings, image, asked)
    network = filler._ready  # type: ignore[attr-defined]
    dtypes = {value.dtype for value in network.state_dict().values() if value.is_floating_point()}
    assert dtypes == {getattr(torch, expected)}


def test_diffusion_takes_a_few_holes_at_once_unless_told(tmp_path: Path) -> None:
    name, said = split_fillers([_sd(tmp_path)])
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert build_filler("sd", parse_settings([], name, said), image).batch_size == 4  # type: ignore[attr-defined]
    more = parse_settings(["sd.batch_size=9"], name, said)
    assert build_filler("sd", more, image).batch_size == 9  # type: ignore[attr-defined]
