"""What a strategy author subclasses. Declares nothing by itself; everything it does goes through its desk.

The hooks are plain methods called one at a time; what a call inside a hook causes arrives after the hook has returned.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from quantd.domain.events import TradingState
from quantd.domain.fills import Fill
from quantd.domain.instruments import InstrumentId
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.orders import How, Market, Protect, Side
from quantd.engine.orders import Order
from quantd.engine.params import check_declared
from quantd.engine.risk.wish import Denied
from quantd.engine.series import Series

if TYPE_CHECKING:
    from quantd.engine.desk import Desk
    from quantd.engine.views import Instruments, Position, Random, StrategyLog


AT_MARKET = Market()
"""The default `how`: at the best price to be had."""


class Strategy:
    """Base of all strategies. Override `setup` and the hooks you need; declare parameters with `param`."""

    needs: ClassVar[set[type]] = {Market}
    """Order kinds that it sends; held against what its venues can do, when the configuration is loaded."""
    state_version: ClassVar[int] = 1
    """Version of what `save` returns; `load` gets the version that was saved."""

    _desk: "Desk"

    def __init_subclass__(cls) -> None:
        """Check the parameters' declarations."""
        super().__init_subclass__()
        check_declared(cls)

    # -- declare (in setup only) ---------------------------------------------------------------------------------

    def bars(
        self,
        instrument: str | None = None,
        every: str | None = None,
        max_age_s: float | None = None,
        *,
        warm_up: int = 1,
    ) -> Series:
        """Ask for bars; the only instrument and the configured interval without arguments.

        Args:
            instrument: Instrument id or role.
            every: Interval such as ``"1m"``.
            max_age_s: Bars older than this when they arrive are not passed on.
            warm_up: Bars that must have come before the first is passed on, that one counted; for work on `history`.
                Tracked indicators ask for theirs by themselves.
        """
        return self._desk.declare_bars(instrument, every, max_age_s, warm_up)

    def quotes(self, instrument: str | None = None, max_age_s: float | None = None) -> None:
        """Ask for quotes of an instrument in `on_quote`."""
        self._desk.declare_quotes(instrument, max_age_s)

    def book(self, instrument: str | None = None, depth: int = 20) -> None:
        """Ask for order books of an instrument in `on_book`, `depth` levels a side."""
        self._desk.declare_book(instrument, depth)

    def aligned(self, *series: Series, late_after_s: float = 5.0) -> None:
        """Take these series together: `on_bars` comes once for each close, when all have it.

        A close that some lack `late_after_s` seconds later is dropped, and counted.
        """
        self._desk.declare_aligned(series, late_after_s)

    def timer(self, name: str, *, cron: str | None = None, every_s: float | None = None) -> None:
        """Ask for `on_timer(name)`: by a cron line with time zone, or every so many seconds."""
        self._desk.declare_timer(name, cron, every_s)

    # -- hooks ---------------------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Declare inputs. There are no data and no orders yet; `quantd check` runs it too."""

    def on_start(self) -> None:
        """Called once warm-up is over and the venues are ready."""

    def on_bar(self, bar: Bar) -> None:
        """A complete bar of a warm series."""

    def on_bars(self, bars: Sequence[Bar]) -> None:
        """One close of all aligned series, in the order in which they were given."""

    def on_quote(self, quote: Quote) -> None:
        """A new best bid and ask."""

    def on_book(self, book: Book) -> None:
        """A new order book."""

    def on_order(self, order: Order) -> None:
        """An order of ours changed."""

    def on_fill(self, order: Order, fill: Fill) -> None:
        """An order of ours traded."""

    def on_denied(self, denied: Denied, instrument: InstrumentId) -> None:
        """A target ended in a lasting denial, or an order was turned away after it was approved."""

    def on_status(self, status: StatusChanged) -> None:
        """A market opened, closed or was restricted."""

    def on_timer(self, name: str) -> None:
        """A timer came due."""

    def on_job(self, name: str, result: Any, error: str) -> None:
        """Slow work has ended: `result` is what the function returned, or `error` says why there is none."""

    def on_stop(self, reason: str) -> None:
        """The daemon is about to stop."""

    def save(self) -> Any:
        """Return what must survive a restart, as a msgspec Struct or plain values; None for nothing."""
        return None

    def load(self, state: Any, version: int) -> None:
        """Take back what `save` returned (as plain values) and the version it was saved with."""

    # -- read ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The event's time, aware, in UTC."""
        return self._desk.read.now

    @property
    def instruments(self) -> "Instruments":
        """All instruments, by position or by role: ``self.instruments["a"]``."""
        return self._desk.instruments

    @property
    def instrument(self) -> InstrumentId:
        """The only instrument.

        Raises:
            ValueError: when there are several.
        """
        return self._desk.read.only_instrument()

    def quote(self, instrument: str | None = None) -> Quote | None:
        """Return the latest good quote, None before the first."""
        return self._desk.read.quote(instrument)

    def position(self, instrument: str | None = None) -> "Position":
        """Return this strategy's own book of an instrument: quantity, average price, profit."""
        return self._desk.read.position(instrument)

    def orders(self, instrument: str | None = None) -> Sequence[Order]:
        """Return this strategy's open orders, oldest first."""
        return self._desk.read.orders(instrument)

    def balance(self, currency: str, venue: str | None = None) -> Decimal:
        """Return what is free of a currency at a venue (the only one without it)."""
        return self._desk.read.balance(currency, venue)

    def notional(self, instrument: str | None = None) -> float:
        """Return what one unit of an instrument's quantity is worth now, its contract size taken in.

        In the base currency; NaN while its price or a rate is missing.
        """
        return self._desk.read.notional(instrument)

    @property
    def equity(self) -> float:
        """Worth of the accounts that it trades on, in the base currency; NaN while a rate is missing."""
        return self._desk.read.equity()

    @property
    def trading_state(self) -> TradingState:
        """The strictest state that applies to it."""
        return self._desk.read.trading_state()

    @property
    def random(self) -> "Random":
        """Chance that a replay repeats."""
        return self._desk.random

    @property
    def log(self) -> "StrategyLog":
        """Lines under this strategy's name: ``self.log("crossed", fast=...)``."""
        return self._desk.log

    # -- act -----------------------------------------------------------------------------------------------------

    def buy(
        self,
        instrument: str,
        quantity: Decimal | float,
        how: How = AT_MARKET,
        *,
        protect: Protect | None = None,
        why: str = "",
    ) -> Order | Denied:
        """Send a buy order; quantity and price are brought onto the instrument's steps."""
        return self._desk.order(Side.BUY, instrument, quantity, how, protect=protect, why=why)

    def sell(
        self,
        instrument: str,
        quantity: Decimal | float,
        how: How = AT_MARKET,
        *,
        protect: Protect | None = None,
        why: str = "",
    ) -> Order | Denied:
        """Send a sell order; quantity and price are brought onto the instrument's steps."""
        return self._desk.order(Side.SELL, instrument, quantity, how, protect=protect, why=why)

    def target(
        self,
        instrument: str,
        quantity: Decimal | float,
        how: How = AT_MARKET,
        *,
        protect: Protect | None = None,
        why: str = "",
    ) -> None:
        """Say what this strategy's book should be (signed); the engine works toward it and remembers it."""
        self._desk.target(instrument, quantity, how, protect, why)

    def protect(self, instrument: str | None, protect: Protect) -> bool:
        """Put all that this strategy holds of an instrument under these exits, instead of those that it has.

        ``Protect()`` takes them away. What an open entry still buys or sells stands under them too once it has begun to
        fill; an entry without a fill keeps its own.

        Returns:
            False when it holds nothing.
        """
        return self._desk.protect(instrument, protect)

    def close(self, instrument: str | None = None, why: str = "") -> None:
        """Bring the book of an instrument to zero."""
        self._desk.target(instrument, 0, Market(), None, why)

    def cancel(self, order: Order) -> bool:
        """Cancel one order; False when it has ended."""
        return self._desk.cancel(order)

    def cancel_all(self, instrument: str | None = None) -> int:
        """Cancel all of this strategy's orders, of one instrument or of all; returns how many."""
        return self._desk.cancel_all(instrument)

    def amend(
        self, order: Order, quantity: Decimal | float | None = None, price: Decimal | float | None = None
    ) -> Order | Denied:
        """Change an order's total quantity or price."""
        return self._desk.amend(order, quantity, price)

    def job(self, name: str, function: Callable[..., Any], *args: Any) -> None:
        """Run slow work outside the engine; what it returns comes to `on_job` as a recorded event."""
        self._desk.job(name, function, args)
