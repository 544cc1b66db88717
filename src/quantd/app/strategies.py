"""From the configuration's strategies to what the engine takes: classes loaded, parameters set, needs held against
what the venues can do. A strategy that cannot be loaded takes no other down.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import structlog

from quantd.config import Settings
from quantd.domain.capabilities import Capabilities, LotWrite
from quantd.domain.cash import PositionMode
from quantd.domain.instruments import InstrumentId
from quantd.engine.context import StrategySetup
from quantd.engine.risk.limits import Limits
from quantd.engine.strategy import Strategy
from quantd.plugins.loader import Declared, Loaded, LoadFailure, StrategyLoader, unmet
from quantd.plugins.settings import StrategySettings
from quantd.ports import Connector

_log = structlog.get_logger("quantd.app")


class Prepared(NamedTuple):
    """One strategy, ready for the engine."""

    settings: StrategySettings
    setup: StrategySetup
    strategy: Strategy
    limits: Limits
    source_hash: str
    declared: Declared
    """What its `setup` asks to see."""


class Preparation(NamedTuple):
    """What could be loaded and what could not."""

    strategies: tuple[Prepared, ...]
    failures: tuple[LoadFailure, ...]


def prepare(settings: Settings, capabilities: Mapping[str, Capabilities]) -> Preparation:
    """Load every enabled strategy.

    Args:
        settings: The configuration.
        capabilities: By venue; venues that are missing are not checked.

    Raises:
        ConfigProblems: when an instrument names no venue of the configuration.
    """
    loader = StrategyLoader(settings.strategies_dir)
    prepared: list[Prepared] = []
    failures: list[LoadFailure] = []
    for one in settings.strategies:
        if not one.enabled:
            continue
        _check_venues(settings, one)
        loaded = loader.load(one, settings)
        if isinstance(loaded, LoadFailure):
            _log.error("strategy_not_loaded", strategy=one.id, error=str(loaded))
            failures.append(loaded)
            continue
        _check_needs(settings, one, loaded, capabilities)
        prepared.append(
            Prepared(one, _setup(settings, one), loaded.strategy, one.risk, loaded.source_hash, loaded.declared)
        )
    return Preparation(tuple(prepared), tuple(failures))


def _check_venues(settings: Settings, one: StrategySettings) -> None:
    for instrument in one.instrument_ids:
        venue, _, symbol = instrument.partition(":")
        if venue not in settings.venues or not symbol:
            raise settings.error(
                ("strategies", one.id, "instruments"),
                found=instrument,
                expected="venue:SYMBOL with a venue of this configuration: " + ", ".join(settings.venues),
            )


def one_strategy_each(settings: Settings, prepared: Sequence[Prepared], connectors: Mapping[str, Connector]) -> None:
    """Refuse a second strategy for an instrument where exits hang on the trades of a netting account.

    What the second one buys would close the first one's trades, and their exits with them. Whether an account nets is
    what the configuration says; one that turns out to net has its exits held by the engine instead.

    Raises:
        ConfigProblems: at the second strategy.
    """
    owners: dict[str, str] = {}
    for one in prepared:
        for instrument in one.setup.instruments:
            connector = connectors[instrument.partition(":")[0]]
            hangs = LotWrite.PROTECT in connector.capabilities.lot_writes
            if not hangs or connector.account.mode is PositionMode.HEDGING:
                continue
            owner = owners.setdefault(instrument, one.setup.id)
            if owner != one.setup.id:
                raise settings.error(
                    ("strategies", one.setup.id, "instruments"),
                    found=f"{instrument}, which {owner} trades too",
                    expected="one strategy for each instrument of a netting account whose venue holds stops by trade",
                )


def _check_needs(
    settings: Settings, one: StrategySettings, loaded: Loaded, capabilities: Mapping[str, Capabilities]
) -> None:
    for venue in {instrument.partition(":")[0] for instrument in one.instrument_ids}:
        known = capabilities.get(venue)
        lacking = unmet(type(loaded.strategy), known) if known is not None else []
        if lacking:
            raise settings.error(
                ("strategies", one.id, "use"),
                found=f"{one.use} needs {', '.join(lacking)}",
                expected=f"what {venue} can do, natively or by emulation",
            )


def _setup(settings: Settings, one: StrategySettings) -> StrategySetup:
    return StrategySetup(
        id=one.id,
        instruments=tuple(InstrumentId(name) for name in one.instrument_ids),
        roles={role: InstrumentId(name) for role, name in one.roles.items()},
        bars_s=one.bars,
        max_gap_s=None if one.max_gap is None else float(one.max_gap),
        stage=one.stage or "live",
        at_shutdown=one.at_shutdown,
        max_slippage_bps=one.max_slippage_bps or slippage(settings, one),
        seed=_seed(one.id),
        max_errors=one.max_errors,
        errors_within_s=one.errors_within_s,
        at_fault=one.at_fault,
        restarts_max=one.restarts_max,
        restart_after_s=one.restart_after_s,
    )


def slippage(settings: Settings, one: StrategySettings) -> Decimal:
    """Return the tightest cap of emulated market orders among the strategy's venues."""
    venues = {instrument.partition(":")[0] for instrument in one.instrument_ids}
    return min(settings.venues[venue].max_slippage_bps for venue in venues)


def _seed(strategy: str) -> int:
    """Derive a strategy's seed from its id, so that a replay draws the same."""
    seed = 0
    for character in strategy:
        seed = (seed * 131 + ord(character)) % 2_147_483_647
    return seed


def source_hashes(strategies: Sequence[Prepared]) -> dict[str, str]:
    """Return the hash of each strategy's source by its id."""
    return {one.setup.id: one.source_hash for one in strategies}
