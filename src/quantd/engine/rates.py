"""Marks of instruments and conversion of currencies into the base currency.

Floats for reading, Decimal for the gate; a rate that is missing is `None`, and what needs it must fail closed.
"""

from collections.abc import Callable
from decimal import Decimal

from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.market import Bar
from quantd.domain.numbers import ONE, Rounding


class Mark:
    """The latest good market data of one instrument."""

    __slots__ = (
        "_before",
        "_exact",
        "ask",
        "at_ns",
        "bid",
        "closed_at_ns",
        "instrument",
        "jump",
        "last",
        "opened_at_ns",
        "quoted",
        "shut_at_ns",
        "status",
    )

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.bid = 0.0
        self.ask = 0.0
        self.last = 0.0
        """Mid of the quote, else the last close; 0 before the first and while the quote is crossed or one-sided."""
        self.at_ns = 0
        """When it was last updated, engine time."""
        self.closed_at_ns = 0
        """Where no quotes come: the close of the newest complete bar, or the opening of one that still forms."""
        self.jump = 0.0
        """The last move as a fraction of the price before."""
        self.quoted = False
        """Whether bid and ask come from a quote (a bar's close stands for both otherwise)."""
        self.status: MarketStatus = instrument.status
        self.opened_at_ns = 0
        """When the market last became open."""
        self.shut_at_ns = 0
        """When the market last closed, by its hours; a halt is no closing."""
        self._before = 0.0
        """The last good price."""
        self._exact: tuple[float, Decimal] = (0.0, Decimal(0))

    def set_quote(self, bid: float, ask: float, at_ns: int) -> None:
        """Take in a quote. One that is crossed or one-sided tells no price, so that what needs one fails closed."""
        last = (bid + ask) * 0.5 if 0.0 < bid <= ask else 0.0
        if last:
            before = self._before
            if before:
                self.jump = last / before - 1.0
            self._before = last
        self.bid = bid
        self.ask = ask
        self.last = last
        self.at_ns = at_ns
        self.quoted = True

    def set_close(self, bar: Bar) -> None:
        """Take in the price of a bar that closes after `closed_at_ns`, where no quotes come."""
        close = bar.close
        before = self._before
        if before:
            self.jump = close / before - 1.0
        self._before = close
        self.bid = self.ask = self.last = close
        self.at_ns = bar.received_at_ns
        self.closed_at_ns = bar.closed_at_ns if bar.complete else bar.opened_at_ns

    def set_status(self, status: MarketStatus, at_ns: int) -> None:
        """Take in the state of the market."""
        if status is MarketStatus.OPEN:
            self.opened_at_ns = at_ns
        elif status is MarketStatus.CLOSED and self.status is not MarketStatus.CLOSED:
            self.shut_at_ns = at_ns
        self.status = status

    def age_ns(self, now_ns: int) -> int:
        """Return for how long the market has had no update; hours in which it is closed do not count."""
        until_ns = self.shut_at_ns if self.status is MarketStatus.CLOSED else now_ns
        return max(until_ns - self.at_ns, 0)

    def touch(self, buying: bool) -> Decimal:
        """Return the price on a tick that a market order takes: the ask for a buyer, the bid for a seller."""
        return self.instrument.price(self.ask if buying else self.bid, Rounding.NEAREST)

    def exact(self) -> Decimal | None:
        """Return the reference price on a tick, None before the first."""
        last = self.last
        if not last > 0:
            return None
        cached = self._exact
        if cached[0] != last:
            cached = (last, self.instrument.price(last, Rounding.NEAREST))
            self._exact = cached
        return cached[1]

    def last_good(self) -> Decimal | None:
        """Return the same, and while the quote is crossed or one-sided the one before: what is held is worth something."""
        price = self.exact()
        if price is None and self._before > 0:
            price = self.instrument.price(self._before, Rounding.NEAREST)
        return price


Pricing = Callable[[Mark], Decimal | None]
"""Which price counts: `Mark.exact` for what is decided at the market, `Rates.last_good` for what is watched."""


