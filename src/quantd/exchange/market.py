"""One instrument's market: its last event, its levels, and the orders that stand in it.

Owned by `Exchange`; matching works on it. It keeps thresholds as floats, so that an event which can touch no order is
told from one that can at the cost of four comparisons.
"""

from bisect import bisect_left, insort
from decimal import Decimal
from math import inf
from typing import TYPE_CHECKING

from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.numbers import Rounding
from quantd.exchange.depth import levels_around
from quantd.exchange.fees import FeeModel
from quantd.exchange.orders import Entry, ExchangeOrder
from quantd.exchange.rules import ExchangeRules

if TYPE_CHECKING:
    from quantd.exchange.margin import MarginAccount

_OPEN = MarketStatus.OPEN
NEVER = 1 << 63
_SLACK = 1e-9
"""Relative widening of the float thresholds: what they let through is decided exactly."""

Level = list[Decimal | None]
"""[price, remaining quantity]; None is without limit."""


class MarketState:
    """The state of one market."""

    __slots__ = (
        "_asks",
        "_bids",
        "_edges",
        "_exact_mid",
        "_levels_of",
        "arrivals",
        "busy",
        "buy_limit",
        "buy_limits",
        "buy_stop",
        "buy_stops",
        "calm",
        "ceiling",
        "event",
        "fees",
        "floor",
        "guard_high",
        "guard_low",
        "holders",
        "instrument",
        "kind",
        "next_expiry",
        "quoted",
        "rules",
        "sell_limit",
        "sell_limits",
        "sell_stop",
        "sell_stops",
        "status",
        "trailing",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, rules: ExchangeRules) -> None:
        self.rules = rules
        self.instrument = instrument
        self.fees = FeeModel(instrument, rules.fees, rules.asset_steps)
        self.status = instrument.status
        self.kind: type | None = None
        """Class of the market data that counts: once quotes or books came, bars are passed over."""
        self.event: Quote | Bar | Book | None = None
        self.quoted = False
        self.arrivals: list[ExchangeOrder] = []
        """Accepted, not yet met with the market; in order of acceptance."""
        self.buy_limits: list[Entry] = []
        self.sell_limits: list[Entry] = []
        self.buy_stops: list[Entry] = []
        self.sell_stops: list[Entry] = []
        self.trailing: list[ExchangeOrder] = []
        self.holders: dict[str, MarginAccount] = {}
        """Margin accounts with a position here."""
        self.guard_low = -inf
        self.guard_high = inf
        """While prices stay between, no holder can be near its close-out."""
        self.busy = False
        self.calm = True
        """Whether prices strictly between `floor` and `ceiling` can do nothing."""
        self.floor = -inf
        self.ceiling = inf
        self.next_expiry = NEVER
        self.buy_limit = self.sell_stop = -inf
        self.sell_limit = self.buy_stop = inf
        self._edges = False
        """Whether the thresholds are any but the empty ones."""
        self._bids: list[Level] = []
        self._asks: list[Level] = []
        self._levels_of: Quote | Bar | Book | None = None
        """The event that the levels were made of."""
        self._exact_mid: tuple[float, Decimal] | None = None

    def relist(self, instrument: Instrument) -> None:
        """Take in a new version of the instrument."""
        self.instrument = instrument
        self.status = instrument.status
        self.fees = FeeModel(instrument, self.rules.fees, self.rules.asset_steps)
        self._levels_of = None
        self._exact_mid = None
        if self.holders:
            self.look_again()

    def look_again(self) -> None:
        """Have the next event look at the holders' close-out levels."""
        self.guard_low = self.floor = inf
        self.guard_high = self.ceiling = -inf
        self.busy = True

    @property
    def trades(self) -> bool:
        """Whether orders are matched now."""
        return self.status is _OPEN or self.status is MarketStatus.REDUCE_ONLY

    # --- prices -----------------------------------------------------------------------------------------------------

    def exact(self, value: float) -> Decimal:
        """Return a price of the market on a tick."""
        ticks = self.instrument.ticks
        price = Decimal(repr(value))
        if len(ticks) == 1 and value > 0 and not price % ticks[0].tick:
            return price
        return self.instrument.price(value, Rounding.NEAREST)

    def reference(self, asks: bool) -> Decimal | None:
        """Return the price at which an order without its own is reserved: the best of a side, a bar's close."""
        event = self.event
        if event.__class__ is Bar:
            return Decimal(repr(event.close))
        best = self.best(asks)
        return best if best is not None else self.best_resting(asks)

    def levels(self, asks: bool) -> list[Level]:
        """Return the market's own levels of a side, best first, less what was taken since the last event."""
        if self._levels_of is not self.event:
            bids, offers = self._float_levels()
            self._bids, self._asks = self._exact(bids), self._exact(offers)
            self._levels_of = self.event
        return self._asks if asks else self._bids

    def _float_levels(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        event = self.event
        if event is None:
            return [], []
        if isinstance(event, Book):
            return list(event.bids), list(event.asks)
        if isinstance(event, Bar):
            close = event.close
            return [(close, 0.0)], [(close, 0.0)]
        if self.rules.depth is not None:
            return levels_around(event, self.instrument, self.rules.depth, self.rules.seed)
        return [(event.bid, event.bid_size)], [(event.ask, event.ask_size)]

    def _exact(self, levels: list[tuple[float, float]]) -> list[Level]:
        instrument = self.instrument
        exact: list[Level] = []
        for price, size in levels:
            if not price > 0:
                continue
            quantity = None if size == 0 and not isinstance(self.event, Book) else instrument.quantity(size)
            if quantity is None or quantity > 0:
                exact.append([self.exact(price), quantity])
        return exact

    def best(self, asks: bool) -> Decimal | None:
        """Return the best price of a side of the market itself, None without one."""
        for price, remaining in self.levels(asks):
            if remaining is None or remaining > 0:
                return price
        return None

    def best_resting(self, asks: bool) -> Decimal | None:
        """Return the best price of the accounts' resting limits of a side."""
        side = self.sell_limits if asks else self.buy_limits
        return side[0][2].price if side else None

    def mid_float(self) -> float | None:
        """Return the middle of bid and ask, a bar's close; None before the first event."""
        event = self.event
        if event is None:
            return None
        if isinstance(event, Bar):
            return event.close
        if isinstance(event, Quote):
            return (event.bid + event.ask) * 0.5
        if event.bids and event.asks:
            return (event.bids[0][0] + event.asks[0][0]) * 0.5
        side = event.bids or event.asks
        return side[0][0] if side else None

    def mid(self) -> Decimal | None:
        """Return the same exactly: to the twelfth significant digit, for a mid lies between ticks."""
        value = self.mid_float()
        if value is None:
            return None
        cached = self._exact_mid
        if cached is None or cached[0] != value:
            cached = self._exact_mid = (value, Decimal(f"{value:.12g}"))
        return cached[1]

    def closing_floats(self) -> tuple[float, float] | None:
        """Return the prices at which long and short holdings would be closed, None before the first event."""
        event = self.event
        if event is None:
            return None
        if isinstance(event, Bar):
            return event.close, event.close
        if isinstance(event, Quote):
            return event.bid, event.ask
        if event.bids and event.asks:
            return event.bids[0][0], event.asks[0][0]
        return None

    def closing_price(self, is_long: bool) -> Decimal | None:
        """Return the price at which a holding would be closed: the bid for long ones."""
        event = self.event
        if event is None:
            return None
        if isinstance(event, Bar):
            return self.mid()
        levels = self.levels(not is_long)
        return levels[0][0] if levels else self.mid()

    # --- standing orders --------------------------------------------------------------------------------------------

    def side_of(self, order: ExchangeOrder) -> list[Entry]:
        """Return the sorted list in which an order stands or would stand."""
        if order.waits_for_trigger:
            return self.buy_stops if order.is_buy else self.sell_stops
        return self.buy_limits if order.is_buy else self.sell_limits

    def stand(self, order: ExchangeOrder) -> None:
        """Put an order among its side's."""
        side = self.side_of(order)
        insort(side, (order.key, order.sequence, order))
        order.place = side

    def arrive(self, order: ExchangeOrder) -> None:
        """Let an order wait for the next event, at its place in time among those that wait."""
        arrivals = self.arrivals
        if arrivals and arrivals[-1].sequence > order.sequence:
            insort(arrivals, order, key=_sequence)
        else:
            arrivals.append(order)
        self.calm = False
        order.place = arrivals

    def remove(self, order: ExchangeOrder) -> None:
        """Take an order out, wherever it is."""
        place = order.place
        if place is None:
            return
        if place is self.arrivals:
            self.arrivals.remove(order)
        else:
            side = self.side_of(order)
            at = bisect_left(side, (order.key, order.sequence))
            assert side[at][2] is order, f"{order.id} is not where its key says"
            del side[at]
        order.place = None
        if order.trail is not None and order in self.trailing:
            self.trailing.remove(order)

    def resting(self) -> list[ExchangeOrder]:
        """Return the limits and stops that stand in this market."""
        sides = (self.buy_limits, self.sell_limits, self.buy_stops, self.sell_stops)
        return [entry[2] for side in sides for entry in side]

    def standing(self) -> list[ExchangeOrder]:
        """Return every open order of this market."""
        return self.arrivals + self.resting()

    def refresh(self) -> None:
        """Compute anew what events can touch; to be called after any change of the standing orders."""
        rests = self.buy_limits or self.sell_limits or self.buy_stops or self.sell_stops
        if rests or self._edges:
            self.buy_limit = _edge(self.buy_limits, 1, -inf, limit=True)
            self.sell_limit = _edge(self.sell_limits, -1, inf, limit=True)
            self.buy_stop = _edge(self.buy_stops, -1, inf, limit=False)
            self.sell_stop = _edge(self.sell_stops, 1, -inf, limit=False)
            self._edges = bool(rests)
        self.busy = bool(rests or self.arrivals or self.holders)
        self.calm = not self.arrivals and not self.trailing
        self.floor = max(self.buy_limit, self.sell_stop, self.guard_low)
        self.ceiling = min(self.sell_limit, self.buy_stop, self.guard_high)
        if self.next_expiry != NEVER:
            self.find_expiry()

    def find_expiry(self) -> None:
        """Find the next time at which an order expires."""
        self.next_expiry = min((order.expires_at_ns or NEVER for order in self.standing()), default=NEVER)

    def is_quiet(self, event: Quote | Bar | Book) -> bool:
        """Tell whether an event can neither fill, trigger nor expire anything, nor bring a holder to its close-out."""
        if self.arrivals or self.trailing or event.received_at_ns >= self.next_expiry:
            return False
        if isinstance(event, Bar):
            low_for_limits = low_for_stops = low = event.low
            high_for_limits = high_for_stops = high = event.high
        else:
            if isinstance(event, Quote):
                bid, ask = event.bid, event.ask
            elif event.bids and event.asks:
                bid, ask = event.bids[0][0], event.asks[0][0]
            else:
                return False
            low_for_limits, high_for_limits = ask, bid
            low_for_stops, high_for_stops = bid, ask
            low, high = bid, ask
        return (
            low_for_limits > self.buy_limit
            and high_for_limits < self.sell_limit
            and high_for_stops < self.buy_stop
            and low_for_stops > self.sell_stop
            and low > self.guard_low
            and high < self.guard_high
        )


def _sequence(order: ExchangeOrder) -> int:
    return order.sequence


def _edge(side: list[Entry], sign: int, empty: float, *, limit: bool) -> float:
    """Return the price at which the first order of a side may be touched, a little widened; `sign` widens it."""
    if not side:
        return empty
    order = side[0][2]
    price = order.price if limit else order.trigger
    assert price is not None
    return float(price) * (1.0 + sign * _SLACK)
