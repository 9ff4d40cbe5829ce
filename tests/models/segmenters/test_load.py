"""Segmenters' names, and transformers' semantic networks: as transformers itself would run them."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.segmenters import load_segmenter

COMMIT = "0123456789" * 4


@pytest.mark.parametrize("name", ["deeplab", "resnet50", "hf:", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"hf:FOLDER, hf:ID or one of .*deeplabv3_resnet50.*; got") as caught:
        load_segmenter(name)
    hint = "; did you mean 'fcn_resnet50'?" if name == "resnet50" else ""
    assert str(caught.value).endswith(f"got {name!r}{hint}")


@pytest.fixture(scope="module")
def published_segformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny SegFormer with random weights, saved by transformers itself."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("hub") / "segformer"
    config = transformers.SegformerConfig(
        hidden_sizes=(8, 16, 24, 32), depths=(1, 1, 1, 1), num_attention_heads=(1, 2, 3, 4),
        decoder_hidden_size=16, initializer_range=0.3,
        id2label={0: "background", 1: "cat", 2: "dog", 3: "car"},
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 96}).save_pretrained(folder)
    transformers.utils.logging.enable_progress_bar()
    return folder


@pytest.fixture
def segformer(published_segformer: Path, tmp_path: Path) -> Path:
    """The same in a folder of one's own, to change."""
    return Path(shutil.copytree(published_segformer, tmp_path / "segformer"))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No connection to the hub is tried; returns the folder of what was downloaded before."""
    import huggingface_hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def change(folder: Path, file: str, **settings: Any) -> None:
    """Change settings in a JSON file; those that become ``None`` are left out."""
    content = {**json.loads((folder / file).read_text()), **settings}
    kept = {key: value for key, value in content.items() if value is not None}
    (folder / file).write_text(json.dumps(kept))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"size": {"shortest_edge": 64}},
        {"size": 64, "image_processor_type": None, "feature_extractor_type": "SegformerFeatureExtractor"},
        {"resample": 3},
        {"do_resize": False},
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [120, 110, 100], "image_std": [60, 59, 58]},
        {"rescale_factor": 1 / 127.5, "image_mean": [1, 1, 1], "image_std": [1, 0.5, 1]},
        {
            "image_processor_type": "MobileViTImageProcessor",
            "do_flip_channel_order": True,
            "do_normalize": None,
        },
    ],
    ids=lambda settings: ", ".join(settings) or "as published",
)
def test_folders_give_transformers_segmentation(
    settings: dict[str, Any], segformer: Path, smooth_image: Callable[..., Tensor]
) -> None:
    import transformers

    change(segformer, "preprocessor_config.json", **settings)
    segmenter = load_segmenter(f"hf:{segformer}")
    images = 0.2 + 0.6 * torch.cat([smooth_image(75, 130, seed) for seed in range(3)])
    processor = transformers.AutoImageProcessor.from_pretrained(segformer)
    network = transformers.SegformerForSemanticSegmentation.from_pretrained(segformer)
    without_crop = {"do_center_crop": False} if "do_flip_channel_order" in settings else {}
    with torch.no_grad():
        outputs = network(**processor(list(images * 255), return_tensors="pt", **without_crop))
    expected = processor.post_process_semantic_segmentation(outputs, target_sizes=[(75, 130)] * 3)
    resized = nn.functional.interpolate(outputs.logits, (75, 130), mode="bilinear")
    logits = segmenter.logits(images)
    torch.testing.assert_close(logits, resized, rtol=0, atol=1e-4)  # of about 5
    assert resized.std((2, 3)).min() > 0.01  # the image matters
    assert torch.eq(segmenter(images), torch.stack(expected)).float().mean() > 0.999
    torch.testing.assert_close(segmenter.logits(images[1:2]), logits[1:2], rtol=0, atol=1e-4)
    assert segmenter.labels == ("background", "cat", "dog", "car")


def test_networks_of_folders_are_frozen_and_in_single_precision(segformer: Path) -> None:
    state = load_file(segformer / "model.safetensors")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    save_file(halves, segformer / "model.safetensors", {"format": "pt"})
    change(segformer, "config.json", dtype="float16", torch_dtype="float16")
    segmenter = load_segmenter(f"hf:{segformer}")
    assert {value.dtype for value in segmenter.parameters()} == {torch.float32}
    assert not segmenter.training
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())
    assert segmenter(torch.rand(1, 3, 20, 30)).shape == (1, 20, 30)


@pytest.mark.parametrize(
    ("labels", "background"),
    [
        (("Background", "other", "unlabeled", "cat"), 0),
        (("other", "background", "unlabeled", "cat"), 0),
        (("wall", "other", "unlabeled", "__background__"), 3),
        (("wall", "other", "unlabeled", "cat"), 2),
        (("wall", "sky", "other", "cat"), 2),
        (("wall", "sky", "background noise", "cat"), None),
    ],
)
def test_the_background_is_known_by_its_name(
    labels: tuple[str, ...], background: int | None, segformer: Path
) -> None:
    change(segformer, "config.json", id2label=dict(enumerate(labels)))
    segmenter = load_segmenter(f"hf:{segformer}")
    assert (segmenter.labels, segmenter.background) == (labels, background)


def test_loading_is_silent_and_leaves_no_trace(segformer: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import transformers

    progress = transformers.utils.logging
    state = load_file(segformer / "model.safetensors")
    save_file({**state, "stray": torch.zeros(2)}, segformer / "model.safetensors", {"format": "pt"})
    before = (torch.get_rng_state(), progress.get_verbosity(), progress.is_progress_bar_enabled())
    load_segmenter(f"hf:{segformer}")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (progress.get_verbosity(), progress.is_progress_bar_enabled()) == before[1:]
    assert capfd.readouterr() == ("", "")


def test_pickled_weights_are_read_as_tensors(segformer: Path) -> None:
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = load_segmenter(f"hf:{segformer}").logits(images)
    torch.save(load_file(segformer / "model.safetensors"), segformer / "pytorch_model.bin")
    (segformer / "model.safetensors").unlink()
    assert torch.equal(load_segmenter(f"hf:{segformer}").logits(images), expected)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_folder_is_run(segformer: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    torch.save({"weight": Trap(sprung)}, segformer / "pytorch_model.bin")
    (segformer / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="holds no semantic segmenter that transformers can load"):
        load_segmenter(f"hf:{segformer}")
    (tmp_path / "model.safetensors").rename(segformer / "model.safetensors")
    (segformer / "code.py").write_text(f"import pathlib\npathlib.Path({str(sprung)!r}).touch()\n")
    own = {"AutoConfig": "code.Config", "AutoModelForSemanticSegmentation": "code.Net"}
    change(segformer, "config.json", model_type="novel", auto_map=own)
    with pytest.raises(ValueError, match="is of type 'novel'; expected a model for semantic segmentation"):
        load_segmenter(f"hf:{segformer}")
    assert not sprung.exists()


def test_weights_that_lack_a_tensor_are_refused(segformer: Path) -> None:
    """Transformers itself would only warn, and go on with random numbers."""
    state = load_file(segformer / "model.safetensors")
    head = [key for key in state if key.startswith("decode_head.classifier")]
    kept = {key: value for key, value in state.items() if key not in head}
    save_file(kept, segformer / "model.safetensors", {"format": "pt"})
    message = (
        r"does not fit SegformerForSemanticSegmentation: it lacks decode_head.classifier.bias and 1 more$"
    )
    with pytest.raises(ValueError, match=message):
        load_segmenter(f"hf:{segformer}")


def damage(folder: Path, what: str) -> None:
    if what == "no weights":
        (folder / "model.safetensors").unlink()
    elif what == "cut weights":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif what == "other shapes":
        change(folder, "config.json", decoder_hidden_size=24)
    elif what == "no processor":
        (folder / "preprocessor_config.json").unlink()
    elif what == "no config":
        (folder / "config.json").unlink()
    elif what in ("broken config", "no settings"):
        (folder / "config.json").write_text("{" if what == "broken config" else "[]")
    else:
        change(folder, "config.json", model_type=None if what == "no type" else "resnet")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("no weights", "holds no semantic segmenter that transformers can load"),
        ("cut weights", "holds no semantic segmenter that transformers can load"),
        ("other shapes", "holds no semantic segmenter that transformers can load"),
        ("no processor", "holds no semantic segmenter that transformers can load"),
        ("no config", r"holds no segmenter that transformers can load \(config.json: "),
        ("broken config", r"holds no segmenter that transformers can load \(config.json: "),
        ("no type", r"holds no segmenter that transformers can load \(config.json: 'model_type'\)"),
        ("no settings", r"holds no segmenter that transformers can load \(config.json: "),
        ("other model", "is of type 'resnet'; expected a model for semantic segmentation"),
    ],
)
def test_folders_of_something_else_are_refused(what: str, reason: str, segformer: Path) -> None:
    damage(segformer, what)
    with pytest.raises(ValueError, match=reason) as caught:
        load_segmenter(f"hf:{segformer}")
    assert str(segformer) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"resample": 1},
        {"size": {"longest_edge": 64}},
        {"size": {"shortest_edge": 64, "longest_edge": 90}},
        {"image_mean": 0.5},
        {"image_mean": ["a", "b", "c"]},
        {"image_processor_type": "DPTImageProcessor", "keep_aspect_ratio": True},
        {"image_processor_type": "DPTImageProcessor", "ensure_multiple_of": 60},
    ],
    ids=str,
)
def test_processors_that_do_something_else_are_refused(settings: dict[str, Any], segformer: Path) -> None:
    change(segformer, "preprocessor_config.json", **settings)
    with pytest.raises(ValueError, match=f"cannot follow the image processor of hf:{segformer}: "):
        load_segmenter(f"hf:{segformer}")


def test_ids_that_cannot_be_had_say_what_to_download(offline: Path) -> None:
    with pytest.raises(ValueError, match="segmenter: hf:someone/segformer is no folder") as caught:
        load_segmenter("hf:someone/segformer")
    message = str(caught.value)
    assert "'hf download someone/segformer --local-dir FOLDER', then use hf:FOLDER" in message
    assert "\n" not in message


def test_missing_folders_are_no_ids(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"hf:{tmp_path}/missing: no such folder"):
        load_segmenter(f"hf:{tmp_path}/missing")


@pytest.mark.parametrize("pickled", [False, True])
def test_ids_downloaded_before_need_no_connection(pickled: bool, offline: Path, segformer: Path) -> None:
    if pickled:
        torch.save(load_file(segformer / "model.safetensors"), segformer / "pytorch_model.bin")
        (segformer / "model.safetensors").unlink()
    repository = offline / "models--someone--segformer"
    shutil.copytree(segformer, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    expected = load_segmenter(f"hf:{segformer}").logits(images)
    assert torch.equal(load_segmenter("hf:someone/segformer").logits(images), expected)


def test_folders_come_with_their_own_weights(segformer: Path) -> None:
    with pytest.raises(ValueError, match=r"weights: expected none, for hf:.* comes with its own, got"):
        load_segmenter(f"hf:{segformer}", segformer / "model.safetensors")


def test_without_transformers_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"needs transformers, which is not installed: pip .*\[hub\]"):
        load_segmenter(f"hf:{tmp_path}")
