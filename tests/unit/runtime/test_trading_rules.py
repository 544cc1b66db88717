"""Rules that a venue lists in several ways: what is known goes on for exits, what is not is left out, the rest is traded."""

import asyncio
import contextlib
from decimal import Decimal

import msgspec
import pytest

from quantd.clock import LoopClock
from quantd.domain.events import InstrumentListed, TradingState
from quantd.domain.instruments import InstrumentId
from quantd.errors import Contradicts, Refused
from quantd.runtime.vouched import Vouched
from quantd.testing.builders import BTC, make_instrument
from quantd.testing.loop import run_virtual
from tests.unit.runtime.watched_account import Desk


def test_what_the_venue_lists_in_several_ways_keeps_no_other_instrument_from_being_traded() -> None:
    """One that was never traded is left out; what a strategy misspells keeps the venue down as ever."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock, symbols=("BTC-USD", "ODD-USD"))
        rules = (make_instrument(BTC),)
        odd = Contradicts("paper", "instruments", "ODD-USD is listed more than once, with lot 1 and 2")
        desk.connector.relisted = [odd, rules, odd]
        async with asyncio.timeout(10):
            await desk.follower.bring_up()
        assert desk.follower.is_ready
        assert [one.symbol for one in desk.follower.instruments] == ["BTC-USD"]
        assert not desk.rig.state.latches
        (why,) = desk.follower.left_out
        assert why == f"ODD-USD is not traded, see to it and restart: {odd}"
        other = Desk(clock, symbols=("ODD-USD", "GONE-USD"))
        gone = Refused("paper", "instruments", "not_found", "GONE-USD is not listed")
        other.connector.relisted = [odd, odd, gone] * 20
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await other.follower.bring_up()
        assert not other.follower.is_ready
        assert "GONE-USD" in other.follower.reason

    run_virtual(scene)


def test_rules_that_contradict_leave_those_that_are_known_to_exits() -> None:
    """A restart, and a look while it runs: its stops see prices, a person decides about entries."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        odd = Contradicts("paper", "instruments", "BTC-USD is listed more than once, with lot 1 and 2")
        desk.connector.relisted = [odd, odd]
        async with asyncio.timeout(10):
            await desk.follower.bring_up()
        assert desk.follower.is_ready
        assert [one.id for one in desk.follower.instruments] == [BTC]
        (scope,) = desk.rig.state.latches
        latched = desk.rig.state.latches[scope]
        assert (scope, latched.state, latched.by) == (f"instrument:{BTC}", TradingState.REDUCING, "rules")
        assert "with lot 1 and 2" in latched.why
        running = Desk(clock)
        await running.follower.bring_up()
        running.connector.relisted = [odd, odd]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1_000):
                await running.follower.follow_rules()
        assert [one.id for one in running.follower.instruments] == [BTC]
        assert running.rig.state.latches[f"instrument:{BTC}"].state is TradingState.REDUCING

    run_virtual(scene)


@pytest.mark.parametrize("kind", [Contradicts, Refused])
def test_what_converts_a_currency_and_cannot_be_read_keeps_nothing_from_being_watched(kind: type[Refused]) -> None:
    """Without a rate nothing is opened; with the venue down, no stop would see a price."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        desk.connector.converts = "EUR-USD"
        odd = Contradicts("paper", "instruments", "EUR-USD is listed more than once, with lot 1 and 2")
        gone = Refused("paper", "instruments", "not_found", "EUR-USD is not listed")
        desk.connector.relisted = [(make_instrument(BTC),), odd if kind is Contradicts else gone] * 20
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await desk.follower.bring_up()
        assert desk.follower.is_ready, desk.follower.reason
        assert [one.id for one in desk.follower.instruments] == [BTC]
        assert bool(desk.follower.left_out) == (kind is Contradicts)

    run_virtual(scene)


def test_rules_that_cannot_be_keep_no_other_instrument_from_being_watched() -> None:
    """A start with positions: of the one what is known goes on for exits, and the other's stops see prices."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock, symbols=("BTC-USD", "ETH-USD", "NEW-USD"))
        eth = make_instrument("paper:ETH-USD")
        desk.rig.handle(InstrumentListed(eth, desk.rig.now_ns))
        rules, odd = make_instrument(BTC), msgspec.structs.replace(eth, max_quantity=Decimal(0))
        new = make_instrument("paper:NEW-USD", lot=Decimal(0))
        desk.connector.lists = {one.symbol: one for one in (rules, odd, new)}
        desk.follower = desk.follow(Vouched(desk.connector))
        async with asyncio.timeout(10):
            await desk.follower.bring_up()
        assert [one.id for one in desk.follower.instruments] == [BTC, eth.id]
        assert {one.scope: one.state for one in desk.rig.state.latches.values()} == {
            f"instrument:{eth.id}": TradingState.REDUCING
        }
        assert desk.rig.state.portfolio.instruments[eth.id].max_quantity is None
        (why,) = desk.follower.left_out
        assert "NEW-USD is not traded" in why

    run_virtual(scene)


