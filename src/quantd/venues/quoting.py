"""Quotes of venues that tell one market's at a time: one market must not blind an account to all of them.

Used by the venues' readers of markets.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from quantd.domain.instruments import Instrument
from quantd.domain.market import Quote
from quantd.errors import Refused, Unreadable
from quantd.venues.alerts import Alerts

QUOTE_UNREADABLE: Final = "quote_unreadable"
"""The kind of alert."""


async def each_quote(
    instruments: Sequence[Instrument], read: Callable[[Instrument], Awaitable[Quote | None]], alerts: Alerts
) -> tuple[Quote, ...]:
    """Return the quote of each instrument; one that has none, as `read` says by None, is left out.

    So is one whose quote the venue refuses, or that makes no sense, while others have theirs: it is alerted, and its prices
    become stale.

    Raises:
        VenueError: the venue does not answer, or no quote could be read.
    """
    found: list[Quote] = []
    failure: Refused | Unreadable | None = None
    for instrument in instruments:
        try:
            quote = await read(instrument)
        except (Refused, Unreadable) as error:
            alerts.note(QUOTE_UNREADABLE, instrument.symbol, error=str(error))
            failure = error
            continue
        if quote is not None:
            found.append(quote)
    if failure is not None and not found:
        raise failure
    return tuple(found)
