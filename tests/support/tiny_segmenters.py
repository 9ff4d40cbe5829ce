"""Tiny networks of transformers with random weights, saved as the published ones are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

LABELS = {0: "background", 1: "cat", 2: "dog"}
SIDES = {"shortest_edge": 64, "longest_edge": 96}


def saved(kind: str, folder: Path) -> Path:
    """A folder with the network of this kind and its image processor."""
    import transformers

    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        with torch.random.fork_rng():
            torch.manual_seed(SEEDS.get(kind, 0))
            network, processor = MAKERS[kind](transformers)
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
    finally:
        if shown:
            bars.enable_progress_bar()
    return folder


def _swin(transformers: Any) -> Any:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    return transformers.SwinConfig(
        embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2, image_size=32, out_features=stages
    )


def _decided(network: Any, classifier: Any, masks: Any) -> Any:
    """The network with differences between its queries: random weights alone find nothing."""
    with torch.no_grad():
        classifier.weight.normal_(std=3)
        masks.weight.mul_(30)
    return network


def _mask2former(transformers: Any) -> tuple[Any, Any]:
    config = transformers.Mask2FormerConfig(
        backbone_config=_swin(transformers), feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
        dim_feedforward=16, num_queries=6, id2label=LABELS,
    )  # fmt: skip
    network = transformers.Mask2FormerForUniversalSegmentation(config)
    decoder = network.model.transformer_module.decoder
    masks = decoder.mask_predictor.mask_embedder
    processor = transformers.Mask2FormerImageProcessor(size=SIDES, size_divisor=32)
    return _decided(network, network.class_predictor, _last(masks)), processor


def _maskformer(transformers: Any) -> tuple[Any, Any]:
    decoder = transformers.DetrConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=6,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=_swin(transformers), decoder_config=decoder, fpn_feature_size=32,
        mask_feature_size=32, id2label=LABELS,
    )  # fmt: skip
    network = transformers.MaskFormerForInstanceSegmentation(config)
    processor = transformers.MaskFormerImageProcessor(size=SIDES, size_divisor=32)
    return _decided(network, network.class_predictor, _last(network.mask_embedder)), processor


def _detr(transformers: Any) -> tuple[Any, Any]:
    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1] * 4, out_features=stages
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False, backbone_config=backbone,
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=16, decoder_ffn_dim=16,
        encoder_attention_heads=8, decoder_attention_heads=8, num_queries=6, id2label=LABELS,
    )  # fmt: skip
    network = transformers.DetrForSegmentation(config)
    processor = transformers.DetrImageProcessor(size=SIDES)
    return _decided(network, network.detr.class_labels_classifier, _last(network.mask_head)), processor


def _eomt(transformers: Any) -> tuple[Any, Any]:
    config = transformers.EomtConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32, image_size=64,
        patch_size=8, num_blocks=1, num_queries=6, num_register_tokens=1, num_upscale_blocks=1,
        id2label=LABELS,
    )  # fmt: skip
    network = transformers.EomtForUniversalSegmentation(config)
    processor = transformers.EomtImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 64}, do_split_image=False, do_pad=True
    )
    return _decided(network, network.class_predictor, _last(network.mask_head)), processor


def _last(network: Any) -> Any:
    return [module for module in network.modules() if getattr(module, "weight", None) is not None][-1]


def _sam(transformers: Any, name: str = "Sam", **decoder: Any) -> tuple[Any, Any]:
    config = getattr(transformers, f"{name}Config")(
        vision_config={
            "hidden_size": 16, "output_channels": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 64, "patch_size": 8, "mlp_dim": 16, "window_size": 4, "global_attn_indexes": [1],
            "num_pos_feats": 4, "initializer_range": 0.3,
        },
        prompt_encoder_config={
            "hidden_size": 8, "image_size": 64, "patch_size": 8, "image_embedding_size": 8,
            "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 16,
            "iou_head_hidden_dim": 8, **decoder,
        },
        initializer_range=0.3,
    )  # fmt: skip
    processor = transformers.SamImageProcessor(
        size={"longest_edge": 64}, pad_size={"height": 64, "width": 64}
    )
    return getattr(transformers, f"{name}Model")(config), processor


def _sam_hq(transformers: Any) -> tuple[Any, Any]:
    return _sam(transformers, "SamHQ", vit_dim=16)


def _sam2(transformers: Any, name: str = "Sam2", **memory: Any) -> tuple[Any, Any]:
    backbone = {
        "model_type": "sam2_hiera_det_model", "hidden_size": 8, "num_attention_heads": 1,
        "image_size": [64, 64], "embed_dim_per_stage": [8, 16, 24, 32],
        "num_attention_heads_per_stage": [1, 2, 2, 2], "blocks_per_stage": [1, 1, 2, 1],
        "global_attention_blocks": [3], "window_size_per_stage": [8, 4, 4, 2],
        "window_positional_embedding_background_size": [4, 4], "initializer_range": 0.3,
    }  # fmt: skip
    config = getattr(transformers, f"{name}Config")(
        vision_config={
            "backbone_config": backbone, "backbone_channel_list": [32, 24, 16, 8],
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]], "fpn_hidden_size": 32,
            "initializer_range": 0.3,
        },
        prompt_encoder_config={
            "hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 16,
            "iou_head_hidden_dim": 8,
        },
        initializer_range=0.3,
        **memory,
    )  # fmt: skip
    processor = transformers.Sam2ImageProcessor(size={"height": 64, "width": 64})
    return getattr(transformers, f"{name}Model")(config), processor


def _sam2_video(transformers: Any) -> tuple[Any, Any]:
    return _sam2(
        transformers, "Sam2Video", image_size=64, memory_attention_hidden_size=32,
        memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=16,
        memory_attention_num_attention_heads=1, memory_encoder_hidden_size=32,
        memory_encoder_output_channels=8, mask_downsampler_embed_dim=32, memory_fuser_embed_dim=32,
        memory_fuser_intermediate_dim=16,
    )  # fmt: skip


MAKERS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    "maskformer": _maskformer, "mask2former": _mask2former, "detr": _detr, "eomt": _eomt,
    "sam": _sam, "sam_hq": _sam_hq, "sam2": _sam2, "sam2_video": _sam2_video,
}  # fmt: skip
SEEDS = {"maskformer": 5, "mask2former": 1, "detr": 2, "eomt": 1, "sam2": 1}
"""With which something is found in the images of the tests."""
