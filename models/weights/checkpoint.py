"""Weights in files: read, put into a network unless they do not fit, and saved."""

import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from models.weights.environment import expanded
from models.weights.libraries import one_line

SHIPPED: Path = Path(__file__).parents[1] / "checkpoints"
"""The folder of the weights that ship with the package, each with a model card beside it."""

_NESTS = ("state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a weight file holds: tensors by name, and the text that a safetensors file carries beside them."""

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: Path, nests: Sequence[str] = _NESTS) -> Checkpoint:
    """Read a ``.safetensors`` file, or a state dict saved by ``torch.save``.

    A state dict may sit under one of the names in ``nests``, and its names may start with ``module.`` and
    ``_orig_mod.`` (data-parallel and compiled networks, in any order). Nothing but tensors is ever unpickled.

    Raises:
        ValueError: If the file is missing, damaged, or no state dict.
    """
    path = expanded(path)
    if not path.is_file():
        raise ValueError(f"weights: no such file: {path}")
    state, metadata = (
        _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path, nests), {})
    )
    if not state or not all(isinstance(k, str) and isinstance(value, Tensor) for k, value in state.items()):
        raise ValueError(f"weights: {path} holds no state dict (tensors by name)")
    return Checkpoint(path, _bare(state), metadata)


def load_state(network: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Copy the checkpoint's tensors into the network; ``name`` is what the error calls the network.

    Counters of batch normalization (``num_batches_tracked``) may be missing: evaluation does not read them.

    Raises:
        ValueError: If a tensor is missing, unexpected, of another shape, sparse, complex or without content
            (meta); the first of each are named.
    """
    expected, given = _without_counters(network.state_dict()), _without_counters(checkpoint.state)
    faults = [
        *_listed("lacks", [key for key in expected if key not in given]),
        *_listed("has unexpected", [key for key in given if key not in expected]),
        *_listed(
            "has",
            [
                f"{key} {_dimensions(given[key])} instead of {_dimensions(expected[key])}"
                for key in expected
                if key in given and given[key].shape != expected[key].shape
            ],
        ),
        *_listed("has", [f"{kind} tensor {key}" for key in given if (kind := _unfit(given[key]))]),
    ]
    if faults:
        raise ValueError(f"weights: {checkpoint.path} does not fit {name}: it {'; it '.join(faults)}")
    # Some networks read their version from here (mnasnet), and safetensors files cannot carry it.
    versions = getattr(checkpoint.state, "_metadata", None) or getattr(
        network.state_dict(), "_metadata", None
    )
    ordered = OrderedDict(given)
    ordered._metadata = versions  # type: ignore[attr-defined]
    network.load_state_dict(ordered, strict=False)


def renamed(checkpoint: Checkpoint, rules: Mapping[str, str]) -> Checkpoint:
    """Return a checkpoint whose tensors have today's names.

    Args:
        checkpoint: As the file has it.
        rules: Patterns of old names (one of them must match at most), and what stands in their place.
    """
    state: dict[str, Tensor] = OrderedDict()
    for key, value in checkpoint.state.items():
        for old, new in rules.items():
            key, count = re.subn(old, new, key)
            if count:
                break
        state[key] = value
    if versions := getattr(checkpoint.state, "_metadata", None):
        state._metadata = versions  # type: ignore[attr-defined]
    return replace(checkpoint, state=state)


def refuse_weights(weights: Path | None, name: str) -> None:
    """Refuse a file of weights for what comes with its own.

    Raises:
        ValueError: If there is one.
    """
    if weights is not None:
        raise ValueError(f"weights: expected none, for {name} comes with its own, got {weights}")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {path} is damaged or no safetensors file ({one_line(error)})") from error


def _read_pickle(path: Path, nests: Sequence[str]) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "is no weight file, or holds a pickled model; save its state_dict() instead"
        raise ValueError(f"weights: {path} {reason}") from error
    except Exception as error:  # a damaged file may end anywhere in torch's reader
        raise ValueError(f"weights: {path} is damaged or no weight file ({one_line(error)})") from error
    for nest in nests:
        if isinstance(content, dict) and isinstance(content.get(nest), dict):
            content = content[nest]
    return content if isinstance(content, dict) else {}


def _bare(state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take away what every name begins with where a network was wrapped, once or several times."""
    prefix = next((each for each in _PREFIXES if all(name.startswith(each) for name in state)), None)
    if prefix is None:
        return state
    return _bare({name.removeprefix(prefix): value for name, value in state.items()})


def _unfit(tensor: Tensor) -> str:
    """Return what keeps a tensor from being a network's weight; nothing if it may be one."""
    if tensor.is_meta:
        return "the empty (meta)"
    if tensor.layout != torch.strided:
        return "the sparse"
    return "the complex" if tensor.is_complex() else ""


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith(".num_batches_tracked")}


def _listed(verb: str, things: list[str]) -> list[str]:
    if not things:
        return []
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return [f"{verb} {', '.join(things[:_SHOWN])}{more}"]


def _dimensions(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def check_writable(path: Path) -> None:
    """Make the folder of a file that `save_safetensors` writes later, and see that the file can be.

    Raises:
        ValueError: If its name is not one by which `read_checkpoint` knows such a file.
        OSError: If it cannot.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected the name of a file")
    if path.suffix != ".safetensors":
        raise ValueError(f"--out: expected a name that ends in .safetensors, got {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=path.parent):
        pass


def save_safetensors(path: Path, network: nn.Module, metadata: dict[str, str]) -> None:
    """Save the floating-point weights of `network` in half precision, under a temporary name first.

    Raises:
        ValueError: If a weight is not finite, or not in half precision; what was there stays.
    """
    weights = {
        name: tensor.detach()
        .cpu()
        .to(torch.float16 if tensor.is_floating_point() else tensor.dtype)
        .contiguous()
        for name, tensor in network.state_dict().items()
    }
    wrong = [name for name, tensor in weights.items() if not tensor.isfinite().all()]
    if wrong:
        shown = _listed("got NaN or infinity in", wrong)[0]
        raise ValueError(f"weights: expected finite numbers in half precision for {path}, {shown}")
    unfinished = path.with_suffix(".part")
    save_file(weights, unfinished, metadata)
    unfinished.replace(path)
