"""Reads the trading rules of one account's instruments: at its start, and again while it runs.

Used by `AccountFollower`. What keeps one instrument from being read (it is listed no more, or in several ways) keeps no other
one from it. Decides nothing about orders; an instrument that the venue lists in several ways, or with rules that cannot be,
it has latched to exits only.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import structlog

from quantd.domain.cash import AccountKind
from quantd.domain.events import HaltOrdered, TradingState
from quantd.domain.instruments import Instrument, instrument_id
from quantd.engine.core import Engine
from quantd.errors import Contradicts, Refused, Unsound
from quantd.ports import Clock, Connector, Emit

_log = structlog.get_logger("quantd.accounts")
_REFUSALS: Final = 4
"""So often a list without an instrument that was traded before is not believed: some venues tell none while they start."""


class RulesReader:
    """Reads what one venue's instruments are traded by.

    Args:
        connector: The venue.
        symbols: Venue symbols to read the rules of; the venue is not ready without any of them, save those that it listed
            before and lists no more.
        held: More of them, which nothing trades any more, but of which something is held or ordered from before.
        engine: Read only: base currency, rules that are known.
        emit: The inbox.
        clock: Stamps.
    """

    def __init__(  # noqa: PLR0913 -- one account's surroundings
        self,
        connector: Connector,
        symbols: Iterable[str],
        held: Iterable[str],
        *,
        engine: Engine,
        emit: Emit,
        clock: Clock,
    ) -> None:
        self._connector = connector
        self._venue = connector.venue
        self._symbols = tuple(symbols)
        self._held = tuple(held)
        self._engine = engine
        self._emit = emit
        self._clock = clock
        self._refused = 0
        """How often the rules of what is traded were refused."""
        self.left_out: dict[str, str] = {}
        """What is not traded, by symbol, and why: listed no more, or by rules that contradict or cannot be, and none known
        from before."""

    async def read(self) -> tuple[Instrument, ...]:
        """Read the rules of what is traded, and of what converts its currencies into the base currency.

        Without a way to convert, or rules of it that can be read, new exposure will be denied for want of a rate; that is
        said here, once.

        Raises:
            VenueError: they could not be read.
        """
        self.left_out.clear()
        try:
            found = await self._listed()
        except Refused:
            self._refused += 1
            self.left_out.clear()  # the venue is not ready as a whole
            raise
        base, account = self._engine.state.rates.base_currency, self._connector.account
        currencies = {one.settlement_currency for one in found}
        if account.kind is AccountKind.MARGIN:
            currencies.add(account.home_currency)
        for currency in sorted(currencies - {base}):
            if self._engine.state.rates.is_same(currency, base):
                continue
            if any({one.base, one.quote} == {currency, base} for one in found):
                continue
            symbol = await self._connector.conversion(currency, base)
            if symbol is None:
                _log.warning("no_conversion", venue=self._venue, currency=currency, into=base)
            else:
                found += await self._one_by_one([symbol])
        return found

    async def again(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Read rules anew; what is not listed any more is left out.

        Raises:
            VenueError: they could not be read.
        """
        symbols = tuple(symbols)
        try:
            return await self._connector.instruments(symbols)
        except Refused:
            return await self._one_by_one(symbols)

    async def _listed(self) -> tuple[Instrument, ...]:
        """Read the rules of all that is traded, and of what is held from before as far as the venue lists it still."""
        try:
            return await self._connector.instruments((*self._symbols, *self._held))
        except Contradicts:
            return await self._each()
        except Unsound:
            found = await self._each()
            if not found:
                raise  # an answer that was garbled from end to end, perhaps
            return found
        except Refused:
            if self._held:
                with suppress(Refused, Unsound):
                    return await self._connector.instruments(self._symbols) + await self._one_by_one(self._held)
            if self._refused < _REFUSALS:
                raise
        return await self._each()

    async def _each(self) -> tuple[Instrument, ...]:
        return await self._traded() + await self._one_by_one(self._held)

    async def _traded(self) -> tuple[Instrument, ...]:
        """Read the rules of what strategies trade one by one, without what has left the venue: the others' stops need prices.

        Raises:
            Refused: one was never listed here, so that it may be misspelt; one was, but it is early to say; or all are.
        """
        found: tuple[Instrument, ...] = ()
        last: Refused | None = None
        for symbol in self._symbols:
            try:
                found += await self._connector.instruments([symbol])
            except (Contradicts, Unsound) as error:
                found += self._as_known(symbol, error)
            except Refused as error:
                known = instrument_id(self._venue, symbol) in self._engine.state.portfolio.instruments
                if not known or self._refused < _REFUSALS:
                    raise
                _log.error("not_listed", venue=self._venue, instrument=symbol, error=str(error))
                self.left_out[symbol] = f"{symbol} is listed no more and not traded, see to it and restart: {error}"
                last = error
        if last is not None and not found:
            raise last
        return found

    async def _one_by_one(self, symbols: Iterable[str]) -> tuple[Instrument, ...]:
        """Read the rules of what is still listed: an instrument that is not must not hide the others.

        One that is listed in several ways, or with rules that cannot be, goes on by the rules that we know of it, so that its
        stops see prices, and takes exits only until a person has looked. One of which we know none is not traded.
        """
        found: tuple[Instrument, ...] = ()
        for symbol in symbols:
            try:
                found += await self._connector.instruments([symbol])
            except (Contradicts, Unsound) as error:
                found += self._as_known(symbol, error)
            except Refused as error:
                _log.warning("not_listed", venue=self._venue, instrument=symbol, error=str(error))
        return found

    def _as_known(self, symbol: str, error: Contradicts | Unsound) -> tuple[Instrument, ...]:
        """Return an instrument by the rules that the engine knows, exits only; nothing where it knows none."""
        instrument, state = instrument_id(self._venue, symbol), self._engine.state
        known = state.portfolio.instruments.get(instrument)
        _log.error(
            "rules_contradict", venue=self._venue, instrument=instrument, known=known is not None, error=str(error)
        )
        if known is None:
            self.left_out[symbol] = f"{symbol} is not traded, see to it and restart: {error}"
            return ()
        scope, why = f"instrument:{instrument}", str(error)
        if scope not in state.latches:
            self._emit(
                HaltOrdered(scope, TradingState.REDUCING, "rules", why, state.halt_generation + 1, self._clock.now_ns())
            )
        return (known,)
