"""Tiny classifiers with random weights, some saved as the published ones are, and what tests ask of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.classifiers import ImageClassifier, load_classifier
from models.preprocessing import Preprocessing

CLOSE = {"rtol": 0, "atol": 1e-4}


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


class Average(nn.Module):
    """Logits are the channels' means."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


def average(crop: int = 24, resize: int = 28, interpolation: str = "bilinear") -> ImageClassifier:
    return ImageClassifier(Average(), Preprocessing(crop, resize, interpolation=interpolation))


def small(classes: int = 5) -> nn.Module:
    network: nn.Module = seeded(
        lambda: nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(4, classes),
        )
    )
    return network


def one_line(name: str, message: str, weights: Path | None = None) -> str:
    with pytest.raises(ValueError, match=message) as caught:
        load_classifier(name, weights)
    assert "\n" not in str(caught.value)
    return str(caught.value)
