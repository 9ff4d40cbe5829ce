"""Checkpoints of TensorFlow 1 and 2 ("tensor bundles"), read without TensorFlow.

The ``.index`` file is a sorted table of LevelDB's format from names to protocol buffers
(``tensorflow/core/protobuf/tensor_bundle.proto``), which say where in the ``.data`` files the tensors lie.
Checksums of the table are checked; those of the tensors are not, only their sizes.
"""

import struct
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_INDEX = ".index"
_MAGIC = 0xDB4775248B80FB57
_FOOTER, _TRAILER = 48, 5
_TYPES = {1: "<f4", 2: "<f8", 19: "<f2"}  # DT_FLOAT, DT_DOUBLE, DT_HALF of tensorflow's types.proto
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_Message = dict[int, list[int | bytes]]


def is_bundle(path: Path) -> bool:
    """Whether the path is that of a bundle's files, of their folder, or what their names have in common."""
    return path.suffix == _INDEX or ".data-" in path.name or path.is_dir() or _index(path).is_file()


def read_bundle(path: Path, wanted: Callable[[str], bool]) -> dict[str, Tensor]:
    """Read the tensors whose names are wanted.

    Args:
        path: The ``.index`` or a ``.data`` file, what their names have in common, or a folder of one bundle.
        wanted: Says of a name whether the tensor is to be read.

    Raises:
        ValueError: If a file is missing or damaged, or if a tensor is not of plain floating point numbers.
    """
    index = _index(path)
    if not index.is_file():
        raise ValueError(f"weights: no such file: {index}")
    try:
        entries = {key.decode(): _message(value) for key, value in _table(index.read_bytes())}
        if "" not in entries:
            raise ValueError("it has no header")
        header = entries.pop("")
        if _number(header, 2):
            raise ValueError("it is big-endian")
        shards = _number(header, 1)
        selected = {name: _Entry(name, entry) for name, entry in entries.items() if wanted(name)}
    except (ValueError, IndexError, struct.error) as error:
        raise ValueError(f"weights: {index} is damaged or no TensorFlow checkpoint ({error})") from error
    return {name: entry.read(index, shards) for name, entry in selected.items()}


class _Entry:
    """Where a tensor lies, and what it is (a BundleEntryProto)."""

    def __init__(self, name: str, entry: _Message) -> None:
        kind = _number(entry, 1)
        if kind not in _TYPES or 7 in entry:
            raise ValueError(f"{name} is partitioned, or no floating point tensor")
        shape = _message(_bytes(entry.get(2, [b""])[-1]))
        self.shape = [_number(_message(_bytes(side)), 1) for side in shape.get(2, [])]
        self.name, self.type = name, np.dtype(_TYPES[kind])
        self.shard, self.offset, self.size = (_number(entry, field) for field in (3, 4, 5))
        if self.size != prod(self.shape) * self.type.itemsize:
            raise ValueError(f"{name} has {self.size} bytes for a shape of {self.shape}")

    def read(self, index: Path, shards: int) -> Tensor:
        data = index.with_name(f"{index.stem}.data-{self.shard:05d}-of-{shards:05d}")
        if not data.is_file():
            raise ValueError(f"weights: no such file: {data}")
        with data.open("rb") as file:
            file.seek(self.offset)
            content = file.read(self.size)
        if len(content) < self.size:
            raise ValueError(f"weights: {data} is damaged: it ends before {self.name} does")
        numbers = np.frombuffer(content, self.type).reshape(self.shape)
        return torch.from_numpy(numbers.astype(self.type.newbyteorder("=")))


def _index(path: Path) -> Path:
    if path.is_dir():
        indices = sorted(path.glob(f"*{_INDEX}"))
        if len(indices) != 1:
            raise ValueError(f"weights: expected one {_INDEX} file in the folder {path}, got {len(indices)}")
        return indices[0]
    stem = path.name.removesuffix(_INDEX).partition(".data-")[0]
    return path.with_name(stem + _INDEX)


def _table(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a table: the footer points to an index of blocks."""
    if len(file) < _FOOTER or struct.unpack("<Q", file[-8:])[0] != _MAGIC:
        raise ValueError("it has no table's footer")
    footer, position = file[-_FOOTER:], 0
    for _ in range(2):  # of the blocks of meta data, which are empty
        _, position = _varint(footer, position)
    for _, handle in _block(file, footer[position:]):
        yield from _block(file, handle)


def _block(file: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; each key is the end of it, and how much of the last key goes before."""
    start, position = _varint(handle, 0)
    size, _ = _varint(handle, position)
    stored = file[start : start + size + _TRAILER]
    if len(stored) < size + _TRAILER or _checksum(stored[:-4]) != struct.unpack("<I", stored[-4:])[0]:
        raise ValueError("a checksum does not fit")
    if stored[size]:
        raise ValueError("it is compressed")
    (restarts,) = struct.unpack("<I", stored[size - 4 : size])
    key, position = b"", 0
    while position < size - 4 * (restarts + 1):
        shared, position = _varint(stored, position)
        rest, position = _varint(stored, position)
        length, position = _varint(stored, position)
        key = key[:shared] + stored[position : position + rest]
        position += rest + length
        yield key, stored[position - length : position]


def _message(data: bytes) -> _Message:
    """The fields of a protocol buffer by number."""
    fields: _Message = {}
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        value: int | bytes
        if kind == _VARINT:
            value, position = _varint(data, position)
        elif kind == _BYTES:
            length, position = _varint(data, position)
            value, position = data[position : position + length], position + length
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
            value, position = int.from_bytes(data[position : position + length], "little"), position + length
        else:
            raise ValueError(f"a protocol buffer has a field of kind {kind}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _number(message: _Message, field: int) -> int:
    value = message.get(field, [0])[-1]  # zeros are not written
    if not isinstance(value, int):
        raise ValueError(f"field {field} is no number")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a field is no message")
    return value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def _checksum(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and shifted as LevelDB stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
