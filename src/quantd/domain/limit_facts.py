"""What the journal holds of limits: changes at run time, and soft limits that were exceeded.

Members of the union `facts.Fact`, in a module of their own for its length. Every fact carries `at_ns`, the engine's time in
nanoseconds UTC.
"""

import msgspec


class LimitsSet(msgspec.Struct, frozen=True, tag=True):
    """Limits of one scope were changed at run time, or a change was refused."""

    scope: str
    limits: str
    """JSON object of the changed limits by name; null where one was taken back to what is configured."""
    loosened: tuple[str, ...]
    """Names of those that bind less than before."""
    by: str
    why: str
    at_ns: int
    refused: str = ""
    """Why nothing was changed, empty where it was."""


class SoftLimitCrossed(msgspec.Struct, frozen=True, tag=True):
    """A share of a hard limit was exceeded, or is no longer: told once each way, it blocks nothing."""

    scope: str
    limit: str
    """Name of the limit in the configuration."""
    instrument: str
    """Where the limit is one for each instrument, else empty."""
    is_over: bool
    soft: str
    hard: str
    observed: str
    at_ns: int
