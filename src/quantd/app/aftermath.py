"""What follows from facts once they are on disk: who is told, which account is looked at, which lost write is asked after.

Made by the daemon; the runner hands it each batch. Changes nothing of the engine: what it finds out comes back as an event.
"""

from collections.abc import Sequence

from quantd.app.latches import LatchFollower
from quantd.app.shared import Shared
from quantd.app.watchdog import Safety
from quantd.domain.facts import Fact, FillRecorded, OperationLost, StateSet
from quantd.domain.orders import ClientOrderId
from quantd.domain.protection_facts import ProtectionIntended
from quantd.runtime.jobs import Jobs
from quantd.runtime.watcher import Watcher
from quantd.runtime.writes import sent_at_ns, write_of


class Aftermath:
    """Sees to what one daemon's facts set going.

    Args:
        shared: The daemon's parts; its `fact_readers` are told last.
        watcher: Counts and logs.
        safety: Keeps the copy of working orders by which a kill cancels.
        latches: Follows the latch file.
        jobs: Starts what strategies have asked for.
    """

    def __init__(self, shared: Shared, *, watcher: Watcher, safety: Safety, latches: LatchFollower, jobs: Jobs) -> None:
        self._shared = shared
        self._watcher = watcher
        self._safety = safety
        self._latches = latches
        self._jobs = jobs

    def took(self, facts: Sequence[Fact]) -> None:
        """See to a batch of facts that has been recorded."""
        self._watcher.facts(facts)
        self._safety.working.facts(facts, self._shared.engine.state)
        for fact in facts:
            if isinstance(fact, OperationLost):
                self._resolve(fact.client_order_id)
            elif isinstance(fact, FillRecorded | ProtectionIntended):
                follower = self._shared.followers.get(fact.instrument.partition(":")[0])
                if follower is not None:
                    follower.look_soon()
            elif isinstance(fact, StateSet):
                self._latches.recorded(fact)
        for tell in self._shared.fact_readers:
            tell(facts)
        self._jobs.start_waiting()

    def _resolve(self, client_order_id: ClientOrderId) -> None:
        engine = self._shared.engine
        order = engine.state.orders.get(client_order_id)
        write = write_of(order, engine) if order is not None else None
        if order is not None and write is not None:
            self._shared.executor.resolve(write, sent_at_ns(order))
