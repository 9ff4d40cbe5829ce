"""RePaint (Lugmayr et al. 2022): an unconditional diffusion model of pixels fills holes it never trained for.

On each step back from noise the observed pixels are replaced with the image's own, noised as much (eq. 8).
Going forth again by some steps, and back, harmonizes the two (algorithm 1, section 4.2).
"""

from pathlib import Path
from typing import Annotated, Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from models.inpainters.inpainter import Inpainter
from models.weights import diffusers as hub
from models.weights.libraries import one_line

_UNET = "UNet2DModel"
MOST, LARGEST = 10_000, 4096
"""The most steps, and the largest side in pixels: above, numbers are a slip of the pen."""


class RePaint(hub.FixedPrecision):
    """A denoiser of images in [-1, 1] as an inpainter; it stays in the precision in which it was loaded.

    Diffusers' own pipeline draws the noise of a whole batch from the first generator; here each image has
    its own, and its fill does not depend on its batch.

    Args:
        denoiser: ``UNet2DModel`` of diffusers, which predicts the noise.
        scheduler: ``RePaintScheduler`` of diffusers, its steps set.
    """

    def __init__(self, denoiser: nn.Module, scheduler: Any) -> None:
        super().__init__()
        self.denoiser, self.scheduler = denoiser, scheduler

    def forward(
        self, image: Float[Tensor, "n 3 h w"], hole: Float[Tensor, "n 1 h w"], generator: list[Generator]
    ) -> Float[Tensor, "n 3 h w"]:
        """Paint the hole, 1 where pixels are removed, with noise of each image's own generator."""
        from diffusers.utils.torch_utils import randn_tensor

        image, known, scheduler = image.float(), 1 - hole.float(), self.scheduler
        x = randn_tensor(image.shape, generator=generator, device=image.device, dtype=image.dtype)
        before = int(scheduler.timesteps[0]) + 1
        for t in scheduler.timesteps.tolist():
            if t < before:
                noise = self._noise(x, t)
                x = scheduler.step(noise, t, x, image, known, generator).prev_sample
            else:
                x = scheduler.undo_step(x, before, generator)
            before = t
        return x

    def _noise(self, x: Float[Tensor, "n 3 h w"], t: int) -> Float[Tensor, "n 3 h w"]:
        weight = next(self.denoiser.parameters())
        noise: Tensor = self.denoiser(x.to(weight.dtype), t).sample
        return noise.to(x.dtype)


def load(
    place: Path | str,
    *,
    steps: Annotated[int, "[1, 10000]"] = 250,
    jump: Annotated[int, "[1, 10000]"] = 10,
    resamples: Annotated[int, "[1, 10000]"] = 10,
    eta: Annotated[float, "[0, 1]"] = 1.0,
    size: Annotated[int, "[1, 4096]"] | None = None,
    precision: str = "float32",
) -> Inpainter:
    """An unconditional diffusion model, published for diffusers as ``DDPMPipeline`` or the like.

    Defaults are the paper's; they ask the network about ``steps * resamples`` times.

    Args:
        place: The folder of the model, or its id on the hub.
        steps: How many steps the way back from noise has, T in the paper. It begins at step
            ``(steps - 1) * (trained // steps)`` of those of training, which should be near their end: take
            many that divide them.
        jump: By how many steps to go forth again at a time, j in the paper.
        resamples: How many times to go each stretch of the way back, r in the paper.
        eta: How much noise a step back adds: 1 as DDPM does (Ho et al. 2020), 0 none (Song et al. 2021).
        size: The side of the images it works at; ``None``: the one it was trained at.
        precision: "float32" or "bfloat16", of the network; the image is denoised in float32.

    Raises:
        ValueError: If a parameter is out of its range, or if the model cannot be had, lacks tensors, or is
            no model of RGB pixels that predicts noise.
    """
    dtype = hub.dtype_of(precision)
    for name, value in {"steps": steps, "jump": jump, "resamples": resamples}.items():
        if not 1 <= value <= MOST:
            raise ValueError(
                f"{name}: expected {'at least 1' if value < 1 else f'at most {MOST}'}, got {value}"
            )
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected in [0, 1], got {eta}")
    folder = hub.located(place)
    diffusers = hub.library(place)
    scheduler = _scheduler(diffusers, folder)
    trained = scheduler.config.num_train_timesteps
    if steps > trained:
        raise ValueError(f"steps: expected at most the {trained} that {folder} was trained on, got {steps}")
    denoiser = _denoiser(diffusers, folder, dtype)
    side = _side(denoiser, size)
    scheduler.eta = eta
    scheduler.set_timesteps(steps, jump, resamples)
    network = RePaint(denoiser, scheduler).eval().requires_grad_(False)
    return Inpainter(network, size=side, value_range=(-1.0, 1.0), stochastic=True)


def _scheduler(diffusers: Any, folder: Path) -> Any:
    place = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    settings = hub.settings(place / "scheduler_config.json")
    if settings.get("prediction_type", "epsilon") != "epsilon":
        raise ValueError(
            f"inpainter: {place}: expected a model that predicts noise, got {settings['prediction_type']}"
        )
    try:
        with hub.quiet():
            return diffusers.RePaintScheduler.from_config(settings)
    except Exception as error:  # what settings are wrong shows in many ways
        raise ValueError(
            f"inpainter: cannot follow {place}/scheduler_config.json ({one_line(error)})"
        ) from error


def _denoiser(diffusers: Any, folder: Path, dtype: torch.dtype) -> nn.Module:
    place = folder / "unet" if (folder / "unet").is_dir() else folder
    settings = hub.settings(place / "config.json")
    kind, channels = settings.get("_class_name"), (settings.get("in_channels"), settings.get("out_channels"))
    conditional = settings.get("class_embed_type") or settings.get("num_class_embeds")
    if kind != _UNET or channels != (3, 3) or conditional:
        what = f"{kind} with (in, out) channels {channels}"
        raise ValueError(f"inpainter: {place}: expected an unconditional {_UNET} of RGB pixels, got {what}")
    with hub.quiet(), torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
        return hub.network(diffusers.UNet2DModel, place, dtype)


def _side(denoiser: Any, size: int | None) -> int:
    """The size asked for, or else the network's own."""
    trained = denoiser.config.sample_size
    multiple = 2 ** (len(denoiser.config.block_out_channels) - 1)
    if size is None and not isinstance(trained, int):
        raise ValueError(f"size: the network does not say at which it works ({trained}); name it")
    side = int(trained if size is None else size)
    if not 1 <= side <= LARGEST or side % multiple:
        raise ValueError(f"size: expected a positive multiple of {multiple}, at most {LARGEST}, got {side}")
    return side
