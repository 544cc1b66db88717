"""The margin account: lots against margin in a home currency, netting or hedging.

Profit is realised lot by lot at exact cost and converted at the mid of the moment. Working orders reserve no margin: it
is checked at entry and again when an order would fill; what reduces is always allowed. Lots are marked at the side at
which they would be closed, margin at the mid; of a hedged instrument the larger side counts.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from math import inf
from typing import Protocol

from quantd.domain.cash import PositionMode
from quantd.domain.instruments import Instrument
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.exchange.accounts import AccountBook, Deal, Ledger, Settled
from quantd.exchange.conversion import Conversion
from quantd.exchange.fees import Fees
from quantd.exchange.lots import MarginLot, Position
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.rules import AccountSetup, ExchangeRules
from quantd.exchange.views import LedgerReason, LotChange, MarginView


class Exits(Protocol):
    """Keeps the orders that guard lots in step with them."""

    def opened(self, lot: MarginLot, order: ExchangeOrder, deal: Deal) -> None:
        """A lot was opened, or grew, by `order` in `deal`."""

    def reduced(self, lot: MarginLot, order: ExchangeOrder, at_ns: int) -> None:
        """A lot lost quantity to `order`; zero when it is closed."""

    def set(self, lot: MarginLot, protection: LotProtection, at_ns: int) -> None:
        """Replace a lot's exits; None in a field removes that exit."""


