"""The control API's listener: what it is given of the daemon, and how facts reach those who wait for them."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial

import quantd
from quantd.app.readiness import venue_reasons
from quantd.app.reload import FileReloader
from quantd.app.shared import Shared
from quantd.app.storage import Storage
from quantd.app.strategies import Prepared
from quantd.control.actions import Actions
from quantd.control.api import ControlListener
from quantd.control.daemon_access import DaemonAccess, VenueAccess
from quantd.control.dead_man import DeadMan
from quantd.control.decisions import Decisions
from quantd.control.receipts import Receipts
from quantd.control.recent import Recent
from quantd.control.routes import Services
from quantd.control.trail import Trail
from quantd.runtime.vouched import Vouched

CONFIRMATION_BYTES = 18


def build_control(
    shared: Shared,
    storage: Storage,
    strategies: Sequence[Prepared],
    reasons: Callable[[], Sequence[str]],
    clean: Callable[[str], str],
) -> ControlListener | None:
    """Return the listener for operators; None without a `control` section.

    Args:
        shared: The daemon's parts.
        storage: The journal, which is read beside the writer, and the halt latch.
        strategies: Those that were loaded.
        reasons: Why the daemon is not ready.
        clean: Takes secrets out of what is answered.
    """
    settings = shared.settings
    if settings.control is None:
        return None
    loaded = {one.setup.id for one in strategies}
    access = DaemonAccess(
        engine=shared.engine,
        emit=shared.emit,
        clock=shared.clock,
        latch=storage.latch,
        journal=storage.store.path,
        codec=storage.store.codec,
        version=quantd.__version__,
        risk=lambda: shared.engine.risk.risk,
        strategy_limits=lambda: shared.engine.risk.strategies,
        venues={name: _venue(shared, name) for name in shared.venues},
        failures=tuple(
            f"{one.id} could not be loaded" for one in settings.strategies if one.enabled and one.id not in loaded
        ),
        reasons=reasons,
        reloader=None if shared.read is None else FileReloader(shared, strategies, shared.read),
        draw=partial(secrets.token_urlsafe, CONFIRMATION_BYTES),
    )
    receipts = Receipts()
    actions = Actions(access, receipts, wait_s=settings.control.request_timeout_s / 2)
    limit_s = settings.control.dead_man_s
    dead_man = None if limit_s is None else DeadMan(access, limit_s, shared.observer)
    trail, recent = Trail(access.journal, access.codec), Recent(access)
    services = Services(access, trail, actions, Decisions(access, actions), dead_man, recent)
    shared.fact_readers.extend((receipts.told, recent.told))
    return ControlListener(settings.control, services, clean=clean)


def _venue(shared: Shared, name: str) -> VenueAccess:
    parts = shared.venues[name]

    def readiness() -> tuple[bool, str]:
        follower = shared.followers.get(name)
        if follower is None:
            return False, "starting"
        reasons = venue_reasons(follower, shared.engine)
        return not reasons, "; ".join(reasons)

    return VenueAccess(
        kind=parts.settings.type,
        readiness=readiness,
        snapshot=Vouched(parts.connector).snapshot,
        budget_left=dict if parts.budget is None else parts.budget.left,
    )
