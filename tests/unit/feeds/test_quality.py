"""The quality gate: what is withheld, how it is counted, and what makes it pass again."""

from typing import Any

import pytest

from quantd.clock import ManualClock
from quantd.domain.events import Event, TimePassed
from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.feeds.quality import Anomaly, DataKind, QualityGate, QualityLimits
from quantd.testing.observer import RecordingObserver

BTC = InstrumentId("ionloop:BTC-USDT")
ETH = InstrumentId("ionloop:ETH-USDT")
S = 1_000_000_000
NAN, INF = float("nan"), float("inf")


def quote(bid: float, ask: float, at_s: float, occurred_s: float | None = None, **more: Any) -> Quote:
    occurred = None if occurred_s is None else round(occurred_s * S)
    return Quote(more.pop("instrument", BTC), bid, ask, round(at_s * S), occurred, **more)


def bar(opened_s: int, close: float = 100.0, **more: Any) -> Bar:
    values = {"open": close, "high": close, "low": close, "close": close, "volume": 1.0} | more
    return Bar(BTC, opened_s * S, (opened_s + 60) * S, received_at_ns=(opened_s + 61) * S, **values)


def book(bids: Any, asks: Any, at_s: float = 1, sequence: int = 0) -> Book:
    return Book(BTC, tuple(bids), tuple(asks), round(at_s * S), None, sequence)


class Door:
    """A gate whose clock follows what arrives."""

    def __init__(self, limits: QualityLimits | None = None, **more: Any) -> None:
        self.clock = ManualClock()
        self.observer = RecordingObserver()
        self.anomalies: list[Anomaly] = []
        self.gate = QualityGate(
            self.clock, self.observer, limits, on_anomaly=lambda event, kind: self.anomalies.append(kind), **more
        )

    def __call__(self, event: Event) -> tuple[Event, ...]:
        self.clock.set(max(self.clock.now_ns(), event.received_at_ns))
        return self.gate.admit(event)


@pytest.mark.parametrize(
    ("event", "anomaly"),
    [
        (quote(NAN, 2, 1), Anomaly.NOT_FINITE),
        (quote(1, INF, 1), Anomaly.NOT_FINITE),
        (quote(1, 2, 1, bid_size=NAN), Anomaly.NOT_FINITE),
        (quote(0, 2, 1), Anomaly.NON_POSITIVE),
        (quote(-1, 2, 1), Anomaly.NON_POSITIVE),
        (quote(1, 2, 1, ask_size=-1.0), Anomaly.NON_POSITIVE),
        (quote(2.01, 2, 1), Anomaly.CROSSED),
        (quote(1, 2, 1, 100), Anomaly.FUTURE),
        (bar(0, high=99.0), Anomaly.INCONSISTENT),
        (bar(0, low=101.0), Anomaly.INCONSISTENT),
        (bar(0, volume=-1.0), Anomaly.NON_POSITIVE),
        (bar(0, open=NAN), Anomaly.NOT_FINITE),
        (book([], []), Anomaly.EMPTY),
        (book([(2, 1)], [(1, 1)]), Anomaly.CROSSED),
        (book([(1, 1), (2, 1)], []), Anomaly.INCONSISTENT),
        (book([], [(2, 1), (1, 1)]), Anomaly.INCONSISTENT),
        (book([(1, NAN)], []), Anomaly.NOT_FINITE),
        (book([(0, 1)], []), Anomaly.NON_POSITIVE),
        (quote(1e39, 1e39, 1), Anomaly.NOT_FINITE),
        (bar(0, 1e39, open=1e39, high=1e39, low=1e39), Anomaly.NOT_FINITE),
        (book([(1, 1e39)], []), Anomaly.NOT_FINITE),
    ],
)
def test_impossible_data_are_counted_and_never_passed_on(event: Quote | Bar | Book, anomaly: Anomaly) -> None:
    door = Door()
    assert door(event) == ()
    assert door.anomalies == [anomaly]
    assert door.observer.counted("quantd_feed_anomalies_total", venue="ionloop", kind=anomaly.value) == 1
    assert door.gate.freshness.last_good_at_ns(BTC, DataKind.QUOTE) is None


@pytest.mark.parametrize(
    "event", [quote(2, 2, 1), book([(1, 1)], []), book([(2, 0), (1, 3)], [(2, 1), (3, 1)]), bar(0)]
)
def test_locked_thin_and_plain_data_pass(event: Event) -> None:
    assert Door()(event) == (event,)


def test_a_repeated_quote_of_the_same_time_is_a_duplicate() -> None:
    door = Door()
    assert door(quote(1, 2, 10, 9))
    assert not door(quote(1, 2, 11, 9))
    assert door(quote(1, 2, 12, 10))  # the venue says that it is news
    assert door.anomalies == [Anomaly.DUPLICATE]


def test_another_price_within_the_same_whole_second_is_news() -> None:
    door = Door()
    assert door(quote(1, 2, 10.1, 10))
    assert door(quote(1, 2.5, 10.6, 10))


def test_an_unchanged_price_without_a_venue_time_is_a_fresh_answer() -> None:
    door = Door()
    assert door(quote(1, 2, 10))
    assert door(quote(1, 2, 11))
    assert not door(quote(1, 2, 11))


def test_an_older_quote_is_out_of_order_even_if_it_arrives_later() -> None:
    door = Door()
    assert door(quote(1, 2, 10, 9))
    assert not door(quote(1, 3, 11, 8))
    assert door.anomalies == [Anomaly.OUT_OF_ORDER]


