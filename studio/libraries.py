"""Which versions of libraries results are computed by."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from studio import version

COMPUTING = (
    "numpy", "torchvision", "scikit-image", "scikit-learn", "scipy", "opencv-python-headless", "pillow",
    "pypatchmatch", "openvino", "diffusers", "transformers", "timm",
)  # fmt: skip
"""Beside torch and Python: what reads images, makes holes and fills, classifies, and measures."""

LOOKING = ("captum", "grad-cam")
"""What looks into networks."""


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of these packages, of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def versions(looking: bool = False, packages: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of what results depend on.

    Args:
        looking: Whether something looks into a network.
        packages: What is used beside all that.
    """
    import torch

    return {
        "infill": version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        **installed((*COMPUTING, *(LOOKING if looking else ()), *packages)),
    }
