"""LaMa: its spectral layers, the names of its tensors, the files it comes in, and its fills."""

import pickle
import sys
import types
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from promises import adapted, check_promises, random_holes
from safetensors.torch import save_file
from tiny_lama import randomized, seeded
from torch import Tensor, nn

from models.inpainters import lama


@pytest.fixture(scope="module")
def tiny() -> nn.Module:
    """A generator of width 4 with two blocks."""
    with torch.random.fork_rng():
        return randomized(lama.Lama(base=4, blocks=2))


class Program(nn.Module):
    """Like the published one: the hole is filled from what is visible, the rest is the image."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(4, 6, 5, padding=2, padding_mode="reflect")
        self.second = nn.Conv2d(6, 3, 5, padding=2, padding_mode="reflect")

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        x = torch.cat([image * (1 - hole), hole], 1)
        fill = torch.sigmoid(self.second(torch.relu(self.first(x))))
        wave = torch.fft.irfftn(torch.fft.rfftn(fill, dim=[-2, -1]), s=fill.shape[-2:], dim=[-2, -1])
        return hole * wave + (1 - hole) * image


@pytest.fixture(scope="module")
def program() -> nn.Module:
    with torch.random.fork_rng():
        return randomized(Program(), seed=1)


def save_program(network: nn.Module, path: Path, traced: bool = False) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is old
        example = torch.rand(1, 3, 24, 16), torch.ones(1, 1, 24, 16)
        scripted = torch.jit.trace(network, example) if traced else torch.jit.script(network)
        torch.jit.save(scripted, str(path))
    return path


@pytest.fixture(scope="module")
def files(tiny: nn.Module, program: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same generator as tensors, and another one as a program."""
    folder = tmp_path_factory.mktemp("lama")
    save_file(tiny.state_dict(), folder / "tiny.safetensors")
    return {
        "tensors": folder / "tiny.safetensors",
        "program": save_program(program, folder / "big-lama.pt"),
        "traced program": save_program(program, folder / "traced.pt", traced=True),
    }


# The layers.


@settings(max_examples=20)
@given(
    channels=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    seed=st.integers(0, 10**6),
)
def test_the_fourier_unit_is_a_convolution_of_numpys_spectrum(
    channels: int, height: int, width: int, seed: int
) -> None:
    unit = randomized(lama.FourierUnit(channels), seed)
    x = torch.randn(2, channels, height, width, generator=seeded(seed))
    state = {name: value.double().numpy() for name, value in unit.state_dict().items()}
    kernel = state["conv_layer.weight"][:, :, 0, 0]
    spectrum = np.fft.rfftn(x.double().numpy(), axes=(2, 3), norm="ortho")
    parts = np.empty((2, 2 * channels, *spectrum.shape[2:]))
    parts[:, 0::2], parts[:, 1::2] = spectrum.real, spectrum.imag
    mixed = np.einsum("oi,nihw->nohw", kernel, parts)
    for index in range(2 * channels):
        centered = mixed[:, index] - state["bn.running_mean"][index]
        scaled = centered / np.sqrt(state["bn.running_var"][index] + 1e-5)
        mixed[:, index] = np.maximum(scaled * state["bn.weight"][index] + state["bn.bias"][index], 0)
    # numpy's irfftn in two steps: complex along the rows, then real along the columns
    rows = np.fft.ifft(mixed[:, 0::2] + 1j * mixed[:, 1::2], axis=2, norm="ortho")
    expected = np.fft.irfft(rows, n=width, axis=3, norm="ortho")
    torch.testing.assert_close(unit(x).double(), torch.from_numpy(expected), rtol=0, atol=1e-5)


def test_every_pixel_of_the_global_group_sees_every_other_one() -> None:
    transform = randomized(lama.SpectralTransform(6))
    image = torch.rand(1, 6, 8, 12, generator=seeded())
    other = image.clone()
    other[..., 0, 0] += 1
    assert ((transform(image) - transform(other)).abs() > 1e-6).any(1).all()


