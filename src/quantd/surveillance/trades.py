"""Wash trades, and momentum that we made ourselves: patterns in what we traded.

Both look at fills alone, ours being all that the journal knows of a market's prices.
"""

from collections import Counter, deque
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.surveillance.findings import Pattern, Sighting, Thresholds
from quantd.surveillance.flow import Order, Traded


class _Parcel:
    """What one order traded at one price in short succession."""

    def __init__(self, move: Traded) -> None:
        self.order = move.order
        self.price = move.fill.price
        self.quantity = ZERO
        self.ids: set[str] = set()
        self.at_ns = move.at_ns
        """Of the first fill."""
        self.is_matched = False


class Wash:
    """Looks for purchases and sales of ours in one market that cancel each other out.

    Only of orders that stood at the same time: who sells where he bought a second ago, because the price came back, could not
    have traded with himself.
    """

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._parcels: deque[_Parcel] = deque()

    def traded(self, move: Traded) -> Sighting | None:
        """Take in a fill; return what it makes together with an earlier one."""
        while self._parcels and move.at_ns - self._parcels[0].at_ns > self._thresholds.wash_s * 1e9:
            self._parcels.popleft()
        parcel = self._parcel(move)
        parcel.quantity += move.fill.quantity
        parcel.ids.add(move.fill.id)
        for other in self._parcels:
            if other.order.spec.side is parcel.order.spec.side or other.price != parcel.price:
                continue
            with_ourselves = bool(other.ids & parcel.ids)
            if with_ourselves or self._cancel_out(other, parcel):
                other.is_matched = parcel.is_matched = True
                return self._sighting(other, parcel, move.at_ns, with_ourselves=with_ourselves)
        return None

    def _parcel(self, move: Traded) -> _Parcel:
        for known in self._parcels:
            if known.order is move.order and known.price == move.fill.price and not known.is_matched:
                return known
        made = _Parcel(move)
        self._parcels.append(made)
        return made

    def _cancel_out(self, one: _Parcel, other: _Parcel) -> bool:
        """Tell whether `other`, which traded last, takes back what `one` did."""
        if one.is_matched or other.is_matched:
            return False
        if other.order.placed_at_ns >= one.at_ns:
            return False
        larger = max(one.quantity, other.quantity)
        return abs(one.quantity - other.quantity) <= larger * Decimal(str(self._thresholds.wash_difference))

    @staticmethod
    def _sighting(one: _Parcel, other: _Parcel, at_ns: int, *, with_ourselves: bool) -> Sighting:
        orders, strategies = (one.order.id, other.order.id), (one.order.strategy, other.order.strategy)
        how = "in one trade with ourselves" if with_ourselves else f"within {(at_ns - one.at_ns) / 1e9:.3f} s"
        detail = f"{one.quantity} and {other.quantity} bought and sold at {one.price} {how}"
        return Sighting(Pattern.WASH, at_ns, orders, strategies, detail, is_certain=with_ourselves)


class _Push(NamedTuple):
    order: Order
    price: Decimal
    quantity: Decimal
    at_ns: int


class _Ignition:
    """A run of aggressive orders that moved the price."""

    def __init__(self, side: Side, pushes: list[_Push], until_ns: int) -> None:
        self.side = side
        self.pushes = pushes
        self.until_ns = until_ns
        self.back = ZERO
        """What was traded back at a better price."""
        self.back_by: list[Order] = []

    # Summed up once somebody trades against it: as long as the run goes on, each of its orders makes another one.
    @cached_property
    def quantity(self) -> Decimal:
        """What its orders traded."""
        return sum((one.quantity for one in self.pushes), ZERO)

    @cached_property
    def average(self) -> Decimal:
        """At which price."""
        return sum((one.quantity * one.price for one in self.pushes), ZERO) / self.quantity


class Momentum:
    """Looks for moves in one market that we made, and traded against."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._pushes: dict[Side, deque[_Push]] = {Side.BUY: deque(), Side.SELL: deque()}
        self._orders: dict[Side, Counter[str]] = {Side.BUY: Counter(), Side.SELL: Counter()}
        """How many of them each order made."""
        self._ignition: _Ignition | None = None

    def traded(self, move: Traded) -> Sighting | None:
        """Take in a fill; return the pattern that it completes."""
        side, ignition = move.order.spec.side, self._ignition
        if ignition is not None and move.at_ns > ignition.until_ns:
            ignition = self._ignition = None
        if ignition is not None and side is not ignition.side:
            return self._reversed(ignition, move)
        if move.is_aggressive:
            self._pushed(side, move)
        return None

    def _pushed(self, side: Side, move: Traded) -> None:
        limits, pushes, orders = self._thresholds, self._pushes[side], self._orders[side]
        orders[move.order.id] += 1
        pushes.append(_Push(move.order, move.fill.price, move.fill.quantity, move.at_ns))
        while move.at_ns - pushes[0].at_ns > limits.momentum_s * 1e9:
            gone = pushes.popleft().order.id
            orders[gone] -= 1
            if not orders[gone]:
                del orders[gone]
        if len(orders) < limits.momentum_orders:
            return
        first, last = pushes[0].price, pushes[-1].price
        moved = (last - first if side is Side.BUY else first - last) * 10_000
        if moved >= first * Decimal(str(limits.momentum_bps)):
            self._ignition = _Ignition(side, list(pushes), move.at_ns + round(limits.reversal_s * 1e9))

    def _reversed(self, ignition: _Ignition, move: Traded) -> Sighting | None:
        gain = move.fill.price - ignition.average
        if (gain if ignition.side is Side.BUY else -gain) <= 0:
            return None
        ignition.back += move.fill.quantity
        ignition.back_by.append(move.order)
        if ignition.back < ignition.quantity * Decimal(str(self._thresholds.reversal_share)):
            return None
        self._ignition = None
        self._pushes[ignition.side].clear()
        self._orders[ignition.side].clear()
        first, last = ignition.pushes[0], ignition.pushes[-1]
        orders = [*(one.order for one in ignition.pushes), *ignition.back_by]
        detail = (
            f"{ignition.quantity} to {ignition.side.value} from {first.price} to {last.price} in "
            f"{(last.at_ns - first.at_ns) / 1e9:.1f} s, then {ignition.back} back at up to {move.fill.price}"
        )
        ids = tuple(dict.fromkeys(one.id for one in orders))
        return Sighting(Pattern.MOMENTUM, move.at_ns, ids, tuple(dict.fromkeys(one.strategy for one in orders)), detail)
