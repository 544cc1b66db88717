"""The Prometheus observer and the recording one: what they count, what they refuse, what exists from the start."""

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quantd.ports import Observer
from quantd.telemetry import metrics
from quantd.telemetry.catalogue import CATALOGUE
from quantd.telemetry.metric import Kind, Metric
from quantd.telemetry.metrics import NullObserver, PrometheusObserver
from quantd.telemetry.series import Distribution, Figure
from quantd.testing.observer import RecordingObserver

OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def sample(observer: PrometheusObserver, name: str, **labels: str) -> float | None:
    """Read one sample out of an exposition as a scraper would."""
    for family in text_string_to_metric_families(observer.exposition("")[0].decode()):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return None


def use(observer: Observer) -> None:
    observer.count("quantd_fills_total", venue="paper", strategy="trend", quality="confirmed")
    observer.count("quantd_fills_total", 2, quality="confirmed", strategy="trend", venue="paper")
    observer.gauge("quantd_inbox_depth", 7)
    observer.observe("quantd_gate_seconds", 0.00002)


def test_counts_gauges_and_observations_reach_the_registry_whatever_the_order_of_labels() -> None:
    observer = PrometheusObserver()
    use(observer)
    assert sample(observer, "quantd_fills_total", venue="paper", strategy="trend", quality="confirmed") == 3
    assert sample(observer, "quantd_inbox_depth") == 7
    assert sample(observer, "quantd_gate_seconds_bucket", le="1e-05") == 0
    assert sample(observer, "quantd_gate_seconds_bucket", le="2.5e-05") == 1
    assert sample(observer, "quantd_gate_seconds_sum") == pytest.approx(0.00002)


def test_the_null_observer_takes_everything() -> None:
    use(NullObserver())
    NullObserver().count("nonsense")


@pytest.mark.parametrize("make", [PrometheusObserver, RecordingObserver])
@pytest.mark.parametrize(
    ("error", "call"),
    [
        (KeyError, lambda o: o.count("quantd_fils_total")),
        (KeyError, lambda o: o.gauge("quantd_events_total", 1)),
        (KeyError, lambda o: o.count("quantd_inbox_depth")),
        (KeyError, lambda o: o.observe("quantd_inbox_depth", 1)),
        (ValueError, lambda o: o.count("quantd_events_total", venue="a")),
        (ValueError, lambda o: o.count("quantd_fills_total", venue="a", strategy="b")),
        (ValueError, lambda o: o.count("quantd_rate_limited_total", venues="a")),
        (ValueError, lambda o: o.count("quantd_events_total", -1)),
        (TypeError, lambda o: o.count("quantd_rate_limited_total", venue=Kind.GAUGE)),
    ],
)
def test_a_fault_of_the_program_raises(
    make: Callable[[], Observer], error: type[Exception], call: Callable[[Observer], None]
) -> None:
    with pytest.raises(error):
        call(make())


def test_metrics_without_open_labels_exist_at_zero_from_the_start() -> None:
    observer = PrometheusObserver()
    body = observer.exposition("")[0].decode()
    for name, metric in CATALOGUE.items():
        assert f"# TYPE {name} {metric.kind.value}" in body
    assert sample(observer, "quantd_journal_failures_total") == 0
    assert sample(observer, "quantd_task_restarts_total", kind="poller") == 0


def test_declaring_makes_every_combination_exist_at_zero() -> None:
    observer = PrometheusObserver()
    observer.declare("quantd_fills_total", venue=["a", "b"], strategy="s")
    for venue in "ab":
        for quality in ("confirmed", "estimated"):
            assert sample(observer, "quantd_fills_total", venue=venue, strategy="s", quality=quality) == 0
    observer.count("quantd_fills_total", venue="a", strategy="s", quality="confirmed")
    observer.declare("quantd_fills_total", venue="a", strategy="s")
    assert sample(observer, "quantd_fills_total", venue="a", strategy="s", quality="confirmed") == 1
    with pytest.raises(ValueError, match="labels are"):
        observer.declare("quantd_fills_total", venue="a")
    with pytest.raises(KeyError):
        observer.declare("quantd_nonsense_total")