def test_a_book_whose_sequence_falls_is_out_of_order() -> None:
    door = Door()
    assert door(book([(1, 1)], [], 1, sequence=7))
    assert not door(book([(1, 2)], [], 2, sequence=6))
    assert door(book([(1, 2)], [], 3, sequence=7))
    assert door.anomalies == [Anomaly.OUT_OF_ORDER]


def test_a_book_whose_sequence_begins_anew_is_taken_after_a_while() -> None:
    door = Door()
    assert door(book([(1, 1)], [], 1, sequence=2**63))
    assert not door(book([(1, 2)], [], 20, sequence=8))
    assert door(book([(1, 2)], [], 40, sequence=9))
    assert not door(book([(1, 2)], [], 41, sequence=8))


def test_age_is_limited_while_the_market_is_open_only() -> None:
    door = Door(QualityLimits(max_age_s=5))
    assert door(quote(1, 2, 105, 100))
    assert not door(quote(1, 2.5, 106.01, 101))
    door(StatusChanged(BTC, MarketStatus.CLOSED, 107 * S))
    assert door(quote(1, 2.5, 200, 101))
    door(StatusChanged(BTC, MarketStatus.OPEN, 201 * S))
    assert not door(quote(1, 2.6, 202, 102))
    assert door.anomalies == [Anomaly.STALE, Anomaly.STALE]


def test_a_venue_whose_time_stands_still_becomes_stale() -> None:
    door = Door(QualityLimits(max_age_s=3))
    answers = [bool(door(quote(1, 2, 10 + n, 10))) for n in range(6)]
    assert answers == [True, False, False, False, False, False]
    assert door.anomalies == [Anomaly.DUPLICATE] * 3 + [Anomaly.STALE] * 2


def test_an_unchanged_quote_passes_as_a_confirmation_where_that_is_wanted() -> None:
    door = Door(QualityLimits(confirm_after_s=2))
    assert [bool(door(quote(1, 2, 10 + n, 10))) for n in range(6)] == [True, False, True, False, True, False]


def test_a_jump_is_withheld_until_later_data_confirm_the_level() -> None:
    door = Door(QualityLimits(max_jump_pct=10))
    assert door(quote(100, 100, 1))
    assert door(quote(110, 110, 2))  # exactly the limit
    assert not door(quote(130, 130, 3))
    assert door(quote(131, 131, 4))  # confirmed
    assert not door(quote(90, 90, 5))
    assert door(quote(130, 130, 6))  # it was a slip
    assert not door(quote(90, 90, 7))  # the slip before confirms nothing
    assert door.anomalies == [Anomaly.JUMPED] * 3


def test_the_same_jump_told_twice_confirms_nothing() -> None:
    door = Door(QualityLimits(max_jump_pct=10))
    door(quote(100, 100, 1, 1))
    assert not door(quote(130, 130, 3, 2))
    assert not door(quote(130, 130, 4, 2))
    assert door.anomalies == [Anomaly.JUMPED, Anomaly.DUPLICATE]


def test_a_withheld_bar_is_released_in_order_once_it_is_confirmed() -> None:
    door = Door(QualityLimits(max_jump_pct=10))
    first, jumped, third = bar(0), bar(60, 150.0), bar(120, 151.0)
    assert door(first) == (first,)
    assert door(jumped) == ()
    assert door(third) == (jumped, third)
    assert door.observer.counted("quantd_feed_events_total", venue="ionloop", kind="bar") == 3


def test_a_complete_bar_is_final_and_a_forming_one_may_change() -> None:
    door = Door()
    assert door(bar(0, complete=False))
    assert not door(bar(0, complete=False))
    assert door(bar(0, 101.0, complete=False))
    assert door(bar(0, 102.0))
    assert not door(bar(0, 103.0))
    assert door(bar(120))
    assert not door(bar(60))
    assert door.anomalies == [Anomaly.DUPLICATE, Anomaly.DUPLICATE, Anomaly.OUT_OF_ORDER]


def test_bars_of_two_intervals_do_not_disturb_each_other() -> None:
    door = Door()
    longer = Bar(BTC, 0, 300 * S, 1, 1, 1, 1, 0, 301 * S)
    assert door(longer)
    assert door(bar(0))


def test_instruments_have_their_own_limits_and_freshness() -> None:
    door = Door(QualityLimits(max_jump_pct=1), overrides={ETH: QualityLimits()})
    for at_s, price in ((1, 100.0), (3, 200.0)):
        door(quote(price, price, at_s))
        door(quote(price, price, at_s, instrument=ETH))
    freshness = door.gate.freshness
    assert freshness.last_good_at_ns(BTC, DataKind.QUOTE) == 1 * S
    assert freshness.last_good_at_ns(ETH, DataKind.QUOTE) == 3 * S
    assert freshness.age_s(BTC, DataKind.QUOTE, 4 * S) == 3.0
    assert freshness.age_s(BTC, DataKind.BAR, 4 * S) is None


def test_what_is_no_market_data_passes_untouched() -> None:
    door = Door()
    passed: list[Event] = []
    emit = door.gate.guard(passed.append)
    events: list[Event] = [TimePassed(S), quote(1, 2, 1), quote(3, 2, 1), StatusChanged(BTC, MarketStatus.OPEN, S)]
    for event in events:
        emit(event)
    assert passed == [events[0], events[1], events[3]]
