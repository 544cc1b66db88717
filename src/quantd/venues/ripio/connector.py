"""The Ripio connector: one spot account behind the daemon's `Connector` port.

Used by the executor, the pollers and the reconciler. Carries our id as `external_id`; a lost create is looked for by it,
see `search`. Never repeats a write by itself, never assumes what an answer does not say. Reading is `orders`, `account` and
`market`; writing is `desk`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from quantd.domain.cash import Account, AccountKind, PositionMode
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import ENDS, OrderRef
from quantd.domain.outcomes import Found, NotFound, Outcome, Rejected, Resolution, StillUnknown
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.errors import Temporary, VenueError
from quantd.ports import Observer
from quantd.venues.alerts import Alerts
from quantd.venues.budget import Lane
from quantd.venues.http import VenueHttp
from quantd.venues.ripio import wire
from quantd.venues.ripio.account import AccountReader
from quantd.venues.ripio.alerts import KINDS
from quantd.venues.ripio.api import Api
from quantd.venues.ripio.desk import OrderDesk, has_terms
from quantd.venues.ripio.following import Follower
from quantd.venues.ripio.market import MarketReader
from quantd.venues.ripio.options import RipioOptions, capabilities, quiet_period_s
from quantd.venues.ripio.orders import KnownIds, OrderReader
from quantd.venues.ripio.search import Search
from quantd.venues.ripio.signing import Signer
from quantd.venues.ripio.socket import Connect
from quantd.venues.ripio.stream import Stream
from quantd.venues.ripio.translate import SECOND_NS

SETTLES_S = 2.0
"""Beyond a request's tolerance: from then on what it was to do has been done or never will be."""
_RETRY_S = 2.0
_GONE_RETRY_S = 30.0


