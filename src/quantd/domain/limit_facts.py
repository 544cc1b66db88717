"""What the journal holds of limits: changes at run time, soft limits that were exceeded, what losses are counted by.

Members of the union `facts.Fact`, in a module of their own for its length. Every fact carries `at_ns`, the engine's time in
nanoseconds UTC.
"""

from decimal import Decimal

import msgspec

from quantd.domain.instruments import InstrumentId


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


class DayProfitsRecorded(msgspec.Struct, frozen=True, tag=True):
    """From where a scope's losses of the day count, where that was not known when the day began. See `DayStarted`."""

    day: str
    profits: dict[str, Decimal]
    """By scope, in the base currency."""
    at_ns: int


class MarksRecorded(msgspec.Struct, frozen=True, tag=True):
    """The last good prices of all that is held, and of what converts its currencies; those before count no more."""

    prices: dict[InstrumentId, Decimal]
    at_ns: int
