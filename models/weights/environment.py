"""What environment variables say of the network and of the folders of weights. Nothing here needs torch."""

import os
import sys
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """Return a path with somebody's home in place of ``~``.

    Raises:
        ValueError: If that is not known, as in a container whose user has no name.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        own = Path(path).parts[:1] == ("~",)
        remedy = ", or set HOME (for weights INFILL_HOME, TORCH_HOME and HF_HOME)" if own else ""
        raise ValueError(f"{path}: the home directory is not known; write the whole path{remedy}") from error


def offline() -> bool:
    """Return whether the user forbids the network (``INFILL_OFFLINE=1``)."""
    return os.environ.get("INFILL_OFFLINE", "0") not in ("", "0")


def infill_folder() -> Path:
    """Return infill's own folder of weights: ``INFILL_HOME``, or where this platform keeps caches."""
    if named := os.environ.get("INFILL_HOME"):
        return expanded(named)
    if sys.platform == "win32":
        return expanded(os.environ.get("LOCALAPPDATA") or Path("~", "AppData", "Local")) / "infill"
    if sys.platform == "darwin":
        return expanded("~") / "Library" / "Caches" / "infill"
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "infill"


def torch_folder() -> Path:
    """Return torch hub's folder of weights, by its own rules (``TORCH_HOME``) but without torch."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return expanded(os.environ.get("TORCH_HOME", f"{cache}/torch")) / "hub" / "checkpoints"


def hub_folder() -> Path:
    """Return the cache of ``huggingface_hub``, by its own rules (``HF_HUB_CACHE``, ``HF_HOME``)."""
    home = os.environ.get("HF_HOME") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    named = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return expanded(os.path.expandvars(named or f"{home}/hub"))
