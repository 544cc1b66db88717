"""Recorded market data: CSV, gzipped CSV and Parquet files as iterators of bars and quotes.

Used by the backtest, replays and simulators. Files are streamed in little memory, and must be in the order of time.
What cannot be read is an error that names file and row; what can be read but cannot be true (NaN, a crossed quote, a
row out of order) is skipped and counted. It never sorts, repairs or resamples: a file in another order is an error.
"""

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import chain, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import msgspec
import structlog

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.errors import ConfigError
from quantd.feeds.quality import Anomaly, flaw_of_bar, flaw_of_quote
from quantd.feeds.timestamps import Heads, Tails, epoch_factor, epoch_ns

_log = structlog.get_logger(__name__)

TIME_NAMES = ("timestamp", "time", "datetime", "date", "ts")
_BAR_COLUMNS = ("open", "high", "low", "close")
_QUOTE_COLUMNS = ("bid", "ask")
_SIZE_COLUMNS = ("bid_size", "ask_size")
_SAMPLE_ROWS = 100
_DISORDER_MAX = 0.1
"""Share of rows that may be older than one before them; a file with more is in another order than that of time."""
_INFINITY = float("inf")

Row = Any
"""A line of text without quoted fields, or a sequence of fields."""
_Rows = Iterator[Row]


class Stamp(Enum):
    """Which end of a bar its timestamp names."""

    OPEN = "open"
    CLOSE = "close"


class ReadOptions(msgspec.Struct, frozen=True):
    """How a file of bars is to be read; quotes need no options."""

    stamp: Stamp = Stamp.OPEN
    interval_s: float | None = None
    """Length of the bars; None takes the smallest step between the first 100 rows."""


class RowTally(Counter[Anomaly]):
    """How many rows were skipped, by reason."""


def read_market(
    path: Path | str, instrument: InstrumentId, *, options: ReadOptions | None = None, tally: RowTally | None = None
) -> Iterator[Bar | Quote]:
    """Yield the file's bars or quotes, as its header says, with `received_at_ns` at the event's own time.

    Columns are found by name, in any order and case: a time (`TIME_NAMES`: ISO text, UTC unless it has an offset, or
    seconds, milli-, micro- or nanoseconds since 1970) and either open, high, low, close and perhaps volume, or bid,
    ask and perhaps bid_size, ask_size.

    Args:
        path: A ``.csv``, ``.csv.gz`` or ``.parquet`` file.
        instrument: What the data are of.
        options: How bars are stamped.
        tally: Counts the rows that were skipped.

    Raises:
        ConfigError: on iterating, when the file is missing or cannot be read; names file and row.
    """
    path = Path(path)
    skipped = RowTally()
    with _naming(path), _opened(path) as table:
        source = _Source(path, instrument, table)
        rows = table.rows
        events: Iterator[Bar | Quote]
        if source.has(_BAR_COLUMNS):
            events = _read_bars(source, rows, options or ReadOptions(), skipped)
        elif source.has(_QUOTE_COLUMNS):
            events = _read_quotes(source, rows, skipped)
        else:
            raise ConfigError(
                f"{path}: row 1: expected columns open, high, low, close or bid, ask; found {', '.join(source.names)}"
            )
        yield from events
    if tally is not None:
        tally.update(skipped)
    _tell_skipped(path, skipped)


def read_bid_ask_bars(
    bid_path: Path | str,
    ask_path: Path | str,
    instrument: InstrumentId,
    *,
    options: ReadOptions | None = None,
    tally: RowTally | None = None,
) -> Iterator[Quote]:
    """Yield a quote at each close that both files have: bars of the bid and bars of the ask.

    Rows that only one file has are counted as INCONSISTENT and left out.

    Raises:
        ConfigError: on iterating, as `read_market`.
    """
    tally = RowTally() if tally is None else tally
    bids = _only_bars(bid_path, read_market(bid_path, instrument, options=options, tally=tally))
    asks = _only_bars(ask_path, read_market(ask_path, instrument, options=options, tally=tally))
    bid, ask = next(bids, None), next(asks, None)
    while bid is not None and ask is not None:
        if bid.closed_at_ns == ask.closed_at_ns:
            at_ns = bid.closed_at_ns
            quote = Quote(
                instrument=instrument, bid=bid.close, ask=ask.close, received_at_ns=at_ns, occurred_at_ns=at_ns
            )
            flaw = flaw_of_quote(quote)
            if flaw is None:
                yield quote
            else:
                tally[flaw] += 1
            bid, ask = next(bids, None), next(asks, None)
            continue
        tally[Anomaly.INCONSISTENT] += 1
        if bid.closed_at_ns < ask.closed_at_ns:
            bid = next(bids, None)
        else:
            ask = next(asks, None)


