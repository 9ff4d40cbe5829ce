"""Models of the hub in the cache of ``huggingface_hub``: where they are, and how they get there."""

import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from models.weights.environment import hub_folder, offline
from models.weights.files import sha256_of
from models.weights.libraries import import_library, one_line, quiet

_Result = TypeVar("_Result")

_SETTINGS = ("*.json", "*.txt")
_KINDS = ("*.safetensors", "*.bin")
_IGNORED = ("*fp16*", "*non_ema*", "safety_checker/*")
_SHA256 = r"[0-9a-f]{64}"
_INDEX = "model_index.json"
_PATIENCE = 10.0  # with a hub that does not answer, in seconds


def location(model: str) -> Path:
    """Return the folder of all that the cache has of this model."""
    return hub_folder() / f"models--{model.replace('/', '--')}"


def models() -> list[str]:
    """Return the ids of the models of which the cache has any files."""
    sources = {source(file.parent) for file in hub_folder().glob("models--*/snapshots/*/*")}
    return sorted({known[0] for known in sources if known})


def snapshot(model: str, parts: Sequence[str]) -> Path | None:
    """Return the folder of this model's current files; ``None`` if something of it is missing."""
    reference = location(model) / "refs" / "main"
    if not reference.is_file():
        return None
    folder = location(model) / "snapshots" / reference.read_text("utf-8").strip()
    return None if _missing(folder, parts) else folder


def source(folder: Path) -> tuple[str, str] | None:
    """Return the model and the revision whose snapshot this folder is; ``None`` if it is none."""
    model = folder.parent.parent.name
    if folder.parent.name != "snapshots" or not model.startswith("models--"):
        return None
    return model.removeprefix("models--").replace("--", "/"), folder.name


def obtained(model: str, take: Callable[[bool], _Result]) -> _Result:
    """Return what ``take`` gets of this model; its argument is whether to look at the cache alone.

    That is so if the hub cannot be asked for the model, or does not answer within some seconds: its clients
    would try for a minute, or for ever. With ``INFILL_OFFLINE=1`` nobody is asked.

    Raises:
        ValueError: If it gets nothing; the message is the reason alone.
    """
    reason = "INFILL_OFFLINE forbids to fetch it" if offline() else _refusal(model)
    try:
        return take(bool(reason))
    except Exception as error:  # the hub's client fails in many ways that have no kind in common
        raise ValueError(reason or one_line(error)) from error


def fetch(model: str, parts: Sequence[str], bars: bool) -> Path:
    """Fetch this model: tensors in safetensors files, or where a part has none, pickled ones.

    The library goes on from what has come, checks it, and shows ``bars`` of its own.

    Raises:
        ValueError: If the library is missing, or the model cannot be had.
    """
    huggingface_hub = import_library("huggingface_hub", f"weights: {model}")

    def take(local: bool) -> Path:
        lacking = list(parts)
        for kind in _KINDS:
            wanted = [kind if part == "." else f"{part}/{kind}" for part in lacking]
            folder = Path(
                huggingface_hub.snapshot_download(
                    model,
                    cache_dir=hub_folder(),
                    allow_patterns=[*_SETTINGS, *wanted],
                    ignore_patterns=list(_IGNORED),
                    local_files_only=local,
                )
            )
            lacking = [part for part in parts if not _weights(folder / part)]
            if not lacking:
                break
        if missing := _missing(folder, parts):
            raise ValueError(f"it has no {missing}")
        return folder

    try:
        with nullcontext() if bars else quiet():
            return obtained(model, take)
    except ValueError as error:
        raise ValueError(f"weights: {model} cannot be had from the hub ({error})") from error


def verify(folder: Path) -> str:
    """Return how many of a snapshot's files are as the hub says: it names large files by their SHA-256.

    Raises:
        ValueError: If one is not.
    """
    count = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        blob = path.resolve()
        if not re.fullmatch(_SHA256, blob.name):
            continue
        if sha256_of(blob) != blob.name:
            raise ValueError(f"weights: {path} is damaged: its hash is not the hub's; delete {blob}")
        count += 1
    return f"ok: {count} files have the hub's hashes" if count else "not verified: no published hash"


def _missing(folder: Path, parts: Sequence[str]) -> str:
    """Return what a snapshot lacks; empty if nothing."""
    for part in parts:
        if not _weights(folder / part):
            return f"weights in {part}"
        if not (folder / part / "config.json").is_file():
            return f"config.json in {part}"
    return next((name for name in _components(folder, parts) if not (folder / name).exists()), "")


def _components(folder: Path, parts: Sequence[str]) -> list[str]:
    """Return the index of a pipeline, and the folders that it names, but those that are not fetched."""
    if "." in parts:
        return []
    try:
        index = json.loads((folder / _INDEX).read_text("utf-8"))
    except (OSError, ValueError):
        return [_INDEX]
    named = (name for name, entry in index.items() if isinstance(entry, list) and None not in entry)
    return [name for name in named if not _ignored(f"{name}/")]


def _weights(part: Path) -> bool:
    return any(path.is_file() and not _ignored(path.name) for kind in _KINDS for path in part.glob(kind))


def _ignored(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _IGNORED)


def _refusal(model: str) -> str:
    """Return why the hub cannot be asked for a model; empty if it can."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    answers: list[str] = []

    def ask() -> None:
        try:
            HfApi().repo_info(model, timeout=_PATIENCE)
            answers.append("")
        except RepositoryNotFoundError:
            answers.append("it has no such model, or shows it to its friends only: `hf auth login`")
        except Exception as error:
            answers.append(one_line(error))

    # Names and several addresses are tried one after the other, each with a patience of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return answers[0] if answers else f"no answer within {_PATIENCE:g} s"
