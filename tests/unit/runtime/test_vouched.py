"""A connector whose answers cannot be: reads fail, writes are unknown, news is held back."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from quantd.domain.cash import CashFlow, CashFlowKind
from quantd.domain.commands import Cancel
from quantd.domain.events import CashMoved, Event, TimePassed
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OrderState
from quantd.domain.outcomes import Accepted, Found, NotFound, Rejected, StillUnknown, Unknown
from quantd.domain.reports import OrderReport
from quantd.errors import Unavailable
from quantd.runtime.vouched import UNSOUND, Vouched, sound_only
from quantd.testing.builders import BTC, make_account, make_instrument, make_snapshot

D = Decimal
GOOD = OrderReport(BTC, "v1", OrderState.WORKING, D(0), 5)
BAD = OrderReport(BTC, "v1", OrderState.WORKING, D(-1), 5)
CANCEL = Cancel(ClientOrderId("q1"), 1, InstrumentId(BTC), "v1")
GOOD_SNAPSHOT = make_snapshot({"USD": 1}, at_ns=1)
BAD_SNAPSHOT = make_snapshot({"USD": D("NaN")}, at_ns=1)
GOOD_FLOW = CashFlow("paper", "f", CashFlowKind.FEE, "USD", D(1), 1)
BAD_FLOW = msgspec.structs.replace(GOOD_FLOW, amount=D("1E+999999"))


class Says:
    """A connector that answers everything with the same."""

    venue = "paper"
    account = make_account()

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __getattr__(self, name: str) -> Any:
        async def method(*_: Any) -> Any:
            return self.answer

        return method


def vouched(answer: Any) -> Vouched:
    says: Any = Says(answer)
    return Vouched(says)


async def test_what_is_sound_is_handed_on_as_it_is() -> None:
    rules = make_instrument()
    assert await vouched((rules,)).instruments([]) == (rules,)
    assert await vouched((GOOD,)).order_reports([]) == (GOOD,)
    assert await vouched(GOOD_SNAPSHOT).snapshot() is GOOD_SNAPSHOT
    assert await vouched(Accepted((GOOD,))).cancel(CANCEL) == Accepted((GOOD,))
    assert await vouched(Rejected("no")).cancel(CANCEL) == Rejected("no")
    assert await vouched(Found(GOOD)).resolve(CANCEL, 1) == Found(GOOD)
    assert await vouched(NotFound()).resolve(CANCEL, 1) == NotFound()
    assert vouched(None).account == make_account()


async def test_a_read_of_what_cannot_be_fails_and_says_what_it_is() -> None:
    with pytest.raises(Unavailable, match="instruments: the answer cannot be: paper:BTC-USD: lot: expected above 0"):
        await vouched((make_instrument(lot=D(0)),)).instruments([])
    with pytest.raises(Unavailable, match="filled_quantity: expected at least 0, found -1"):
        await vouched((GOOD, BAD)).order_reports([])
    with pytest.raises(Unavailable, match="balance of USD: total: no number to reckon with"):
        await vouched(BAD_SNAPSHOT).snapshot()


async def test_the_answer_to_a_write_that_cannot_be_leaves_it_unknown() -> None:
    says, command = vouched(Accepted((GOOD, BAD))), Any
    writes = (says.submit, says.amend, says.cancel, says.cancel_all, says.close_lot, says.set_protection)
    for write in writes:
        told: Any = write
        assert await told(command) == Unknown(UNSOUND)
    assert await vouched(Found(BAD)).resolve(CANCEL, 1) == StillUnknown(UNSOUND)


def test_news_that_cannot_be_is_held_back_and_all_else_passes() -> None:
    events: list[Event] = []
    emit = sound_only(events.append)
    good: list[Event] = [GOOD, GOOD_SNAPSHOT, CashMoved(GOOD_FLOW, 1), TimePassed(1)]
    for event in (*good, BAD, BAD_SNAPSHOT, CashMoved(BAD_FLOW, 1)):
        emit(event)
    assert events == good
