"""Tiny classifiers of transformers and timm with random weights, saved as the published ones are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


def seeded(make: Callable[[], Any]) -> Any:
    """Make a network with random weights that differ from layer to layer."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make()
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.2)
    return network.eval()


def saved(folder: Path, network: Any, processor: Any) -> Path:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return folder


def vit() -> Any:
    import transformers

    config = transformers.ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        patch_size=8, id2label={0: "cat", 1: "dog", 2: "hen"}, label2id={"cat": 0, "dog": 1, "hen": 2},
    )  # fmt: skip
    return seeded(lambda: transformers.ViTForImageClassification(config))


def save_clip(folder: Path) -> Path:
    """Save a tiny CLIP with random weights, for texts of small letters."""
    import transformers

    folder.mkdir(exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz,"
    ends = (f"{letter}</w>" for letter in letters)
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *ends]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 32})
    )
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **size, "vocab_size": 56, "max_position_embeddings": 32,
            "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
        },
        vision_config={**size, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )  # fmt: skip
    processor = transformers.CLIPImageProcessor(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    return saved(folder, seeded(lambda: transformers.CLIPModel(config)), processor)
