"""Arrays of numbers and texts as one Parquet file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy import ndarray

from studio.runs.part import DamagedError, read_table, write_table

_COLUMNS = ("name", "type", "shape", "data")
_KINDS = "biufU"
"""Kinds of types that are read: truth values, numbers and texts, nothing that would run code."""


def write_arrays(arrays: Mapping[str, ndarray], path: Path) -> None:
    """Write arrays, a row each: name, type (as numpy writes it), shape and bytes."""
    import pyarrow as pa

    rows = [(name, array.dtype.str, list(array.shape), array.tobytes()) for name, array in arrays.items()]
    kinds = (pa.string(), pa.string(), pa.list_(pa.int64()), pa.large_binary())
    schema = pa.schema(list(zip(_COLUMNS, kinds, strict=True)))
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_COLUMNS)
    write_table(
        pa.table([pa.array(each, kind) for each, kind in zip(columns, kinds, strict=True)], schema), path
    )


def read_arrays(path: Path) -> dict[str, ndarray]:
    """Read what `write_arrays` wrote.

    Raises:
        FileNotFoundError: If there is nothing.
        DamagedError: If it cannot be read whole.
    """
    table = read_table(path)
    try:
        columns = [table.column(name).to_pylist() for name in _COLUMNS]
        return {name: _array(*rest) for name, *rest in zip(*columns, strict=True)}
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(str(path)) from error


def _array(name: str, shape: list[int], data: bytes) -> ndarray:
    dtype = np.dtype(name)
    if dtype.kind not in _KINDS:
        raise ValueError(f"expected one of {_KINDS}, got {dtype}")
    if not dtype.itemsize:  # texts that are all empty
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape).copy()
