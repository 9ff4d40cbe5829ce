"""Tiny detectors of transformers with random weights, saved as the published ones are."""

from pathlib import Path
from typing import Any

import torch
from tiny_segmenters import SIDES, _detr

LABELS = {0: "cat", 1: "dog", 2: "hen"}
KINDS = ("detr", "yolos", "rt_detr")


def saved_detector(kind: str, folder: Path) -> Path:
    """A folder with a detector of this kind and its image processor."""
    import transformers

    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            network, processor = {"detr": _plain_detr, "yolos": _yolos, "rt_detr": _rt_detr}[kind](
                transformers
            )
            _lively(network, 0.3 if kind == "yolos" else 1.0)
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
    finally:
        if shown:
            bars.enable_progress_bar()
    return folder


def _lively(network: Any, std: float) -> None:
    """Make queries differ: random weights alone find the same everywhere."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "class" in name and parameter.ndim > 1:
                parameter.normal_(std=std)
            elif parameter.ndim > 1:
                parameter.normal_(std=0.2)


def _plain_detr(transformers: Any) -> tuple[Any, Any]:
    config = _detr(transformers)[0].config
    config.id2label, config.label2id = LABELS, {name: index for index, name in LABELS.items()}
    return transformers.DetrForObjectDetection(config), transformers.DetrImageProcessor(size=SIDES)


def _yolos(transformers: Any) -> tuple[Any, Any]:
    config = transformers.YolosConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=[64, 96],
        patch_size=16, num_detection_tokens=5, id2label=LABELS, initializer_range=0.3,
    )  # fmt: skip
    processor = transformers.YolosImageProcessor(size={"height": 64, "width": 96})
    return transformers.YolosForObjectDetection(config), processor


def _rt_detr(transformers: Any) -> tuple[Any, Any]:
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[16, 24, 32], encoder_layers=1,
        encoder_ffn_dim=16, encoder_attention_heads=2, d_model=16, num_queries=6, decoder_layers=1,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16, decoder_attention_heads=2, decoder_n_points=2,
        num_denoising=0, hidden_expansion=1.0, id2label=LABELS,
    )  # fmt: skip
    processor = transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})
    return transformers.RTDetrForObjectDetection(config), processor
