"""What the journal holds of strategies themselves: what they saved, how they failed, and what took their place.

Members of the union `facts.Fact`, in a module of their own for its length. Every fact carries `at_ns`, the engine's time in
nanoseconds UTC.
"""

import msgspec


class StrategySaved(msgspec.Struct, frozen=True, gc=False, tag=True):
    """What a strategy's `save()` returned, as msgspec JSON."""

    strategy: str
    version: int
    state: bytes
    at_ns: int


class StrategyFaulted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A strategy raised or overran; it is quarantined until it is resumed."""

    strategy: str
    hook: str
    error: str
    at_ns: int


class StrategyRenewed(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A quarantined strategy was given a fresh object by supervision."""

    strategy: str
    number: int
    """Counted since a person resumed it last, from 1."""
    at_ns: int


class StrategyReloaded(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A person had a strategy begin anew with changed code or parameters."""

    strategy: str
    source_hash: str
    """Of its source file, as in `RunStarted`."""
    config_hash: str
    """Of the configuration that it comes from."""
    what: str
    """What changed, for people."""
    by: str
    at_ns: int
