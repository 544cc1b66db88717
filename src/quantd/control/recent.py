"""What was lately: equity and prices at even intervals, and how many fills and denials there were since the start.

For charts and for whoever follows the stream. Kept in memory and bounded: a restart begins anew, the journal keeps what
matters. Reads the engine in the loop's thread between two steps of the runner; changes nothing.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from quantd.control import views
from quantd.control.answers import OrderView, PositionView, Status
from quantd.control.daemon_access import DaemonAccess
from quantd.domain.facts import Fact, FillCorrected, FillRecorded, RequestDenied

EVERY_S = 5.0
POINTS_MAX = 720
"""An hour."""
ORDERS_MAX = 200
"""Orders in one glance; the newest."""


class DenialCount(msgspec.Struct, frozen=True):
    """How often the gate said no for one reason."""

    code: str
    count: int
    """Since the daemon's start."""


class Glance(msgspec.Struct, frozen=True):
    """What changes from second to second; one event of the stream."""

    status: Status
    positions: tuple[PositionView, ...]
    orders: tuple[OrderView, ...]
    """Working orders, newest first, at most 200; `status.open_orders` counts all."""
    fills: int
    """Fills and corrections of fills since the daemon's start: when it grows, there are new ones to ask for."""
    denials: tuple[DenialCount, ...]
    """Most frequent first."""


class PriceSeries(msgspec.Struct, frozen=True):
    """One instrument's prices."""

    instrument: str
    prices: tuple[float | None, ...]
    """One for each of `at_ns`; none where there was no price."""


class History(msgspec.Struct, frozen=True):
    """Equity and prices of the last hour at most, oldest first."""

    every_s: float
    base_currency: str
    at_ns: tuple[int, ...]
    equity: tuple[Decimal | None, ...]
    """One for each of `at_ns`, in the base currency; none while a rate was missing."""
    prices: tuple[PriceSeries, ...]


class Recent:
    """Keeps what was lately.

    Args:
        daemon: What is looked at.
        every_s: Seconds between two points.
    """

    def __init__(self, daemon: DaemonAccess, *, every_s: float = EVERY_S) -> None:
        self._daemon = daemon
        self._every_s = every_s
        self._points: deque[tuple[int, Decimal | None, dict[str, float]]] = deque(maxlen=POINTS_MAX)
        self._fills = 0
        self._denials: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to keep points; in the loop's thread."""
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self.start)
        self.look()

    def stop(self) -> None:
        """Keep no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Keep a point."""
        state = self._daemon.engine.state
        marks = {str(instrument): mark.last for instrument, mark in state.rates.marks.items() if mark.last > 0}
        self._points.append((self._daemon.clock.now_ns(), views.equity(self._daemon), marks))

    def told(self, facts: Sequence[Fact]) -> None:
        """Count a batch of facts that is on disk."""
        for fact in facts:
            if isinstance(fact, FillRecorded | FillCorrected):
                self._fills += 1
            elif isinstance(fact, RequestDenied):
                self._denials[fact.code] += 1

    def glance(self) -> Glance:
        """Return how things stand now."""
        state = self._daemon.engine.state
        orders = sorted(
            state.orders.open_orders(), key=lambda one: (one.intended_at_ns, one.client_order_id), reverse=True
        )
        return Glance(
            status=views.status(self._daemon),
            positions=views.positions(state).positions,
            orders=tuple(views.order_view(order) for order in orders[:ORDERS_MAX]),
            fills=self._fills,
            denials=tuple(DenialCount(code, count) for code, count in self._denials.most_common()),
        )

    def history(self) -> History:
        """Return the points that are kept."""
        points = tuple(self._points)
        names = sorted({name for _, _, marks in points for name in marks})
        return History(
            every_s=self._every_s,
            base_currency=self._daemon.risk().base_currency,
            at_ns=tuple(at_ns for at_ns, _, _ in points),
            equity=tuple(equity for _, equity, _ in points),
            prices=tuple(PriceSeries(name, tuple(marks.get(name) for _, _, marks in points)) for name in names),
        )