class MarginAccount(AccountBook):
    """One margin account. Its balance is `totals[home_currency]`; nothing is ever locked."""

    def __init__(
        self, account_id: str, setup: AccountSetup, rules: ExchangeRules, ledger: Ledger, *, conversion: Conversion
    ) -> None:
        super().__init__(account_id, setup, rules, ledger)
        self.home = setup.home_currency
        self.hedging = setup.mode is PositionMode.HEDGING
        self.positions: dict[str, Position] = {}
        """By instrument id; only those with lots."""
        self.lots: dict[str, MarginLot] = {}
        self.realised = ZERO
        self.exits: Exits | None = None
        self._conversion = conversion
        self._lots = 0

    # --- sums -------------------------------------------------------------------------------------------------------

    @property
    def balance(self) -> Decimal:
        """Cash in the home currency."""
        return self.totals.get(self.home, ZERO)

    def rate(self, instrument: Instrument) -> Decimal | None:
        """Return the worth of the settlement currency in the home currency."""
        settlement = instrument.base if instrument.inverse else instrument.settlement_currency
        return self._conversion.rate(settlement, self.home)

    def margin_rate(self, instrument: Instrument) -> Decimal:
        """Return the stricter of the account's and the instrument's margin rate."""
        rate = instrument.margin_rate or ZERO
        own = self.setup.margin_rate
        return rate if own is None or own < rate else own

    def margin_for(self, market: MarketState, quantity: Decimal) -> Decimal | None:
        """Return the margin that a quantity on one side uses at mid, in the home currency."""
        instrument = market.instrument
        rate = self.margin_rate(instrument)
        if not rate or not quantity:
            return ZERO
        mid = market.mid()
        conversion = self._conversion.rate(instrument.base if instrument.inverse else instrument.quote, self.home)
        if mid is None or conversion is None:
            return None
        return instrument.notional(quantity, mid) * rate * conversion

    def unrealised(self, position: Position, lot: MarginLot | None = None) -> Decimal | None:
        """Return the profit of a position (or of one lot of it) if it were closed now, in the home currency."""
        conversion = self.rate(position.market.instrument)
        if conversion is None:
            return None
        sides: Iterable[tuple[bool, Decimal, Decimal]] = (
            ((lot.is_long, lot.quantity, lot.cost),)
            if lot is not None
            else ((True, position.long, position.long_cost), (False, position.short, position.short_cost))
        )
        profit = ZERO
        for is_long, quantity, cost in sides:
            if quantity:
                price = position.market.closing_price(is_long)
                if price is None:
                    return None
                profit += position.profit(is_long, cost, position.market.instrument.notional(quantity, price))
        return profit * conversion

    def sums(self) -> MarginView:
        """Return balance, equity and margin as they are at the present prices."""
        unrealised = used = ZERO
        complete = True
        for position in self.positions.values():
            profit = self.unrealised(position)
            margin = self.margin_for(position.market, position.larger)
            if profit is None or margin is None:
                complete = False
                continue
            unrealised += profit
            used += margin
        balance = self.balance
        equity = balance + unrealised
        return MarginView(balance, unrealised, equity, used, max(equity - used, ZERO), self.realised, complete)

    def _is_home(self, instrument: Instrument) -> bool:
        """Tell whether an instrument needs no conversion and is linear in its price."""
        return instrument.quote == self.home and not instrument.settlement and not instrument.inverse

    def float_sums(self) -> tuple[float, float] | None:
        """Return (equity, margin used) nearly, for a first look; None where it takes conversion."""
        equity = float(self.balance)
        used = 0.0
        for position in self.positions.values():
            market = position.market
            instrument = market.instrument
            closing = market.closing_floats()
            if closing is None or not self._is_home(instrument):
                return None
            bid, ask = closing
            units = float(instrument.units_per_quantity)
            long, short = float(position.long), float(position.short)
            equity += (long * bid - short * ask) * units - float(position.long_cost) + float(position.short_cost)
            used += max(long, short) * units * (bid + ask) * 0.5 * float(self.margin_rate(instrument))
        return equity, used

    def _has_plenty(self, market: MarketState, opening: Decimal) -> bool:
        """Tell from floats whether margin and fees are certainly there; a no means that it must be computed."""
        sums = self.float_sums()
        mid = market.mid_float()
        instrument = market.instrument
        if sums is None or mid is None or not self._is_home(instrument):
            return False
        exposure = float(opening) * float(instrument.units_per_quantity) * mid
        # Room for a fee of a hundredth and for the price to be another: what this lets through is beyond doubt.
        needed = 2.0 * exposure * (float(self.margin_rate(instrument)) + 0.01)
        return not market.fees.per_unit and needed < sums[0] - sums[1]

    def is_called(self, near: tuple[float, float] | None) -> bool:
        """Tell whether equity is at or below the close-out level; `near` is `float_sums()`."""
        level = self.setup.close_out_level
        if not level or not self.positions:
            return False
        if near is not None and near[0] > float(level) * near[1] + 1e-6 * abs(near[0]):
            return False
        sums = self.sums()
        return sums.complete and sums.used > 0 and sums.equity <= level * sums.used

    def band(self, market: MarketState, near: tuple[float, float] | None) -> tuple[float, float]:
        """Return the prices of a market between which the account stays clear of its close-out level.

        There is such a band where the account's one position is linear in its price and needs no conversion;
        otherwise every event of a position's market looks at the level. `near` is `float_sums()`.
        """
        instrument = market.instrument
        position = self.positions[instrument.id]
        level = float(self.setup.close_out_level)
        if not level:
            return -inf, inf
        closing = market.closing_floats()
        if closing is None or near is None or len(self.positions) > 1:
            return inf, -inf
        slack = near[0] - level * near[1]
        if slack <= 0:
            return inf, -inf
        quantity = float(position.long + position.short) * float(instrument.units_per_quantity)
        per_price = quantity * (1.0 + level * float(self.margin_rate(instrument)))
        move = 0.999 * slack / per_price
        return closing[0] - move, closing[1] + move

    # --- orders -----------------------------------------------------------------------------------------------------

    def _targets(self, order: ExchangeOrder) -> list[MarginLot]:
        """Return the lots that an order would close, oldest first."""
        if order.lot:
            lot = self.lots.get(order.lot)
            return [lot] if lot is not None and lot.is_long is not order.is_buy else []
        position = self.positions.get(order.instrument)
        if position is None or (self.hedging and not order.closes_only):
            return []
        return [lot for lot in position.lots.values() if lot.is_long is not order.is_buy]

    def reducible(self, order: ExchangeOrder) -> Decimal:
        """Return the quantity that an order could close."""
        return sum((lot.quantity for lot in self._targets(order)), ZERO)

    def admit(self, order: ExchangeOrder, market: MarketState, price: Decimal | None) -> str:
        """Check margin for what would open.

        Codes ``insufficient_margin``, ``no_price``, ``no_rate``, ``would_not_reduce``.
        """
        if order.closes_only:
            return "" if self.reducible(order) > 0 else "would_not_reduce"
        if price is None or market.event is None:
            return "no_price"
        if self.rate(market.instrument) is None:
            return "no_rate"
        if self.allowed(order, order.remaining, price, market) < order.remaining:
            return "insufficient_margin"
        return ""

    def readmit(self, order: ExchangeOrder, market: MarketState, before: tuple[Decimal, Decimal | None]) -> str:
        """Check margin again where the quantity grows."""
        if order.quantity <= before[0]:
            return ""
        return self.admit(order, market, order.price if order.price is not None else order.trigger)

    def allowed(self, order: ExchangeOrder, quantity: Decimal, price: Decimal, market: MarketState) -> Decimal:
        """Return what may fill: all that reduces, and what opens if there is margin for the whole of it."""
        position = self.positions.get(order.instrument)
        if order.closes_only:
            return min(quantity, self.reducible(order))
        reducing = ZERO
        if position is not None and not self.hedging:
            reducing = min(quantity, position.short if order.is_buy else position.long)
        opening = quantity - reducing
        if not opening or self._has_plenty(market, opening):
            return quantity
        held = position.larger if position is not None else ZERO
        if position is None or not self.hedging:
            side = opening if reducing else held + opening
        else:
            side = max(held, (position.long if order.is_buy else position.short) + opening)
        old, new = self.margin_for(market, held), self.margin_for(market, side)
        fees = self._home_fees(market.fees.charge(order.is_buy, quantity, price, False))
        if old is None or new is None or fees is None:
            return reducing
        needed = new - old + sum((amount for _, amount in fees), ZERO)
        available = self.sums().available if self.positions else self.balance
        return quantity if needed <= available else reducing

    def shortfall(self, order: ExchangeOrder) -> str:
        """Return ``lot_closed``, ``reduce_only`` or ``insufficient_margin``."""
        if order.lot:
            return "lot_closed"
        return "reduce_only" if order.closes_only else "insufficient_margin"

    # --- executions -------------------------------------------------------------------------------------------------

    def _home_fees(self, fees: Fees) -> Fees | None:
        """Return fees as they are taken from the balance."""
        if len(fees) == 1 and fees[0][0] == self.home:
            return fees
        home: list[tuple[str, Decimal]] = []
        for asset, amount in fees:
            rate = self._conversion.rate(asset, self.home)
            if rate is None:
                return None
            home.append((self.home, amount * rate))
        return tuple(home)

    def settle(self, order: ExchangeOrder, market: MarketState, deal: Deal) -> Settled:
        """Close lots, oldest first, open one with the rest, realise profit and charge fees."""
        left = deal.quantity
        changes: list[LotChange] = []
        profit = ZERO
        for lot in self._targets(order) if self.positions else ():
            if not left:
                break
            part = min(left, lot.quantity)
            change = self._reduce(lot, order, part, deal)
            changes.append(change)
            profit += change.profit
            left -= part
        if left:
            assert not order.closes_only, f"{order.id} closes only, and {left} would open"
            changes.append(self._open(order, market, left, deal))
        fees = self._home_fees(market.fees.charge(order.is_buy, deal.quantity, deal.price, deal.maker))
        assert fees is not None, "a position cannot be opened without a rate, and rates do not go away"
        about = (deal.trade_id, order.id, market.instrument.id, "")
        if profit:
            self.realised += profit
            self.move(self.home, profit, LedgerReason.PROFIT, deal.at_ns, about)
        for asset, amount in fees:
            self.move(asset, -amount, LedgerReason.FEE, deal.at_ns, about)
        return Settled(fees, profit, tuple(changes))

    def _reduce(self, lot: MarginLot, order: ExchangeOrder, quantity: Decimal, deal: Deal) -> LotChange:
        position = self.positions[order.instrument]
        market = position.market
        conversion = self.rate(market.instrument)
        assert conversion is not None, "a position cannot be opened without a rate, and rates do not go away"
        worth = market.instrument.notional(quantity, deal.price)
        profit = position.reduce(lot, quantity, worth) * conversion
        step = self.rules.asset_steps.get(self.home)
        if step is not None:
            profit = (profit / step).to_integral_value(ROUND_HALF_EVEN) * step
        lot.realised += profit
        if not lot.quantity:
            del self.lots[lot.id]
            if not position.lots:
                del self.positions[market.instrument.id]
                del market.holders[self.id]
        if self.exits is not None and lot.exits:
            self.exits.reduced(lot, order, deal.at_ns)
        self.look_again()
        return LotChange(lot.id, "reduced" if lot.quantity else "closed", quantity, deal.price, profit)

    def _open(self, order: ExchangeOrder, market: MarketState, quantity: Decimal, deal: Deal) -> LotChange:
        instrument = market.instrument
        position = self.positions.get(instrument.id)
        if position is None:
            position = self.positions[instrument.id] = Position(market)
            market.holders[self.id] = self
        worth = instrument.notional(quantity, deal.price)
        single = not self.hedging and not self.setup.lot_per_trade
        # Executions of one order make one lot, so that a venue's trade or position belongs to one order.
        lot = next(iter(position.lots.values()), None) if single else position.lots.get(order.opened_lot)
        kind = "increased"
        if lot is None:
            kind = "opened"
            if not single:
                self._lots += 1
            lot_id = instrument.symbol if single else f"{self.rules.lot_prefix}{self._lots}"
            if lot_id in self.lots:
                lot_id = instrument.id
            lot = MarginLot(lot_id, instrument.id, order.is_buy, order.id, deal.at_ns)
            lot.tag = order.tag
            self.lots[lot_id] = lot
        position.increase(lot, quantity, worth)
        order.opened_lot = lot.id
        if self.exits is not None and (order.protection is not None or lot.exits):
            self.exits.opened(lot, order, deal)
        self.look_again()
        return LotChange(lot.id, kind, quantity, deal.price, ZERO)

    def reopen(self, market: MarketState, held: Lot, at_ns: int) -> None:
        """Take in a lot that was open in an earlier life of the exchange, at its open price and without its exits."""
        instrument = market.instrument
        position = self.positions.get(instrument.id)
        if position is None:
            position = self.positions[instrument.id] = Position(market)
            market.holders[self.id] = self
        opened_at_ns = at_ns if held.opened_at_ns is None else held.opened_at_ns
        lot = MarginLot(held.venue_id, instrument.id, held.side is Side.BUY, "", opened_at_ns)
        lot.tag = held.tag
        self.lots[lot.id] = lot
        position.increase(lot, held.quantity, instrument.notional(held.quantity, held.open_price))
        self.look_again()

    def look_again(self) -> None:
        """Have the next event of each position's market look at the close-out level."""
        for position in self.positions.values():
            position.market.look_again()

    def drop_exit(self, lot: MarginLot, order: ExchangeOrder) -> None:
        """Forget a cancelled exit of a lot."""
        for role, exit_order in list(lot.exits.items()):
            if exit_order is order:
                del lot.exits[role]
                lot.protection = lot.protection_without(role)