def reference(state: dict[str, Tensor], x: Tensor, blocks: int) -> Tensor:
    """The generator once more, layer by layer with functions alone."""

    def norm(y: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return F.relu(F.batch_norm(y, mean, var, state[f"{name}.weight"], state[f"{name}.bias"]))

    def conv(y: Tensor, name: str, stride: int = 1, pad: int = 1) -> Tensor:
        return F.conv2d(F.pad(y, [pad] * 4, mode="reflect"), state[f"{name}.weight"], stride=stride)

    def spectral(y: Tensor, name: str) -> Tensor:
        y = norm(F.conv2d(y, state[f"{name}.conv1.0.weight"]), f"{name}.conv1.1")
        spectrum = torch.fft.rfft2(y, norm="ortho")
        parts = torch.stack([spectrum.real, spectrum.imag], 2).flatten(1, 2)
        parts = norm(F.conv2d(parts, state[f"{name}.fu.conv_layer.weight"]), f"{name}.fu.bn")
        spectrum = torch.complex(parts[:, 0::2], parts[:, 1::2])
        y = y + torch.fft.irfft2(spectrum, s=y.shape[-2:], norm="ortho")
        return F.conv2d(y, state[f"{name}.conv2.weight"])

    x = norm(conv(x, "model.1.ffc.convl2l", pad=3), "model.1.bn_l")
    for index in (2, 3):
        x = norm(conv(x, f"model.{index}.ffc.convl2l", 2), f"model.{index}.bn_l")
    wide = norm(conv(x, "model.4.ffc.convl2g", 2), "model.4.bn_g")
    x = norm(conv(x, "model.4.ffc.convl2l", 2), "model.4.bn_l")
    for index in range(5, 5 + blocks):
        was, y, z = (x, wide), x, wide
        for half in ("conv1", "conv2"):
            name = f"model.{index}.{half}"
            fine = conv(y, f"{name}.ffc.convl2l") + conv(z, f"{name}.ffc.convg2l")
            far = conv(y, f"{name}.ffc.convl2g") + spectral(z, f"{name}.ffc.convg2g")
            y, z = norm(fine, f"{name}.bn_l"), norm(far, f"{name}.bn_g")
        x, wide = was[0] + y, was[1] + z
    x = torch.cat([x, wide], 1)
    for step in range(3):
        name = 6 + blocks + 3 * step
        up = state[f"model.{name}.weight"], state[f"model.{name}.bias"]
        x = norm(F.conv_transpose2d(x, *up, stride=2, padding=1, output_padding=1), f"model.{name + 1}")
    last = f"model.{6 + blocks + 10}"
    return torch.sigmoid(conv(x, last, pad=3) + state[f"{last}.bias"][:, None, None])


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (64, 16)], ids=str)
def test_the_generator_is_the_papers(size: tuple[int, int], tiny: nn.Module) -> None:
    image = torch.rand(2, 3, *size, generator=seeded())
    hole = (torch.rand(2, 1, *size, generator=seeded(1)) < 0.3).float()
    with torch.no_grad():
        expected = reference(tiny.state_dict(), torch.cat([image * (1 - hole), hole], 1), blocks=2)
    assert expected.std() > 0.01
    torch.testing.assert_close(tiny(image, hole), expected, rtol=0, atol=1e-5)


# The published checkpoint.


