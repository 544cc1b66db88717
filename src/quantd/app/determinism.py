"""The second half of `quantd check`: does a strategy that sees the same things do the same things?

Runs all strategies twice on the same made-up market, in two processes under two hash seeds and two wall clocks, and
compares what they cause record by record, byte for byte. Trades nowhere.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from quantd.app.rehearsal import Listing, Part, Rehearsal, Told
from quantd.app.rehearsing import PATIENCE, Patience, rehearsed
from quantd.app.strategies import Prepared
from quantd.config import ConfigProblems, Settings
from quantd.domain.cash import Account, AccountKind
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.numbers import ZERO
from quantd.venues.paper.rules import instruments_of
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.parts import VenueParts

HASH_SEEDS = ("1", "4242")
LATER_BY_S = (0.0, 8_665_627.5)
"""How far the wall clock of each run is ahead: 100 days, 7 hours and some, so that hour, weekday and month differ."""
_PRICE, _TICK, _LOT, _MARGIN_RATE = 100.0, Decimal("0.01"), Decimal("0.00001"), Decimal("0.05")
_SHOWN = 80


class Difference(NamedTuple):
    """Where the two runs of a strategy part."""

    number: int
    """Of the record, from 1."""
    what: str
    """Kind, time, field and both values."""


def check_determinism(
    settings: Settings,
    strategies: Sequence[Prepared],
    venues: dict[str, VenueParts],
    *,
    say: Callable[[str], None],
    patience: Patience = PATIENCE,
) -> Iterator[str]:
    """Rehearse every strategy twice.

    Args:
        settings: The configuration.
        strategies: Those that run.
        venues: What they trade at.
        say: Told how far it is, from time to time.
        patience: With the replays.

    Yields:
        Warnings: a strategy that raised, could not be rehearsed, or has a hook that would be cut short.

    Raises:
        ConfigProblems: naming each strategy whose runs differ, with the first record that does.
    """
    if not strategies:
        return
    plans = [_plan(settings, strategies, venues, later_by_s) for later_by_s in LATER_BY_S]
    first, second = rehearsed(plans, HASH_SEEDS, say=say, patience=patience)
    problems = []
    deadlines = {one.setup.id: one.settings.callback_deadline_s for one in strategies}
    for one, again in zip(first, second, strict=True):
        if one.failure or again.failure:
            yield f"strategy {one.id} could not be replayed to the end: {one.failure or again.failure}"
        elif one.fault and again.fault:
            yield f"strategy {one.id} raised on synthetic data: {one.fault}"
        yield from _slow(one, again, deadlines[one.id])
        found = difference(one, again)
        if found is not None:
            problems.append(
                settings.problem(
                    ("strategies", one.id, "use"),
                    found=f"two replays of the same data that differ at record {found.number}: {found.what}",
                    expected="the same orders each time: no clock but self.now, no chance but self.random, "
                    "nothing that depends on the order of a set",
                )
            )
    if problems:
        raise ConfigProblems(problems)


def _slow(one: Told, again: Told, deadline_s: float) -> Iterator[str]:
    """Yield a warning where both runs, beside which other things may have run, met a hook above its deadline."""
    hook, took_s = min(one.longest, again.longest, key=lambda longest: longest[1])
    if took_s > deadline_s:
        yield (
            f"strategy {one.id}: {hook} took {took_s:.2f} s on synthetic data; live it is cut short after {deadline_s:g} s "
            "(callback_deadline_s), and the strategy stopped: slow work goes to self.job"
        )


def difference(one: Told, again: Told) -> Difference | None:
    """Return where two runs part; None where they are the same to the last byte."""
    for number, (ours, theirs) in enumerate(zip(one.records, again.records, strict=False), start=1):
        if ours != theirs:
            return Difference(number, _describe(ours, theirs))
    shorter, longer = sorted((one.records, again.records), key=len)
    if len(shorter) == len(longer):
        return None
    kind, at_ns, _ = longer[len(shorter)]
    return Difference(len(shorter) + 1, f"{kind} at {_time(at_ns)} in one run, nothing more in the other")


def _describe(ours: tuple[str, int, bytes], theirs: tuple[str, int, bytes]) -> str:
    kind, at_ns, payload = ours
    if (kind, at_ns) != theirs[:2]:
        return f"{kind} at {_time(at_ns)} in one run, {theirs[0]} at {_time(theirs[1])} in the other"
    path, one, other = _parted(msgspec.msgpack.decode(payload), msgspec.msgpack.decode(theirs[2]))
    return f"{kind} at {_time(at_ns)}, {path or 'content'} {_text(one)} in one run, {_text(other)} in the other"


def _parted(one: Any, other: Any, path: str = "") -> tuple[str, Any, Any]:
    """Return the first place in which two decoded payloads differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for key, value in one.items():
            if value != other[key]:
                return _parted(value, other[key], f"{path}.{key}".lstrip("."))
    return path, one, other


def _text(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


# -- what is rehearsed -----------------------------------------------------------------------------------------------------


def _plan(
    settings: Settings, strategies: Sequence[Prepared], venues: dict[str, VenueParts], later_by_s: float
) -> Rehearsal:
    accounts = {name: (part.connector.account, part.connector.capabilities) for name, part in venues.items()}
    parts = tuple(
        Part(
            one.settings,
            one.setup,
            tuple(_listing(settings, each, accounts[each.partition(":")[0]][0]) for each in one.setup.instruments),
        )
        for one in strategies
    )
    return Rehearsal(tuple(sys.path), settings.strategies_dir, parts, accounts, later_by_s)


def _listing(settings: Settings, instrument: InstrumentId, account: Account) -> Listing:
    """Return an instrument as its venue's settings describe it, else a plain one."""
    venue, _, symbol = instrument.partition(":")
    section = settings.venues[venue]
    if isinstance(section, PaperSettings):
        known = instruments_of(venue, section).get(symbol)
        if known is not None:
            made = section.data.synthetic.instruments if section.data.synthetic is not None else ()
            return Listing(known, next((float(one.price) for one in made if one.symbol == symbol), _PRICE))
    base, _, quote = symbol.replace("_", "-").replace("/", "-").partition("-")
    rules = Instrument(
        instrument,
        base=base,
        quote=quote or settings.risk.base_currency,
        ticks=(TickTier(ZERO, _TICK),),
        lot=_LOT,
        margin_rate=_MARGIN_RATE if account.kind is AccountKind.MARGIN else None,
    )
    return Listing(rules, _PRICE)
