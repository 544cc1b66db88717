"""The accounts of the simulated exchange: orders, balances, history; and the spot account's reservations.

`AccountBook` is what all accounts share; `SpotAccount` holds assets, `MarginAccount` (margin.py) holds lots. Only
`Execution` and the entry of orders change them. An account never matches.
"""

from collections import deque
from decimal import Decimal

import msgspec

from quantd.domain.cash import Balance
from quantd.domain.numbers import ONE, ZERO, Rounding, snap
from quantd.exchange.fees import Fees
from quantd.exchange.market import MarketState
from quantd.exchange.orders import ExchangeOrder
from quantd.exchange.rules import AccountSetup, ExchangeRules
from quantd.exchange.views import LedgerEntry, LedgerReason, LotChange, Trade

_TRADE = LedgerReason.TRADE
_FEE = LedgerReason.FEE


class Settled(msgspec.Struct, frozen=True):
    """What settling one execution came to."""

    fees: Fees
    profit: Decimal | None = None
    lots: tuple[LotChange, ...] = ()


class Ledger:
    """Numbers and keeps the balance changes of all accounts; keeps nothing where history is off."""

    __slots__ = ("count", "keep")

    def __init__(self, keep: bool) -> None:
        self.keep = keep
        self.count = 0


class AccountBook:
    """What every account has. `total` = `free` + `locked` holds for every asset at all times."""

    def __init__(self, account_id: str, setup: AccountSetup, rules: ExchangeRules, ledger: Ledger) -> None:
        self.id = account_id
        self.setup = setup
        self.rules = rules
        self.open: dict[str, ExchangeOrder] = {}
        self.ended: dict[str, ExchangeOrder] = {}
        self._ended_ids: deque[str] = deque()
        self.by_client_id: dict[str, ExchangeOrder] = {}
        self.trades: list[Trade] = []
        self.entries: list[LedgerEntry] = []
        self.totals: dict[str, Decimal] = {}
        self.locked: dict[str, Decimal] = {}
        self._ledger = ledger

    # --- orders -----------------------------------------------------------------------------------------------------

    def add(self, order: ExchangeOrder) -> None:
        """Take in an accepted order."""
        self.open[order.id] = order
        if order.client_order_id:
            self.by_client_id[order.client_order_id] = order

    def archive(self, order: ExchangeOrder) -> None:
        """Move an ended order out of the working ones; the oldest is forgotten where history is not kept."""
        del self.open[order.id]
        self.ended[order.id] = order
        if self.rules.keep_history:
            return
        self._ended_ids.append(order.id)
        if len(self._ended_ids) > self.rules.ended_max:
            forgotten = self.ended.pop(self._ended_ids.popleft())
            client_order_id = forgotten.client_order_id
            if client_order_id is not None and self.by_client_id.get(client_order_id) is forgotten:
                del self.by_client_id[client_order_id]

    def find(self, order_id: str) -> ExchangeOrder | None:
        """Return an order that is still known."""
        return self.open.get(order_id) or self.ended.get(order_id)

    # --- balances ---------------------------------------------------------------------------------------------------

    def move(self, asset: str, amount: Decimal, reason: LedgerReason, at_ns: int, about: "About") -> None:
        """Change a balance by a signed amount and write it down."""
        total = self.totals.get(asset, ZERO) + amount
        self.totals[asset] = total
        ledger = self._ledger
        if ledger.keep:
            ledger.count += 1
            self.entries.append(
                LedgerEntry(
                    ledger.count, self.id, asset, amount, total, reason, at_ns, about[0], about[1], about[2], about[3]
                )
            )

    def free(self, asset: str) -> Decimal:
        """Return what is not locked."""
        return self.totals.get(asset, ZERO) - self.locked.get(asset, ZERO)

    def balances(self) -> tuple[Balance, ...]:
        """Return all assets, sorted by name."""
        return tuple(
            Balance(asset, total, total - self.locked.get(asset, ZERO), self.locked.get(asset, ZERO))
            for asset, total in sorted(self.totals.items())
        )

    # --- what the kinds of account do differently -------------------------------------------------------------------

    def admit(self, order: ExchangeOrder, market: MarketState, price: Decimal | None) -> str:
        """Check and reserve a new order; return the code of a refusal, or nothing.

        `price` is the limit, else the trigger, else the market's present price; None when there is none.
        """
        raise NotImplementedError

    def readmit(self, order: ExchangeOrder, market: MarketState, before: tuple[Decimal, Decimal | None]) -> str:
        """Reserve anew after terms changed; `before` is (quantity, price). Changes nothing when it refuses."""
        raise NotImplementedError

    def allowed(self, order: ExchangeOrder, quantity: Decimal, price: Decimal, market: MarketState) -> Decimal:
        """Return how much of `quantity` the account can fill at `price` now."""
        raise NotImplementedError

    def shortfall(self, order: ExchangeOrder) -> str:
        """Return the reason for which an order could not fill whole."""
        raise NotImplementedError

    def settle(self, order: ExchangeOrder, market: MarketState, deal: "Deal") -> Settled:
        """Book one execution; the order's filled quantity is still that before it."""
        raise NotImplementedError

    def release(self, order: ExchangeOrder) -> None:
        """Free what an ended order has locked."""


About = tuple[str, str, str, str]
"""(trade id, venue order id, instrument, kind of cash flow) of a ledger entry."""


class Deal(msgspec.Struct, frozen=True):
    """One execution on its way to be settled."""

    trade_id: str
    quantity: Decimal
    price: Decimal
    maker: bool
    at_ns: int


