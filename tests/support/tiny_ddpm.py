"""Tiny unconditional diffusion models with random weights, saved as the published ones are."""

from pathlib import Path

import torch

from models.weights import diffusers as hub

SIDE = 16


def save_model(folder: Path) -> Path:
    """Save a tiny ``DDPMPipeline`` as diffusers itself does."""
    diffusers = hub.library("")
    with hub.quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = diffusers.UNet2DModel(
            sample_size=SIDE, in_channels=3, out_channels=3, layers_per_block=1, block_out_channels=(8, 16),
            down_block_types=("DownBlock2D", "AttnDownBlock2D"), norm_num_groups=4, attention_head_dim=4,
            up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder
