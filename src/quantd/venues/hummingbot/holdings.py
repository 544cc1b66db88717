"""What the exchange holds for the account, and how it has changed since a placement left.

Used by the connector, by `search` and by `strays`. The lists of orders lose what the balances cannot: an order that traded has
moved its two assets, and one that rests has locked what pays for it. What the orders that are seen explain is taken off; what
is left is the trace of the one that is looked for.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from quantd.domain.instruments import Instrument, symbol_of
from quantd.domain.numbers import ONE, ZERO
from quantd.domain.orders import ClientOrderId, OrderSpec, Side
from quantd.errors import Refused, Unavailable
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.hummingbot import translate, wire
from quantd.venues.hummingbot.api import Api
from quantd.venues.hummingbot.options import HummingbotOptions
from quantd.venues.hummingbot.orders import Look, OrderReader
from quantd.venues.hummingbot.readings import Reading, Readings
from quantd.venues.listing import expect_agreed, once
from quantd.venues.parsing import instant_ns

_ENDLESS = Decimal("Infinity")


class Range(NamedTuple):
    """Between which two an amount lies: neither fees nor all prices are told."""

    low: Decimal = ZERO
    high: Decimal = ZERO

    def plus(self, one: Decimal, other: Decimal) -> "Range":
        """Return the sum with an amount between two others."""
        return Range(self.low + min(one, other), self.high + max(one, other))

    def of(self, amount: Decimal, *, sign: int = 1) -> "Range":
        """Return what is left of an amount when this is taken off, in the direction of `sign`."""
        rest = (amount - self.high, amount - self.low)
        return Range(*rest) if sign > 0 else Range(-rest[1], -rest[0])


class Trace(NamedTuple):
    """What nothing else explains in the balances: positive amounts are changes as the order makes them."""

    got: Range | None
    """Change of the base asset; None where no balance is known from before the placement."""
    paid: Range | None
    """Change of the quote asset."""
    locked: Range
    """Of the asset that pays."""

    def rests(self, spec: OrderSpec, rules: Instrument) -> bool:
        """Whether a part of the order may be locked: a lot for certain, or half of it perhaps."""
        whole, lot = spec.quantity, rules.lot
        if spec.side is Side.BUY:
            whole, lot = whole * (spec.price or ZERO), _notional(spec, rules)
        return self.locked.low > lot / 2 or self.locked.high > max(whole, lot) / 2

    def traded(self, spec: OrderSpec, rules: Instrument) -> bool:
        """Whether a part of the order may have traded: a lot for certain, or half of it perhaps."""
        if self.got is None or self.paid is None:
            return False
        base = self.got.low > rules.lot / 2 or self.got.high > spec.quantity / 2
        return base or self.paid.low > _notional(spec, rules) / 2


class Held(NamedTuple):
    """What the exchange holds, by asset."""

    rows: dict[str, wire.TokenRow]
    contradicted: dict[str, str]
    """Assets that are told in several ways, and how these differ."""


class Holdings:
    """Reads balances, and holds them against those from before a placement."""

    def __init__(
        self, api: Api, orders: OrderReader, options: HummingbotOptions, readings: Readings, alerts: Alerts
    ) -> None:
        self._api = api
        self._alerts = alerts
        self._orders = orders
        self._account, self._connector = options.account, options.connector
        self.fee = max(options.fees.maker, options.fees.taker, ZERO)
        """The most that a trade costs, as a fraction; in which asset is not told."""
        self._readings = readings

    async def read(self, lane: Lane) -> Held:
        """Ask the exchange for the balances; both names must be given, or the server forgets its other connectors.

        Raises:
            VenueError: when they could not be read. An empty list is what a failed read looks like.
        """
        body = {
            "account_names": [self._account], "connector_names": [self._connector], "skip_gateway": True,
            "refresh": True,
        }  # fmt: skip
        kind = dict[str, dict[str, tuple[wire.TokenRow, ...]]]
        told = await self._api.ask("portfolio", "/portfolio/state", body, kind, lane)
        rows = told.get(self._account, {}).get(self._connector)
        name = f"{self._account}/{self._connector}"
        if rows is None:
            raise Refused(self._api.venue, "portfolio", "not_found", f"the server tells nothing of {name}")
        if not rows:
            detail = f"no balance of {name} is told: the read failed, or the account is empty"
            raise Unavailable(self._api.venue, "portfolio", detail)
        return Held(*once(rows, lambda row: row.token, self._alerts, "balance"))

    async def with_orders(self, lane: Lane) -> tuple[Held, Look]:
        """Read balances and orders, and keep them for the placements to come.

        They are read one after the other: where something traded in between, the earlier pair is kept. So is it where the
        balances contradict each other.

        Raises:
            VenueError: when either could not be read.
        """
        seen = dict(self._orders.filled)
        held = await self.read(lane)
        look = await self._orders.look(lane)
        filled = self._orders.filled
        is_calm = not seen or all(seen.get(one, ZERO) == amount for one, amount in filled.items())
        if is_calm and not held.contradicted:
            newest_ns = max((instant_ns(row.created_at) or 0 for row in look.recorded.values()), default=0)
            reading = Reading({row.token: row.units for row in held.rows.values()}, dict(filled), newest_ns)
            self._readings.add(reading, _open(look, filled), self._api.http.clock.now_ns())
        return held, look

    def seen_before(self, client_order_id: ClientOrderId, sent_at_ns: int) -> frozenset[str]:
        """Return orders at the server that were there before the placement of ours."""
        before = self._readings.before(client_order_id, sent_at_ns)
        return frozenset(before.filled if before is not None else ())

    async def trace(
        self, client_order_id: ClientOrderId, spec: OrderSpec, look: Look, *, sent_at_ns: int, but: str = ""
    ) -> Trace:
        """Return what the balances tell of an order, sent at `sent_at_ns`, beyond the orders in `look`, but for one of them.

        Raises:
            VenueError: when balances or trades could not be read, or balances that matter are told in several ways.
        """
        trades = await self._orders.trades(Lane.RECONCILE)
        held, contradicted = await self.read(Lane.RECONCILE)
        rows = [row for one in {*look.active, *look.recorded} - {but} if (row := look.row(one)) is not None]
        base, quote = translate.assets(symbol_of(spec.instrument))
        for asset in (base, quote):
            expect_agreed(self._api.venue, "portfolio", asset, contradicted)
        pays = quote if spec.side is Side.BUY else base
        locked = held[pays].units - held[pays].available_units if pays in held else ZERO
        before, got, paid = self._readings.before(client_order_id, sent_at_ns), None, None
        if before is not None:
            changes = self._changes(rows, before, trades)
            change = {
                one: (held[one].units if one in held else ZERO) - before.units.get(one, ZERO) for one in (base, quote)
            }
            sign = 1 if spec.side is Side.BUY else -1
            got = changes.get(base, Range()).of(change[base], sign=sign)
            paid = changes.get(quote, Range()).of(change[quote], sign=-sign)
        return Trace(got, paid, self._locked(rows, pays).of(locked))

    def _locked(self, rows: Iterable[wire.OrderRow], asset: str) -> Range:
        """Return what the open orders lock of an asset, perhaps with a fee."""
        total = Range()
        for row in rows:
            if row.status in translate.ENDED:
                continue
            base, quote = translate.assets(row.trading_pair)
            left = row.amount - translate.filled(row)
            if row.trade_type == "BUY" and quote == asset:
                left *= row.price or ZERO
            elif row.trade_type != "SELL" or base != asset:
                continue
            total = total.plus(left, left * (ONE + self.fee))
        return total

    def _changes(
        self, rows: Iterable[wire.OrderRow], before: Reading, trades: Mapping[str, list[wire.TradeRow]]
    ) -> Mapping[str, Range]:
        """Return how far the trades of the orders that are seen have moved each asset, with a fee from either."""
        changes: dict[str, Range] = {}
        for row in rows:
            is_new = row.order_id in before.filled or (instant_ns(row.created_at) or 0) > before.newest_ns
            amount = translate.filled(row) - before.filled.get(row.order_id, ZERO)
            if amount <= ZERO or not (is_new or row.status not in translate.ENDED):
                continue
            prices = [trade.price for trade in trades.get(row.order_id, ())]
            cheapest, dearest = (min(prices), max(prices)) if prices else (ZERO, _ENDLESS)
            base, quote = translate.assets(row.trading_pair)
            sign = ONE if row.trade_type == "BUY" else -ONE
            worth = (cheapest * (ONE - self.fee), dearest * (ONE + self.fee))
            got = changes.get(base, Range())
            changes[base] = got.plus(sign * amount, sign * amount * (ONE - sign * self.fee))
            changes[quote] = changes.get(quote, Range()).plus(*(-sign * amount * one for one in worth))
        return changes


def _notional(spec: OrderSpec, rules: Instrument) -> Decimal:
    """Return what a lot of an order costs; for one without a price the least that an order may."""
    return rules.lot * spec.price if spec.price else rules.min_notional or ZERO


def _open(look: Look, filled: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return what each order had traded that may trade still; an end that is not in the database is none yet."""
    ended = {one for one, row in look.recorded.items() if row.status in translate.ENDED}
    return {one: amount for one, amount in filled.items() if one not in ended}
