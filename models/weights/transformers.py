"""The library transformers' networks, from a folder or from the hub."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from models.preprocessing import Preprocessing
from models.weights import hub as hub_cache
from models.weights.environment import expanded
from models.weights.libraries import import_library, one_line, quiet_loggers

_ID = r"[\w.-]+(/[\w.-]+)?"
RESAMPLING = {2: "bilinear", 3: "bicubic"}  # as Pillow counts
_SETTINGS = ("config.json", "preprocessor_config.json", "processor_config.json")
_TENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")


@dataclass(frozen=True)
class ModelFamily:
    """A family of networks: the class of transformers that reads it, and how errors speak of it.

    Attributes:
        argument: What the user chose it with.
        prefix: What comes before the folder or the id there.
    """

    reader: str
    noun: str
    argument: str
    prefix: str

    def named(self, place: str) -> str:
        """How errors begin."""
        return f"{self.argument}: {self.prefix}{place}"


SEGMENTER = ModelFamily("AutoModelForSemanticSegmentation", "semantic segmenter", "segmenter", "hf:")
INSTANCES = ModelFamily("AutoModelForUniversalSegmentation", "instance segmenter", "segmenter", "hf:")
PROMPTED = ModelFamily("AutoModelForMaskGeneration", "promptable segmenter", "segmenter", "hf:")


class Logits(nn.Module):
    """A network's logits alone; some networks want the channels as blue, green, red."""

    def __init__(self, network: nn.Module, reverse: bool) -> None:
        super().__init__()
        self.network, self.reverse = network, reverse

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of normalized images."""
        logits: Tensor = self.network(images.flip(1) if self.reverse else images)["logits"]
        return logits


def load(place: str, folder: Path) -> tuple[nn.Module, tuple[str, ...], Preprocessing]:
    """Return the semantic segmenter in a folder, its classes and how it wants its images.

    Code that comes with a model is never run, and pickled files are read as tensors only.

    Args:
        place: What the user calls it.
        folder: Where it is, see `locate_segmenter`.

    Raises:
        ValueError: If the model is not understood.
    """
    network, processor = with_processor(place, SEGMENTER, folder)
    settings = processor.to_dict()
    try:
        preprocessing = _preprocessing(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"segmenter: cannot follow the image processor of hf:{place}: {error!r}") from error
    reverse = bool(settings.get("do_flip_channel_order"))
    return Logits(network, reverse), labels_of(network.config), preprocessing


def locate_segmenter(place: str) -> tuple[Path, str, tuple[str, ...]]:
    """Return the folder and the type of the model in a folder or of this id on the hub.

    Behind them are the types that are semantic segmenters.

    Raises:
        ValueError: If the model cannot be had, or does not say.
    """
    library = import_library("transformers", SEGMENTER.named(place))
    with quiet_loggers(("transformers", "huggingface_hub"), [library.utils.logging]):
        from transformers.models.auto import modeling_auto

        folder = _located(place, SEGMENTER)
    try:
        config = folder / "config.json"
        model_type = str(json.loads(config.read_text(encoding="utf-8"))["model_type"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = f"holds no segmenter that transformers can load (config.json: {one_line(error)})"
        raise ValueError(f"segmenter: {folder} {reason}") from error
    return folder, model_type, tuple(modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES)


def labels_of(config: Any) -> tuple[str, ...]:
    """Return what the classes are called."""
    return tuple(str(config.id2label.get(index, f"class {index}")) for index in range(config.num_labels))


def pretrained(place: str, family: ModelFamily) -> tuple[Any, dict[str, Any]]:
    """Return the network in a folder, or of this id on the hub, and what its image processor does.

    Code that comes with a model is never run, and pickled files are read as tensors only.

    Raises:
        ValueError: If the model cannot be had, or is of another family.
    """
    network, processor = with_processor(place, family)
    return network, processor.to_dict()


def with_processor(place: str, family: ModelFamily, folder: Path | None = None) -> tuple[Any, Any]:
    """Return the network in a folder, or of this id on the hub, and its image processor.

    Code that comes with a model is never run, and pickled files are read as tensors only. Where its folder
    has been found already, nobody is asked for it again.

    Raises:
        ValueError: If the model cannot be had, or is of another family.
    """
    library = import_library("transformers", family.named(place))
    with quiet_loggers(("transformers", "huggingface_hub"), [library.utils.logging]):
        return _read_folder(library, folder or _located(place, family), family)


def normalization(settings: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation that an image processor wants of pixels in [0, 1].

    Raises:
        KeyError, TypeError, ValueError: if it does not say.
    """
    # Processors count pixels up to 255, and mostly divide by that before they normalize.
    scale = 255 * settings["rescale_factor"] if settings.get("do_rescale", True) else 255
    normalized = settings.get("do_normalize")
    mean, std = (settings["image_mean"], settings["image_std"]) if normalized else ((0.0,) * 3, (1.0,) * 3)
    return tuple(value / scale for value in mean), tuple(value / scale for value in std)


