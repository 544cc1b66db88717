"""Parquet files as rows, by the extra ``parquet`` (pyarrow).

Used by `recorded` alone, which imports this module only for such a file. Never loads more than a batch of rows.
"""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quantd.errors import ConfigError

_BATCH_ROWS = 65_536


def read_parquet(path: Path) -> tuple[Sequence[str], Iterator[Sequence[Any]], frozenset[str]]:
    """Return the names of the columns, the rows, and which columns hold timestamps: integer nanoseconds since 1970.

    Raises:
        ConfigError: when pyarrow is not installed, or the file is no Parquet file.
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
    timestamps = frozenset(field.name for field in file.schema_arrow if arrow.types.is_timestamp(field.type))
    return list(file.schema_arrow.names), _rows(arrow, file), timestamps


def _rows(arrow: Any, file: Any) -> Iterator[Sequence[Any]]:
    try:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield from zip(*(_values(arrow, column) for column in batch.columns), strict=True)
    finally:
        file.close()


def _values(arrow: Any, column: Any) -> list[Any]:
    if arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.timestamp("ns", column.type.tz)).cast(arrow.int64())
    values: list[Any] = column.to_pylist()
    return values
