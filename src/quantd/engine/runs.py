"""Control 35: one version everywhere. What the run before this one was made of, held against this one.

Used at the start, after the fold and before anything is sent. Changes nothing.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from quantd.domain.facts import RunStarted
from quantd.engine.state import State
from quantd.errors import JournalError


def version_key(version: str) -> tuple[int, ...]:
    """Return a version as numbers that compare: ``1.10.0`` is newer than ``1.9.2``; a suffix counts for nothing."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    parts = [int(part) for part in numbers[0].split(".")] if numbers is not None else []
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def check_run(before: RunStarted | None, now: RunStarted) -> Iterator[str]:
    """Yield what is different since the run before, a sentence each, for people to read.

    Args:
        before: The last run that the journal knows; None for a new journal.
        now: The run that is about to begin.

    Raises:
        JournalError: when a newer quantd wrote the journal, or it is not the journal that it says it is.
    """
    if before is None:
        return
    if version_key(before.version) > version_key(now.version):
        raise JournalError(
            f"the journal was written by quantd {before.version}, which is newer than this {now.version}"
        )
    if before.journal_id != now.journal_id:
        raise JournalError(f"the last run was of journal {before.journal_id}, this is {now.journal_id}")
    if before.epoch > now.epoch:
        raise JournalError(
            f"the last run was of epoch {before.epoch}, this is {now.epoch}: a backup comes back by journal restore"
        )
    if before.version != now.version:
        yield f"quantd was {before.version} and is {now.version}"
    if before.config_hash != now.config_hash:
        yield f"the configuration was {before.config_hash[:12]} and is {now.config_hash[:12]}"
    if before.base_currency not in ("", now.base_currency):
        yield (
            f"the base currency was {before.base_currency} and is {now.base_currency}: losses count from now on, and limits"
            " that were set at run time are still the numbers that they were"
        )
    yield from _sources(before.strategy_sources, now.strategy_sources)


def left_behind(state: State, venues: Collection[str], strategies: Collection[str]) -> Mapping[str, Sequence[str]]:
    """Return what orders and holdings stand at other venues and of other strategies than these, by scope.

    Nothing can be sent to such a venue any more, and nobody looks after what such a strategy holds.
    """
    left: dict[str, list[str]] = {}
    known = {f"venue:{one}" for one in venues} | {f"strategy:{one}" for one in strategies} | {"strategy:"}
    standing = [(one.instrument, one.strategy, f"order {one.client_order_id}") for one in state.orders.open_orders()]
    standing += [
        (book.instrument.id, book.strategy, f"{book.quantity} {book.instrument.id}")
        for book in state.portfolio.books()
        if book.quantity
    ]
    for instrument, strategy, what in standing:
        for scope in {f"venue:{instrument.partition(':')[0]}", f"strategy:{strategy}"} - known:
            left.setdefault(scope, []).append(what)
    return left


def _sources(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for strategy in sorted(before.keys() | now.keys()):
        if strategy not in now:
            yield f"strategy {strategy} ran last time and is no longer configured"
        elif strategy not in before:
            yield f"strategy {strategy} is new"
        elif before[strategy] != now[strategy]:
            yield f"the source of strategy {strategy} was {before[strategy][:12]} and is {now[strategy][:12]}"
