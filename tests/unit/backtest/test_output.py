"""Chart, fills as CSV, and the page of measurements."""

import io
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks.results import page, read_tables, table
from quantd.backtest.chart import WIDTH, svg
from quantd.backtest.export import COLUMNS, write_fills
from tests.unit.backtest.rig import backtest, bars
from tests.unit.backtest.test_result import Plan

RESULTS = Path(__file__).parents[3] / "benchmarks" / "RESULTS.md"


def test_the_chart_is_well_formed_small_and_marks_each_fill() -> None:
    run = backtest(Plan([1, 0, 1, 0]), bars([100.0 + step % 7 for step in range(20_000)])).run()
    text = svg(run, "a < b & c")
    root = ET.fromstring(text)
    circles = [one for one in root if one.tag.endswith("circle")]
    assert len(circles) == len(run.fills) == 4
    assert len(text) < 400_000
    for circle in circles:
        assert 0 <= float(circle.attrib["cx"]) <= WIDTH


def test_a_chart_of_nothing_is_still_a_picture() -> None:
    run = backtest(Plan([0]), bars([100.0]))
    assert ET.fromstring(svg(run, "nothing")).tag.endswith("svg")


def test_fills_are_written_exactly_one_row_each() -> None:
    run = backtest(Plan([1, 0]), bars([100.0, 100.0, 101.5, 103.0])).run()
    file = io.StringIO()
    write_fills(run.fills, file)
    header, *rows = [line.split(",") for line in file.getvalue().splitlines()]
    assert tuple(header) == COLUMNS
    assert [(row[3], row[4], row[5], row[6]) for row in rows] == [
        ("buy", "1", "100", "0.1 USD"),
        ("sell", "1", "100", "0.1 USD"),
    ]
    assert rows[0][0].endswith("+00:00")
    assert Decimal(rows[0][5]) == run.fills[0].fill.price


def test_a_table_is_read_as_it_was_written() -> None:
    text = "\n".join(["## Speed", "", *table(("a", "b"), [(1, None), ("x", 2.5)])])
    assert read_tables(text) == {"Speed": [{"a": "1", "b": ""}, {"a": "x", "b": "2.5"}]}


def test_a_row_with_a_cell_too_many_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells, found 3"):
        read_tables("# T\n| a | b |\n|---|---|\n| 1 | 2 | 3 |")


ABOUT = {
    "date": "2026-01-01", "commit": "abc", "python": "3.12", "machine": "m", "cpus": 2, "load": 0.25,
    "versions": {"q": "1"},
}  # fmt: skip


def test_a_peer_that_does_not_run_is_listed() -> None:
    found = {
        "rounds": 1,
        "about": ABOUT,
        "backtest": [
            {"name": "quantd", "run_s": 0.2, "bars": 100_000, "fills": 3772, "equity": 999_730.86},
            {"name": "basana", "run_s": 0.9, "bars": 100_000, "fills": 3772, "equity": 999_730.67},
            {"name": "nautilus_trader", "missing": "ModuleNotFoundError"},
        ],
    }  # fmt: skip
    (rows,) = read_tables(page(found)).values()
    assert [row["engine"] for row in rows] == ["quantd", "basana", "nautilus_trader"]
    assert (rows[1]["our speed over it"], rows[1]["met"]) == ("4.50", "yes")
    assert rows[2]["run s"] == "does not run here"


def test_a_venue_s_own_client_that_is_not_installed_is_listed_beside_one_that_is() -> None:
    figures = {
        "venue": "oanda", "callers": 20, "p50_us": 4_000.0, "per_s": 4_400.0, "cpu_us": 200.0, "venue_us": 220.0,
        "venue_busy": 0.96, "venue_bound": True,
    }  # fmt: skip
    ratios = {"p50_us_ratio": [0.2, 0.15, 0.3], "per_s_ratio": [5.0, 4.0, 6.0], "cpu_us_ratio": [0.3, 0.3, 0.3]}
    found = {
        "rounds": 3,
        "about": ABOUT,
        "clients": [
            {**figures, "name": "quantd", **ratios},
            {**figures, "name": "v20", "venue_busy": 0.26, "venue_bound": False},
            {"venue": "hummingbot", "name": "hummingbot-api-client", "missing": "not installed"},
        ],
    }
    (rows,) = read_tables(page(found)).values()
    assert [row["client"] for row in rows] == ["quantd", "v20", "hummingbot-api-client"]
    assert (rows[0]["p50 ratio"], rows[1]["p50 ratio"]) == ("0.20 (0.15 to 0.30)", "")
    assert (rows[0]["simulator busy"], rows[1]["simulator busy"]) == ("96% (bound)", "26%")
    assert rows[2]["p50 us"] == "not installed"


def test_the_results_page_in_the_repository_has_the_tables_of_a_whole_run() -> None:
    tables = read_tables(RESULTS.read_text(encoding="utf-8"))
    engines = tables["Backtest, 100,000 bars"]
    assert {row["engine"] for row in engines} == {"quantd", "backtesting.py", "basana", "nautilus_trader"}
    for row in engines:
        if row["run s"] != "does not run here":
            assert float(row["run s"]) > 0
            assert row["fills"] == "3,772"
    ours = next(row for row in engines if row["engine"] == "quantd")
    assert ours["equity"] == "999,730.86"
    wanted = {
        "quantd's backtest, ten times the bars", "Placing an order", "Placing an order, beside the venues' own clients",
        "Tick to order", "Rate budgets",
    }  # fmt: skip
    assert wanted <= set(tables)
