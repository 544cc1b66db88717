"""The simulated exchange, as one object: market events in, reports out, order entry by plain calls.

The backtest drives it in a loop, the paper connector and the venue simulators from their own. It reads no clock: time
is the event's or the caller's. An order never fills on the event that caused it: one that is accepted after an event
meets the market at the earliest with the next event of its instrument (see `requote` for a venue that answers with
the fill). What a call did to an order is in the call's answer; what an event did is in its reports.

Reads raise `KeyError` for an unknown account or instrument; writes answer `Refused`.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import inf

from quantd.domain.cash import AccountKind, Balance, CashFlow
from quantd.domain.events import MarketEvent
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.numbers import ZERO
from quantd.domain.orders import OrderState
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.exchange import closing, financing, shown
from quantd.exchange.accounts import AccountBook, SpotAccount
from quantd.exchange.bars import BarMatching
from quantd.exchange.conversion import Conversion
from quantd.exchange.entry import OrderEntry
from quantd.exchange.execution import Execution
from quantd.exchange.margin import MarginAccount
from quantd.exchange.market import NEVER, MarketState
from quantd.exchange.matching import Matching
from quantd.exchange.protection import LotExits, move_trailing
from quantd.exchange.requests import Amended, Cancelled, NewOrder, OrderChange, Placed, ProtectionSet, Refused
from quantd.exchange.rules import AccountSetup, ExchangeRules
from quantd.exchange.views import ExchangeReport, LedgerEntry, LedgerReason, LotView, MarginView, OrderView, Trade

_NOTHING: tuple[ExchangeReport, ...] = ()


class Exchange:
    """A whole exchange.

    Args:
        instruments: What is listed; conversion of currencies goes through them too.
        accounts: By account id.
        rules: How it behaves; also latency, slippage, fees and seed.
        opened_at_ns: Time of the ledger's opening entries.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        accounts: Mapping[str, AccountSetup],
        *,
        rules: ExchangeRules | None = None,
        opened_at_ns: int = 0,
    ) -> None:
        self.rules = rules or ExchangeRules()
        self._markets: dict[InstrumentId, MarketState] = {}
        self._conversion = Conversion(self._markets)
        self._execution = Execution(self.rules)
        self._matching = Matching(self._execution, self.rules)
        self._entry = OrderEntry(self._markets, self._execution, self.rules)
        self._bars = BarMatching(self._execution, self._entry, self.rules)
        self._accounts: dict[str, AccountBook] = {}
        for instrument in instruments:
            self.list_instrument(instrument)
        for account_id, setup in accounts.items():
            self.open_account(account_id, setup, opened_at_ns)

    def list_instrument(self, instrument: Instrument) -> None:
        """List an instrument, or its new version; standing orders keep their terms."""
        market = self._markets.get(instrument.id)
        if market is None:
            self._markets[instrument.id] = MarketState(instrument, self.rules)
        else:
            market.relist(instrument)
        self._conversion.reset()

    def open_account(self, account_id: str, setup: AccountSetup, now_ns: int) -> None:
        """Open an account with its opening balances."""
        assert account_id not in self._accounts, f"account {account_id} is open already"
        account: AccountBook
        if setup.kind is AccountKind.MARGIN:
            account = MarginAccount(
                account_id, setup, self.rules, self._execution.ledger, conversion=self._conversion
            )  # fmt: skip
            account.exits = LotExits(account, self._markets, self._execution)
        else:
            account = SpotAccount(account_id, setup, self.rules, self._execution.ledger)
        self._accounts[account_id] = account
        for asset, amount in setup.balances.items():
            account.move(asset, amount, LedgerReason.OPENING, now_ns, ("", "", "", ""))
        if isinstance(account, MarginAccount):
            account.totals.setdefault(account.home, ZERO)

    # --- events -----------------------------------------------------------------------------------------------------

    def handle(self, event: MarketEvent) -> Sequence[ExchangeReport]:
        """Take in a market event, match, and report every order that it changed, in the order of their changes.

        Raises:
            KeyError: when the instrument is not listed.
        """
        market = self._markets[event.instrument]
        if event.__class__ is market.kind and (
            not market.busy
            or (
                market.calm
                and event.__class__ is Bar
                and event.low > market.floor
                and event.high < market.ceiling
                and event.received_at_ns < market.next_expiry
            )
        ):
            market.event = event  # type: ignore[assignment]  # kind is never StatusChanged; this is the hot path
            return _NOTHING
        return self._work(market, event)

    def _work(self, market: MarketState, event: MarketEvent) -> Sequence[ExchangeReport]:
        """Handle an event that is not known to be idle."""
        if isinstance(event, Bar):
            if market.quoted or not event.complete:
                return _NOTHING
        elif isinstance(event, StatusChanged):
            return self._change_status(market, event)
        else:
            market.quoted = True
        market.kind = event.__class__
        quiet = not market.busy or (not market.arrivals and market.is_quiet(event))
        market.event = event
        return _NOTHING if quiet else self._match(market, event)

    def _match(self, market: MarketState, event: Bar | Quote | Book) -> Sequence[ExchangeReport]:
        """Match a market against its present event."""
        now_ns = event.received_at_ns
        expires = market.next_expiry <= now_ns
        if expires:
            self._expire(market, event.opened_at_ns if isinstance(event, Bar) else now_ns, now_ns)
        if market.trades:
            if isinstance(event, Bar):
                self._bars.match(market, event)
            else:
                if market.trailing:
                    move_trailing(market, now_ns)
                self._matching.match(market, now_ns)
            if market.holders:
                self._guard(market, now_ns)
        if expires:
            self._expire(market, now_ns, now_ns)
        market.refresh()
        return self._execution.reports(now_ns)

    def requote(self, instrument: InstrumentId, now_ns: int) -> Sequence[ExchangeReport]:
        """Match an instrument once more against its present event, as if a new event had told the same.

        For venues that answer an order with its fill. What was taken from the event's levels stays taken; of a bar
        the close counts.

        Raises:
            KeyError: when the instrument is not listed.
        """
        market = self._markets[instrument]
        self._expire(market, now_ns, now_ns)
        if market.event is not None and market.trades and market.busy:
            self._matching.match(market, now_ns)
            if market.holders:
                self._guard(market, now_ns)
        market.refresh()
        return self._execution.reports(now_ns)

    def advance(self, now_ns: int) -> Sequence[ExchangeReport]:
        """Let time pass: expire what is due in every market."""
        for market in self._markets.values():
            if market.next_expiry <= now_ns:
                self._expire(market, now_ns, now_ns)
                market.refresh()
        return self._execution.reports(now_ns)

    def _expire(self, market: MarketState, until_ns: int, now_ns: int) -> None:
        if market.next_expiry > until_ns:
            return
        for order in market.standing():
            if (order.expires_at_ns or NEVER) <= until_ns:
                self._execution.end(order, market, OrderState.EXPIRED, "expired", now_ns)
        market.find_expiry()

    def _change_status(self, market: MarketState, event: StatusChanged) -> Sequence[ExchangeReport]:
        """Change what a market accepts; a delisted one loses its orders, a closed one holds them."""
        market.status = event.status
        if event.status is not MarketStatus.DELISTED:
            return _NOTHING
        for order in market.standing():
            self._execution.cancel(order, market, "delisted", event.received_at_ns)
        market.refresh()
        return self._execution.reports(event.received_at_ns)

    def _guard(self, market: MarketState, now_ns: int) -> None:
        """Close out the accounts whose equity has fallen to their level, and set the prices to look again at."""
        low, high = -inf, inf
        for account in list(market.holders.values()):
            near = account.float_sums()
            if account.is_called(near):
                closing.close_out(account, self._entry, now_ns)
                if not isinstance(market.event, Bar):  # what a bar has left to close meets the next one
                    self._matching.meet_arrivals(market, now_ns)
                low, high = inf, -inf
            else:
                band = account.band(market, near)
                low, high = max(low, band[0]), min(high, band[1])
        market.guard_low, market.guard_high = low, high

    # --- order entry ------------------------------------------------------------------------------------------------

    def submit(self, account: str, order: NewOrder, now_ns: int) -> Placed | Refused:
        """Place an order; codes of refusals are listed in `requests`."""
        holder = self._accounts.get(account)
        if holder is None:
            return Refused("unknown_account", account)
        return self._entry.submit(holder, order, now_ns)

    def cancel(self, account: str, venue_order_id: str, now_ns: int) -> Cancelled | Refused:
        """Cancel a working order; ``order_ended`` or ``no_such_order`` when there is none."""
        holder = self._accounts.get(account)
        if holder is None:
            return Refused("unknown_account", account)
        return self._entry.cancel(holder, venue_order_id, now_ns)

    def cancel_all(
        self, account: str, now_ns: int, *, instrument: InstrumentId | None = None, exits: bool = False
    ) -> tuple[Cancelled, ...]:
        """Cancel all working orders of an account, or those of one instrument; lots' exits only where `exits`."""
        holder = self._accounts[account]
        chosen = [
            order.id for order in holder.open.values()
            if (instrument is None or order.instrument == instrument) and (exits or order.origin != "protection")
        ]  # fmt: skip
        answers = (self._entry.cancel(holder, order_id, now_ns) for order_id in chosen)
        return tuple(answer for answer in answers if isinstance(answer, Cancelled))

    def amend(self, account: str, venue_order_id: str, change: OrderChange, now_ns: int) -> Amended | Refused:
        """Change a working order's terms; its id stays."""
        holder = self._accounts.get(account)
        if holder is None:
            return Refused("unknown_account", account)
        return self._entry.amend(holder, venue_order_id, change, now_ns)

    def close_lot(
        self, account: str, lot_id: str, quantity: Decimal | None, now_ns: int, *, client_order_id: str = ""
    ) -> Placed | Refused:
        """Place a market order that closes a lot, or `quantity` of it."""
        return closing.close_lot(
            self._accounts.get(account), self._entry, closing.LotClose(lot_id, quantity, client_order_id), now_ns
        )

    def set_protection(
        self, account: str, lot_id: str, protection: LotProtection, now_ns: int
    ) -> ProtectionSet | Refused:
        """Replace the exits of a lot; None in a field removes that exit.

        Ids of exits that stay do not change. A trailing stop begins at the present price; with the same distance again it
        stays where it is.
        """
        holder = self._accounts.get(account)
        if not isinstance(holder, MarginAccount) or lot_id not in holder.lots or holder.exits is None:
            return Refused("no_such_lot", lot_id)
        code = closing.check_protection(self._markets[InstrumentId(holder.lots[lot_id].instrument)], protection)
        if code:
            return Refused(code, lot_id)
        holder.exits.set(holder.lots[lot_id], protection, now_ns)
        return ProtectionSet(tuple(told.report for told in self._execution.reports(now_ns)))

    def reopen_lot(self, account: str, lot: Lot, now_ns: int) -> None:
        """Take in a lot that was open before the exchange began anew; its exits have to be set again.

        Raises:
            KeyError: when the account or the instrument is not known.
        """
        holder = self._accounts[account]
        assert isinstance(holder, MarginAccount), f"{account} is no margin account"
        assert lot.venue_id not in holder.lots, f"lot {lot.venue_id} is open already"
        holder.reopen(self._markets[lot.instrument], lot, now_ns)

    def move_cash(self, account: str, flow: CashFlow) -> CashFlow | Refused:
        """Book a cash flow (deposit, withdrawal, financing, ...); only what is free can be withdrawn."""
        holder = self._accounts.get(account)
        if holder is None:
            return Refused("unknown_account", account)
        return financing.move_cash(holder, flow)

    def accrue_financing(
        self, rates: Mapping[InstrumentId, tuple[Decimal, Decimal]], days: Decimal, now_ns: int
    ) -> tuple[tuple[str, CashFlow], ...]:
        """Charge all margin accounts for holding: yearly (long, short) rates on the worth at mid, for `days`.

        A negative rate costs. Returns (account, flow) for each position.
        """
        return financing.accrue(self._accounts.values(), rates, days, now_ns)

    # --- reads ------------------------------------------------------------------------------------------------------

    def order(self, account: str, venue_order_id: str) -> OrderView | None:
        """Return an order that is still known, None otherwise."""
        order = self._accounts[account].find(venue_order_id)
        return None if order is None else order.view()

    def order_by_client_id(self, account: str, client_order_id: str) -> OrderView | None:
        """Return the newest order with a client order id that is still known, None otherwise."""
        order = self._accounts[account].by_client_id.get(client_order_id)
        return None if order is None else order.view()

    def orders(self, account: str, *, working: bool | None = None) -> tuple[OrderView, ...]:
        """Return orders in order of their placing: the working ones, the ended ones, or (None) all known."""
        return shown.orders(self._accounts[account], working)

    def report(self, account: str, venue_order_id: str, now_ns: int) -> OrderReport | None:
        """Return the domain's report of an order with all its known fills, None when it is not known."""
        order = self._accounts[account].find(venue_order_id)
        return None if order is None else shown.report(order, now_ns)

    def lots(self, account: str, instrument: InstrumentId | None = None) -> tuple[LotView, ...]:
        """Return the open lots, oldest first within an instrument; none on spot accounts."""
        return shown.lots(self._accounts[account], instrument)

    def balances(self, account: str) -> tuple[Balance, ...]:
        """Return the balances by asset; `total` = `free` + `locked`."""
        return self._accounts[account].balances()

    def margin(self, account: str) -> MarginView | None:
        """Return a margin account's sums, None for a spot account."""
        holder = self._accounts[account]
        return holder.sums() if isinstance(holder, MarginAccount) else None

    def snapshot(self, account: str, venue: str, now_ns: int) -> AccountSnapshot:
        """Return the whole account as a connector would read it."""
        return shown.snapshot(self._accounts[account], venue, now_ns)

    def trades(self, account: str, start: int = 0) -> Sequence[Trade]:
        """Return an account's trades from number `start` on, oldest first; empty where history is not kept."""
        return self._accounts[account].trades[start:]

    def ledger(self, account: str, start: int = 0) -> Sequence[LedgerEntry]:
        """Return an account's balance changes from number `start` on, oldest first; empty where history is not kept."""
        return self._accounts[account].entries[start:]

    def setup(self, account: str) -> AccountSetup:
        """Return how an account was set up."""
        return self._accounts[account].setup

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return the worth of one unit of a currency in another at mid, None where it is not known."""
        return self._conversion.rate(source, target)

    def accounts(self) -> tuple[str, ...]:
        """Return the account ids."""
        return tuple(self._accounts)

    def instruments(self) -> tuple[Instrument, ...]:
        """Return all listed instruments."""
        return tuple(market.instrument for market in self._markets.values())

    def instrument(self, instrument: InstrumentId) -> Instrument:
        """Return an instrument's present version."""
        return self._markets[instrument].instrument

    def status(self, instrument: InstrumentId) -> MarketStatus:
        """Return what a market accepts now."""
        return self._markets[instrument].status

    def last(self, instrument: InstrumentId) -> Quote | Bar | Book | None:
        """Return the market's present event, None before the first."""
        return self._markets[instrument].event

    def quote(self, instrument: InstrumentId) -> Quote | None:
        """Return the best prices with the accounts' resting orders in them; None where a side is empty."""
        return shown.quote(self._markets[instrument])

    def book(self, instrument: InstrumentId, depth: int, *, resting: bool = True) -> Book:
        """Return up to `depth` levels a side: the market's remaining levels, and the accounts' orders where `resting`."""
        return shown.book(self._markets[instrument], depth, resting=resting)
