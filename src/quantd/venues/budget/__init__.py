"""Rate budgets: no request leaves that the venue would refuse, cancels go first, and the full rate is used.

Used by `VenueHttp` and the connectors. `limits` is the data that a venue declares, `models` the arithmetic, `queues`
the lanes, `rate` the budget itself. Never sends anything.
"""

from quantd.venues.budget.limits import Bucket, Lane, Limit, Window, with_models
from quantd.venues.budget.queues import Permit
from quantd.venues.budget.rate import AddressPool, BudgetState, KillAllowance, NoBudget, RateBudget

__all__ = [
    "AddressPool",
    "Bucket",
    "BudgetState",
    "KillAllowance",
    "Lane",
    "Limit",
    "NoBudget",
    "Permit",
    "RateBudget",
    "Window",
    "with_models",
]
