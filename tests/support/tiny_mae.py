"""Tiny masked autoencoders with random weights, saved as the published ones are."""

from pathlib import Path
from typing import Any

import torch

SIDE, PATCH, CELLS = 32, 8, 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def save_model(folder: Path, **options: Any) -> Path:
    """Save a tiny autoencoder with random weights in which positions matter."""
    import transformers

    config = transformers.ViTMAEConfig(**{
        "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
        "image_size": SIDE, "patch_size": PATCH, "initializer_range": 0.2,
        "decoder_hidden_size": 24, "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 3,
        "decoder_intermediate_size": 40, **options,
    })  # fmt: skip
    transformers.utils.logging.disable_progress_bar()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.ViTMAEForPreTraining(config)
        for free in (
            network.vit.embeddings.position_embeddings,
            network.decoder.decoder_pos_embed,
            network.decoder.mask_token,
        ):
            free.data.normal_()  # the library leaves them at zero
        network.save_pretrained(folder)
    processor = transformers.ViTImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD
    )
    processor.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return folder