def test_rules_that_cannot_be_are_asked_for_again_where_there_are_no_others() -> None:
    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock, symbols=("NEW-USD",))
        new = make_instrument("paper:NEW-USD")
        odd = msgspec.structs.replace(new, lot=Decimal(0))
        desk.connector.relisted = [(odd,), (odd,), (new,)]
        desk.follower = desk.follow(Vouched(desk.connector))
        async with asyncio.timeout(30):
            await desk.follower.bring_up()
        assert [one.id for one in desk.follower.instruments] == [new.id]
        assert not desk.follower.left_out

    run_virtual(scene)


def test_what_a_venue_lists_no_more_keeps_its_other_instruments_from_nothing() -> None:
    """A restart after a delisting: without prices the other strategies' stops would see nothing.

    Method: of two instruments that were traded here before the venue lists one, at once or, after a start of its own, late.
    """
    gone = Refused("paper", "instruments", "unknown", "ETH-USD is not listed")
    rules = (make_instrument(BTC),)
    told = "ETH-USD is listed no more and not traded, see to it and restart: paper: instruments: unknown: ETH-USD is not listed"

    def desk_of(clock: LoopClock, symbols: tuple[str, ...], *, held: tuple[str, ...] = ()) -> Desk:
        desk = Desk(clock, symbols=symbols, held=held)
        desk.rig.handle(InstrumentListed(make_instrument(InstrumentId("paper:ETH-USD")), desk.rig.now_ns))
        return desk

    async def scene(clock: LoopClock) -> None:
        for held in ((), ("OLD-USD",)):
            desk = desk_of(clock, ("BTC-USD", "ETH-USD"), held=held)
            looks = [gone] * (1 + len(held)) * 4
            desk.connector.relisted = [*looks, *[gone] * (1 + len(held)), rules, gone, *[gone] * len(held)]
            async with asyncio.timeout(60):
                await desk.follower.bring_up()
            assert [one.symbol for one in desk.follower.instruments] == ["BTC-USD"]
            assert desk.follower.left_out == (told,)
            assert not desk.connector.relisted
        late = desk_of(clock, ("BTC-USD", "ETH-USD"))
        both = (*rules, make_instrument(InstrumentId("paper:ETH-USD")))
        late.connector.relisted = [gone, gone, gone, both]
        async with asyncio.timeout(60):
            await late.follower.bring_up()
        assert [one.symbol for one in late.follower.instruments] == ["BTC-USD", "ETH-USD"]
        assert not late.follower.left_out

    run_virtual(scene)


def test_a_venue_that_lists_nothing_of_what_is_traded_is_not_ready() -> None:
    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        desk.connector.relisted = [Refused("paper", "instruments", "unknown", "BTC-USD is not listed")] * 100
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(300):
                await desk.follower.bring_up()
        assert not desk.follower.is_ready
        assert "BTC-USD is not listed" in desk.follower.reason
        assert not desk.follower.left_out

    run_virtual(scene)