def test_declaring_what_is_known_touches_counters_and_histograms_with_exactly_these_labels() -> None:
    observer = PrometheusObserver()
    observer.declare_known(venue="a")
    assert sample(observer, "quantd_rate_limited_total", venue="a") == 0
    assert sample(observer, "quantd_feed_anomalies_total", venue="a", kind="crossed") == 0
    assert sample(observer, "quantd_order_fill_seconds_count", venue="a") == 0
    assert sample(observer, "quantd_venue_ready", venue="a") is None
    assert sample(observer, "quantd_order_requests_total", venue="a", strategy="s") is None


def test_surplus_label_values_are_folded_and_counted_instead_of_growing_without_end() -> None:
    small = Metric("quantd_rejects_total", Kind.COUNTER, "Few.", ("venue", "reason"), series_max=3)
    observer = PrometheusObserver({**CATALOGUE, small.name: small})
    for number in range(10):
        observer.count(small.name, venue="a", reason=f"code {number}")
    observer.count(small.name, venue="a", reason="code 1")
    assert sample(observer, small.name, venue="a", reason="code 1") == 2
    assert sample(observer, small.name, venue="a", reason="code 5") is None
    assert sample(observer, small.name, venue="other", reason="other") == 7
    assert sample(observer, "quantd_metric_series_folded_total", metric=small.name) == 7


def test_open_metrics_are_served_on_request_with_units_and_an_end() -> None:
    observer = PrometheusObserver()
    body, content_type = observer.exposition(OPEN_METRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert b"# UNIT quantd_gate_seconds seconds" in body
    plain, content_type = observer.exposition("*/*")
    assert content_type.startswith("text/plain")
    assert b"_created" not in plain


def test_two_observers_share_nothing() -> None:
    first, second = PrometheusObserver(), PrometheusObserver()
    first.count("quantd_events_total")
    assert sample(second, "quantd_events_total") == 0


def test_the_recording_observer_answers_by_some_or_all_labels() -> None:
    observer = RecordingObserver()
    use(observer)
    observer.count("quantd_fills_total", venue="other", strategy="trend", quality="estimated")
    assert observer.counted("quantd_fills_total") == 4
    assert observer.counted("quantd_fills_total", venue="paper") == 3
    assert observer.counted("quantd_rate_limited_total") == 0
    assert observer.gauged("quantd_inbox_depth") == 7
    assert observer.gauged("quantd_halted") is None
    assert observer.observed("quantd_gate_seconds") == [0.00002]
    assert observer.names == {"quantd_fills_total", "quantd_inbox_depth", "quantd_gate_seconds"}


def test_the_recording_observer_refuses_values_outside_a_closed_set_and_questions_about_nothing() -> None:
    observer = RecordingObserver()
    with pytest.raises(ValueError, match="quality is 'guessed'"):
        observer.count("quantd_fills_total", venue="a", strategy="s", quality="guessed")
    with pytest.raises(KeyError):
        observer.counted("quantd_fils_total")
    with pytest.raises(KeyError):
        observer.counted("quantd_inbox_depth")


def test_a_series_that_two_threads_see_first_is_one_series(monkeypatch: pytest.MonkeyPatch) -> None:
    # The other thread counts while the first one has made its series and not put it away: the worst that a switch can do.
    observer, labels = PrometheusObserver(), {"venue": "paper", "operation": "submit", "outcome": "ok"}
    switches = [Figure, Distribution]

    def count() -> None:
        observer.count("quantd_fills_total", venue="paper", strategy="trend", quality="confirmed")
        observer.observe("quantd_venue_request_seconds", 0.1, "", **labels)

    def with_switch(kind: type) -> type:
        def begin(self: object, *args: object) -> None:
            kind.__init__(self, *args)  # type: ignore[misc]  # the one of the series
            if kind in switches:
                switches.remove(kind)
                count()

        return type(kind.__name__, (kind,), {"__init__": begin, "__slots__": ()})

    monkeypatch.setattr(metrics, "Figure", with_switch(Figure))
    monkeypatch.setattr(metrics, "Distribution", with_switch(Distribution))
    count()
    count()
    assert switches == []
    assert sample(observer, "quantd_fills_total", venue="paper", strategy="trend", quality="confirmed") == 4
    assert sample(observer, "quantd_venue_request_seconds_count", **labels) == 4
