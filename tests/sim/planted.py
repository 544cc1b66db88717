"""Faults that are planted on purpose, and the hunt for them: a simulation that finds nothing must be able to find these.

Each plant changes one piece of the daemon while it stands. Used by the test of the plants and by
`python -m tests.sim --planted`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from quantd.app import aftermath
from quantd.domain.commands import Submit
from quantd.domain.facts import Fact, StateSet
from quantd.domain.orders import OrderState
from quantd.domain.outcomes import Outcome, Rejected, Unknown
from quantd.domain.reports import OrderReport
from quantd.engine.booking import Booking
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.order_controls import ReduceOnly
from quantd.engine.state import State
from quantd.runtime import accounts
from quantd.venues import absence
from quantd.venues.http import VenueHttp
from quantd.venues.ionloop.connector import IonloopConnector
from tests.sim import sim_daemon
from tests.sim.disk import Disk
from tests.sim.planted_ripio import plants as ripio_plants
from tests.sim.simulation import SimulationFailed, simulate

LIMIT = 400
"""Seeds within which each must be found."""


@contextmanager
def _instead(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    original = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def resend_with_a_new_key() -> Iterator[None]:
    """After a time-out the order is sent again as if it were another one."""
    original = IonloopConnector._create

    async def resend(self: IonloopConnector, command: Submit) -> Outcome:
        deadline_at_ns = self._clock.now_ns() + 2_000_000_000
        return await original(self, msgspec.structs.replace(command, operation=command.operation + 1), deadline_at_ns)

    with _instead(IonloopConnector, "_resend", resend):
        yield


@contextmanager
def reservation_forgotten_on_reject() -> Iterator[None]:
    """What a rejected order had reserved stays reserved."""
    original = State._reserve

    def reserve(self: State, order: LiveOrder) -> None:
        if order.state is not OrderState.REJECTED:
            original(self, order)

    with _instead(State, "_reserve", reserve):
        yield


@contextmanager
def fill_counted_twice() -> Iterator[None]:
    """A report that repeats a filled quantity is booked again."""
    original = Booking.take

    def fills(self: Booking, order: LiveOrder, report: OrderReport) -> bool:
        if order.is_open and report.filled_quantity and report.filled_quantity == order.filled:
            last = list(order.fills.values())[-1]
            again = msgspec.structs.replace(last, id=f"{last.id}+")
            self._book(order, again, order.filled + again.quantity)
            return True
        return original(self, order, report)

    with _instead(Booking, "take", fills):
        yield


@contextmanager
def halt_kept_in_memory_only() -> Iterator[None]:
    """A halt reaches neither the latch nor the journal."""
    commit = Disk.commit

    def without_halts(self: Disk, facts: Sequence[Fact]) -> None:
        commit(self, [fact for fact in facts if not isinstance(fact, StateSet)])

    def nothing(self: object, halt: object) -> object:
        return self.read()  # type: ignore[attr-defined] # stands in a class that has it

    with _instead(Disk, "commit", without_halts), _instead(sim_daemon._Latch, "halt", nothing):
        yield


@contextmanager
def unknown_taken_as_rejected() -> Iterator[None]:
    """A write without an answer counts as refused."""
    original = VenueHttp.write

    async def write(self: VenueHttp, *args: Any, **named: Any) -> Outcome:
        outcome = await original(self, *args, **named)
        return Rejected("assumed") if isinstance(outcome, Unknown) else outcome

    with _instead(VenueHttp, "write", write):
        yield


@contextmanager
def id_repeated_after_a_restored_backup() -> Iterator[None]:
    """A restored backup keeps its epoch, so that the ids after it are counted out a second time."""
    original = Disk.go_back

    def go_back(self: Disk, commits: int, epoch: int) -> None:
        original(self, commits, self.meta.epoch)

    with _instead(Disk, "go_back", go_back):
        yield


@contextmanager
def held_stop_without_reduce_only() -> Iterator[None]:
    """A stop that the engine holds may open a position when the one that it protected is gone."""

    def check(self: ReduceOnly, wish: object) -> None:
        return None

    with _instead(ReduceOnly, "check", check):
        yield


def _by_the_wall(since_sent_ns: int, watched_ns: int) -> int:
    return since_sent_ns


@contextmanager
def quiet_period_by_the_wall_clock() -> Iterator[None]:
    """The quiet period is read off the wall clock alone, which may be set forward."""
    with _instead(absence, "absent_ns", _by_the_wall):
        yield


@contextmanager
def age_counted_from_the_intent() -> Iterator[None]:
    """A lost order that had waited for its trigger counts as absent since it was first wanted: given up too early.

    An age that is told too old does no harm by itself, because the quiet period must also have been seen to pass; so
    this takes both away.
    """

    def sent_at_ns(order: LiveOrder) -> int:
        return order.intended_at_ns

    told = _instead(aftermath, "sent_at_ns", sent_at_ns), _instead(accounts, "sent_at_ns", sent_at_ns)
    with told[0], told[1], quiet_period_by_the_wall_clock():
        yield


class Plant(NamedTuple):
    """One fault and where it can show."""

    name: str
    stands: Callable[[], Any]
    scenario: str
    begin: int = 0
    """Where the test begins to hunt: the seeds before were seen to find nothing, and a test must be short."""
    venue: str = "ionloop"


class Catch(NamedTuple):
    """Where a planted fault was found."""

    plant: str
    scenario: str
    seed: int
    """-1 when it was not found."""
    violation: str


PLANTS = (
    Plant("resend on timeout with a new key", resend_with_a_new_key, "crowd"),
    Plant("reservation forgotten on reject", reservation_forgotten_on_reject, "crowd"),
    Plant("fill counted twice", fill_counted_twice, "crowd"),
    Plant("halt kept in memory only", halt_kept_in_memory_only, "grid"),
    Plant("unknown taken as rejected", unknown_taken_as_rejected, "crowd"),
    Plant("id repeated after a restored backup", id_repeated_after_a_restored_backup, "backup"),
    Plant("quiet period by the wall clock alone", quiet_period_by_the_wall_clock, "grid", 1700),
    Plant("age of a lost order counted from its intent", age_counted_from_the_intent, "stops", 250),
    Plant("engine-held stop without reduce-only", held_stop_without_reduce_only, "trader"),
    Plant("hummingbot: unknown taken as rejected", unknown_taken_as_rejected, "crowd", venue="hummingbot"),
    Plant("tradelocker: unknown taken as rejected", unknown_taken_as_rejected, "crowd", venue="tradelocker"),
    Plant("oanda: unknown taken as rejected", unknown_taken_as_rejected, "crowd", 10, "oanda"),
    *(Plant(name, stands, scenario, venue="ripio") for name, stands, scenario in ripio_plants(_instead)),
)


def hunt(plant: Plant, begin: int = 0) -> Catch:
    """Run seeds from `begin` on with the fault in place until one finds it; a seed that fails without it finds nothing."""
    seed, violation = _first_failure(plant, begin)
    if seed >= 0:
        try:
            simulate(plant.scenario, seed, plant.venue)
        except SimulationFailed as failure:
            return Catch(plant.name, plant.scenario, -1, f"seed {seed} fails without the fault: {failure.__cause__}")
    return Catch(plant.name, plant.scenario, seed, violation)


def _first_failure(plant: Plant, begin: int) -> tuple[int, str]:
    """Return the first seed that fails with the fault in place, and at what; -1 when none does."""
    with plant.stands():
        for seed in range(begin, begin + LIMIT):
            try:
                simulate(plant.scenario, seed, plant.venue)
            except SimulationFailed as failure:
                return seed, str(failure.__cause__)
    return -1, ""