def in_bytes(image: Float[Tensor, "c h w"]) -> UInt8[Tensor, "c h w"]:
    """Return an image in [0, 1] as image processors of any version take it."""
    return (255 * image.cpu()).round().to(torch.uint8)


def _located(place: str, family: ModelFamily) -> Path:
    """Return the folder of a model, which is the place itself or the hub's copy."""
    folder = expanded(place)
    return folder if folder.is_dir() else _fetched(place, family)


def _fetched(name: str, family: ModelFamily) -> Path:
    """Return the hub's copy of a model on this machine, downloading it if it is not there yet."""
    from huggingface_hub import snapshot_download

    if not re.fullmatch(_ID, name):
        raise ValueError(f"{family.named(name)}: no such folder")

    def take(local: bool) -> Path:
        for files in (_TENSORS, _PICKLES):
            wanted = [*_SETTINGS, *files]
            folder = Path(snapshot_download(name, allow_patterns=wanted, local_files_only=local))
            if any(path for file in files for path in folder.glob(file)):
                return folder
        raise ValueError("it has no weights")

    try:
        return hub_cache.obtained(name, take)
    except ValueError as error:
        ways = (
            f"get it elsewhere with 'hf download {name} --local-dir FOLDER', then use {family.prefix}FOLDER"
        )
        raise ValueError(
            f"{family.named(name)} is no folder, and cannot be had from the hub ({error}); {ways}"
        ) from error


def _read_folder(library: Any, folder: Path, family: ModelFamily) -> tuple[Any, Any]:
    """Return the network in a folder, and its image processor."""
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with torch.random.fork_rng(devices=[]):  # the caller's random numbers are the caller's
            network, report = getattr(library, family.reader).from_pretrained(
                str(folder), use_safetensors=_holds_tensors(folder), output_loading_info=True, **options
            )
        processor = library.AutoImageProcessor.from_pretrained(str(folder), **options)
    except Exception as error:  # damaged files, other models, missing packages: each has a kind of its own
        reason = f"holds no {family.noun} that transformers can load ({one_line(error)})"
        raise ValueError(f"{family.argument}: {folder} {reason}") from error
    missing = sorted(key for key in report["missing_keys"] if not key.endswith(".num_batches_tracked"))
    if missing:  # transformers would go on with random numbers instead
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ValueError(
            f"weights: {folder} does not fit {type(network).__name__}: it lacks {missing[0]}{more}"
        )
    return network.float(), processor


def _preprocessing(settings: Mapping[str, Any]) -> Preprocessing:
    mean, std = normalization(settings)
    if not settings.get("do_resize"):
        return Preprocessing(None, None, mean, std)
    if settings["resample"] not in RESAMPLING:
        raise ValueError(f"expected a resample out of {RESAMPLING}, got {settings['resample']}")
    return Preprocessing(None, _size(settings), mean, std, RESAMPLING[settings["resample"]])


def _size(settings: Mapping[str, Any]) -> int | tuple[int, int]:
    sides = {side: int(pixels) for side, pixels in settings["size"].items() if pixels}
    multiple = settings.get("ensure_multiple_of") or 1
    free = settings.get("keep_aspect_ratio") or settings.get("do_pad")
    if not free and not any(pixels % multiple for pixels in sides.values()):
        if sides.keys() == {"height", "width"}:
            return sides["height"], sides["width"]
        if sides.keys() == {"shortest_edge"}:
            return sides["shortest_edge"]
    raise ValueError(f"expected a plain resize to a height and width, or a shortest edge, got {sides}")


def _holds_tensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors"))
