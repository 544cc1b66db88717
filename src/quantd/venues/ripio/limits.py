"""Ripio's rate limits as data, each marked as documented or assumed.

Used by the composition root to build the account's `RateBudget`.
"""

from quantd.venues.budget import Limit, Window, with_models

SECOND = Limit("second", Window(3, 1.0))
"""Documented: 3.5 requests a second for each user whose documents are approved. How it is counted is not said: three in any
second satisfy a bucket of that rate and a window of any length alike."""

DAY = Limit("day", Window(302_400, 86_400.0))
"""Documented: 302,400 requests a day for each user; in which zone the day begins is not said, so any 24 hours count."""

PUBLIC = Limit("public", Window(1, 1.0), {"server_time": 1}, scope="address")
"""Assumed: public routes have a "reduced" limit without a number. We ask them for the time only."""

LIMITS = (SECOND, DAY, PUBLIC)
"""What holds for a user whose documents are approved."""

_UNAPPROVED = {"second": Window(1, 1.0), "day": Window(86_400, 86_400.0)}
"""Documented: one a second and 86,400 a day until the documents are approved."""


def limits_of(*, documents_approved: bool) -> tuple[Limit, ...]:
    """Return the limits of a user."""
    return LIMITS if documents_approved else with_models(LIMITS, _UNAPPROVED)
