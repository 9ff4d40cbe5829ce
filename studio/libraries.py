"""Which versions of libraries results are computed by."""

from __future__ import annotations

from collections.abc import Iterable

COMPUTING = ("torchvision", "scikit-image", "scipy", "opencv-python-headless", "pillow")
"""Beside torch and Python: what reads images, makes holes and fills, and measures."""

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
