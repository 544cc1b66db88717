"""What a scraper is given: the format that it prefers, exemplars only in OpenMetrics, text that other parsers read."""

import math
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as plain_families

from quantd.clock import ManualClock
from quantd.telemetry.exposition import Format, chosen
from quantd.telemetry.metrics import PrometheusObserver

parse_open: Any = open_families  # the library leaves it untyped
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)
OPEN = "application/openmetrics-text"
NOW_NS = 1_700_000_000_500_000_000


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", Format.PLAIN),
        ("*/*", Format.PLAIN),
        ("text/html", Format.PLAIN),
        (PROMETHEUS_3, Format.OPEN),
        (OPEN, Format.OPEN),
        (f'{OPEN}; version="1.0.0"', Format.OPEN),
        (f"{OPEN};version=0.0.1", Format.PLAIN),
        (f"{OPEN};version=2.0.0,text/plain", Format.PLAIN),
        (f"text/plain;version=0.0.4;q=0.9,{OPEN};q=0.3", Format.PLAIN),
        (f"text/plain;q=0.3,{OPEN};q=0.9", Format.OPEN),
        (f"{OPEN};q=0", Format.PLAIN),
        (f"{OPEN};q=much", Format.PLAIN),
        (";;,=", Format.PLAIN),
    ],
)
def test_the_accept_header_decides(accept: str, expected: Format) -> None:
    assert chosen(accept) is expected


def used() -> PrometheusObserver:
    """Return an observer on which two orders were timed and one was refused."""
    observer = PrometheusObserver(clock=ManualClock(NOW_NS))
    observer.observe("quantd_order_ack_seconds", 0.004, "q1-7", venue="paper", operation="submit")
    observer.observe("quantd_order_ack_seconds", 0.0049, "q1-8", venue="paper", operation="submit")
    observer.observe("quantd_order_ack_seconds", 40.0, "q1-10", venue="paper", operation="submit")
    observer.observe("quantd_order_ack_seconds", 0.2, venue="paper", operation="submit")
    for unfit in ("x" * 101, 'we"ird', "back\\slash", "line\n"):
        observer.observe("quantd_order_ack_seconds", 0.02, unfit, venue="paper", operation="submit")
    observer.count("quantd_rejects_total", 1, "q1-9", venue="paper", reason='say "no"\n')
    return observer


def test_latencies_and_refusals_name_the_last_order_of_each_bucket_in_openmetrics() -> None:
    text = used().exposition(OPEN)[0].decode()
    families = {family.name: family for family in parse_open(text)}
    buckets = {
        one.labels["le"]: one
        for one in families["quantd_order_ack_seconds"].samples
        if one.name.endswith("_bucket") and one.labels["operation"] == "submit"
    }
    named = {edge: one.exemplar for edge, one in buckets.items() if one.exemplar is not None}
    assert {edge: one.labels for edge, one in named.items()} == {
        "0.005": {"client_order_id": "q1-8"},
        "+Inf": {"client_order_id": "q1-10"},
    }, "no order, or one whose id does not fit into an exemplar, leaves none"
    assert named["0.005"].value == 0.0049
    assert float(named["0.005"].timestamp) == NOW_NS / 1e9
    (refusal,) = families["quantd_rejects"].samples
    assert refusal.exemplar.labels == {"client_order_id": "q1-9"}
    assert refusal.labels["reason"] == 'say "no"\n'


def test_the_text_format_holds_the_same_samples_without_exemplars() -> None:
    observer = used()
    plain, content_type = observer.exposition("*/*")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"client_order_id" not in plain
    assert b"# EOF" not in plain

    def samples(families: Any) -> dict[Any, float]:
        return {
            (one.name, tuple(sorted(one.labels.items()))): one.value
            for family in families
            for one in family.samples
            if one.name.startswith("quantd_")
        }

    told = samples(plain_families(plain.decode()))
    assert told == samples(parse_open(observer.exposition(OPEN)[0].decode()))
    assert told["quantd_order_ack_seconds_count", (("operation", "submit"), ("venue", "paper"))] == 8


def test_an_edge_belongs_to_its_bucket_and_figures_that_are_no_numbers_are_written() -> None:
    observer = PrometheusObserver()
    observer.observe("quantd_gate_seconds", 1e-5)
    for value, text in ((math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"), (12, "12.0")):
        observer.gauge("quantd_inbox_depth", value)
        assert f"\nquantd_inbox_depth {text}\n" in observer.exposition("")[0].decode()
    assert '\nquantd_gate_seconds_bucket{le="1e-05"} 1\n' in observer.exposition("")[0].decode()


def test_a_series_that_moved_between_two_scrapes_shows_it_and_one_that_did_not_stays() -> None:
    observer = PrometheusObserver()
    observer.count("quantd_rate_limited_total", venue="a")
    observer.count("quantd_rate_limited_total", venue="b")
    observer.observe("quantd_gate_seconds", 0.5)
    before = observer.exposition("")[0].decode()
    observer.observe("quantd_gate_seconds", 0.5)
    observer.count("quantd_rate_limited_total", venue="b")
    after = observer.exposition("")[0].decode()
    assert "quantd_gate_seconds_count 1\n" in before
    assert "quantd_gate_seconds_count 2\n" in after
    assert 'quantd_rate_limited_total{venue="b"} 1.0' in before
    assert 'quantd_rate_limited_total{venue="b"} 2.0' in after
    assert 'quantd_rate_limited_total{venue="a"} 1.0' in after
