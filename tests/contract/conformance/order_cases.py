"""Cases 10 to 29: every kind of order that a connector declares, and what may become of it."""

import asyncio
from decimal import Decimal

from quantd.domain.capabilities import Support
from quantd.domain.commands import CancelAll
from quantd.domain.orders import OrderKind, OrderState, Side, TimeInForce
from quantd.domain.outcomes import Accepted, Rejected
from tests.contract.conformance.case import Applies, case, native
from tests.contract.conformance.rig import SECOND_NS, Rig, named_by


def in_force(tif: TimeInForce) -> Applies:
    def applies(rig: Rig) -> str:
        support = rig.connector.capabilities.time_in_force.get(tif, Support.REFUSED)
        if support is Support.NATIVE:
            return ""
        return f"{tif.value}: {'the engine does it' if support is Support.EMULATED else 'not offered, refused at load'}"

    return applies


@case("10", "a limit rests: taken, shown as working with its own terms, by any connector of the account")
async def limit_rests(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, outcome = await rig.place(command)
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.WORKING)
    assert report.filled_quantity == 0
    assert rig.truth().working == {venue_order_id}
    other = rig.connect()
    await other.start()
    (shown,) = (await other.snapshot()).orders
    assert (shown.venue_order_id, shown.instrument, shown.state) == (
        venue_order_id, rig.instrument_id, OrderState.WORKING,
    )  # fmt: skip
    assert (shown.side, shown.quantity, shown.price) == (Side.BUY, command.spec.quantity, command.spec.price)


@case("11", "terms that the rules forbid are a definite no, with a bounded code, and nothing is there")
async def bad_terms(rig: Rig) -> None:
    outcome = await rig.connector.submit(rig.submit(quantity=rig.instrument.lot / 3))
    if isinstance(outcome, Accepted):  # some venues take it and cancel it in the same breath
        assert outcome.reports[0].state in (OrderState.REJECTED, OrderState.CANCELLED)
    else:
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code
        assert " " not in outcome.code
    assert not rig.truth().working


@case("12", "what the account cannot pay is a definite no, and nothing is reserved")
async def too_dear(rig: Rig) -> None:
    before = rig.truth()
    command = rig.submit(quantity=rig.huge)
    outcome = await rig.connector.submit(command)
    if not isinstance(outcome, Rejected):
        report = await rig.follow(command, outcome, lambda report: report.state is not OrderState.WORKING)
        assert report.state in (OrderState.REJECTED, OrderState.CANCELLED)
    assert rig.truth() == before


@case("13", "a limit is filled whole when the market comes to it")
async def fills_whole(rig: Rig) -> None:
    command = rig.submit(price=rig.price(-50))
    _, outcome = await rig.place(command)
    rig.move(rig.price(-60), rig.price(-55))
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.FILLED)
    assert report.filled_quantity == command.spec.quantity
    assert not rig.truth().working


@case("14", "a limit is filled in part, and the rest keeps working")
async def fills_in_part(rig: Rig) -> None:
    command = rig.submit(price=rig.price(20), quantity=rig.quantity * 1_000)
    _, outcome = await rig.place(command)
    await asyncio.sleep(0.1)
    rig.move(rig.bid, rig.ask)
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.PARTIALLY_FILLED)
    assert 0 < report.filled_quantity < command.spec.quantity
    assert len(rig.truth().working) == 1, "under its own number or, at some venues, a new one"


@case("15", "a cancel ends the order and says what was filled of it")
async def cancels(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, placed = await rig.place(command)
    outcome = await rig.connector.cancel(rig.cancel(command, venue_order_id))
    assert isinstance(outcome, Accepted), outcome
    last = outcome if outcome.reports else placed
    report = await rig.follow(command, last, lambda report: report.state is OrderState.CANCELLED)
    assert report.filled_quantity == 0
    assert not rig.truth().working


@case("16", "a cancel that comes too late is no refusal: it tells the order's end")
async def cancels_too_late(rig: Rig) -> None:
    command, filled = await rig.fill()
    outcome = await rig.connector.cancel(rig.cancel(command, filled.venue_order_id))
    assert isinstance(outcome, Accepted), outcome
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.FILLED)
    assert report.filled_quantity == command.spec.quantity


@case("17", "a cancel may be repeated")
async def cancels_twice(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, _ = await rig.place(command)
    for _ in range(2):
        outcome = await rig.connector.cancel(rig.cancel(command, venue_order_id))
        assert isinstance(outcome, Accepted), outcome
    assert not rig.truth().working


@case("18", "cancel all ends every order of ours", native("cancel_all", "cancel all"))
async def cancels_all(rig: Rig) -> None:
    for bps in (-200, -210, -220):
        await rig.place(rig.submit(price=rig.price(bps)))
    outcome = await rig.connector.cancel_all(CancelAll(rig.connector.venue))
    assert isinstance(outcome, Accepted), outcome
    await asyncio.sleep(rig.settles_s)
    assert not rig.truth().working


@case("19", "an amendment changes price and quantity, the order keeps its identity", native("amend", "amend"))
async def amends(rig: Rig) -> None:
    command = rig.submit()
    venue_order_id, placed = await rig.place(command)
    quantity, price = command.spec.quantity * 2, rig.price(-150)
    outcome = await rig.connector.amend(rig.amend(command, venue_order_id, quantity=quantity, price=price))
    assert isinstance(outcome, Accepted), outcome
    (shown,) = (await rig.connector.snapshot()).orders
    assert (shown.quantity, shown.price) == (quantity, price)
    assert rig.truth().working == {shown.venue_order_id}
    assert named_by(placed) == venue_order_id


@case("20", "an amendment that comes too late changes nothing and is told", native("amend", "amend"))
async def amends_too_late(rig: Rig) -> None:
    command, filled = await rig.fill()
    change = rig.amend(command, filled.venue_order_id, quantity=rig.quantity * 2, price=rig.price(-150))
    outcome = await rig.connector.amend(change)
    if isinstance(outcome, Accepted):
        assert outcome.reports
        assert outcome.reports[-1].state is OrderState.FILLED
    else:
        assert isinstance(outcome, Rejected), outcome
    assert not rig.truth().working


@case("21", "a market order trades at once", native("market", "market"))
async def market_order(rig: Rig) -> None:
    command = rig.submit(kind=OrderKind.MARKET)
    _, outcome = await rig.place(command)
    await asyncio.sleep(0.1)
    rig.move(rig.bid, rig.ask)
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.FILLED)
    assert report.filled_quantity == command.spec.quantity


