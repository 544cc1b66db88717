"""A connector whose words are held against what can be before anybody believes them.

Used by the composition root around every connector, those of plugins too: what it reads of an account and of trading rules is
sound, or `Unavailable`; the answer to a write that is not, leaves its outcome unknown. Evidence that a venue sends unasked
passes `sound_only`. What a venue says is never mended: nobody can tell what it meant.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import structlog

from quantd.domain.capabilities import Capabilities
from quantd.domain.cash import Account
from quantd.domain.commands import Amend, Cancel, CancelAll, CloseLot, SetProtection, Submit
from quantd.domain.events import AccountSnapshot, CashMoved, Event, OrderReport
from quantd.domain.instruments import Instrument, MarketStatus
from quantd.domain.market import Bar, Book, Quote
from quantd.domain.orders import OrderRef
from quantd.domain.outcomes import Accepted, Found, Outcome, Resolution, StillUnknown, Unknown
from quantd.domain.soundness import flaw_of_flow, flaw_of_instrument, flaw_of_report, flaw_of_snapshot, vouch
from quantd.ports import Connector, Emit

UNSOUND: Final = "unsound_answer"
"""Cause of what is unknown because the venue's answer cannot be."""

_T = TypeVar("_T")
_log = structlog.get_logger("quantd.vouched")


class Vouched:
    """Implements `Connector` over another one."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self.venue = connector.venue
        self._flaw = ""
        """What was logged last; each is said once until another one comes."""

    @property
    def capabilities(self) -> Capabilities:
        """See `Connector.capabilities`."""
        return self._connector.capabilities

    @property
    def account(self) -> Account:
        """See `Connector.account`."""
        return self._connector.account

    async def start(self) -> None:
        """See `Connector.start`."""
        await self._connector.start()

    async def close(self) -> None:
        """See `Connector.close`."""
        await self._connector.close()

    # -- the market ----------------------------------------------------------------------------------------------

    async def instruments(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """See `Connector.instruments`."""
        return self._sound("instruments", await self._connector.instruments(symbols), flaw_of_instrument)

    async def conversion(self, currency: str, into: str) -> str | None:
        """See `Connector.conversion`."""
        return await self._connector.conversion(currency, into)

    async def quotes(self, instruments: Sequence[Instrument]) -> tuple[Quote, ...]:
        """See `Connector.quotes`; the quality gate judges them."""
        return await self._connector.quotes(instruments)

    async def book(self, instrument: Instrument, depth: int) -> Book:
        """See `Connector.book`; the quality gate judges it."""
        return await self._connector.book(instrument, depth)

    async def bars(self, instrument: Instrument, interval_s: int, count: int) -> tuple[Bar, ...]:
        """See `Connector.bars`; the quality gate judges them."""
        return await self._connector.bars(instrument, interval_s, count)

    async def statuses(self, instruments: Sequence[Instrument]) -> Mapping[str, MarketStatus]:
        """See `Connector.statuses`."""
        return await self._connector.statuses(instruments)

    # -- writes --------------------------------------------------------------------------------------------------

    async def submit(self, command: Submit) -> Outcome:
        """See `Connector.submit`."""
        return self._outcome("submit", await self._connector.submit(command))

    async def amend(self, command: Amend) -> Outcome:
        """See `Connector.amend`."""
        return self._outcome("amend", await self._connector.amend(command))

    async def cancel(self, command: Cancel) -> Outcome:
        """See `Connector.cancel`."""
        return self._outcome("cancel", await self._connector.cancel(command))

    async def cancel_all(self, command: CancelAll) -> Outcome:
        """See `Connector.cancel_all`."""
        return self._outcome("cancel_all", await self._connector.cancel_all(command))

    async def close_lot(self, command: CloseLot) -> Outcome:
        """See `Connector.close_lot`."""
        return self._outcome("close_lot", await self._connector.close_lot(command))

    async def set_protection(self, command: SetProtection) -> Outcome:
        """See `Connector.set_protection`."""
        return self._outcome("set_protection", await self._connector.set_protection(command))

    async def resolve(self, command: Submit | Amend | Cancel | CloseLot | SetProtection, sent_at_ns: int) -> Resolution:
        """See `Connector.resolve`; what is found that cannot be, is not found yet."""
        resolution = await self._connector.resolve(command, sent_at_ns)
        if isinstance(resolution, Found) and (flaw := flaw_of_report(resolution.report)):
            self._say("resolve", flaw)
            return StillUnknown(UNSOUND)
        return resolution

    # -- truth ---------------------------------------------------------------------------------------------------

    async def order_reports(self, working: Sequence[OrderRef]) -> tuple[OrderReport, ...]:
        """See `Connector.order_reports`."""
        return self._sound("order_reports", await self._connector.order_reports(working), flaw_of_report)

    async def snapshot(self) -> AccountSnapshot:
        """See `Connector.snapshot`."""
        (snapshot,) = self._sound("snapshot", (await self._connector.snapshot(),), flaw_of_snapshot)
        return snapshot

    def _sound(self, operation: str, told: tuple[_T, ...], flaw_of: Callable[[_T], str]) -> tuple[_T, ...]:
        vouch(self.venue, operation, told, flaw_of)
        return told

    def _outcome(self, operation: str, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Accepted):
            for report in outcome.reports:
                if flaw := flaw_of_report(report):
                    self._say(operation, flaw)
                    return Unknown(UNSOUND)
        return outcome

    def _say(self, operation: str, flaw: str) -> None:
        if flaw != self._flaw:
            self._flaw = flaw
            _log.warning("answer_cannot_be", venue=self.venue, operation=operation, error=flaw)


def sound_only(emit: Emit) -> Emit:
    """Return an `Emit` that lets no unsound evidence of an account through: a stream's or webhook's news, a cash flow.

    What is held back, the next look at the account shows, or fails on.
    """

    flaws: dict[type, Callable[[Any], str]] = {
        OrderReport: flaw_of_report,
        AccountSnapshot: flaw_of_snapshot,
        CashMoved: lambda event: flaw_of_flow(event.flow),
    }

    def emit_sound(event: Event) -> None:
        flaw_of = flaws.get(type(event))
        if flaw_of is not None and (flaw := flaw_of(event)):
            _log.warning("news_cannot_be", kind=type(event).__name__, error=flaw)
        else:
            emit(event)

    return emit_sound
