"""The inpainters of the literature at their published sizes, with random weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from models.inpainters.inpainter import Inpainter

NAMES = ("inpaint", "deepfill-v1", "deepfill-v2", "lama", "mae", "sd", "repaint")
SIDES = {"resnet50": 224, "inpaint": 224, "deepfill-v1": 256, "deepfill-v2": 256, "lama": 256, "mae": 224,
         "sd": 512, "repaint": 256}  # fmt: skip
FEW = (1, 3)
"""How many steps of diffusion are run."""
SD_STEPS = 50
REPAINT = {"num_inference_steps": 250, "jump_length": 10, "jump_n_sample": 10}
COUNTED = (
    f"Diffusion: {FEW[0]} and {FEW[1]} steps are run and all are counted, {SD_STEPS} of Stable Diffusion 1.5 "
    "(without guidance, as with the empty prompt) and the "
    f"{REPAINT['num_inference_steps']} steps of RePaint's paper with their resampling."
)


@dataclass(frozen=True, eq=False)
class Made:
    """An inpainter.

    Attributes:
        steps: How often it asks its network for a fill; 0 where it is no diffusion.
        go: Sets how many of these steps it takes.
    """

    inpainter: Inpainter
    steps: int = 0
    go: Callable[[int], object] = lambda _: None


def parameters(network: object) -> int:
    """How many numbers a network has learned."""
    return sum(one.numel() for one in network.parameters()) if isinstance(network, nn.Module) else 0


def built(name: str, dtype: torch.dtype) -> Made:
    """The inpainter of this name; those that stay in one dtype are in this one."""
    makers = {"inpaint": _small, "lama": _lama, "mae": _mae, "sd": lambda: _sd(dtype),
              "repaint": lambda: _repaint(dtype)}  # fmt: skip
    return _deepfill(name.rsplit("-", 1)[1]) if name.startswith("deepfill") else makers[name]()


def _small() -> Made:
    from models.inpainters import small

    return Made(Inpainter(small.load(), multiple=small.MULTIPLE))


def _deepfill(version: str) -> Made:
    from models.inpainters import deepfill

    network = deepfill.DeepFill("v1" if version == "v1" else "v2")
    return Made(Inpainter(network.eval(), size=deepfill.SIZE, value_range=(-1.0, 1.0)))


def _lama() -> Made:
    from models.inpainters import lama

    return Made(Inpainter(lama.Lama().eval(), multiple=lama.MULTIPLE))


def _mae() -> Made:
    import transformers

    from models.inpainters import mae

    network = transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig())
    return Made(Inpainter(mae.MaskedAutoencoder(network, (0.5,) * 3, (0.5,) * 3).eval(), size=SIDES["mae"]))


def _sd(dtype: torch.dtype) -> Made:
    """Stable Diffusion 1.5 for inpainting, its prompt embedded."""
    import diffusers as untyped

    from models.inpainters.diffusion import Diffusion

    diffusers: Any = untyped
    unet = diffusers.UNet2DConditionModel(
        sample_size=64, in_channels=9, cross_attention_dim=768, attention_head_dim=8
    )
    channels = (128, 256, 512, 512)
    vae = diffusers.AutoencoderKL(
        block_out_channels=channels, down_block_types=["DownEncoderBlock2D"] * len(channels),
        up_block_types=["UpDecoderBlock2D"] * len(channels), layers_per_block=2, sample_size=SIDES["sd"],
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionInpaintPipeline(
        vae=vae.to(dtype), unet=unet.to(dtype), text_encoder=None, tokenizer=None, safety_checker=None,
        scheduler=diffusers.DDIMScheduler(steps_offset=1, clip_sample=False), feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": SD_STEPS, "strength": 1.0, "guidance_scale": 1.0}
    options |= {"height": SIDES["sd"], "width": SIDES["sd"]}
    texts = {"prompt_embeds": torch.randn(1, 77, 768, dtype=dtype)}
    network = Diffusion(pipeline, options, texts, cell=8, guarded=False).eval()

    def go(steps: int) -> None:
        network.options["num_inference_steps"] = steps

    return Made(Inpainter(network, size=SIDES["sd"], blank=0.5, stochastic=True), SD_STEPS, go)


def _repaint(dtype: torch.dtype) -> Made:
    """The unconditional model of 256 x 256 that Ho et al. 2020 published (CelebA-HQ, LSUN)."""
    import diffusers as untyped

    from models.inpainters.repaint import RePaint

    diffusers: Any = untyped
    denoiser = diffusers.UNet2DModel(
        sample_size=SIDES["repaint"], block_out_channels=(128, 128, 256, 256, 512, 512), layers_per_block=2,
        down_block_types=["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
        attention_head_dim=None, downsample_padding=0, flip_sin_to_cos=False, freq_shift=1,
        norm_eps=1e-6, add_attention=True,
    )  # fmt: skip
    scheduler = diffusers.RePaintScheduler()
    scheduler.set_timesteps(**REPAINT)
    way = scheduler.timesteps
    denoising = 1 + int((way[1:] < way[:-1]).sum())
    network = RePaint(denoiser.to(dtype), scheduler).eval()

    def go(steps: int) -> None:
        scheduler.timesteps = way[:steps]  # the way goes down for longer than this before it turns

    return Made(Inpainter(network, size=SIDES["repaint"], value_range=(-1.0, 1.0), stochastic=True),
                denoising, go)  # fmt: skip
