"""Paper trading: the connector port over the simulated exchange.

The composition root passes every market event through `on_market` before the strategies see it, so that fills come
first. Writes answer at once; fills come with later market events. After a restart the exchange begins anew with the
balances and lots that the engine knew; orders that worked before are gone, and said to be cancelled, and so are the exits
of lots: the engine sets them again.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from quantd.domain.capabilities import Capabilities
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.instruments import Instrument, InstrumentId, MarketStatus, instrument_id, symbol_of
from quantd.domain.lots import Lot
from quantd.domain.market import Bar, Book, Quote, StatusChanged
from quantd.domain.orders import OrderRef, OrderState
from quantd.domain.outcomes import Accepted, Found, NotExecuted, NotFound, Outcome, Rejected, Resolution
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Refused as ReadRefused
from quantd.errors import Unavailable
from quantd.exchange import Exchange, NewOrder, OrderChange, Placed, Refused
from quantd.exchange.requests import of_a_book
from quantd.ports import Clock, Connector, Emit
from quantd.venues.budget import Lane
from quantd.venues.http import LastLook
from quantd.venues.paper.rules import ACCOUNT, account_of, borrowed, capabilities_of, instruments_of, rules_of, setup_of
from quantd.venues.paper.settings import PaperSettings

_EXPIRY_EVERY_S = 0.25


class PaperConnector:
    """One paper account.

    Args:
        venue: The venue's key in the configuration.
        settings: Its section.
        clock: Stamps what happens without a market event.
    """

    def __init__(self, venue: str, settings: PaperSettings, clock: Clock) -> None:
        self.venue = venue
        self._capabilities = capabilities_of(settings)
        self.account = account_of(venue, settings)
        self.source: Connector | None = None
        """Whose data it trades on; set by the composition root for `data: NAME`."""
        self.balances: dict[str, Decimal] = dict(settings.balances)
        """What the account opens with; after a restart, what the engine knew."""
        self.lots: dict[InstrumentId, list[Lot]] = {}
        """Lots that were open at the end of an earlier run, until their instrument is listed again."""
        self.last_look: LastLook = lambda lane: None
        """Asked just before an order counts as sent, as over a network."""
        self._settings = settings
        self._clock = clock
        self._own = instruments_of(venue, settings)
        self._versions: dict[str, int] = {}
        """By symbol, which version of the rules is listed."""
        self._exchange: Exchange | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the simulated exchange can do, and the bars of the venue on whose data it trades."""
        if self.source is None:
            return self._capabilities
        return msgspec.structs.replace(self._capabilities, native_bars_s=self.source.capabilities.native_bars_s)

    @property
    def exchange(self) -> Exchange:
        """The exchange under it, once started."""
        assert self._exchange is not None, "the paper venue has not been started"
        return self._exchange

    async def start(self) -> None:
        """Open the account."""
        if self.source is not None:
            await self.source.start()
        if self._exchange is None:
            now_ns = self._clock.now_ns()
            # Ids carry the start, so that those of an earlier run are never taken for these.
            rules = msgspec.structs.replace(
                rules_of(self._settings),
                order_prefix=f"p{now_ns // 1_000_000:x}-",
                trade_prefix=f"t{now_ns // 1_000_000:x}-",
                lot_prefix=f"l{now_ns // 1_000_000:x}-",
            )
            setup = setup_of(self.account, self.balances, self._settings)
            self._exchange = Exchange(self._own.values(), {ACCOUNT: setup}, rules=rules, opened_at_ns=now_ns)

    async def close(self) -> None:
        """Nothing is open."""

    # -- market ----------------------------------------------------------------------------------------------------

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return the rules; those of the data's venue, with paper's fees, where it trades on another's data.

        Raises:
            Refused: an unknown symbol.
        """
        wanted = list(symbols)
        if self.source is not None:
            for theirs in await self.source.instruments(wanted):
                mine = borrowed(self.venue, theirs, self._settings)
                self._own[mine.symbol] = mine
        for symbol in wanted:
            if symbol not in self._own:
                raise ReadRefused(
                    self.venue, "instruments", "unknown", f"{symbol}; there are {', '.join(sorted(self._own))}"
                )
            self._list(self._own[symbol])
            for lot in self.lots.pop(self._own[symbol].id, ()):
                self.exchange.reopen_lot(ACCOUNT, lot, self._clock.now_ns())
        return tuple(self._own[symbol] for symbol in wanted)

    def _list(self, rules: Instrument) -> None:
        """List an instrument or new rules of it; a market goes on in the state that it is in."""
        listed = self._versions.get(rules.symbol)
        if listed == rules.version:
            return
        if listed is not None:
            rules = msgspec.structs.replace(rules, status=self.exchange.status(rules.id))
        self.exchange.list_instrument(rules)
        self._versions[rules.symbol] = rules.version

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the instrument between two currencies; the data venue's where it trades on another's data."""
        if self.source is not None:
            return await self.source.conversion(currency, into)
        for symbol, rules in self._own.items():
            if {rules.base, rules.quote} == {currency, into}:
                return symbol
        return None

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return the simulated exchange's prices; those without any are left out."""
        quotes = (self.exchange.quote(one.id) for one in instruments)
        return tuple(quote for quote in quotes if quote is not None)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return the simulated exchange's book."""
        return self.exchange.book(instrument.id, depth)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return the data venue's bars under this venue's name; nothing for made-up markets."""
        if self.source is None or interval_s not in self.source.capabilities.native_bars_s:
            return ()
        theirs = msgspec.structs.replace(instrument, id=instrument_id(self.source.venue, instrument.symbol))
        bars = await self.source.bars(theirs, interval_s, count)
        return tuple(msgspec.structs.replace(bar, instrument=instrument.id) for bar in bars)

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return what each market accepts now."""
        return {one.id: self.exchange.status(one.id) for one in instruments}

    def on_market(self, event: Quote | Bar | Book | StatusChanged, emit: Emit) -> None:
        """Let the market move; what it does to our orders is emitted before anybody sees the event."""
        if self._exchange is None or symbol_of(event.instrument) not in self._own:
            return
        for told in self._exchange.handle(event):
            emit(told.report)

    async def run(self, emit: Emit) -> None:
        """Expire what is due when no market event does it; for ever."""
        while True:
            await asyncio.sleep(_EXPIRY_EVERY_S)
            for told in self.exchange.advance(self._clock.now_ns()):
                emit(told.report)

    # -- writes ----------------------------------------------------------------------------------------------------

    async def submit(self, command: Submit) -> Outcome:
        """Place an order."""
        reason = self.last_look(Lane.SUBMIT)
        if reason is not None:
            return NotExecuted(reason)
        spec = of_a_book(command.spec, self.exchange.setup(ACCOUNT))
        now_ns = self._clock.now_ns()
        placed = self.exchange.submit(
            ACCOUNT, NewOrder(command.client_order_id, spec, command.protection, command.client_order_id), now_ns
        )
        return _outcome(placed)

    async def amend(self, command: Amend) -> Outcome:
        """Change an order."""
        reason = self.last_look(Lane.SUBMIT)
        if reason is not None:
            return NotExecuted(reason)
        change = OrderChange(quantity=command.quantity, price=command.price)
        amended = self.exchange.amend(ACCOUNT, command.venue_order_id, change, self._clock.now_ns())
        return Rejected(amended.code, amended.detail) if isinstance(amended, Refused) else Accepted((amended.report,))

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order; one that has ended is told with its end."""
        self.last_look(Lane.CANCEL)
        now_ns = self._clock.now_ns()
        done = self.exchange.cancel(ACCOUNT, command.venue_order_id, now_ns)
        if not isinstance(done, Refused):
            return Accepted((done.report,))
        report = self.exchange.report(ACCOUNT, command.venue_order_id, now_ns)
        return Accepted((report or self._gone(command.venue_order_id, command.instrument),))

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel everything."""
        done = self.exchange.cancel_all(ACCOUNT, self._clock.now_ns(), instrument=command.instrument)
        return Accepted(tuple(one.report for one in done))

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Close a lot."""
        reason = self.last_look(Lane.SUBMIT)
        if reason is not None:
            return NotExecuted(reason)
        return _outcome(
            self.exchange.close_lot(
                ACCOUNT,
                command.lot,
                command.quantity,
                self._clock.now_ns(),
                client_order_id=command.client_order_id,
            )
        )

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Replace the exits of a lot."""
        done = self.exchange.set_protection(ACCOUNT, command.lot, command.protection, self._clock.now_ns())
        return Rejected(done.code, done.detail) if isinstance(done, Refused) else Accepted(done.reports)

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Look the order up; an exchange that lives in this process either has it or never will."""
        view = self.exchange.order_by_client_id(ACCOUNT, command.client_order_id)
        if view is not None:
            report = self.exchange.report(ACCOUNT, view.venue_order_id, self._clock.now_ns())
            if report is not None:
                return Found(report)
        if isinstance(command, Cancel | Amend) and command.venue_order_id:
            return Found(self._gone(command.venue_order_id, command.instrument))
        return NotFound()

    # -- truth -----------------------------------------------------------------------------------------------------

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return each order as it is; one of an earlier run was cancelled by that run's end."""
        now_ns = self._clock.now_ns()
        reports = []
        for ref in working:
            venue_order_id = ref.venue_order_ids[-1]
            report = self.exchange.report(ACCOUNT, venue_order_id, now_ns)
            reports.append(report or self._gone(venue_order_id, ref.spec.instrument))
        return tuple(reports)

    def _gone(self, venue_order_id: str, instrument: InstrumentId) -> OrderReport:
        return OrderReport(
            instrument,
            venue_order_id,
            OrderState.CANCELLED,
            Decimal(0),
            self._clock.now_ns(),
            reason="paper_restarted",
        )

    async def snapshot(self) -> AccountSnapshot:
        """Return the account as it is.

        Raises:
            Unavailable: the exchange has not been started.
        """
        if self._exchange is None:
            raise Unavailable(self.venue, "snapshot", "not started")
        return self._exchange.snapshot(ACCOUNT, self.venue, self._clock.now_ns())


def _outcome(placed: Placed | Refused) -> Outcome:
    return Rejected(placed.code, placed.detail) if isinstance(placed, Refused) else Accepted((placed.report,))
