"""What the journal tells the control API: orders, fills and denials by page, and the chain behind an order.

Each question opens a read-only connection of its own, in a thread, and looks at one consistent state of the file; the
writer is never waited for nor held up. Work is bounded: a question that would read too much is refused. Never writes,
and verifies no checksums: that is `quantd journal verify`.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from quantd.control.answers import (
    Denials,
    DenialView,
    Fills,
    FillView,
    OrderChain,
    Orders,
    OrderView,
    Step,
)
from quantd.control.refusal import Refusal
from quantd.control.requests import DenialsQuery, FillsQuery, OrdersQuery
from quantd.control.sentences import sentence
from quantd.domain.facts import Fact, RequestDenied, RunStarted
from quantd.errors import JournalError
from quantd.journal import layout
from quantd.journal.records import Record, RecordCodec

Answer = TypeVar("Answer")

_FEES = tuple[tuple[str, str], ...]
READERS = 2
"""Questions that are answered at once; more wait."""
_STEPS_BETWEEN_LOOKS = 100_000
_LOOKS_MAX = 2_000
"""Bounds the work of one question: steps of SQLite's machine, in looks of the above size (seconds at worst)."""
_ORDER_COLUMNS = (
    "client_order_id, strategy, instrument, side, kind, quantity, price, trigger_price, state, filled_quantity,"
    " operation, venue_order_id, origin, role, parent, why, reason, created_at_ns"
)
_CAUSES = ("TargetSet", "OperatorActionRecorded")
"""What may lead to an order in the moment of its intent, without naming it."""
_DECISIONS = (
    "OrderIntended",
    "RequestDenied",
    "TargetSet",
    "StrategyFaulted",
    "StateSet",
    "FillRecorded",
    "OrderMoved",
)


