"""Parquet files are read as their rows in a text would be, and what cannot be read is named with row and column."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.errors import ConfigError
from quantd.feeds.recorded import read_market

arrow: Any = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
parquet: Any = pytest.importorskip("pyarrow.parquet")

X = InstrumentId("paper:X")
FIRST = dt.datetime(2024, 1, 31, 22, 0)  # noqa: DTZ001 -- a file may hold times without a zone
TIMES = [FIRST + dt.timedelta(minutes=n) for n in range(4)]
SECONDS = [int(time.replace(tzinfo=dt.UTC).timestamp()) for time in TIMES]
PRICES: dict[str, Any] = {
    "open": [1.1, 1.2, 1.3, 1.4],
    "high": [2.1, 2.2, 2.3, 2.4],
    "low": [0.1, 0.2, 0.3, 0.4],
    "close": [1.2, 1.3, 1.4, 1.5],
    "volume": [7.7, 8.8, 9.9, 1.0],
}
US = arrow.timestamp("us")


def stored(folder: Path, times: Any, name: str = "timestamp", **columns: Any) -> Path:
    path = folder / "data.parquet"
    parquet.write_table(arrow.table({name: times, **(PRICES | columns)}), path)
    return path


def as_text(folder: Path, times: list[str]) -> list[Bar | Quote]:
    path = folder / "data.csv"
    rows = zip(times, *(map(repr, column) for column in PRICES.values()), strict=True)
    path.write_text("timestamp," + ",".join(PRICES) + "\n" + "".join(",".join(row) + "\n" for row in rows))
    return list(read_market(path, X))


@pytest.mark.parametrize(
    "times",
    [
        *(arrow.array(TIMES, arrow.timestamp(unit)) for unit in ("s", "ms", "us", "ns")),
        arrow.array([time.replace(tzinfo=dt.UTC) for time in TIMES], arrow.timestamp("ms", "America/New_York")),
        arrow.array(list(map(str, TIMES))),
        arrow.array(list(map(str, TIMES))).dictionary_encode(),
        arrow.array(SECONDS),
        arrow.array(SECONDS, arrow.uint64()),
        arrow.array(list(map(float, SECONDS))),
        arrow.array(list(map(Decimal, SECONDS))),
        arrow.array([1_000 * one for one in SECONDS]),
    ],
    ids=str,
)
def test_times_of_every_type_are_those_of_the_text(tmp_path: Path, times: Any) -> None:
    expected = as_text(tmp_path, list(map(str, TIMES)))
    assert len(expected) == 4
    assert list(read_market(stored(tmp_path, times), X)) == expected


@pytest.mark.parametrize("kind", [arrow.date32(), arrow.date64()], ids=str)
def test_bars_of_days_may_be_stamped_with_dates(tmp_path: Path, kind: Any) -> None:
    days = [dt.date(2024, 1, 30) + dt.timedelta(days=n) for n in range(4)]
    path = stored(tmp_path, arrow.array(days, kind), "date")
    assert list(read_market(path, X)) == as_text(tmp_path, list(map(str, days)))


@pytest.mark.parametrize("kind", [arrow.float32(), arrow.decimal128(10, 3), arrow.string()], ids=str)
def test_prices_of_another_type_are_those_of_the_text(tmp_path: Path, kind: Any) -> None:
    wanted: Any = {"decimal128(10, 3)": lambda one: Decimal(repr(one)), "string": repr}.get(str(kind), float)
    columns = {name: arrow.array(list(map(wanted, column)), kind) for name, column in PRICES.items()}
    path = stored(tmp_path, arrow.array(TIMES, US), **columns)
    assert list(read_market(path, X)) == as_text(tmp_path, list(map(str, TIMES)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": arrow.array([TIMES[0], None, *TIMES[2:]], US)}, "row 3: timestamp: .* found no value"),
        ({"timestamp": arrow.array([None, *TIMES[1:]], US)}, "row 2: timestamp: .* found no value"),
        ({"timestamp": arrow.array([*SECONDS[:3], None])}, "row 5: timestamp: .* found no value"),
        ({"timestamp": arrow.array([*map(str, TIMES[:3]), None])}, "row 5: timestamp: .* found no value"),
        ({"timestamp": arrow.array([*map(float, SECONDS[:3]), float("inf")])}, "row 5: timestamp: .* found inf"),
        ({"timestamp": arrow.array([True] * 4)}, "row 2: timestamp: expected a time .* found True"),
        ({"timestamp": arrow.array([dt.timedelta(n) for n in range(4)])}, "row 2: timestamp: expected a time"),
        ({"timestamp": arrow.array([*TIMES[:3], FIRST.replace(year=2500)], US)}, "row 5: timestamp: expected microsec"),
        ({"timestamp": arrow.array(TIMES[::-1], US)}, "3 of 4 rows are older than a row before them"),
        ({"open": arrow.array([1.1, None, 1.3, 1.4])}, "row 3: open: expected a number, found no value"),
        ({"volume": arrow.array([1.1, None, 1.3, 1.4])}, "row 3: volume: expected a number, found no value"),
        ({"low": arrow.array(["0.1", "0.2", "none", "0.4"])}, "row 4: low: expected a number, found 'none'"),
        ({"high": arrow.array([[1.0]] * 4)}, r"row 2: high: expected a number, found \[1.0\]"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_row_and_column(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = stored(tmp_path, **{"times": columns.pop("timestamp", arrow.array(TIMES, US)), **columns})
    with pytest.raises(ConfigError, match=r"data\.parquet: " + message):
        list(read_market(path, X))


@pytest.mark.parametrize("missing", ["timestamp", "close"])
def test_wrong_columns_are_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "data.parquet"
    columns = {"timestamp": arrow.array(TIMES, US), **PRICES}
    columns[f"my_{missing}"] = columns.pop(missing)
    parquet.write_table(arrow.table(columns), path)
    with pytest.raises(ConfigError, match=rf"data\.parquet: row 1: expected .* found .*my_{missing}"):
        list(read_market(path, X))


def test_a_file_that_breaks_off_is_named(tmp_path: Path) -> None:
    path = stored(tmp_path, arrow.array(TIMES, US))
    whole = bytearray(path.read_bytes())
    whole[4:200] = bytes(196)  # the first pages; what says where they lie is at the end, and stays
    path.write_bytes(whole)
    with pytest.raises(ConfigError, match=r"data\.parquet: cannot be read as Parquet: "):
        list(read_market(path, X))
