"""Weights in files: read them, fetch published ones, put them into a network or say why they do not fit."""

import hashlib
import pickle
import re
import socket
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_NESTS = ("state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.")
_DOWNLOAD_TIMEOUT = 20.0
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a weight file holds: tensors by name, and the text that a safetensors file carries beside them."""

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: Path, nests: Sequence[str] = _NESTS) -> Checkpoint:
    """Read a ``.safetensors`` file, or a state dict saved by ``torch.save``.

    A state dict may sit under one of the names in ``nests``, and its names may start with ``module.`` or
    ``_orig_mod.`` (data-parallel and compiled networks). Nothing but tensors is ever unpickled.

    Raises:
        ValueError: if the file is missing, damaged, or no state dict.
    """
    if not path.is_file():
        raise ValueError(f"weights: no such file: {path}")
    state, metadata = (
        _read_safetensors(path) if path.suffix == ".safetensors" else (_read_pickle(path, nests), {})
    )
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights: {path} holds no state dict (tensors by name)")
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return Checkpoint(path, state, metadata)


def load_state(network: nn.Module, checkpoint: Checkpoint, name: str) -> None:
    """Copy the checkpoint's tensors into the network; ``name`` is what the error calls the network.

    Counters of batch normalization (``num_batches_tracked``) may be missing: evaluation does not read them.

    Raises:
        ValueError: if a tensor is missing, unexpected or of another shape; the first of each are named.
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


def published(url: str) -> Path:
    """Return torch hub's copy of a published weight file, downloading it if it is not there yet.

    The file's content is checked against the hash in its name, each time.

    Raises:
        ValueError: if the file cannot be downloaded, or is damaged.
    """
    path = hub_file(url)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _impatient():
                torch.hub.download_url_to_file(url, str(path), progress=False)
        except OSError as error:  # no network, no such host, no permission, no space: all are OSErrors
            reason = getattr(error, "reason", None) or error
            raise ValueError(f"weights: cannot download {path.name} to {path.parent} ({reason})") from error
    digest = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if digest and not _sha256(path).startswith(digest[1]):
        raise ValueError(f"weights: {path} is damaged: its hash is not the one in its name; delete it")
    return path


def hub_file(url: str) -> Path:
    """Return where torch hub keeps the file of this address (``TORCH_HOME`` moves that folder)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights: {path} is damaged or no safetensors file ({_line(error)})") from error


def _read_pickle(path: Path, nests: Sequence[str]) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "is no weight file, or holds a pickled model; save its state_dict() instead"
        raise ValueError(f"weights: {path} {reason}") from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise ValueError(f"weights: {path} is damaged or no weight file ({_line(error)})") from error
    for nest in nests:
        if isinstance(content, dict) and isinstance(content.get(nest), dict):
            content = content[nest]
    return content if isinstance(content, dict) else {}


def _without_counters(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith(".num_batches_tracked")}


def _listed(verb: str, things: list[str]) -> list[str]:
    if not things:
        return []
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return [f"{verb} {', '.join(things[:_SHOWN])}{more}"]


def _dimensions(tensor: Tensor) -> str:
    return "x".join(str(side) for side in tensor.shape) or "scalar"


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _impatient() -> Iterator[None]:
    """Give up on a silent network after a while; torch hub itself would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
