"""The dead-man's switch behind a real listener: signs of life hold it off, silence lets everything only reduce."""

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quantd.cli import app
from quantd.control.dead_man import DeadMan
from quantd.domain.commands import Cancel
from quantd.domain.events import TradingState
from quantd.domain.orders import Limit, Stop
from quantd.testing.builders import BTC
from tests.component.control.house import TOKENS, House

D = Decimal


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[House]:
    """A house that expects a heartbeat every 30 s."""
    house = House(tmp_path / "watched", dead_man_s=30)
    await house.listener.start()
    yield house
    await house.listener.stop()
    house.store.close()


@pytest.fixture
def pass_time(watched: House) -> Callable[[float], None]:
    """Move the clock."""

    def pass_time(seconds: float) -> None:
        watched.clock.set(watched.clock.now_ns() + round(seconds * 1e9))

    return pass_time


def switch_of(house: House) -> DeadMan:
    """The switch that the daemon runs."""
    assert house.listener.dead_man is not None
    return house.listener.dead_man


async def test_heartbeats_hold_it_off_and_leave_no_trace_in_the_journal(
    watched: House, pass_time: Callable[[float], None]
) -> None:
    for _ in range(5):
        pass_time(29)
        status, told = await watched.ask("POST", "/v1/heartbeat", {}, by="halter")
        assert (status, told) == (200, {"limit_s": 30.0, "silent_s": 29.0, "state": "active"})
        await switch_of(watched).look()
    assert not watched.rig.state.latches
    assert not watched.audit
    heard = watched.clock.now_ns() / 1e9
    pass_time(1)
    await switch_of(watched).look()
    assert watched.observer.gauged("quantd_heartbeat_last_timestamp_seconds") == heard


async def test_silence_cancels_entries_keeps_exits_and_holds_through_a_restart(
    watched: House, pass_time: Callable[[float], None]
) -> None:
    watched.rig.hold(2)
    entry = watched.rig.do(lambda s: s.buy(BTC, 1, Limit(D(90))))
    watched.rig.accept(entry)
    exit_ = watched.rig.do(lambda s: s.sell(BTC, 1, Stop(D(80), reduce_only=True)))
    await switch_of(watched).look()
    pass_time(30)
    await switch_of(watched).look()
    assert not watched.rig.state.latches, "exactly the limit is no silence yet"
    pass_time(1)
    await switch_of(watched).look()
    await asyncio.sleep(0)
    latch = watched.rig.state.latches["all"]
    assert (latch.state, latch.by) == (TradingState.REDUCING, "dead_man")
    assert "no heartbeat for 31 s, expected every 30 s" in latch.why
    (halt,) = watched.latch.read().halts
    assert (halt.scope, halt.state, halt.by) == ("all", TradingState.REDUCING, "dead_man")
    cancelled = [one.client_order_id for one in watched.rig.commands if isinstance(one, Cancel)]
    assert cancelled == [entry.id]
    assert watched.rig.state.orders[exit_.id].is_open


async def test_it_stays_thrown_until_a_person_resumes_who_was_heard(
    watched: House, pass_time: Callable[[float], None]
) -> None:
    pass_time(31)
    await switch_of(watched).look()
    await asyncio.sleep(0)
    assert (await watched.ask("POST", "/v1/resume", {"scope": "all", "why": "here"}))[0] == 200
    assert not watched.rig.state.latches
    await switch_of(watched).look()
    await asyncio.sleep(0)
    assert watched.rig.state.latches["all"].by == "dead_man", "nobody was heard in between"
    told = (await watched.ask("POST", "/v1/heartbeat", {}))[1]
    assert told["state"] == "reducing"
    await switch_of(watched).look()
    assert watched.rig.state.latches["all"].by == "dead_man", "a sign of life alone resumes nothing"
    assert (await watched.ask("POST", "/v1/resume", {"scope": "all", "why": "here"}))[0] == 200
    await switch_of(watched).look()
    await asyncio.sleep(0)
    assert not watched.rig.state.latches


async def test_it_leaves_a_persons_halt_alone(watched: House, pass_time: Callable[[float], None]) -> None:
    await watched.ask("POST", "/v1/halt", {"why": "drill"}, by="halter")
    pass_time(100)
    await switch_of(watched).look()
    await asyncio.sleep(0)
    assert watched.rig.state.latches["all"].by == "halter"
    assert [halt.by for halt in watched.latch.read().halts] == ["halter"]


async def test_it_holds_though_the_latchs_disk_refuses(watched: House, pass_time: Callable[[float], None]) -> None:
    watched.latch.path.parent.write_text("in the way")
    pass_time(31)
    await switch_of(watched).look()
    await asyncio.sleep(0)
    assert watched.rig.state.latches["all"].state is TradingState.REDUCING


async def test_a_heartbeat_needs_a_token_that_may_trade_or_halt_and_a_switch_to_hold_off(
    watched: House, house: House
) -> None:
    assert (await watched.ask("POST", "/v1/heartbeat", {}, by="reader"))[0] == 403
    assert (await watched.ask("POST", "/v1/heartbeat", {}, by=None))[0] == 401
    status, told = await house.ask("POST", "/v1/heartbeat", {})
    assert (status, told["code"]) == (409, "no_dead_man")
    assert "control.dead_man_s" in told["detail"]


async def test_the_command_sends_one_and_says_what_holds(
    watched: House, pass_time: Callable[[float], None], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKENS["halter"][0])
    where = ["--url", watched.address, "--token-file", str(tmp_path / "token")]

    async def heartbeat() -> tuple[int, str]:
        result = await asyncio.to_thread(lambda: CliRunner().invoke(app, ["heartbeat", *where]))
        return result.exit_code, result.output

    pass_time(20)
    code, text = await heartbeat()
    assert code == 0
    assert "the scope" not in text
    assert switch_of(watched).silent_s == 0
    pass_time(31)
    await switch_of(watched).look()
    await asyncio.sleep(0)
    code, text = await heartbeat()
    assert code == 0
    assert "the scope all is reducing\n" in text
    await watched.listener.stop()
    code, text = await heartbeat()
    assert code == 1
    assert "Connection refused" in text
