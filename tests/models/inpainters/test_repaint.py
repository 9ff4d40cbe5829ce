"""RePaint of tiny unconditional models with random weights, saved and loaded as published."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from promises import adapted, check_promises, random_holes
from safetensors.torch import load_file, save_file
from tiny_ddpm import SIDE, save_model
from torch import Tensor, nn

from models.inpainters import repaint
from models.weights import diffusers as hub

QUICK = {"steps": 4, "jump": 1, "resamples": 2}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ``DDPMPipeline``."""
    return save_model(tmp_path_factory.mktemp("hub") / "ddpm")


@pytest.fixture
def ddpm(published: Path, tmp_path: Path) -> Path:
    """The same in a folder of one's own, to change."""
    return Path(shutil.copytree(published, tmp_path / "ddpm"))


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(number) for number in numbers]


def change(file: Path, **settings: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))


def half() -> Tensor:
    hole = torch.zeros(1, 1, SIDE, SIDE)
    hole[:, :, 3:, 5:13] = 1
    return hole


# What it paints.


@pytest.mark.parametrize("options", [{}, {"jump": 2, "resamples": 3}, {"eta": 0.0}, {"steps": 1}], ids=str)
def test_an_image_is_painted_as_diffusers_does(options, published, smooth_image):
    import diffusers

    asked = {**QUICK, "eta": 1.0, **options}
    image, hole = smooth_image(SIDE, SIDE) * 2 - 1, half()
    inpainter = repaint.load(published, **asked)
    painted = inpainter.network(image, hole, generator=seeds(4))
    with hub.quiet():
        scheduler = diffusers.RePaintScheduler.from_pretrained(published / "scheduler")
        pipeline = diffusers.RePaintPipeline.from_pretrained(published, scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)
        expected = pipeline(
            image, 1 - hole, asked["steps"], asked["eta"], asked["jump"], asked["resamples"],
            generator=seeds(4)[0], output_type="np",
        ).images  # fmt: skip
    expected = torch.from_numpy(expected).movedim(-1, 1)
    torch.testing.assert_close((painted / 2 + 0.5).clamp(0, 1), expected, rtol=0, atol=1e-5)
    assert (inpainter.size, inpainter.value_range, inpainter.stochastic) == (SIDE, (-1.0, 1.0), True)
    assert not inpainter.network.training
    assert not any(parameter.requires_grad for parameter in inpainter.network.parameters())


class Certain(nn.Module):
    """Knows that every image is of one color, and so what is noise; remembers when it was asked."""

    def __init__(self, color: float) -> None:
        super().__init__()
        self.color, self.asked = nn.Parameter(torch.tensor(color)), []

    def forward(self, x: Tensor, t: int) -> Any:
        self.asked.append(t)
        kept = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000), 0)[t]
        return SimpleNamespace(sample=(x - kept.sqrt() * self.color) / (1 - kept).sqrt())


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_what_the_denoiser_knows_fills_the_hole_and_the_rest_stays(eta, published, smooth_image):
    image, hole = smooth_image(SIDE, SIDE) * 2 - 1, half()
    scheduler = repaint.load(published, eta=eta, **QUICK).network.scheduler
    painted = repaint.RePaint(Certain(0.3), scheduler)(image, hole, seeds(0)).detach()
    torch.testing.assert_close(painted, torch.where(hole.bool(), 0.3, image), rtol=0, atol=1e-4)