@case("22", "a stop waits for its trigger, then trades", native("stop", "stop"))
async def stop_order(rig: Rig) -> None:
    command = rig.submit(kind=OrderKind.STOP, trigger=rig.price(100))
    venue_order_id, outcome = await rig.place(command)
    assert rig.truth().working == {venue_order_id}
    rig.move(rig.price(101), rig.price(103))
    await asyncio.sleep(0.1)
    rig.move(rig.price(101), rig.price(103))
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.FILLED)
    assert report.filled_quantity == command.spec.quantity


@case("23", "a stop limit waits for its trigger, then rests at its price", native("stop_limit", "stop limit"))
async def stop_limit(rig: Rig) -> None:
    command = rig.submit(kind=OrderKind.STOP_LIMIT, trigger=rig.price(100), price=rig.price(102))
    _, outcome = await rig.place(command)
    rig.move(rig.price(110), rig.price(112))
    await asyncio.sleep(rig.settles_s)
    rig.move(rig.price(100), rig.price(101))
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.FILLED)
    assert report.filled_quantity == command.spec.quantity


@case("24", "immediate or cancel: what does not trade at once is gone", in_force(TimeInForce.IOC))
async def immediate_or_cancel(rig: Rig) -> None:
    command = rig.submit(time_in_force=TimeInForce.IOC)
    _, outcome = await rig.place(command)
    await asyncio.sleep(0.1)
    rig.move(rig.bid, rig.ask)
    report = await rig.follow(command, outcome, lambda report: report.state is OrderState.CANCELLED)
    assert report.filled_quantity == 0


@case("25", "fill or kill: all or nothing", in_force(TimeInForce.FOK))
async def fill_or_kill(rig: Rig) -> None:
    command = rig.submit(time_in_force=TimeInForce.FOK, price=rig.price(20), quantity=rig.quantity * 1_000)
    outcome = await rig.connector.submit(command)
    if not isinstance(outcome, Rejected):
        await asyncio.sleep(0.1)
        rig.move(rig.bid, rig.ask)
        report = await rig.follow(command, outcome, lambda report: report.state is OrderState.CANCELLED)
        assert report.filled_quantity == 0
    assert not rig.truth().working


@case("26", "post-only: an order that would take is not placed", native("post_only", "post-only"))
async def post_only(rig: Rig) -> None:
    command = rig.submit(price=rig.price(20), post_only=True)
    outcome = await rig.connector.submit(command)
    if not isinstance(outcome, Rejected):
        report = await rig.follow(command, outcome, lambda report: report.state is not OrderState.WORKING)
        assert report.state in (OrderState.CANCELLED, OrderState.REJECTED)
        assert report.filled_quantity == 0
    assert not rig.truth().working


@case("27", "good till date: it expires by itself", in_force(TimeInForce.GTD))
async def good_till_date(rig: Rig) -> None:
    until_ns = rig.clock.now_ns() + 60 * SECOND_NS
    command = rig.submit(time_in_force=TimeInForce.GTD, expires_at_ns=until_ns)
    _, outcome = await rig.place(command)
    await asyncio.sleep(61)
    rig.move(rig.bid, rig.ask)
    gone = (OrderState.EXPIRED, OrderState.CANCELLED)
    report = await rig.follow(command, outcome, lambda report: report.state in gone)
    assert report.filled_quantity == 0


@case("28", "reduce only: what would open is not done", native("reduce_only", "reduce-only"))
async def reduce_only(rig: Rig) -> None:
    command = rig.submit(price=rig.price(20), reduce_only=True)
    outcome = await rig.connector.submit(command)
    if not isinstance(outcome, Rejected):
        await asyncio.sleep(0.1)
        rig.move(rig.bid, rig.ask)
        report = await rig.follow(command, outcome, lambda report: report.state is not OrderState.WORKING)
        assert report.filled_quantity == 0
    assert not any(rig.truth().held.values())


@case("29", "prices and quantities go out and come back to the last digit")
async def exact_digits(rig: Rig) -> None:
    tick, lot = rig.instrument.tick(rig.bid), rig.instrument.lot
    price = rig.price(-200) + tick
    quantity = rig.quantity + lot
    command = rig.submit(price=price, quantity=quantity)
    await rig.place(command)
    (shown,) = (await rig.connector.snapshot()).orders
    assert (shown.price, shown.quantity) == (price, quantity)
    assert isinstance(shown.price, Decimal)
