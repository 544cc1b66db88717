"""Recorded files: what is read from them, and what an unreadable one is answered with."""

import gzip
import importlib
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Quote
from quantd.errors import ConfigError
from quantd.feeds.bars import BarAggregator
from quantd.feeds.quality import Anomaly
from quantd.feeds.recorded import ReadOptions, RowTally, Stamp, read_bid_ask_bars, read_market

X = InstrumentId("paper:X")
S = 1_000_000_000
BARS = "timestamp,open,high,low,close,volume\n1970-01-01 00:01:00,1,3,0.5,2,10\n1970-01-01 00:02:00,2,4,1,3,20\n"
FIRST, SECOND = Bar(X, 60 * S, 120 * S, 1, 3, 0.5, 2, 10, 120 * S), Bar(X, 120 * S, 180 * S, 2, 4, 1, 3, 20, 180 * S)


def written(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz"])
def test_bars_are_read_with_their_length_from_the_file(tmp_path: Path, name: str) -> None:
    assert list(read_market(written(tmp_path, BARS, name), X)) == [FIRST, SECOND]


def test_a_timestamp_may_be_the_close(tmp_path: Path) -> None:
    options = ReadOptions(stamp=Stamp.CLOSE)
    bars = [bar for bar in read_market(written(tmp_path, BARS), X, options=options) if isinstance(bar, Bar)]
    assert [(bar.opened_at_ns // S, bar.closed_at_ns // S) for bar in bars] == [(0, 60), (60, 120)]
    assert bars[0].received_at_ns == bars[0].closed_at_ns


@pytest.mark.parametrize(
    "text",
    [
        BARS.replace("\n", "\r\n"),
        BARS.rstrip("\n"),
        "\ufeff" + BARS + "\n\n",
        BARS.replace("timestamp,open", "Date, Open"),
        "volume,close,low,high,open,symbol,time\n10,2,0.5,3,1,X,60\n20,3,1,4,2,X,120\n",
        'time,open,high,low,close,volume\n"1970-01-01T00:01:00Z","1","3","0.5",2,10\n1970-01-01 00:02,2,4,1,3,20\n',
        "ts,open,high,low,close,volume\n60.0,1,3,0.5,2,10\n120.0,2,4,1,3,20\n",
    ],
    ids=["crlf", "no last newline", "byte order mark", "other names", "other order", "quoted", "seconds"],
)
def test_the_same_bars_written_in_other_ways(tmp_path: Path, text: str) -> None:
    assert list(read_market(written(tmp_path, text), X)) == [FIRST, SECOND]


def test_bars_without_volume_have_none(tmp_path: Path) -> None:
    (bar,) = read_market(
        written(tmp_path, "time,open,high,low,close\n60,1,3,0.5,2\n"), X, options=ReadOptions(interval_s=60)
    )
    assert isinstance(bar, Bar)
    assert bar.volume == 0


def test_quotes_are_read_with_and_without_sizes(tmp_path: Path) -> None:
    at = 1_640_991_660_123
    (plain,) = read_market(written(tmp_path, f"timestamp,bid,ask\n{at},1.5,1.75\n"), X)
    assert plain == Quote(X, 1.5, 1.75, at * 1_000_000, at * 1_000_000)
    (sized,) = read_market(written(tmp_path, f"timestamp,bid,ask,bid_size,ask_size\n{at},1.5,1.75,3,4\n"), X)
    assert sized == Quote(X, 1.5, 1.75, at * 1_000_000, at * 1_000_000, 3, 4)


def test_impossible_rows_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = ["1,2,3", "2,nan,3", "3,0,3", "4,3,2", "5,2,3", "5,2,3", "5,2,4", "4,2,3", "6,2,3"]
    tally = RowTally()
    quotes = list(read_market(written(tmp_path, "\n".join(["time,bid,ask", *rows])), X, tally=tally))
    assert [quote.received_at_ns // S for quote in quotes] == [1, 5, 5, 6]
    assert tally == {
        Anomaly.NOT_FINITE: 1, Anomaly.NON_POSITIVE: 1, Anomaly.CROSSED: 1, Anomaly.DUPLICATE: 1, Anomaly.OUT_OF_ORDER: 1,
    }  # fmt: skip


def test_impossible_bars_are_skipped_and_counted(tmp_path: Path) -> None:
    rows = ["180,2,1,1,2,1", "240,2,2,2,2,nan", "300,2,2,2,2,-1", "60,1,1,1,1,1", "120,1,1,1,1,1", "360,2,2,2,2,2"]
    text = "time,open,high,low,close,volume\n60,1,1,1,1,1\n120,1,1,1,1,1\n" + "\n".join(rows)
    tally = RowTally()
    bars = list(read_market(written(tmp_path, text), X, tally=tally))
    assert [bar.received_at_ns // S for bar in bars] == [120, 180, 420]
    assert tally == {
        Anomaly.INCONSISTENT: 1, Anomaly.NOT_FINITE: 1, Anomaly.NON_POSITIVE: 1, Anomaly.OUT_OF_ORDER: 1,
        Anomaly.DUPLICATE: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"row 1: expected a header"),
        ("price,size\n1,2\n", r"row 1: expected a time column"),
        ("time,price\n1,2\n", r"row 1: expected columns open, high, low, close or bid, ask; found time, price"),
        (BARS + "1970-01-01 00:03:00,1,2,x,2,1\n", r"row 4: low: expected a number, found 'x'"),
        (BARS + "1970-01-01 00:03:00,1,2\n", r"row 4: expected 6 columns, found 3"),
        (BARS + "1970-01-01 25:03:00,1,2,1,2,1\n", r"row 4: timestamp: expected an hour up to 23"),
        (BARS + "soon,1,2,1,2,1\n", r"row 4: timestamp: expected a time like"),
        ("time,open,high,low,close\n60,1,1,1,1\n", r"expected interval_s or at least two rows"),
        ("time,bid,ask\n1,2,3\nx,2,3\n", r"row 3: time: expected a number since 1970, found 'x'"),
        (
            "time,bid,ask\n1735689540000,2,3\n1735689600000000,2,3\n",
            r"row 3: time: expected milliseconds since 1970, as in the first row, found '1735689600000000'",
        ),
        (
            "time,bid,ask\n2025-01-01,2,3\n9999-12-31,2,3\n",
            r"row 3: time: expected a year up to 2261, found '9999-12-31'",
        ),
    ],
)
def test_an_unreadable_file_is_named_with_its_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.csv: " + message):
        list(read_market(written(tmp_path, text), X))


@pytest.mark.parametrize("columns", ["open,high,low,close", "bid,ask,bid_size,ask_size"])
def test_a_file_with_its_newest_row_first_is_refused(tmp_path: Path, columns: str) -> None:
    rows = "".join(f"{60 * n},1,1,1,1\n" for n in range(50, 0, -1))
    with pytest.raises(
        ConfigError, match=r"data\.csv: 49 of 50 rows are older .*expected the order of time, the oldest"
    ):
        list(read_market(written(tmp_path, f"time,{columns}\n{rows}"), X))


def test_a_few_rows_out_of_order_are_skipped_and_counted(tmp_path: Path) -> None:
    times = [*range(1, 30), 15, *range(30, 40)]
    rows = "".join(f"{60 * n},1,1,1,1\n" for n in times)
    tally = RowTally()
    assert len(list(read_market(written(tmp_path, "time,open,high,low,close\n" + rows), X, tally=tally))) == 39
    assert tally == {Anomaly.OUT_OF_ORDER: 1}


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{60 * n},{n},{n},{n},{n},{n * 7919}\n" for n in range(1, 5_000))
    path = written(tmp_path, "time,open,high,low,close,volume\n" + rows, "data.csv.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ConfigError, match=r"data\.csv\.gz: cannot be read"):
        list(read_market(path, X))
    path.write_bytes(b"plain text")
    with pytest.raises(ConfigError, match=r"data\.csv\.gz: cannot be read"):
        list(read_market(path, X))
    with pytest.raises(ConfigError, match=r"nowhere\.csv: there is no such file"):
        list(read_market(tmp_path / "nowhere.csv", X))


def test_files_are_streamed(tmp_path: Path) -> None:
    rows = "".join(f"{60 * n},1,1,1,1,1\n" for n in range(1, 2_000))
    events = read_market(written(tmp_path, "time,open,high,low,close,volume\n" + rows + "broken\n"), X)
    assert next(events).received_at_ns == 120 * S  # the broken end has not been seen yet


def test_bid_and_ask_bars_pair_into_quotes(tmp_path: Path) -> None:
    head = "time,open,high,low,close\n"
    bid = written(tmp_path, head + "60,1,1,1,1\n120,2,2,2,2\n180,3,3,3,3\n300,5,5,5,5\n", "bid.csv")
    ask = written(tmp_path, head + "60,1,1,1,1\n180,2,2,2,2\n240,4,4,4,4\n300,6,6,6,6\n", "ask.csv")
    tally = RowTally()
    quotes = list(read_bid_ask_bars(bid, ask, X, options=ReadOptions(interval_s=60), tally=tally))
    assert quotes == [Quote(X, 1, 1, 120 * S, 120 * S), Quote(X, 5, 6, 360 * S, 360 * S)]
    assert tally == {Anomaly.INCONSISTENT: 2, Anomaly.CROSSED: 1}


def test_quotes_cannot_be_one_side_of_a_pair(tmp_path: Path) -> None:
    path = written(tmp_path, "time,bid,ask\n1,2,3\n")
    with pytest.raises(ConfigError, match="expected bars of one side, found quotes"):
        list(read_bid_ask_bars(path, path, X))


def test_parquet_needs_its_extra_and_then_reads_like_text(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        with pytest.raises(ConfigError, match=r"data\.parquet: reading Parquet needs an extra: .*quantd\[parquet\]"):
            list(read_market(path, X))
        return
    columns = {"open": [1.0, 2.0], "high": [3.0, 4.0], "low": [0.5, 1.0], "close": [2.0, 3.0], "volume": [10, 20]}
    for unit, factor in (("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", S)):
        times = arrow.array([60 * factor, 120 * factor], type=arrow.timestamp(unit, "UTC"))
        parquet.write_table(arrow.table({"timestamp": times, **columns}), path)
        assert list(read_market(path, X)) == [FIRST, SECOND]
    path.write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"cannot be read as Parquet"):
        list(read_market(path, X))


DATA = Path(os.environ.get("QUANTD_MARKET_DATA", "no-market-data"))
real_data = pytest.mark.skipif(not DATA.is_dir(), reason="QUANTD_MARKET_DATA names no folder of recorded market data")


def only_bars(events: Iterable[Bar | Quote]) -> list[Bar]:
    return [event for event in events if isinstance(event, Bar)]


@real_data
def test_a_month_of_bitcoin_is_read_whole_and_adds_up_to_hours() -> None:
    tally = RowTally()
    path = DATA / "btc-usd-perp-1m-2022-01.csv.gz"
    bars = only_bars(read_market(path, X, options=ReadOptions(stamp=Stamp.CLOSE), tally=tally))
    assert (len(bars), sum(tally.values())) == (45_031, 0)
    assert bars[0].opened_at_ns == 1_640_991_600 * S  # 2021-12-31 23:00 UTC
    assert {bar.interval_ns for bar in bars} == {60 * S}
    hours = BarAggregator(X, 3_600)
    joined = [hour for bar in bars for hour in hours.on_bar(bar)]
    assert joined[0].open == bars[0].open
    assert max(hour.high for hour in joined) == max(bar.high for bar in bars)
    assert all(hour.complete for hour in joined)


@real_data
def test_real_quotes_are_read_whole_in_order() -> None:
    tally = RowTally()
    quotes = list(read_market(DATA / "eur-usd-quotes-2020-01-01.csv.gz", X, tally=tally))
    assert len(quotes) + sum(tally.values()) == 9_500
    assert quotes[0] == Quote(X, 1.1212, 1.12172, 1_577_898_000_065_000_000, 1_577_898_000_065_000_000)
    times = [quote.received_at_ns for quote in quotes]
    assert times == sorted(times)


@real_data
def test_real_bid_and_ask_bars_pair_and_no_crossed_close_gets_through() -> None:
    tally = RowTally()
    bid, ask = DATA / "gbp-usd-1m-bid-2012-02.csv.gz", DATA / "gbp-usd-1m-ask-2012-02.csv.gz"
    quotes = list(read_bid_ask_bars(bid, ask, X, tally=tally))
    assert len(quotes) + sum(tally.values()) == 30_117
    assert all(quote.bid <= quote.ask for quote in quotes)
    assert quotes[0].received_at_ns == 1_328_054_460 * S  # the first bar's close
