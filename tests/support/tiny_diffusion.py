"""Tiny pipelines of diffusers with random weights, saved as the published ones are."""

import json
from pathlib import Path
from typing import Any

SIDE, CELL = 32, 4


def tokenizer(folder: Path) -> Any:
    """CLIP's, for texts of small letters, each a token."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 16})
    )
    return CLIPTokenizer.from_pretrained(folder)


def text_config() -> Any:
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=54, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16, projection_dim=16, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip


def vision_config() -> Any:
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16,
        patch_size=8, projection_dim=16,
    )  # fmt: skip


def unet(channels: int, **options: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=SIDE // CELL, in_channels=channels, out_channels=4, layers_per_block=1,
        block_out_channels=(8, 16), down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), norm_num_groups=4, attention_head_dim=4,
        **{"cross_attention_dim": 16, **options},
    )  # fmt: skip


def vae(**options: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4, 8, 8), down_block_types=("DownEncoderBlock2D",) * 3, latent_channels=4,
        up_block_types=("UpDecoderBlock2D",) * 3, norm_num_groups=2, layers_per_block=1, sample_size=SIDE,
        **options,
    )  # fmt: skip


def guard() -> Any:
    """Flags everything, where its thresholds are not raised."""
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig

    config = CLIPConfig(text_config=text_config().to_dict(), vision_config=vision_config().to_dict())
    config.projection_dim = 16
    checker = StableDiffusionSafetyChecker(config)
    checker.concept_embeds_weights.data.fill_(-2)
    checker.special_care_embeds_weights.data.fill_(2)
    return checker


def stable_diffusion(folder: Path, channels: int, guarded: bool = False) -> Any:
    import diffusers
    from transformers import CLIPImageProcessor, CLIPTextModel

    schedulers = {
        9: diffusers.DDIMScheduler,
        4: diffusers.EulerAncestralDiscreteScheduler,
    }  # the latter draws
    kinds = {9: diffusers.StableDiffusionInpaintPipeline, 4: diffusers.StableDiffusionPipeline}
    return kinds[channels](
        unet=unet(channels), vae=vae(), text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(folder / "written"), scheduler=schedulers[channels](steps_offset=1),
        safety_checker=guard() if guarded else None,
        feature_extractor=CLIPImageProcessor(size=16, crop_size=16) if guarded else None,
        requires_safety_checker=guarded,
    )  # fmt: skip
