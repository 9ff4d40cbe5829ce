"""Fixtures shared by all tests.

Torch is imported where it is needed: the process that only hands out tests to others does without.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

# Before torch is imported: processes side by side that each take all cores wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import jaxtyping
import pytest

if TYPE_CHECKING:
    from torch import Tensor


# How long an example takes is the machine's, and what else it does: it says nothing about the code.
hypothesis.settings.register_profile("untimed", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Keep what is imported from being looked through for garbage, which takes a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def pytest_sessionfinish() -> None:
    """Let it be taken away in the end: libraries complain of what they see left."""
    gc.unfreeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test draws without a seed of its own follows from its name, not from what ran before it."""
    seed = crc32(item.nodeid.encode())
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real weights and photographs."""
    default = Path(__file__).resolve().parents[1] / ".." / "shared" / "assets"
    path = Path(os.environ.get("INFILL_ASSETS", default)).resolve()
    if not path.is_dir():
        pytest.skip(f"no assets at {path}: set INFILL_ASSETS to the folder of weights and photographs")
    return path


@pytest.fixture(scope="session")
def smooth_image() -> Callable[..., Tensor]:
    """Makes random RGB images of any size; for what needs more than one of the fixtures below."""
    return _smooth_image


@pytest.fixture
def image() -> Tensor:
    """One small RGB image, 24 x 32: smooth colors with some grain."""
    return _smooth_image(24, 32)


@pytest.fixture
def images() -> Tensor:
    """Three different RGB images, 24 x 32."""
    import torch

    return torch.cat([_smooth_image(24, 32, seed) for seed in range(3)])


@pytest.fixture
def holes() -> Tensor:
    """Three different rectangular holes, 24 x 32: inside, at the border, and in a corner."""
    import torch

    hole = torch.zeros(3, 1, 24, 32)
    hole[0, :, 8:16, 10:22] = 1
    hole[1, :, :, 26:] = 1
    hole[2, :, :9, :7] = 1
    return hole


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Switch the shape checks of the annotations off, to reach the errors that a user meets."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


def _smooth_image(height: int, width: int, seed: int = 0) -> Tensor:
    """A random RGB image "1 3 h w" in [0, 1]."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    planes = torch.stack([rows * columns, 1 - rows + 0 * columns, columns + 0 * rows])
    grain = torch.rand(3, height, width, generator=generator)
    return (0.2 * torch.rand(3, 1, 1, generator=generator) + 0.5 * planes + 0.3 * grain)[None]