def test_each_stretch_is_gone_as_often_as_asked(published):
    """Figure 9 of the paper, in small: 6 steps, from every second place back to it two more times."""
    scheduler = repaint.load(published, steps=6, jump=2, resamples=3).network.scheduler
    denoiser = Certain(0.0)
    repaint.RePaint(denoiser, scheduler)(torch.zeros(1, 3, SIDE, SIDE), half(), seeds(0))
    times = [t // 166 for t in denoiser.asked]
    assert times == [5, 4, 3, 2, 3, 2, 3, 2, 1, 0, 1, 0, 1, 0]


# What a filler promises.


def test_it_keeps_what_fillers_promise(published, smooth_image):
    image = smooth_image(24, 41)
    fill = adapted(repaint.load(published, **QUICK))
    whole = check_promises(fill, image, random_holes(24, 41), lambda: seeds(3)[0])
    assert not torch.allclose(whole[0], image[0], atol=0.01)


def test_bfloat16_stays_bfloat16(published, smooth_image):
    fill = adapted(repaint.load(published, precision="bfloat16", **QUICK))
    assert {weight.dtype for weight in fill._ready.state_dict().values()} == {torch.bfloat16}
    image, hole = smooth_image(SIDE, SIDE), half()
    rough = fill(image, hole, seeds(3)[0])
    precise = adapted(repaint.load(published, **QUICK))(image, hole, seeds(3)[0])
    assert not torch.equal(rough, precise)
    torch.testing.assert_close(rough, precise, rtol=0, atol=0.1)


def test_nothing_is_said_and_no_chance_is_taken(published, smooth_image, capfd):
    before = torch.random.get_rng_state()
    network = repaint.load(published, **QUICK).network
    network(smooth_image(SIDE, SIDE), half(), generator=seeds(0))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


# What is read.


@pytest.mark.parametrize("pickled", [False, True])
def test_a_model_may_lie_in_one_folder(pickled, ddpm, published, smooth_image):
    for file in (*(ddpm / "unet").iterdir(), *(ddpm / "scheduler").iterdir()):
        file.rename(ddpm / file.name)
    (ddpm / "unet").rmdir()
    (ddpm / "scheduler").rmdir()
    if pickled:
        file = ddpm / "diffusion_pytorch_model.safetensors"
        torch.save(load_file(file), file.with_suffix(".bin"))
        file.unlink()
    image, ways = smooth_image(SIDE, SIDE), [repaint.load(place, **QUICK) for place in (ddpm, published)]
    one, other = (way.network(image, half(), generator=seeds(0)) for way in ways)
    # The same numbers, but a pickle's lie elsewhere in memory: some processors then sum in another order.
    torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_a_pickle_that_runs_code_does_not_run(ddpm, tmp_path):
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (ddpm / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({"conv_in.weight": Trap()}, ddpm / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(ValueError, match="unet holds no UNet2DModel that can be loaded"):
        repaint.load(ddpm)
    assert not (tmp_path / "ran").exists()


def test_a_missing_tensor_is_named(ddpm):
    file = ddpm / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(file)
    del state["conv_in.weight"]
    save_file(state, file)
    with pytest.raises(ValueError, match=r"does not fit UNet2DModel: it lacks conv_in\.weight$"):
        repaint.load(ddpm)


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("unet/config.json", {"_class_name": "UNet1DModel"}, "expected an unconditional UNet2DModel of RGB"),
        ("unet/config.json", {"out_channels": 6}, r"got UNet2DModel with \(in, out\) channels \(3, 6\)"),
        ("unet/config.json", {"num_class_embeds": 10}, "expected an unconditional UNet2DModel of RGB"),
        ("unet/config.json", {"sample_size": None}, r"size: the network does not say .* \(None\); name it"),
        (
            "scheduler/scheduler_config.json",
            {"prediction_type": "v_prediction"},
            "expected a model that predicts noise, got v_prediction",
        ),
        (
            "scheduler/scheduler_config.json",
            {"beta_schedule": "odd"},
            "cannot follow .*scheduler_config.json",
        ),
    ],
)
def test_other_models_are_refused(file, settings, message, ddpm):
    change(ddpm / file, **settings)
    with pytest.raises(ValueError, match=message):
        repaint.load(ddpm)


def test_missing_files_are_named(ddpm, tmp_path):
    with pytest.raises(ValueError, match=f"inpainter: {tmp_path}/missing: no such folder"):
        repaint.load(tmp_path / "missing")
    (ddpm / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(ValueError, match=r"cannot read .*scheduler_config\.json"):
        repaint.load(ddpm)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"steps": 1001}, "steps: expected at most the 1000 that .* was trained on, got 1001"),
        ({"jump": 0}, "jump: expected at least 1, got 0"),
        ({"resamples": 0}, "resamples: expected at least 1, got 0"),
        ({"eta": 1.5}, r"eta: expected in \[0, 1\], got 1.5"),
        ({"size": 15}, "size: expected a positive multiple of 2, at most 4096, got 15"),
        ({"precision": "half"}, "precision: expected one of float32, bfloat16, got 'half'"),
    ],
)
def test_impossible_parameters_are_refused(options, message, published):
    with pytest.raises(ValueError, match=message):
        repaint.load(published, **options)
