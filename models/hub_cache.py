"""Models of the hub in the cache of ``huggingface_hub``: where they are, and how they get there."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SETTINGS = ("*.json", "*.txt")
_IGNORED = ("*fp16*", "*non_ema*", "safety_checker/*")
_SHA256 = r"[0-9a-f]{64}"


def folder() -> Path:
    """Return the cache's folder, by the library's own rules (``HF_HUB_CACHE``, ``HF_HOME``)."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(os.path.expandvars(named or f"{home}/hub")).expanduser()


def location(model: str) -> Path:
    """Return the folder of all that the cache has of this model."""
    return folder() / f"models--{model.replace('/', '--')}"


def snapshot(model: str, parts: Sequence[str]) -> Path | None:
    """Return the folder of this model's current files; ``None`` if a part lacks weights."""
    reference = location(model) / "refs" / "main"
    if not reference.is_file():
        return None
    found = location(model) / "snapshots" / reference.read_text().strip()
    return found if all(_weights(found / part) for part in parts) else None


def fetch(model: str, parts: Sequence[str], quiet: bool) -> Path:
    """Fetch this model: tensors in safetensors files, or where a part has none, pickled ones.

    The library goes on from what has come, checks it, and unless ``quiet`` shows bars of its own.

    Raises:
        ValueError: if the library is missing, or the model cannot be had.
    """
    try:
        import huggingface_hub
        from huggingface_hub import utils
    except ImportError as error:
        raise ValueError(f"weights: {model} needs huggingface_hub: pip install huggingface_hub") from error
    bars: Any = utils
    hushed = quiet and not bars.are_progress_bars_disabled()
    try:
        if hushed:
            bars.disable_progress_bars()
        for kind in ("*.safetensors", "*.bin"):
            allowed = [*_SETTINGS, *(f"{part}/{kind}" if part != "." else kind for part in parts)]
            huggingface_hub.snapshot_download(
                model, cache_dir=folder(), allow_patterns=allowed, ignore_patterns=list(_IGNORED)
            )
            if found := snapshot(model, parts):
                return found
    except Exception as error:  # the hub's client fails in many ways that have no kind in common
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
        raise ValueError(f"weights: {model} cannot be had from the hub ({reason})") from error
    finally:
        if hushed:
            bars.enable_progress_bars()
    raise ValueError(f"weights: {model} on the hub has no weights in {', '.join(parts)}")


def verify(found: Path) -> str:
    """Return how many of a snapshot's files are as the hub says: it names large files by their SHA-256.

    Raises:
        ValueError: if one is not.
    """
    count = 0
    for path in sorted(path for path in found.rglob("*") if path.is_file()):
        blob = path.resolve()
        if not re.fullmatch(_SHA256, blob.name):
            continue
        with blob.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != blob.name:
                raise ValueError(f"weights: {path} is damaged: its hash is not the hub's; delete {blob}")
        count += 1
    return f"ok: {count} files have the hub's hashes" if count else "not verified: no published hash"


def _weights(part: Path) -> bool:
    return any(path.is_file() for kind in ("*.safetensors", "*.bin") for path in part.glob(kind))
