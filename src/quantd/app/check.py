"""What `quantd check` does beyond reading: builds everything that needs no venue, runs every `setup`, and replays each
strategy twice.
"""

from collections.abc import Callable, Iterable, Iterator

from quantd.app.determinism import check_determinism
from quantd.app.engine import build_engine
from quantd.app.recordings import check_recordings
from quantd.app.rehearsing import PATIENCE, Patience
from quantd.app.strategies import one_strategy_each, prepare
from quantd.app.venues import build_venues, over_http
from quantd.clock import ManualClock
from quantd.config import Settings
from quantd.domain.instruments import InstrumentId
from quantd.plugins.hooks import unheard
from quantd.telemetry.metrics import NullObserver
from quantd.venues.parts import Surroundings


def silent(_progress: str) -> None:
    """Tell nobody."""


def check(
    settings: Settings,
    *,
    fast: bool = False,
    say: Callable[[str], None] = silent,
    patience: Patience = PATIENCE,
) -> Iterator[str]:
    """Build the daemon's parts without opening anything.

    Args:
        settings: The configuration.
        fast: Leave out the replays.
        say: Told how far the replays are, where they take seconds.
        patience: With them.

    Yields:
        Warnings.

    Raises:
        ConfigProblems: something does not fit together, or a strategy does not repeat itself.
    """

    def nothing_known(_instrument: InstrumentId) -> Iterable[str]:
        return ()

    around = Surroundings(
        ManualClock(),
        NullObserver(),
        last_look=lambda lane: "check",
        known_venue_ids=nothing_known,
        auth_failed=lambda venue, reason: None,
        transport=over_http,
    )
    venues = build_venues(settings, around)
    capabilities = {name: parts.connector.capabilities for name, parts in venues.items()}
    preparation = prepare(settings, capabilities)
    for failure in preparation.failures:
        raise settings.error(
            ("strategies", failure.id, "use"), found=str(failure), expected="a strategy that can be loaded"
        )
    connectors = {name: parts.connector for name, parts in venues.items()}
    one_strategy_each(settings, preparation.strategies, connectors)
    check_recordings(settings, preparation.strategies)
    engine = build_engine(settings, preparation.strategies, "0", 1)
    for name, known in capabilities.items():
        engine.connect(name, known)
    engine.declare()
    for desk in engine.desks.values():
        yield from unheard(desk)
    if not fast:
        yield from check_determinism(settings, preparation.strategies, venues, say=say, patience=patience)
