"""The weights that ship with the package, as safetensors, each with a model card beside it."""

import json
import struct
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

CHECKPOINTS: Path = Path(__file__).parent


def read(path: Path, network: nn.Module) -> None:
    """Load the weights of `path` into `network`, in the network's own precision.

    Raises:
        ValueError: If the file is missing, is not safetensors, or does not fit the network.
    """
    if not path.is_file():
        raise ValueError(f"weights not found: {path}")
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {path} ({error})") from error
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).replace("\n", " ")
        raise ValueError(f"weights of {path} do not fit: {reason}") from error


def write(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Save the floating-point weights of `network` in half precision, under a temporary name first."""
    weights = {
        name: tensor.detach()
        .cpu()
        .to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
        .contiguous()
        for name, tensor in network.state_dict().items()
    }
    unfinished = path.with_suffix(".part")
    save_file(weights, unfinished, metadata)
    unfinished.replace(path)


def metadata(path: Path) -> dict[str, str]:
    """The free text that a safetensors file carries."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return dict(json.loads(file.read(size)).get("__metadata__", {}))