def _only_bars(path: Path | str, events: Iterable[Bar | Quote]) -> Iterator[Bar]:
    for event in events:
        if not isinstance(event, Bar):
            raise ConfigError(f"{path}: row 1: expected bars of one side, found quotes")
        yield event


class _Table(NamedTuple):
    """An opened file."""

    header: Sequence[str]
    rows: _Rows
    is_text: bool
    """Rows are lines: splitting them in the loop takes half the time of csv.reader."""
    units: Mapping[str, int] = {}
    """Columns that hold times since 1970 by their type -> the nanoseconds of their unit."""


class _Source:
    """A file's columns: where they are and how its times are written."""

    def __init__(self, path: Path, instrument: InstrumentId, table: _Table) -> None:
        self.path = path
        self.is_text = table.is_text
        self.instrument = instrument
        self.names = [name.strip().strip('"').lower() for name in table.header]
        time = next((name for name in TIME_NAMES if name in self.names), None)
        if time is None:
            raise ConfigError(f"{path}: row 1: expected a time column ({', '.join(TIME_NAMES)}), found {self.names}")
        self.time_at = self.names.index(time)
        self._unit = table.units.get(table.header[self.time_at])
        self.heads = Heads()
        self.tails = Tails()
        self.factor: int | None = None
        """Nanoseconds in a unit of the time column; None where it is text."""

    def has(self, columns: Iterable[str]) -> bool:
        """Tell whether all columns are there."""
        return all(name in self.names for name in columns)

    def fields(self, row: Row) -> Sequence[Any]:
        """Return the fields of a row."""
        fields: Sequence[Any] = row.split(",") if self.is_text else row
        return fields

    def pick(self, columns: Iterable[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """Return a function that takes `columns`, at least two, out of a row."""
        return itemgetter(*map(self.names.index, columns))

    def find_unit(self, row: Row) -> None:
        """Learn from the first row whether times are numbers, and of what."""
        fields = self.fields(row)
        if len(fields) > self.time_at:
            self.factor = self._unit or epoch_factor(fields[self.time_at])

    def at_ns(self, value: Any) -> int:
        """Return a row's time."""
        if self.factor is not None:
            return epoch_ns(value, self.factor)
        return self.heads[value[:13]] + self.tails[value[13:]]

    def error(self, number: int, row: Row, cause: Exception) -> ConfigError:
        """Return the error for a row that cannot be read."""
        fields, where = self.fields(row), f"{self.path}: row {number}"
        if len(fields) != len(self.names):
            return ConfigError(f"{where}: expected {len(self.names)} columns, found {len(fields)}")
        numbers = (*_BAR_COLUMNS, "volume") if self.has(_BAR_COLUMNS) else (*_QUOTE_COLUMNS, *_SIZE_COLUMNS)
        for name in numbers:
            value = fields[self.names.index(name)] if name in self.names else 0
            if not _is_number(value):
                return ConfigError(f"{where}: {name}: expected a number, found {_shown(value)}")
        time = fields[self.time_at]
        if isinstance(cause, TypeError):
            cause = ValueError(f"expected a time like 2022-01-31 17:00:00 or a number since 1970, found {_shown(time)}")
        return ConfigError(f"{where}: {self.names[self.time_at]}: {cause}")


def _read_bars(source: _Source, rows: _Rows, options: ReadOptions, tally: RowTally) -> Iterator[Bar]:
    interval, rows = _interval_ns(source, rows, options)
    before, after = (0, interval) if options.stamp is Stamp.OPEN else (interval, 0)
    instrument, factor = source.instrument, source.factor
    heads, tails = source.heads, source.tails
    pick = source.pick((*_BAR_COLUMNS, "volume") if source.has(("volume",)) else _BAR_COLUMNS)
    plain = source.is_text and source.time_at == 0 and tuple(source.names[1:]) == (*_BAR_COLUMNS, "volume")
    infinity = _INFINITY
    last = -infinity
    number = 1
    # This loop reads millions of rows: what other readers do by calls is written out here.
    for number, row in enumerate(rows, 2):
        try:
            if plain:
                time, open, high, low, close, volume = row.split(",")
                open, high, low, close = float(open), float(high), float(low), float(close)
                volume = float(volume)
            else:
                fields = source.fields(row)
                time = fields[source.time_at]
                open, high, low, close, *rest = map(float, pick(fields))
                volume = rest[0] if rest else 0.0
            at = heads[time[:13]] + tails[time[13:]] if factor is None else epoch_ns(time, factor)
        except (ValueError, IndexError, TypeError) as error:
            if _is_blank(row):
                continue
            raise source.error(number, row, error) from error
        closed = at + after
        bar = Bar(instrument, at - before, closed, open, high, low, close, volume, closed)
        if 0.0 < low <= open <= high < infinity and low <= close <= high and 0.0 <= volume < infinity and at > last:
            last = at
            yield bar
        else:
            tally[flaw_of_bar(bar) or (Anomaly.DUPLICATE if at == last else Anomaly.OUT_OF_ORDER)] += 1
    _expect_order(source, tally[Anomaly.OUT_OF_ORDER], number - 1)


def _read_quotes(source: _Source, rows: _Rows, tally: RowTally) -> Iterator[Quote]:
    first, rows = _peek(rows, 1)
    if first:
        source.find_unit(first[0])
    sizes = _SIZE_COLUMNS if source.has(_SIZE_COLUMNS) else ()
    pick = source.pick((*_QUOTE_COLUMNS, *sizes))
    instrument, factor = source.instrument, source.factor
    heads, tails = source.heads, source.tails
    previous: tuple[float, ...] = ()
    last = -_INFINITY
    number = 1
    for number, row in enumerate(rows, 2):
        try:
            fields = source.fields(row)
            values = tuple(map(float, pick(fields)))
            time = fields[source.time_at]
            at = heads[time[:13]] + tails[time[13:]] if factor is None else epoch_ns(time, factor)
        except (ValueError, IndexError, TypeError) as error:
            if _is_blank(row):
                continue
            raise source.error(number, row, error) from error
        quote = Quote(instrument, values[0], values[1], at, at, *values[2:])
        flaw = flaw_of_quote(quote)
        if flaw is None and at <= last:
            flaw = Anomaly.OUT_OF_ORDER if at < last else Anomaly.DUPLICATE if values == previous else None
        if flaw is None:
            last = at
            previous = values
            yield quote
        else:
            tally[flaw] += 1
    _expect_order(source, tally[Anomaly.OUT_OF_ORDER], number - 1)


def _expect_order(source: _Source, older: int, count: int) -> None:
    """Refuse a file that is not in the order of time, such as one with the newest row first."""
    if older > max(1, count * _DISORDER_MAX):
        raise ConfigError(
            f"{source.path}: {older} of {count} rows are older than a row before them; expected the order of time, "
            "the oldest row first"
        )


def _interval_ns(source: _Source, rows: _Rows, options: ReadOptions) -> tuple[int, _Rows]:
    """Return the bars' length, and the rows again; finds out how times are written on the way."""
    sample, rows = _peek(rows, _SAMPLE_ROWS)
    if sample:
        source.find_unit(sample[0])
    if options.interval_s is not None:
        return round(options.interval_s * 1_000_000_000), rows
    times = []
    for number, row in enumerate(sample, 2):
        try:
            times.append(source.at_ns(source.fields(row)[source.time_at]))
        except (ValueError, IndexError, TypeError) as error:
            if not _is_blank(row):
                raise source.error(number, row, error) from error
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    _expect_order(source, sum(later < earlier for earlier, later in pairwise(times)), len(times))
    if times and not steps:
        raise ConfigError(f"{source.path}: expected interval_s or at least two rows to tell the length of a bar")
    return min(steps, default=0), rows


def _peek(rows: _Rows, count: int) -> tuple[list[Row], _Rows]:
    first = list(islice(rows, count))
    return first, chain(first, rows)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (ValueError, TypeError):
        return False
    return True


def _shown(value: Any) -> str:
    return "no value" if value is None else repr(value.strip() if isinstance(value, str) else value)


def _is_blank(row: Row) -> bool:
    return not (row.strip() if isinstance(row, str) else any(str(field).strip() for field in row))


@contextmanager
def _opened(path: Path) -> Iterator[_Table]:
    if path.suffix == ".parquet":
        from quantd.feeds.columnar import read_parquet  # the extra is asked for only where it is needed

        header, records, units = read_parquet(path)
        yield _Table(header, records, is_text=False, units=units)
        return
    with _text(path) as lines:
        head = next(lines, "")
        if not head.strip():
            raise ConfigError(f"{path}: row 1: expected a header with the names of the columns, found nothing")
        first = next(lines, None)
        rest = lines if first is None else chain((first,), lines)
        quoted = '"' in head or (first is not None and '"' in first)
        rows: _Rows = csv.reader(rest) if quoted else rest
        yield _Table(head.lstrip("\ufeff").strip().split(","), rows, is_text=not quoted)


@contextmanager
def _text(path: Path) -> Iterator[TextIO]:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as lines:
        yield lines


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the faults of files into errors that name the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _tell_skipped(path: Path, tally: Counter[Anomaly]) -> None:
    if tally:
        counts = {kind.value: count for kind, count in sorted(tally.items(), key=lambda item: item[0].value)}
        _log.warning("recorded_rows_skipped", path=str(path), **counts)
