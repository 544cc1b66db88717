"""Parquet files as rows, by the extra ``parquet`` (pyarrow).

Used by `recorded` alone, which imports this module only for such a file. Never loads more than a batch of rows.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from quantd.errors import ConfigError

_BATCH_ROWS = 65_536
_UNITS_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}


def read_parquet(path: Path) -> tuple[Sequence[str], Iterator[Sequence[Any]], Mapping[str, int]]:
    """Return the names of the columns, the rows, and which columns hold dates or timestamps.

    Those come as integers since 1970, each with the nanoseconds of its unit; a value that is missing is None.

    Raises:
        ConfigError: when pyarrow is not installed, or the file is no Parquet file; on iterating, when it breaks off.
        FileNotFoundError: when there is no such file.
    """
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(f"{path}: reading Parquet needs an extra: pip install 'quantd[parquet]'") from error
    try:
        file = parquet.ParquetFile(path)
    except arrow.ArrowInvalid as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error
    schema = file.schema_arrow
    units = {field.name: unit for field in schema if (unit := _unit_ns(arrow, field.type)) is not None}
    return list(schema.names), _rows(arrow, file, path), units


def _unit_ns(arrow: Any, kind: Any) -> int | None:
    """Return the nanoseconds in a unit of a column that holds times, None for any other."""
    if arrow.types.is_date(kind):
        return _UNITS_NS["s"]
    return _UNITS_NS[kind.unit] if arrow.types.is_timestamp(kind) else None


def _rows(arrow: Any, file: Any, path: Path) -> Iterator[Sequence[Any]]:
    try:
        for batch in _batches(arrow, file, path):
            yield from zip(*(_values(arrow, column) for column in batch.columns), strict=True)
    finally:
        file.close()


def _batches(arrow: Any, file: Any, path: Path) -> Iterator[Any]:
    try:
        yield from file.iter_batches(batch_size=_BATCH_ROWS)
    except (arrow.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet: {error}") from error


def _values(arrow: Any, column: Any) -> list[Any]:
    kind = column.type
    if arrow.types.is_date(kind):
        column = column.cast(arrow.timestamp("s")).cast(arrow.int64())
    elif arrow.types.is_timestamp(kind):
        column = column.cast(arrow.int64())
    elif arrow.types.is_floating(kind) and kind != arrow.float64():
        column = column.cast(arrow.string())  # 1.1 in half the width is 1.1, as in text, and not 1.10000002384
    values: list[Any] = column.to_pylist()
    return values