class RipioConnector:
    """One account at Ripio.

    Args:
        http: The account's requests; carries the venue's key, the clock and the budget.
        options: From the settings.
        signer: Signs; shared with the kill path.
        observer: Counts anomalies.
        known_venue_ids: Venue ids of all orders of an instrument that the engine has, ended ones too.
        auth_failed: Called when a write shows that token or secret are not accepted: trading on the venue must stop.
        connect: Opens connections to the stream; None goes without.
    """

    def __init__(  # noqa: PLR0913 - the parts that an account has; grouping them would only rename the list
        self,
        http: VenueHttp,
        options: RipioOptions,
        signer: Signer,
        *,
        observer: Observer,
        known_venue_ids: KnownIds,
        auth_failed: Callable[[str], None] | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.venue = http.venue
        self.capabilities = capabilities(options.tolerance_ms)
        self.account = Account(
            http.venue, "spot", AccountKind.SPOT, PositionMode.NETTING, home_currency=options.home_currency
        )
        self._http = http
        self._clock = http.clock
        self._settled_ns = round((options.tolerance_ms / 1000 + SETTLES_S) * SECOND_NS)
        self._alerts = Alerts(http.venue, observer, KINDS)
        self._api = Api(http, signer, options.prefix, observer=observer, alerts=self._alerts, auth_failed=auth_failed)
        self.market = MarketReader(self._api, options.fees, self._alerts)
        """Reads beside the port: prints of the market."""
        self._orders = OrderReader(self._api, self._alerts, known_venue_ids)
        self._desk = OrderDesk(self._api, self._orders, self._alerts, known_venue_ids)
        self._follower = Follower(self._orders, self._alerts, self._clock)
        self._account = AccountReader(self._api, self._orders, self._clock, self._alerts)
        self.stream = None
        if connect is not None:
            self.stream = Stream(self._api, self._orders, connect, alerts=self._alerts, observer=observer)
        """Runs beside the port, for as long as the venue is looked after."""
        self._search = Search(
            self._orders,
            clock=self._clock,
            alerts=self._alerts,
            quiet_period_s=quiet_period_s(options.tolerance_ms),
        )

    async def start(self) -> None:
        """Measure the venue's clock and check the credentials by reading the balances.

        Raises:
            AuthFailed: token or secret are not accepted.
            VenueError: the venue could not be asked.
        """
        await self._api.measure_clock(Lane.ACCOUNT)
        await self._account.balances()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    # --- market ---

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Return trading rules; see `MarketReader.instruments`."""
        return await self.market.instruments(symbols)

    async def conversion(self, currency: str, into: str) -> str | None:
        """Return the pair of two currencies; see `MarketReader.conversion`."""
        return await self.market.conversion(currency, into)

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """Return tops of book: from the stream where it is fresh, else see `MarketReader.quotes`."""
        streamed = {each.id: self.stream.quote(each) for each in instruments} if self.stream is not None else {}
        told = tuple(quote for quote in streamed.values() if quote is not None)
        asked = [each for each in instruments if streamed.get(each.id) is None]
        return told + await self.market.quotes(asked) if asked else told

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """Return a book: from the stream where it is fresh, else see `MarketReader.book`."""
        streamed = self.stream.book(instrument, depth) if self.stream is not None else None
        return streamed if streamed is not None else await self.market.book(instrument, depth)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """Return nothing: the venue has no bars."""
        return ()

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """Return statuses; see `MarketReader.statuses`."""
        return await self.market.statuses(instruments)

    # --- writes ---

    async def submit(self, command: Submit) -> Outcome:
        """Place an order; see `OrderDesk.submit`."""
        return await self._desk.submit(command)

    async def amend(self, command: Amend) -> Outcome:
        """Change an order; see `OrderDesk.amend`."""
        return await self._desk.amend(command)

    async def cancel(self, command: Cancel) -> Outcome:
        """Cancel an order; see `OrderDesk.cancel`."""
        return await self._desk.cancel(command)

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """Cancel all our orders; see `OrderDesk.cancel_all`."""
        return await self._desk.cancel_all(command)

    async def close_lot(self, command: CloseLot) -> Outcome:
        """Refuse: a spot account has no lots."""
        return Rejected("unsupported", "no lots")

    async def set_protection(self, command: SetProtection) -> Outcome:
        """Refuse: the venue holds no protection, the engine does."""
        return Rejected("unsupported", "no protection")

    # --- truth ---

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """Take one step towards knowing what became of a write; `StillUnknown` says when to come back."""
        if isinstance(command, Submit):
            return await self._search.step(command, sent_at_ns)
        if not isinstance(command, Cancel | Amend) or not command.venue_order_id:
            return NotFound()  # such writes never leave
        asked_at_ns = self._clock.now_ns()
        try:
            row = await self._orders.get(command.venue_order_id, Lane.RECONCILE)
            if row is None:
                self._alerts.note("order_vanished", command.venue_order_id)
                return StillUnknown("order_not_found", _GONE_RETRY_S)
            report = await self._orders.report(row, Lane.RECONCILE)
        except Temporary as error:
            return StillUnknown(type(error).__name__, error.retry_after_s or _RETRY_S)
        except VenueError as error:
            return StillUnknown(type(error).__name__, _RETRY_S)
        return self._seen(command, row, report, settled=asked_at_ns - sent_at_ns >= self._settled_ns)

    def _seen(self, command: Cancel | Amend, row: wire.OrderRow, report: OrderReport, *, settled: bool) -> Resolution:
        """Return what an order's state says of a change to it; `settled` once the change cannot arrive any more."""
        if report.state in ENDS or (isinstance(command, Amend) and has_terms(row, command)):
            return Found(report)
        if not settled:
            return StillUnknown("still_unchanged", _RETRY_S)
        # An amendment: the terms that stand are what counts. A cancel had no effect, the engine sends the next one.
        return Found(report) if isinstance(command, Amend) else NotFound()

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """Return what changed for our orders; see `Follower.reports`."""
        return await self._follower.reports(working)

    async def snapshot(self) -> AccountSnapshot:
        """Return balances and open orders; see `AccountReader.snapshot`."""
        return await self._account.snapshot()