def test_big_lama_has_the_published_tensors() -> None:
    """The count of tensors and of numbers are those of the published best.ckpt."""
    with torch.device("meta"):
        state = lama.Lama().state_dict()
    assert len(state) == 989
    assert sum(value.numel() for value in state.values()) == 51_057_179
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    norms = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    expected = {
        "model.1.ffc.convl2l.weight": (64, 4, 7, 7),
        "model.2.ffc.convl2l.weight": (128, 64, 3, 3),
        "model.3.ffc.convl2l.weight": (256, 128, 3, 3),
        "model.4.ffc.convl2l.weight": (128, 256, 3, 3),
        "model.4.ffc.convl2g.weight": (384, 256, 3, 3),
        "model.34.weight": (3, 64, 7, 7),
        "model.34.bias": (3,),
    }
    widths = {"model.1.bn_l": 64, "model.2.bn_l": 128, "model.3.bn_l": 256}
    widths |= {"model.4.bn_l": 128, "model.4.bn_g": 384}
    for name in (f"model.{block}.conv{half}" for block in range(5, 23) for half in (1, 2)):
        expected |= {
            f"{name}.ffc.convl2l.weight": (128, 128, 3, 3),
            f"{name}.ffc.convl2g.weight": (384, 128, 3, 3),
            f"{name}.ffc.convg2l.weight": (128, 384, 3, 3),
            f"{name}.ffc.convg2g.conv1.0.weight": (192, 384, 1, 1),
            f"{name}.ffc.convg2g.fu.conv_layer.weight": (384, 384, 1, 1),
            f"{name}.ffc.convg2g.conv2.weight": (384, 192, 1, 1),
        }
        widths |= {f"{name}.bn_l": 128, f"{name}.bn_g": 384}
        widths |= {f"{name}.ffc.convg2g.conv1.1": 192, f"{name}.ffc.convg2g.fu.bn": 384}
    for index, width in ((24, 512), (27, 256), (30, 128)):
        expected[f"model.{index}.weight"] = (width, width // 2, 3, 3)
        expected[f"model.{index}.bias"] = (width // 2,)
        widths[f"model.{index + 1}"] = width // 2
    for name, width in widths.items():
        expected |= {f"{name}.{part}": () if part.startswith("num") else (width,) for part in norms}
    assert shapes == expected


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Lightning 1.2 puts beside the weights: classes of its own and of OmegaConf."""
    made = {}
    for place, name in (
        ("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"),
        ("omegaconf.dictconfig", "DictConfig"),
        ("omegaconf.base", "Metadata"),
    ):
        made[name] = type(name, (), {"__module__": place})
        parts = place.split(".")
        for end in range(1, len(parts) + 1):  # a module is found through its packages
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), types.ModuleType(parts[end - 1]))
        setattr(sys.modules[place], name, made[name])
    config, about = made["DictConfig"](), made["Metadata"]()
    config.__dict__.update(_metadata=about, _content={"lr": 1e-3, "kind": "ffc_resnet"})
    return {
        "epoch": 39,
        "global_step": 1000,
        "pytorch-lightning_version": "1.2.9",
        "callbacks": {made["ModelCheckpoint"]: {"best_model_score": torch.tensor(0.1)}},
        "hyper_parameters": config,
        "optimizer_states": [],
    }


def published(tiny: nn.Module) -> dict[str, Tensor]:
    """The tensors of a whole training module."""
    own = {f"generator.{name}": value for name, value in tiny.state_dict().items()}
    discriminator = {"discriminator.model0.0.weight": torch.rand(4, 3, 4, 4)}
    loss = {"loss_resnet_pl.impl.conv1.weight": torch.rand(4, 3, 3, 3), "val_evaluator.count": torch.ones(1)}
    return {**discriminator, **own, **loss}


def test_the_published_training_checkpoint_is_read(
    trainer: dict[str, Any], tiny: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "best.ckpt"
    torch.save({**trainer, "state_dict": published(tiny)}, path)
    with pytest.raises(pickle.UnpicklingError, match=r"omegaconf|pytorch_lightning"):
        torch.load(path, weights_only=True)
    for place in [place for place in sys.modules if place.startswith(("pytorch_lightning", "omegaconf"))]:
        monkeypatch.delitem(sys.modules, place)  # the libraries need not be installed
    before = torch.get_rng_state(), set(torch.serialization.get_safe_globals())
    inpainter = lama.load(path)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert set(torch.serialization.get_safe_globals()) == before[1]
    loaded = inpainter.network.state_dict()
    assert loaded.keys() == tiny.state_dict().keys()
    assert all(torch.equal(loaded[name], value) for name, value in tiny.state_dict().items())
    assert not inpainter.network.training
    assert not any(value.requires_grad for value in inpainter.network.parameters())
    assert (inpainter.size, inpainter.multiple, inpainter.value_range) == (None, 8, (0.0, 1.0))
    assert (inpainter.blank, inpainter.stochastic) == (0.0, False)


def spring(path: Path) -> None:
    path.touch()


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (spring, (self.path,))


def test_nothing_in_a_checkpoint_is_run(tiny: nn.Module, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"callbacks": Trap(sprung), "state_dict": published(tiny)}, tmp_path / "best.ckpt")
    lama.load(tmp_path / "best.ckpt")
    torch.save({"state_dict": {**published(tiny), "generator.trap": Trap(sprung)}}, tmp_path / "worse.ckpt")
    with pytest.raises(ValueError, match="holds no state dict"):
        lama.load(tmp_path / "worse.ckpt")
    assert not sprung.exists()
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


@pytest.mark.parametrize("form", ["generator alone", "safetensors", "prefixed safetensors", "half precision"])
@pytest.mark.parametrize(("base", "blocks"), [(2, 0), (4, 1), (6, 3)])
def test_tensors_of_every_form_and_size(form: str, base: int, blocks: int, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        network = randomized(lama.Lama(base, blocks), seed=base)
    state, path = network.state_dict(), tmp_path / "lama.safetensors"
    if form == "half precision":
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
        network.load_state_dict(state)
    if form == "generator alone":
        path = tmp_path / "lama.pth"
        torch.save(state, path)
    else:
        save_file(published(network) if form.startswith("prefixed") else state, path)
    loaded = lama.load(path).network
    assert {value.dtype for value in loaded.parameters()} == {torch.float32}
    image, hole = torch.rand(1, 3, 16, 24, generator=seeded()), torch.ones(1, 1, 16, 24)
    assert torch.equal(loaded(image, hole), network(image, hole))


def test_the_tensors_of_a_program_are_those_of_a_generator(tiny: nn.Module, tmp_path: Path) -> None:
    state = {f"model.generator.{name}": value for name, value in tiny.state_dict().items()}
    save_file(state, tmp_path / "jit.safetensors")
    loaded = lama.load(str(tmp_path / "jit.safetensors")).network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in tiny.state_dict().items())


def spoiled(state: dict[str, Tensor], what: str) -> dict[str, Tensor]:
    if what == "lacks":
        return {name: value for name, value in state.items() if name != "model.4.bn_g.bias"}
    if what == "unexpected":
        return {**state, "model.5.conv1.ffc.convg2g.lfu.conv_layer.weight": torch.zeros(1)}
    if what == "instead of":
        return {**state, "model.2.bn_l.weight": torch.zeros(3)}
    return {"model.1.weight": torch.zeros(64, 4, 7, 7)}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("lacks", r"does not fit LaMa of width 4 with 2 blocks: it lacks model\.4\.bn_g\.bias"),
        ("unexpected", r"it has unexpected model\.5\.conv1\.ffc\.convg2g\.lfu"),
        ("instead of", r"it has model\.2\.bn_l\.weight 3 instead of 8"),
        (
            "another network",
            r"holds no generator of LaMa: no tensor is called model\.1\.ffc\.convl2l\.weight",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(what: str, message: str, tiny: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "lama.safetensors"
    save_file(spoiled(tiny.state_dict(), what), path)
    with pytest.raises(ValueError, match=message) as caught:
        lama.load(path)
    assert str(path) in str(caught.value)


# The published program.


@pytest.mark.parametrize("form", ["program", "traced program"])
def test_a_program_runs_as_it_is(form: str, files: dict[str, Path], program: nn.Module) -> None:
    inpainter = lama.load(files[form])
    for size in ((16, 16), (40, 24)):
        image = torch.rand(2, 3, *size, generator=seeded())
        hole = (torch.rand(2, 1, *size, generator=seeded(1)) < 0.3).float()
        fill = inpainter.network(image, hole)
        torch.testing.assert_close(fill, program(image, hole), rtol=0, atol=1e-6)
    assert not any(value.requires_grad for value in inpainter.network.parameters())
    assert (inpainter.size, inpainter.multiple, inpainter.value_range) == (None, 8, (0.0, 1.0))


def test_damaged_and_missing_files_are_named(files: dict[str, Path], tmp_path: Path) -> None:
    content = files["program"].read_bytes()
    for name, damaged, message in (
        ("cut.pt", content[: len(content) // 2], "is damaged or no weight file|is no weight file"),
        ("text.pt", b"no archive", "is no weight file|is damaged"),
        ("empty.safetensors", b"", "is damaged or no safetensors file"),
    ):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(ValueError, match=message) as caught:
            lama.load(tmp_path / name)
        assert name in str(caught.value)
    with pytest.raises(ValueError, match=r"no such file: .*missing"):
        lama.load(tmp_path / "missing.pt")


def test_an_archive_without_its_code_is_damaged(files: dict[str, Path], tmp_path: Path) -> None:
    import zipfile

    path = tmp_path / "spoiled.pt"
    with zipfile.ZipFile(files["program"]) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"spoiled" if name.endswith("data.pkl") else old.read(name))
    with pytest.raises(ValueError, match=r"spoiled\.pt is a damaged TorchScript file \("):
        lama.load(path)


class Denoiser(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image


def test_programs_of_something_else_are_refused(tmp_path: Path) -> None:
    path = save_program(Denoiser(), tmp_path / "denoiser.pt")
    with pytest.raises(ValueError, match=r"must be a program of image and hole, but takes \['image'\]"):
        lama.load(path)


# What every inpainter promises.

every_form = pytest.mark.parametrize("form", ["tensors", "program", "traced program"])


@every_form
@pytest.mark.parametrize("size", [(8, 8), (8, 24), (16, 8)], ids=str)
def test_small_images_are_extended(form: str, size: tuple[int, int], files: dict[str, Path]) -> None:
    """Of 8 pixels a single one would be left at the bottom, which has no neighbor to reflect."""
    network = lama.load(files[form]).network
    image, hole = torch.rand(1, 3, *size, generator=seeded()), torch.ones(1, 1, *size)
    height, width = size
    pad = (0, max(0, 16 - width), 0, max(0, 16 - height))
    grown = [F.pad(one, pad, mode="replicate") for one in (image, hole)]
    assert torch.equal(network(image, hole), network(*grown)[..., :height, :width])


@every_form
def test_sides_must_be_multiples_of_eight(form: str, files: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"multiples of 8, got \(1, 3, 30, 32\)"):
        lama.load(files[form]).network(torch.rand(1, 3, 30, 32), torch.ones(1, 1, 30, 32))


@every_form
@settings(max_examples=6)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_the_fillers_contract_holds(
    form: str, height: int, width: int, seed: int, files: dict[str, Path], smooth_image: Any
) -> None:
    filler = adapted(lama.load(files[form]))
    check_promises(filler, smooth_image(height, width, seed), random_holes(height, width, seed))


@every_form
def test_in_bfloat16_the_fill_is_about_the_same(form: str, files: dict[str, Path], image: Tensor) -> None:
    inpainter, hole = lama.load(files[form]), torch.ones(1, 1, 24, 32)
    hole[..., :12, :] = 0
    precise, coarse = (adapted(inpainter, precision=one)(image, hole) for one in ("float32", "bfloat16"))
    torch.testing.assert_close(coarse, precise, rtol=0, atol=0.05)
    assert precise[..., 12:, :].std() > 0.005


def test_a_moved_program_stays_in_single_precision(files: dict[str, Path]) -> None:
    network = lama.load(files["program"]).network.to(torch.bfloat16)
    assert Counter(value.dtype for value in network.parameters()).keys() == {torch.float32}
    coarse = network(torch.rand(1, 3, 16, 16).bfloat16(), torch.ones(1, 1, 16, 16).bfloat16())
    assert coarse.dtype == torch.bfloat16
