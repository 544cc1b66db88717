"""Cases 30 to 39: fills with their fees, balances, lots, cash flows, pages, foreign orders."""

import asyncio
from decimal import Decimal

from quantd.domain.capabilities import LotWrite
from quantd.domain.commands import CloseLot, SetProtection
from quantd.domain.lots import LotProtection
from quantd.domain.orders import ClientOrderId, OrderState, Side
from quantd.domain.outcomes import Accepted
from tests.contract.conformance.case import Applies, case
from tests.contract.conformance.rig import SECOND_NS, Rig


def lot_write(write: LotWrite) -> Applies:
    return lambda rig: (
        "" if write in rig.connector.capabilities.lot_writes else "holdings have no lots that could be written to"
    )


@case("30", "fills: ids that differ, quantities that add up, prices within the order's limit")
async def fills_add_up(rig: Rig) -> None:
    command, report = await rig.fill()
    assert report.filled_quantity == command.spec.quantity
    assert len({fill.id for fill in report.fills}) == len(report.fills)
    assert sum((fill.quantity for fill in report.fills), Decimal(0)) in (0, report.filled_quantity)
    limit = command.spec.price
    assert limit is not None
    assert all(0 < fill.price <= limit for fill in report.fills)
    assert report.average_price is None or 0 < report.average_price <= limit


@case("31", "balances after trades, fees included, are the venue's to the last digit")
async def balances_agree(rig: Rig) -> None:
    await rig.fill()
    await rig.fill(side=Side.SELL)
    await rig.fill()
    await asyncio.sleep(rig.settles_s)
    truth = {asset: total for asset, total in rig.truth().totals.items() if total}
    assert await rig.totals() == truth


@case("32", "what is held is the venue's to the last digit", lambda rig: _margin(rig))
async def lots_agree(rig: Rig) -> None:
    await rig.fill()
    snapshot = await rig.connector.snapshot()
    assert snapshot.lots_complete
    held: dict[str, Decimal] = {}
    for lot in snapshot.lots:
        held[lot.instrument] = held.get(lot.instrument, Decimal(0)) + lot.signed
        assert lot.venue_id
        assert lot.open_price > 0
    assert held == {key: value for key, value in rig.truth().held.items() if value}


def _margin(rig: Rig) -> str:
    return "" if rig.connector.capabilities.lot_writes else "a spot account: holdings are balances"


def _close(rig: Rig, lot: str, quantity: Decimal | None) -> CloseLot:
    deadline_at_ns = rig.clock.now_ns() + 2 * SECOND_NS
    return CloseLot(ClientOrderId("qcf-1-close"), 1, rig.instrument_id, lot, quantity, deadline_at_ns, 0)


@case("33", "a lot is closed in part", lot_write(LotWrite.CLOSE_PART))
async def closes_in_part(rig: Rig) -> None:
    await rig.fill(quantity=rig.quantity * 2)
    (lot,) = (await rig.connector.snapshot()).lots
    outcome = await rig.connector.close_lot(_close(rig, lot.venue_id, rig.quantity))
    assert isinstance(outcome, Accepted), outcome
    rig.move(rig.bid, rig.ask)
    await asyncio.sleep(rig.settles_s)
    (left,) = (await rig.connector.snapshot()).lots
    assert left.quantity == rig.quantity


@case("34", "a lot is closed whole", lot_write(LotWrite.CLOSE_WHOLE))
async def closes_whole(rig: Rig) -> None:
    await rig.fill()
    (lot,) = (await rig.connector.snapshot()).lots
    outcome = await rig.connector.close_lot(_close(rig, lot.venue_id, None))
    assert isinstance(outcome, Accepted), outcome
    rig.move(rig.bid, rig.ask)
    await asyncio.sleep(rig.settles_s)
    assert not (await rig.connector.snapshot()).lots
    assert not any(rig.truth().held.values())


@case("35", "stop and target of a lot: set, changed, removed", lot_write(LotWrite.PROTECT))
async def protects(rig: Rig) -> None:
    await rig.fill()
    (lot,) = (await rig.connector.snapshot()).lots
    wishes = (
        LotProtection(stop=rig.price(-300)),
        LotProtection(stop=rig.price(-250), take=rig.price(300)),
        LotProtection(take=rig.price(310)),
        LotProtection(),
    )
    for operation, wish in enumerate(wishes, 1):
        command = SetProtection(ClientOrderId("qcf-1-guard"), operation, rig.instrument_id, lot.venue_id, wish)
        outcome = await rig.connector.set_protection(command)
        assert isinstance(outcome, Accepted), outcome
        (shown,) = (await rig.connector.snapshot()).lots
        assert shown.protection == wish


@case("36", "an exit that the venue executes by itself names its lot", lot_write(LotWrite.PROTECT))
async def venue_exits(rig: Rig) -> None:
    await rig.fill()
    (lot,) = (await rig.connector.snapshot()).lots
    wish = LotProtection(stop=rig.price(-100))
    await rig.connector.set_protection(
        SetProtection(ClientOrderId("qcf-1-guard"), 1, rig.instrument_id, lot.venue_id, wish)
    )
    exits = [report for report in (await rig.connector.snapshot()).orders if report.lot]
    assert all(report.lot == lot.venue_id for report in exits)
    rig.move(rig.price(-120), rig.price(-118))
    await asyncio.sleep(rig.settles_s)
    assert not (await rig.connector.snapshot()).lots
    assert not any(rig.truth().held.values())


@case("37", "a deposit shows in the balances")
async def deposit_shows(rig: Rig) -> None:
    before = await rig.totals()
    asset = rig.deposit(Decimal("12.34"))
    await asyncio.sleep(rig.settles_s)
    after = await rig.totals()
    assert after[asset] - before.get(asset, Decimal(0)) == Decimal("12.34")


@case("38", "every page of the open orders is read, and no order twice")
async def reads_every_page(rig: Rig) -> None:
    for number in range(_PAGES):
        await rig.foreign_order(rig.price(-300 - number), rig.quantity)
    await asyncio.sleep(rig.settles_s)
    ids = await rig.open_ids()
    assert len(ids) == len(set(ids)) == _PAGES
    assert set(ids) == rig.truth().working


_PAGES = 120
"""More than one page anywhere; a page has 50 to 100."""


@case("39", "orders that are not ours are shown, and none of them under an id of ours")
async def shows_foreign_orders(rig: Rig) -> None:
    mine, _ = await rig.place(rig.submit())
    await rig.foreign_order(rig.price(-250), rig.quantity)
    orders = (await rig.connector.snapshot()).orders
    assert len(orders) == 2
    (foreign,) = [report for report in orders if report.venue_order_id != mine]
    assert foreign.state is OrderState.WORKING
    assert (foreign.side, foreign.quantity, foreign.price) == (Side.BUY, rig.quantity, rig.price(-250))
    assert foreign.client_order_id is None or not foreign.client_order_id.startswith("qcf-")