class Rates:
    """Marks by instrument, and currency conversion along the instruments that are subscribed."""

    def __init__(self, base_currency: str) -> None:
        self.base_currency = base_currency
        self.marks: dict[InstrumentId, Mark] = {}
        self.recorded: dict[InstrumentId, Decimal] = {}
        """The last good prices that the journal knows, of what is held."""
        self._routes: dict[str, tuple[tuple[InstrumentId, bool], ...]] = {}
        self._aliases: dict[str, str] = {}
        self._traded: set[str] = set()

    def listed(self, instrument: Instrument) -> Mark:
        """Take in an instrument or its new version."""
        mark = self.marks.get(instrument.id)
        if mark is None:
            mark = self.marks[instrument.id] = Mark(instrument)
        else:
            mark.instrument = instrument
        self._routes.clear()
        self._traded |= {instrument.base, instrument.quote, instrument.settlement_currency}
        return mark

    def is_traded(self, currency: str) -> bool:
        """Whether it is the base currency or one of any listed instrument, so that a rate of it is to be expected."""
        return currency == self.base_currency or currency in self._traded

    def equate(self, currency: str, other: str) -> None:
        """Count `currency` one to one as `other`, by the operator's decision (a stable coin as its dollar)."""
        self._aliases[currency] = other
        self._routes.clear()

    def last_good(self, mark: Mark) -> Decimal | None:
        """Return the last good price of an instrument, by the journal if none came since the start; None without any."""
        price = mark.last_good()
        return self.recorded.get(mark.instrument.id) if price is None else price

    def on_the_way(self, currency: str) -> tuple[InstrumentId, ...]:
        """Return the instruments whose prices convert `currency` into the base currency."""
        route = () if currency == self.base_currency else self._route(currency) or ()
        return tuple(instrument for instrument, _ in route)

    def can_convert(self, currency: str) -> bool:
        """Whether any chain of instruments leads from `currency` to the base currency, priced yet or not."""
        return currency == self.base_currency or self._route(currency) is not None

    def rate(self, currency: str, price_of: Pricing = Mark.exact) -> Decimal | None:
        """Return how much of the base currency one unit of `currency` is worth, None when it is not known."""
        if currency == self.base_currency:
            return ONE
        route = self._route(currency)
        if route is None:
            return None
        value = ONE
        for instrument_id, inverted in route:
            price = price_of(self.marks[instrument_id])
            if price is None:
                return None
            value = value / price if inverted else value * price
        return value

    def rate_float(self, currency: str) -> float | None:
        """Return the same as a float, for reading."""
        if currency == self.base_currency:
            return 1.0
        route = self._route(currency)
        if route is None:
            return None
        value = 1.0
        for instrument_id, inverted in route:
            last = self.marks[instrument_id].last
            if not last > 0:
                return None
            value = value / last if inverted else value * last
        return value

    def _route(self, currency: str) -> tuple[tuple[InstrumentId, bool], ...] | None:
        """Find the shortest chain of instruments from `currency` to the base currency, by breadth-first search."""
        if currency in self._routes:
            return self._routes[currency] or (() if self.is_same(currency, self.base_currency) else None)
        found = self._search(currency)
        self._routes[currency] = found or ()
        return found

    def is_same(self, one: str, other: str) -> bool:
        """Whether two currencies count as one, by name or by the operator's decision."""
        return self._aliases.get(one, one) == self._aliases.get(other, other)

    def _search(self, currency: str) -> tuple[tuple[InstrumentId, bool], ...] | None:
        frontier: list[tuple[str, tuple[tuple[InstrumentId, bool], ...]]] = [(currency, ())]
        visited: set[str] = set()
        while frontier:
            here, route = frontier.pop(0)
            if self.is_same(here, self.base_currency):
                return route
            visited.add(here)
            for mark in self.marks.values():
                instrument = mark.instrument
                if instrument.inverse:
                    continue
                if self.is_same(instrument.base, here) and instrument.quote not in visited:
                    frontier.append((instrument.quote, (*route, (instrument.id, False))))
                elif self.is_same(instrument.quote, here) and instrument.base not in visited:
                    frontier.append((instrument.base, (*route, (instrument.id, True))))
        return None

    def notional(
        self, instrument: Instrument, quantity: Decimal, price: Decimal, price_of: Pricing = Mark.exact
    ) -> Decimal | None:
        """Return the worth of `quantity` at `price` in the base currency, None when the rate is not known."""
        rate = self.rate(instrument.base if instrument.inverse else instrument.quote, price_of)
        if rate is None:
            return None
        notional = instrument.notional(quantity, price)
        return notional if rate is ONE else notional * rate
