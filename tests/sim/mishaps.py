"""What goes wrong besides the network, and the people who look after the daemon. Used by the simulation.

`run_mishaps` belongs to the first phase; `run_person` goes on in both: somebody clears halts and decides what the
daemon may not decide by itself.
"""

import asyncio
from decimal import Decimal

from quantd.domain.events import (
    CancelOrdered,
    FlattenOrdered,
    HaltOrdered,
    OperationResolved,
    OrderOrdered,
    TradingState,
)
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import Limit, Market, OperationKind, OrderState, Side
from quantd.domain.outcomes import Found, NotFound, Resolution
from quantd.domain.reports import OrderReport
from quantd.engine.orders import LiveOrder, OrderBlotter
from quantd.journal.latch import Halt
from tests.sim.network import Fate, Weather
from tests.sim.sim_daemon import SimDaemon
from tests.sim.world import SECOND_NS, World

_PERSON_WAITS_NS = 25 * SECOND_NS
"""How long a person waits before she believes the venue: longer than any request is under way."""


def draw_weather(world: World) -> Weather:
    """Return a network's weather: each fault is absent, rare or frequent."""
    rng = world.rng("weather")
    chances: dict[Fate, float] = {}
    for fate in Fate:
        strength = rng.choice((0.0, 0.0, 0.01, 0.05))
        if fate is not Fate.CARRIED:
            chances[fate] = strength * rng.random() * 2
    slow = rng.choice((0.03, 0.1, 0.6))
    return Weather(chances, reads=rng.choice((0.1, 0.5)), latency_s=(0.002, slow))


def draw_switches(world: World) -> None:
    """Set how the venue behaves."""
    world.scene.draw(world.rng("switches"), world.struck)


def heal(world: World) -> None:
    """End all faults; what the venue is by nature stays."""
    world.is_calm = True
    world.network.weather = Weather()
    world.network.is_down = False
    world.scene.heal(world.true_clock.now_ns())


async def run_mishaps(world: World) -> None:
    """Let things go wrong, one after the other, until cancelled."""
    rng = world.rng("mishaps")
    name, instrument = world.scene.name, world.scene.instrument
    mishaps = {
        "disconnect": lambda: _for_a_while(world, 0.5 + 4 * rng.random(), _disconnect),
        "market_halted": lambda: _for_a_while(world, 1 + 4 * rng.random(), _halt_market),
        "engine_down": lambda: _for_a_while(world, 1 + 3 * rng.random(), _stop_matching),
        "stale_market": lambda: _for_a_while(world, 1 + 6 * rng.random(), _freeze_market),
        "clock_jump": lambda: _jump(world, rng.choice((-20, -3, 2, 15, 40))),
        "deposit": lambda: _move_money(world, rng.choice(("deposit", "withdraw"))),
        "operator_halt": lambda: _halt(world, rng.choice(("all", f"venue:{name}", f"instrument:{instrument}"))),
        "api_halt": lambda: _emit(world, "halt"),
        "operator_cancel": lambda: _emit(world, "cancel"),
        "operator_flatten": lambda: _emit(world, "flatten"),
        "operator_order": lambda: _emit(world, rng.choice(("market", "limit"))),
        "sigterm": lambda: _stop(world),
    }
    # Halts stop the trade, and with it everything else that could go wrong: they are rarer.
    own = world.scene.mishaps(rng)
    names = [name for name in (*mishaps, *own) for _ in range(1 if "halt" in name or name == "clock_jump" else 3)]
    every_s = rng.choice((4.0, 10.0, 25.0))
    while True:
        await asyncio.sleep(every_s * (0.2 + rng.random()))
        name = rng.choice(names)
        world.struck[name] += 1
        if name in own:
            own[name]()
        else:
            await mishaps[name]()


async def _for_a_while(world: World, seconds: float, switch: "object") -> None:
    assert callable(switch)
    switch(world, True)
    await asyncio.sleep(seconds)
    switch(world, False)


def _disconnect(world: World, on: bool) -> None:
    world.network.is_down = on


def _halt_market(world: World, on: bool) -> None:
    world.scene.halt(on, world.true_clock.now_ns())


def _stop_matching(world: World, on: bool) -> None:
    world.scene.stop(on)


