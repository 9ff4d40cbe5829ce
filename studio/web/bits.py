"""A hole on its way from a browser: a bit a pixel."""

from __future__ import annotations

import base64
import binascii

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def packed(hole: Float[Tensor, "h w"]) -> str:
    """Return a hole as text: a bit a pixel, row by row, in base64."""
    return base64.b64encode(np.packbits(hole.numpy() >= 0.5).tobytes()).decode()


def unpacked(text: str, side: int) -> Float[Tensor, "side side"]:
    """Return the hole that a page has sent.

    Raises:
        ValueError: If it is not of this size.
    """
    try:
        bits = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ValueError("hole: what the page has sent is no hole; reload the page") from error
    expected = (side * side + 7) // 8
    if len(bits) != expected:
        raise ValueError(f"hole: expected {side} x {side} pixels in {expected} bytes, got {len(bits)} bytes")
    hole = np.unpackbits(np.frombuffer(bits, np.uint8), count=side * side)
    return torch.from_numpy(hole.reshape(side, side).astype(np.float32))
