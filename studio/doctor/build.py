"""What can be said of torch without importing it, which takes a second, and fails where torch is broken."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path

_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Where Linux shows that there is a driver of NVIDIA (the third: inside of Windows) or of AMD."""


def torch_and_device() -> str:
    """Return torch's version and what ``--device auto`` takes, as in ``torch 2.6.0, device cpu``."""
    build = _build()
    if build is None:
        return "torch is not installed"
    return f"torch {build['__version__']}, device {_device(bool(build.get('cuda') or build.get('hip')))}"


def has_driver() -> bool:
    """Return whether Linux shows a driver of a GPU."""
    return any(Path(place).exists() for place in _DRIVERS)


def _device(accelerated: bool) -> str:
    if not accelerated or (sys.platform == "linux" and not has_driver()):
        return "cpu"
    try:
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"
    except Exception as error:  # a broken library fails in any way
        return f"unknown (torch cannot be imported: {type(error).__name__})"


def _build() -> dict[str, str] | None:
    """Return the texts in torch's own file of what it was built as; None if there is no torch."""
    spec = find_spec("torch")
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        return None
    path = Path(folders[0]) / "version.py"
    text = path.read_text("utf-8") if path.is_file() else ""
    return {"__version__": "of unknown version", **dict(re.findall(r"(?m)^(\w+).*= '(.*)'$", text))}