def _freeze_market(world: World, on: bool) -> None:
    world.scene.freeze(on)


async def _jump(world: World, seconds: int) -> None:
    world.clock.moved_ns += seconds * SECOND_NS


async def _move_money(world: World, command: str) -> None:
    world.scene.move_money(command)


async def _halt(world: World, scope: str) -> None:
    halt = Halt(scope, TradingState.HALTED, "operator", "a test of nerves", world.clock.now_ns())
    world.disk.latch.halt(halt)


async def _stop(world: World) -> None:
    if world.daemon is not None and not world.daemon.is_dead:
        world.daemon.stop("sigterm")


async def _emit(world: World, what: str) -> None:
    daemon, instrument = world.daemon, InstrumentId(world.scene.instrument)
    if daemon is None or daemon.is_dead or instrument not in daemon.engine.state.portfolio.instruments:
        return
    now_ns, quantity = world.clock.now_ns(), world.scene.quantity
    side = Side.BUY if now_ns % 2 else Side.SELL
    if what == "halt":
        generation = daemon.engine.state.halt_generation + 1
        state = TradingState.HALTED if now_ns % 3 else TradingState.REDUCING
        daemon.emit(HaltOrdered("all", state, "api", "a bad feeling", generation, now_ns))
    elif what == "cancel":
        daemon.emit(CancelOrdered("all", "operator", now_ns))
    elif what == "flatten":
        daemon.emit(FlattenOrdered("all", "operator", "enough", now_ns))
    elif what == "market":
        daemon.emit(OrderOrdered(instrument, side, quantity, Market(), "operator", now_ns))
    else:
        mark = daemon.engine.state.rates.marks[instrument]
        if mark.last > 0:
            daemon.emit(OrderOrdered(instrument, side, quantity, Limit(mark.last), "operator", now_ns))


# -- people --------------------------------------------------------------------------------------------------------


async def run_person(world: World) -> None:
    """Clear halts after a while, and decide what needs a person; for ever."""
    rng = world.rng("person")
    while True:
        await asyncio.sleep(0.5 + 2 * rng.random())
        daemon = world.daemon
        if daemon is None or daemon.is_dead or world.is_resting:
            continue
        for halt in world.disk.latch.read().halts:
            if halt.by == "resolution":
                _decide(world, daemon, halt.scope)
                continue
            if rng.random() < 0.7:
                _clear(world, halt.scope, "looked at it")


def _decide(world: World, daemon: SimDaemon, scope: str) -> None:
    """Look into the venue's own books for each unknown order; once there is none left, clear the halt."""
    now_ns = world.clock.now_ns()
    unknown = [order for order in daemon.engine.state.orders.open_orders() if order.is_unknown]
    for order in unknown:
        assert order.operation is not None
        if now_ns - order.operation.since_ns < _PERSON_WAITS_NS:
            continue
        resolution = _looked_up(world, daemon.engine.state.orders, order)
        if resolution is not None:
            world.struck["person_decides"] += 1
            number = order.operation.number
            daemon.emit(OperationResolved(order.client_order_id, number, resolution, now_ns, by="person"))
    if not unknown:
        _clear(world, scope, "all found")


def _clear(world: World, scope: str, why: str) -> None:
    world.disk.latch.clear(scope, by="person", why=why, at_ns=world.clock.now_ns())
    world.cleared_at_ns[scope] = world.clock.now_ns()


def _looked_up(world: World, orders: OrderBlotter, order: LiveOrder) -> Resolution | None:
    operation = order.operation
    if operation is None or operation.kind is not OperationKind.SUBMIT or order.lot:
        return None
    known = frozenset(one for ours in orders.all_orders() for one in ours.venue_order_ids)
    theirs = world.scene.find(order, operation.number, known)
    if theirs is None:
        return NotFound()
    filled = Decimal(theirs["filledQuantity"])
    ended = OrderState.FILLED if theirs["status"] == "filled" else OrderState.CANCELLED
    alive = OrderState.PARTIALLY_FILLED if filled else OrderState.WORKING
    state = alive if theirs["status"] == "open" else ended
    now_ns = world.clock.now_ns()
    return Found(OrderReport(order.instrument, theirs["id"], state, filled, now_ns, order.client_order_id))
