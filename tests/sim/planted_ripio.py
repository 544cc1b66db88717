"""Faults that are planted in the Ripio connector, for the same hunt as those of `planted`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from quantd.domain.commands import Submit
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Outcome, Unknown
from quantd.domain.reports import OrderReport
from quantd.venues.budget import Lane
from quantd.venues.ripio import connector, search, translate, wire
from quantd.venues.ripio.desk import OrderDesk
from quantd.venues.ripio.orders import OrderReader

Instead = Callable[[Any, str, Any], Any]


def plants(instead: Instead) -> tuple[tuple[str, Callable[[], Any], str], ...]:
    """Return name, fault and scenario of each; `instead` puts something in a place for a while."""

    @contextmanager
    def sent_again() -> Iterator[None]:
        """A create without an answer is sent again under the same id, which the venue does not hold apart."""
        original = OrderDesk.submit

        async def submit(self: OrderDesk, command: Submit) -> Outcome:
            outcome = await original(self, command)
            return await original(self, command) if isinstance(outcome, Unknown) else outcome

        with instead(OrderDesk, "submit", submit):
            yield

    @contextmanager
    def absence_believed_at_once() -> Iterator[None]:
        """An order that two quick looks do not show counts as never placed."""
        with instead(connector, "quiet_period_s", lambda tolerance_ms: 0.0), instead(search, "LOOK_EVERY_S", 0.1):
            yield

    @contextmanager
    def fees_by_the_schedule() -> Iterator[None]:
        """An order is told by its own figures, and its fees are left to the schedule."""

        async def report(
            self: OrderReader, row: wire.OrderRow, lane: Lane, *, ended: OrderState | None = None
        ) -> OrderReport:
            return self._by_own_figures(row, translate.order_state(row)[0])

        with instead(OrderReader, "report", report):
            yield

    return (
        ("ripio: a create is sent again under its id", sent_again, "crowd"),
        ("ripio: absence is believed at once", absence_believed_at_once, "grid"),
        ("ripio: fees are taken from the schedule", fees_by_the_schedule, "cross"),
    )
