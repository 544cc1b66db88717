"""Rate budgets from the server's own table; ours are only for what it lists none for.

Which type counts for which route follows the names in the official client's documentation (dossier, section 3). Until
the table is read, `BEFORE_CONFIG` and `UNTIL_TOLD` hold.
"""

from collections.abc import Iterable

from quantd.errors import Refused
from quantd.venues.budget import Limit, Window
from quantd.venues.tradelocker.columns import RateLimitWire

OPERATIONS = {
    "GET_ACCOUNTS": "accounts",
    "GET_EXECUTIONS": "executions",
    "GET_INSTRUMENTS": "instruments",
    "GET_ORDERS": "orders",
    "GET_ORDERS_HISTORY": "orders_history",
    "GET_POSITIONS": "positions",
    "GET_ACCOUNTS_STATE": "state",
    "GET_INSTRUMENT_DETAILS": "instrument",
    "GET_TRADE_SESSIONS": "session",
    "GET_SESSION_STATUSES": "session_status",
    "PLACE_ORDER": "place_order",
    "MODIFY_ORDER": "modify_order",
    "MODIFY_POSITION": "modify_position",
    "DAILY_BAR": "daily_bar",
    "QUOTES": "quotes",
    "DEPTH": "depth",
    "QUOTES_HISTORY": "history",
}
"""Our operation by the server's type of limit."""

UNLISTED = ("cancel_order", "cancel_orders", "close_position", "close_positions")
BEFORE_CONFIG = (
    Limit("sessions", Window(5, 60.0), {"log_in": 1, "refresh": 1}),
    Limit("reads_at_start", Window(2, 1.0), {"all_accounts": 1, "config": 1}),
    Limit("deletes", Window(5, 1.0), dict.fromkeys(UNLISTED, 1)),
)
"""Assumed, for the server lists none: deletes as its other writes, log-in rarely."""
UNTIL_TOLD = tuple(Limit(kind.lower(), Window(1, 1.0), {operation: 1}) for kind, operation in OPERATIONS.items())
"""Assumed until the table is read: after a restart, writes of unknown outcome are asked after before that."""
_SECONDS = {"SECONDS": 1.0, "MINUTES": 60.0}


def told(venue: str, table: Iterable[RateLimitWire], ours: tuple[Limit, ...] = BEFORE_CONFIG) -> tuple[Limit, ...]:
    """Return the budgets of a server's table, behind `ours`; types of no route of ours are left out.

    Raises:
        Refused: a measure is none that we know, for a guess would end in refusals; names it.
    """
    found = {limit.name: limit for limit in ours}
    for one in table:
        operation = OPERATIONS.get(one.rate_limit_type)
        if operation is None:
            continue
        seconds = _SECONDS.get(one.measure)
        if seconds is None or one.limit < 1 or one.interval_num < 1:
            words = f"rate limit {one.rate_limit_type}: {one.limit} in {one.interval_num} {one.measure}"
            raise Refused(venue, "config", "rate_limit_unreadable", f"{words}; expected SECONDS or MINUTES")
        window = Window(one.limit, one.interval_num * seconds)
        name = one.rate_limit_type.lower()
        if name in found:  # two spans of one type: both hold
            name = f"{name}_{one.interval_num}_{one.measure.lower()}"
        found[name] = Limit(name, window, {operation: 1})
    return tuple(found.values())
