"""The result of one unit of work, as one Parquet file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pyarrow import Table

Values: TypeAlias = Mapping[str, Sequence[tuple[float, float]]]
"""By metric: places (thresholds, steps, labels; NaN where there is only one) and the value at each."""

_KEY = b"infill"


@dataclass(frozen=True, eq=False)
class Part:
    """What a unit of work has found.

    Attributes:
        unit: What it was asked for, as text.
        about: What is known beside the values, in values that JSON has.
        values: The figures.
        error: Why there are none, or not all that were asked for.
    """

    unit: str
    about: Mapping[str, Any] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    error: str = ""


def write_part(part: Part, path: Path, digest: str) -> None:
    """Write a part; ``digest`` names the run that it belongs to."""
    import pyarrow as pa

    rows = [(name, place, value) for name, pairs in part.values.items() for place, value in pairs]
    told = {"run": digest, "unit": part.unit, "about": dict(part.about), "error": part.error}
    schema = pa.schema(
        [("metric", pa.string()), ("place", pa.float64()), ("value", pa.float64())],
        metadata={_KEY: json.dumps(told, sort_keys=True, ensure_ascii=False).encode()},
    )
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    table = pa.table(
        [pa.array(column, kind.type) for column, kind in zip(columns, schema, strict=True)], schema
    )
    write_table(table, path)


def read_part(path: Path, digest: str) -> Part:
    """Read a part.

    Raises:
        FileNotFoundError: If there is none.
        DamagedError: If it cannot be read whole.
        ForeignError: If it is of another run.
    """
    table = read_table(path)
    try:
        told = json.loads((table.schema.metadata or {})[_KEY])
        columns = [table.column(name).to_pylist() for name in ("metric", "place", "value")]
        run, part = told["run"], Part(told["unit"], told["about"], {}, told["error"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(str(path)) from error
    if run != digest:
        raise ForeignError(str(path))
    values: dict[str, list[tuple[float, float]]] = {}
    for name, place, value in zip(*columns, strict=True):
        values.setdefault(name, []).append((_number(place), _number(value)))
    return Part(part.unit, part.about, values, part.error)


def write_table(table: Table, path: Path) -> None:
    """Write a table, packed, with checksums."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        FileNotFoundError: If there is none.
        DamagedError: If it cannot be read whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # `read_table` plans a search over many files, which takes a small one longer than to be read.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(use_threads=False)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(str(path)) from error


class DamagedError(Exception):
    """A file is cut short, or something else than it is called."""


class ForeignError(Exception):
    """A file is of another run."""


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