class SpotAccount(AccountBook):
    """Holds assets. Buys lock price times quantity and the fee, sells lock the base; nothing goes below zero.

    A market or stop buy locks at the present ask (the trigger) plus `ExchangeRules.market_reserve`; where the price
    runs away further, it takes from what is free, and what cannot be paid is cancelled.
    """

    def __init__(self, account_id: str, setup: AccountSetup, rules: ExchangeRules, ledger: Ledger) -> None:
        super().__init__(account_id, setup, rules, ledger)
        self._dearer = ONE + rules.market_reserve
        self._cheaper = ONE - rules.market_reserve

    def admit(self, order: ExchangeOrder, market: MarketState, price: Decimal | None) -> str:
        """Lock what the order may cost; codes ``insufficient_balance``, ``no_price``, ``would_not_reduce``."""
        if order.closes_only and order.is_buy:
            return "would_not_reduce"
        if order.protection is not None or order.lot or market.instrument.inverse:
            return "unsupported"
        if price is None:
            return "no_price"
        needs = self._needs(order, market, price)
        quantity = order.remaining
        totals, locked = self.totals, self.locked
        if len(needs) == 1:
            asset, per_unit = needs[0]
            amount = per_unit * quantity
            held = locked.get(asset, ZERO)
            if amount > totals.get(asset, ZERO) - held:
                return "insufficient_balance"
            locked[asset] = held + amount
            order.needs = needs
            order.locked = [amount]
            return ""
        amounts = []
        for asset, per_unit in needs:
            amount = per_unit * quantity
            if amount > totals.get(asset, ZERO) - locked.get(asset, ZERO):
                return "insufficient_balance"
            amounts.append(amount)
        for (asset, _), amount in zip(needs, amounts, strict=True):
            locked[asset] = locked.get(asset, ZERO) + amount
        order.needs = needs
        order.locked = amounts
        return ""

    def _needs(self, order: ExchangeOrder, market: MarketState, price: Decimal) -> Fees:
        if order.price is None:
            price = price * self._dearer if order.is_buy else price * self._cheaper
        return market.fees.needs(order.is_buy, price)

    def readmit(self, order: ExchangeOrder, market: MarketState, before: tuple[Decimal, Decimal | None]) -> str:
        """Lock for the new terms instead of the old."""
        needs, locked = order.needs, order.locked
        self.release(order)
        code = self.admit(order, market, order.price if order.price is not None else order.trigger)
        if code:
            order.needs, order.locked = needs, locked
            for (asset, _), amount in zip(needs, locked, strict=True):
                self.locked[asset] = self.locked.get(asset, ZERO) + amount
        return code

    def allowed(self, order: ExchangeOrder, quantity: Decimal, price: Decimal, market: MarketState) -> Decimal:
        """Return what can be paid for; limits and sells have locked enough."""
        if order.price is not None or not order.is_buy:
            return quantity
        allowed = quantity
        for (asset, _), locked in zip(order.needs, order.locked, strict=True):
            per_unit = dict(market.fees.needs(True, price)).get(asset, ZERO)
            if per_unit:
                allowed = min(allowed, (self.free(asset) + locked) / per_unit)
        if allowed < quantity:
            allowed = max(snap(allowed, market.instrument.lot, Rounding.DOWN), ZERO)
        return allowed

    def shortfall(self, order: ExchangeOrder) -> str:
        """Return ``insufficient_balance``."""
        return "insufficient_balance"

    def settle(self, order: ExchangeOrder, market: MarketState, deal: Deal) -> Settled:
        """Exchange the assets, charge the fees and free what was locked for this part."""
        quantity = deal.quantity
        instrument = market.instrument
        is_last = order.filled + quantity >= order.quantity
        held = order.locked
        for at, (asset, per_unit) in enumerate(order.needs):
            part = held[at] if is_last else min(held[at], per_unit * quantity)
            held[at] -= part
            self.locked[asset] -= part
        fees = market.fees.charge(order.is_buy, quantity, deal.price, deal.maker)
        units = quantity * instrument.units_per_quantity
        worth = -units * deal.price
        if not order.is_buy:
            units, worth = -units, -worth
        if self._ledger.keep:
            about = (deal.trade_id, order.id, instrument.id, "")
            # What is given first, so that the ledger reads as it was paid.
            legs = ((instrument.quote, worth), (instrument.base, units))
            for asset, amount in legs if order.is_buy else reversed(legs):
                self.move(asset, amount, _TRADE, deal.at_ns, about)
            for asset, amount in fees:
                self.move(asset, -amount, _FEE, deal.at_ns, about)
        else:
            totals = self.totals
            base, quote = instrument.base, instrument.quote
            totals[base] = totals.get(base, ZERO) + units
            totals[quote] = totals.get(quote, ZERO) + worth
            for asset, amount in fees:
                totals[asset] -= amount
        if order.price is None and order.is_buy and not is_last:
            self._cover(order)
        return Settled(fees)

    def _cover(self, order: ExchangeOrder) -> None:
        """Let an order that cost more than it had locked take the difference from what it has locked for the rest."""
        held = order.locked
        for at, (asset, _) in enumerate(order.needs):
            missing = -self.free(asset)
            if missing > 0:
                missing = min(missing, held[at])
                held[at] -= missing
                self.locked[asset] -= missing

    def release(self, order: ExchangeOrder) -> None:
        """Free what is still locked."""
        for (asset, _), amount in zip(order.needs, order.locked, strict=True):
            self.locked[asset] -= amount
        order.locked = [ZERO] * len(order.needs)
