"""Fills that were made before, taken from a store instead of being made again."""

import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from infill.filler import Chance, Fill, Filler, Hole, Images
from infill.fillers.adaptive import Adaptive
from infill.validate import require

_DIGEST = 16


@runtime_checkable
class Store(Protocol):
    """What keeps bytes under a name, perhaps only for some time."""

    def get(self, name: str) -> bytes | None:
        """Return what is kept under a name; ``None`` if nothing is, or no longer."""
        ...

    def set(self, name: str, content: bytes) -> object:
        """Keep bytes under a name."""
        ...


@dataclass(frozen=True, eq=False)
class Remembered:
    """A filler that keeps its fills, and returns them, to the last bit, when it is asked the same again.

    Asked the same means: the same images with the same holes in the same batch, because a network's last
    bits may depend on what else is in its batch. Where a fill is the image itself nothing is kept. What was
    damaged is made anew.

    Args:
        filler: Makes fills; each hole's own, without chance.
        store: Keeps them.
        identity: All that fills depend on beside image and hole, in words.

    Raises:
        ValueError: If the filler draws by chance, or its fills do not depend on the hole (they are made once
            for an image anyway).
    """

    filler: Filler
    store: Store
    identity: str

    def __post_init__(self) -> None:
        require(self.filler.per_hole, "filler", "one whose fills depend on the hole", self.filler)
        require(not self.filler.stochastic, "filler", "one without chance", self.filler)

    @property
    def per_hole(self) -> bool:
        """Always: see above."""
        return True

    @property
    def sees_hidden(self) -> bool:
        """Whether fills may depend on what the hole covers."""
        return self.filler.sees_hidden

    @property
    def stochastic(self) -> bool:
        """Never: see above."""
        return False

    @property
    def threshold(self) -> float:
        """From where on a soft hole counts as one."""
        return float(getattr(self.filler, "threshold", 0.5))

    @property
    def of_image(self) -> bool:
        """Whether it can fill only the images that it was made for."""
        return bool(getattr(self.filler, "of_image", False))

    def __call__(self, image: Images, hole: Hole, generator: Chance = None) -> Fill:
        """Return the fills that are kept, or else make and keep them; errors are the filler's."""
        if not len(hole):
            return self.filler(image, hole, generator)
        name = self._name(image, hole)
        fill = _unpacked(self.store.get(name), image, hole)
        if fill is None:
            fill = self.filler(image, hole, generator)
            self.store.set(name, _packed(fill.detach(), image))
        elif isinstance(self.filler, Adaptive):
            self.filler.count(hole)
        return fill

    def _name(self, image: Tensor, hole: Tensor) -> str:
        where = (str(image.device), str(image.dtype), tuple(image.shape), str(hole.dtype), tuple(hole.shape))
        digest = hashlib.blake2b(repr((self.identity, where)).encode(), digest_size=_DIGEST)
        for tensor in (image, hole):
            digest.update(_raw(tensor))
        return digest.hexdigest()


def _packed(fill: Float[Tensor, "m c h w"], image: Images) -> bytes:
    """Return a fill as bytes: a digest, where it is not the image (a bit a pixel), and what it is there."""
    differs = (_bits(fill) != _bits(image)).any(dim=1)
    where = torch.nn.functional.pad(differs.flatten(), (0, -differs.numel() % 8)).view(-1, 8)
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], device=fill.device, dtype=torch.uint8)
    bits = (where * weights).sum(dim=1).to(torch.uint8)
    content = _raw(bits) + _raw(fill.permute(0, 2, 3, 1)[differs])
    count = len(fill).to_bytes(4, "big")
    return _digest(count + content) + count + content


def _unpacked(content: bytes | None, image: Images, hole: Hole) -> Fill | None:
    """Return what `_packed` was given; ``None`` if it is not there, or not whole."""
    if content is None or _digest(content[_DIGEST:]) != content[:_DIGEST]:
        return None
    count, rest = int.from_bytes(content[_DIGEST : _DIGEST + 4], "big"), content[_DIGEST + 4 :]
    height, width = image.shape[2:]
    area = count * height * width
    raw = torch.frombuffer(bytearray(rest), dtype=torch.uint8)
    bits, values = raw[: -(-area // 8)], raw[-(-area // 8) :]
    places = torch.arange(8, dtype=torch.uint8)
    differs = ((bits[:, None] >> places) & 1).flatten()[:area].bool().view(count, height, width)
    pixels = image.detach().cpu().expand(count, -1, -1, -1).permute(0, 2, 3, 1)
    fill = pixels.clone(memory_format=torch.contiguous_format)  # or it may be the caller's own memory
    fill[differs] = values.clone().view(image.dtype).view(-1, image.shape[1])
    return fill.permute(0, 3, 1, 2).contiguous().to(hole.device)


def _bits(values: Tensor) -> Tensor:
    """Return numbers as bits: 0 and -0 are not the same."""
    return values.contiguous().view({2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()])


def _raw(values: Tensor) -> bytes:
    raw: bytes = values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return raw


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
