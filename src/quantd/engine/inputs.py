"""Names the event that the engine is at, for the journal: what a strategy saw when it decided.

Asked once for each order, target and denial, never for the events that lead to none.
"""

from collections.abc import Callable, Mapping
from typing import Any

from quantd.domain import events as e
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.reports import AccountSnapshot, OrderReport


def input_of(event: e.Event | None) -> str:
    """Return an event in a few words; empty before the first."""
    if event is None:
        return ""
    words = _WORDS.get(type(event))
    return type(event).__name__ if words is None else words(event)


def _bar(bar: Bar) -> str:
    every_s = (bar.closed_at_ns - bar.opened_at_ns) // 1_000_000_000
    return f"bar of {every_s} s of {bar.instrument}, close {bar.close!r}"


def _by(event: Any) -> str:
    return f"{type(event).__name__} by {event.by}"


def _outcome(event: Any) -> str:
    return f"outcome of {event.client_order_id}, write {event.operation}"


_WORDS: Mapping[type, Callable[[Any], str]] = {
    Bar: _bar,
    Quote: lambda quote: f"quote of {quote.instrument}, {quote.bid!r} to {quote.ask!r}",
    Book: lambda book: f"book of {book.instrument}",
    StatusChanged: lambda event: f"status of {event.instrument}, {event.status.value}",
    e.TimerFired: lambda event: f"timer {event.name}",
    e.JobDone: lambda event: f"job {event.name}",
    OrderReport: lambda report: f"report on {report.client_order_id or report.venue_order_id}",
    e.OutcomeReceived: _outcome,
    e.OperationResolved: _outcome,
    AccountSnapshot: lambda snapshot: f"account of {snapshot.venue}",
    **dict.fromkeys((e.HaltOrdered, e.Resumed, e.CancelOrdered, e.FlattenOrdered, e.OrderOrdered), _by),
}