class Trail:
    """Answers questions from a journal file.

    Args:
        path: The journal.
        codec: Reads its records.
    """

    def __init__(self, path: Path, codec: RecordCodec[Fact]) -> None:
        self._path = path
        self._codec = codec
        self._readers = asyncio.Semaphore(READERS)

    async def orders(self, query: OrdersQuery) -> Orders:
        """Return a page of all orders, newest first.

        Raises:
            Refusal: the cursor is none of ours, or too much would be read.
            JournalError: the journal cannot be read.
        """
        where, values = _filters(query.strategy, query.instrument)
        if query.before:
            at_ns, order_id = _cursor(query.before)
            where, values = [*where, "(created_at_ns, client_order_id) < (?, ?)"], [*values, at_ns, order_id]
        sql = f"SELECT {_ORDER_COLUMNS} FROM orders {_where(where)} ORDER BY created_at_ns DESC, client_order_id DESC"

        def ask(connection: sqlite3.Connection) -> Orders:
            rows = connection.execute(f"{sql} LIMIT ?", (*values, query.limit)).fetchall()
            orders = tuple(OrderView(*row) for row in rows)
            full = len(orders) == query.limit
            return Orders(orders, f"{orders[-1].created_at_ns}:{orders[-1].client_order_id}" if full else "")

        return await self._ask(ask)

    async def fills(self, query: FillsQuery) -> Fills:
        """Return a page of fills, newest first; raises as `orders`."""
        where, values = _filters(query.strategy, query.instrument)
        if query.before:
            at_ns, seq = _cursor(query.before)
            if not seq.isdigit():
                raise Refusal(400, "bad_cursor", "before: take `next` of the page before, as it is")
            where, values = [*where, "(at_ns, seq) < (?, ?)"], [*values, at_ns, int(seq)]
        columns = "client_order_id, fill_id, strategy, instrument, side, quantity, price, quality, liquidity, fees"
        sql = f"SELECT {columns}, at_ns, seq FROM fills {_where(where)} ORDER BY at_ns DESC, seq DESC LIMIT ?"

        def ask(connection: sqlite3.Connection) -> Fills:
            rows = connection.execute(sql, (*values, query.limit)).fetchall()
            fills = tuple(FillView(*(*row[:9], msgspec.json.decode(row[9], type=_FEES), *row[10:])) for row in rows)
            return Fills(fills, f"{fills[-1].at_ns}:{fills[-1].seq}" if len(fills) == query.limit else "")

        return await self._ask(ask)

    async def denials(self, query: DenialsQuery) -> Denials:
        """Return a page of denials, newest first; raises as `orders`."""

        def ask(connection: sqlite3.Connection) -> Denials:
            found: list[DenialView] = []
            for record in _records(connection, kinds=("RequestDenied",), about=query.strategy, before=query.before):
                fact = self._codec.decode(record)
                if isinstance(fact, RequestDenied) and query.strategy in (None, fact.strategy):
                    found.append(denial_view(record.seq, fact))
                if len(found) == query.limit:
                    return Denials(tuple(found), str(found[-1].seq))
            return Denials(tuple(found), archived=_kept_from(connection).seq - 1)

        return await self._ask(ask)

    async def order_chain(self, client_order_id: str, limit: int) -> OrderChain:
        """Return every record that has to do with an order, oldest first, and the run that it began in.

        Records that were moved into the archive are not among them; the answer says so.

        Raises:
            Refusal: there is no such order, or too much would be read.
            JournalError: the journal cannot be read.
        """

        def ask(connection: sqlite3.Connection) -> OrderChain:
            row = connection.execute(
                "SELECT strategy, instrument, created_at_ns FROM orders WHERE client_order_id = ?", (client_order_id,)
            ).fetchone()
            if row is None:
                raise Refusal(404, "unknown_order", f"there is no order {client_order_id}")
            steps: list[Step] = []
            for record in _mentions(connection, client_order_id, _first_at(connection, row[2]), row[2]):
                step = self._step(record)
                if _belongs(step, client_order_id, row[0], row[1]):
                    steps.append(step)
                if len(steps) > limit:
                    break
            run = connection.execute(
                "SELECT run FROM runs WHERE at_ns <= ? ORDER BY seq DESC LIMIT 1", (row[2],)
            ).fetchone()
            told = None if run is None else _plain(msgspec.msgpack.decode(run[0], type=RunStarted))
            kept = _kept_from(connection)
            archived = kept.seq - 1 if row[2] <= kept.at_ns else 0
            return OrderChain(client_order_id, told, tuple(steps[:limit]), len(steps) > limit, archived)

        return await self._ask(ask)

    async def decisions(self, strategy: str, limit: int) -> tuple[Step, ...]:
        """Return a strategy's latest decisions, oldest first, what was denied among them; raises as `orders`."""

        def ask(connection: sqlite3.Connection) -> tuple[Step, ...]:
            found: list[Step] = []
            for record in _records(connection, kinds=_DECISIONS, about=strategy):
                fact = self._codec.decode(record)
                if strategy == getattr(fact, "strategy", None) or f"strategy:{strategy}" == getattr(fact, "scope", ""):
                    found.append(self._step(record))
                if len(found) == limit:
                    break
            return tuple(reversed(found))

        return await self._ask(ask)

    def _step(self, record: Record) -> Step:
        fact = self._codec.decode(record)
        return Step(record.seq, record.at_ns, record.kind, sentence(fact), _plain(fact))

    async def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        async with self._readers:
            return await asyncio.to_thread(self._answer, question)

    def _answer(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        looks = iter(range(_LOOKS_MAX))
        with closing(layout.connect(self._path, read_only=True)) as connection:
            connection.set_progress_handler(lambda: next(looks, None) is None, _STEPS_BETWEEN_LOOKS)
            try:
                connection.execute("BEGIN")  # one state of the file for the whole question
                return question(connection)
            except sqlite3.OperationalError as error:
                if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT:
                    raise Refusal(503, "question_too_large", "the journal is too long for this question") from error
                raise layout.explain(self._path, error) from error
            except sqlite3.Error as error:
                raise layout.explain(self._path, error) from error
            except msgspec.MsgspecError as error:
                raise JournalError(f"{self._path}: a row cannot be read: {error}") from error


class _Kept(NamedTuple):
    """The oldest record that the journal holds: number and UTC nanoseconds; older ones are in the archive."""

    seq: int
    at_ns: int


def _kept_from(connection: sqlite3.Connection) -> _Kept:
    row = connection.execute("SELECT seq, at_ns FROM records ORDER BY seq LIMIT 1").fetchone()
    return _Kept(*row) if row else _Kept(1, 0)


def _plain(fact: Fact) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(fact)
    told.pop("type", None)
    return told


def denial_view(seq: int, fact: RequestDenied) -> DenialView:
    """Return a denial as it is shown."""
    return DenialView(
        seq=seq,
        at_ns=fact.at_ns,
        strategy=fact.strategy,
        instrument=fact.instrument,
        side=fact.side.value,
        quantity=str(fact.quantity),
        code=fact.code,
        control=fact.control,
        scope=fact.scope,
        limit=fact.limit,
        observed=fact.observed,
        why=fact.why,
        client_order_id=fact.client_order_id,
    )


def _records(
    connection: sqlite3.Connection, *, kinds: tuple[str, ...], about: str | None = None, before: int | None = None
) -> Iterator[Record]:
    """Yield records of some kinds, newest first, whose bytes hold `about` somewhere."""
    where, values = [f"kind IN ({', '.join('?' * len(kinds))})"], list[object](kinds)
    if about is not None:
        where, values = [*where, "instr(payload, CAST(? AS BLOB)) > 0"], [*values, about]
    if before is not None:
        where, values = [*where, "seq < ?"], [*values, before]
    for row in connection.execute(f"SELECT * FROM records {_where(where)} ORDER BY seq DESC", values):
        yield Record(*row)


def _mentions(connection: sqlite3.Connection, client_order_id: str, first: int, at_ns: int) -> Iterator[Record]:
    """Yield the records from `first` on that name an order, and those of its first moment that may be its cause."""
    rows = connection.execute(
        "SELECT * FROM records WHERE seq >= ? AND (instr(payload, CAST(? AS BLOB)) > 0"
        " OR (at_ns = ? AND kind IN (?, ?))) ORDER BY seq",
        (first, client_order_id, at_ns, *_CAUSES),
    )
    for row in rows:
        yield Record(*row)


def _belongs(step: Step, client_order_id: str, strategy: str, instrument: str) -> bool:
    """Whether a record is part of an order's chain: it names it, or may be its cause."""
    if step.kind in _CAUSES:
        own = step.fact.get("strategy", strategy), step.fact.get("instrument", instrument)
        return own == (strategy, instrument)
    return _names(step.fact, client_order_id)


def _names(value: Any, client_order_id: str) -> bool:
    """Whether an id stands somewhere in plain data, as it is: one id may be the beginning of another."""
    if isinstance(value, dict):
        return any(_names(item, client_order_id) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_names(item, client_order_id) for item in value)
    return bool(value == client_order_id)


def _first_at(connection: sqlite3.Connection, at_ns: int) -> int:
    """Return the number of the first record at or after a time; times never decrease, so halving finds it."""
    low, high = _kept_from(connection).seq, connection.execute("SELECT seq FROM head").fetchone()[0]
    while low < high:
        middle = (low + high) // 2
        (found,) = connection.execute("SELECT at_ns FROM records WHERE seq = ?", (middle,)).fetchone()
        low, high = (middle + 1, high) if found < at_ns else (low, middle)
    return int(low)


def _filters(strategy: str | None, instrument: str | None) -> tuple[list[str], list[object]]:
    wanted = {"strategy": strategy, "instrument": instrument}
    given = {name: value for name, value in wanted.items() if value is not None}
    return [f"{name} = ?" for name in given], list(given.values())


def _where(conditions: list[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""


def _cursor(text: str) -> tuple[int, str]:
    at_ns, colon, rest = text.partition(":")
    if not colon or not rest or not at_ns.isdigit() or len(at_ns) > 19 or int(at_ns) > 2**63 - 1:
        raise Refusal(400, "bad_cursor", "before: take `next` of the page before, as it is")
    return int(at_ns), rest
