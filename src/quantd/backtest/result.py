"""What a run came to: return, drawdown, Sharpe ratio, trades, fees and denials, in all and by strategy.

Made from the run's facts and its equity curve, after the run. Floats: it is for reading.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from math import sqrt
from statistics import fmean, stdev

import msgspec

from quantd.backtest.equity import EquityCurve, by_strategy
from quantd.backtest.loop import Backtest
from quantd.backtest.trades import Ledger
from quantd.engine.desk import Desk

_HOUR_NS = 3_600_000_000_000
_DAY_NS = 24 * _HOUR_NS
_PERIODS_MIN = 5
"""Returns below which no Sharpe ratio is told."""
_NOISE = 1e-12
"""Deviation of returns up to which they are the same, but for the rounding of floats."""
_YEAR_NS = 365.25 * _DAY_NS


class StrategyResult(msgspec.Struct, frozen=True):
    """One strategy's share; money in the base currency."""

    strategy: str
    profit: float
    """Realised and open, fees taken off."""
    contribution: float
    """Profit over the equity at the start."""
    fills: int
    trades: int
    """Round trips: from flat to flat, or to the other side."""
    won: float | None
    """Share of round trips with a profit, None without any."""
    fees: float
    turnover: float
    """Sum of what was traded."""
    exposure: float
    """Share of the time with a position."""
    denials: dict[str, int]
    """By code."""
    fault: str = ""
    """Why it was stopped, where it was."""
    gaps: tuple[str, ...] = ()
    """Series whose warm-up began anew behind gaps in their bars, and how often, or never ended: that was not traded."""


class Result(msgspec.Struct, frozen=True):
    """The whole run; money in the base currency, fractions as such."""

    base_currency: str
    started_at_ns: int
    ended_at_ns: int
    events: int
    opening_equity: float
    closing_equity: float
    total_return: float
    drawdown: float
    """Largest fall from a peak, as a fraction of the peak."""
    sharpe: float | None
    """Mean over deviation of daily (of a short run hourly) returns, annualised; None of too short a run."""
    exposure: float
    fills: int
    trades: int
    fees: float
    turnover: float
    denials: dict[str, int]
    facts: int
    latched: tuple[str, ...]
    """Trading states that stood at the end, as ``scope: why``: a loss limit that tripped, a strategy that failed."""
    strategies: tuple[StrategyResult, ...]
    unpriced: tuple[str, ...] = ()
    """Currencies held, paid or traded in that no price brings to the base currency: what is in them is in no figure."""


def summarise(backtest: Backtest) -> Result:
    """Return what a finished run came to."""
    state, equity = backtest.engine.state, backtest.equity
    span_ns = max(backtest.ended_at_ns - backtest.started_at_ns, 1)
    opening = equity.values[0] if equity.values else 0.0
    closing = equity.values[-1] if equity.values else 0.0
    ledger = Ledger(backtest.fills, state, backtest.ended_at_ns)
    strategies = tuple(_strategy(one, backtest, ledger, opening) for one in backtest.engine.desks)
    return Result(
        base_currency=state.rates.base_currency,
        started_at_ns=backtest.started_at_ns,
        ended_at_ns=backtest.ended_at_ns,
        events=backtest.events,
        opening_equity=opening,
        closing_equity=closing,
        total_return=closing / opening - 1.0 if opening else 0.0,
        drawdown=drawdown(equity.values),
        sharpe=sharpe(equity, backtest.started_at_ns),
        exposure=ledger.exposed_ns / span_ns,
        fills=len(backtest.fills),
        trades=sum(one.trades for one in strategies),
        fees=sum(one.fees for one in strategies),
        turnover=sum(one.turnover for one in strategies),
        denials=_denials(backtest, None),
        facts=backtest.journal.count,
        latched=tuple(f"{scope}: {latch.why}" for scope, latch in state.latches.items()),
        strategies=strategies,
        unpriced=_unpriced(backtest),
    )


def _unpriced(backtest: Backtest) -> tuple[str, ...]:
    state = backtest.engine.state
    used = {
        asset for account in state.portfolio.accounts.values() for asset, amount in account.totals.items() if amount
    }
    for fact in backtest.fills:
        used.add(state.portfolio.instruments[fact.instrument].settlement_currency)
        used.update(asset for asset, _ in fact.fill.fees)
    return tuple(sorted(asset for asset in used if state.rates.rate_float(asset) is None))


def _strategy(strategy: str, backtest: Backtest, ledger: Ledger, opening: float) -> StrategyResult:
    tally = ledger.tally(strategy)
    profit = by_strategy(backtest.engine.state).get(strategy, 0.0)
    fault = next((f"{one.hook}: {one.error}" for one in backtest.faults if one.strategy == strategy), "")
    span_ns = max(backtest.ended_at_ns - backtest.started_at_ns, 1)
    return StrategyResult(
        strategy=strategy,
        profit=profit,
        contribution=profit / opening if opening else 0.0,
        fills=tally.fills,
        trades=len(tally.profits),
        won=sum(one > 0 for one in tally.profits) / len(tally.profits) if tally.profits else None,
        fees=tally.fees,
        turnover=tally.turnover,
        exposure=tally.exposed_ns / span_ns,
        denials=_denials(backtest, strategy),
        fault=fault,
        gaps=tuple(_gaps(backtest.engine.desks[strategy])),
    )


def _gaps(desk: Desk) -> Iterable[str]:
    for one in desk.series:
        if not desk.is_started and not one.is_ready:
            yield (
                f"never began: it had {one.count} of the {one.needed} bars of {one.every_s} s of {one.instrument} that its "
                "warm-up takes"
            )
        if one.gaps:
            yield (
                f"bars of {one.every_s} s of {one.instrument} began their warm-up anew {one.gaps} times, behind gaps "
                f"longer than {one.max_gap_ns / 1e9:g} s (max_gap)"
            )


def _denials(backtest: Backtest, strategy: str | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (owner, code), count in sorted(backtest.denials.items()):
        if strategy is None or owner == strategy:
            counts[code] = counts.get(code, 0) + count
    return counts


def drawdown(values: Sequence[float]) -> float:
    """Return the largest fall from a peak as a fraction of that peak; 0 of nothing."""
    falls = ((peak - value) / peak for peak, value in zip(accumulate(values, max), values, strict=True) if peak > 0)
    return max(falls, default=0.0)


def sharpe(curve: EquityCurve, started_at_ns: int) -> float | None:
    """Return the annualised Sharpe ratio at a risk-free rate of 0: by days, or by hours where the days are few.

    None of a run that is too short, or whose returns are all the same.
    """
    for period_ns in (_DAY_NS, _HOUR_NS):
        returns = list(period_returns(curve, period_ns, started_at_ns))
        if len(returns) >= _PERIODS_MIN:
            deviation = stdev(returns)
            return fmean(returns) / deviation * sqrt(_YEAR_NS / period_ns) if deviation > _NOISE else None
    return None


def period_returns(curve: EquityCurve, period_ns: int, started_at_ns: int) -> Iterable[float]:
    """Yield the return of each whole period (UTC) from the last worth before its start to the last before its end.

    What lies before the first one's start, and behind the last one's end, is part of a period and left out.
    """
    times, values = curve.times, curve.values
    if not times:
        return
    ends: list[float] = []
    at_ns = -(-started_at_ns // period_ns) * period_ns
    while at_ns <= times[-1]:
        ends.append(values[max(bisect_right(times, at_ns) - 1, 0)])
        at_ns += period_ns
    yield from (after / before - 1.0 for before, after in pairwise(ends) if before > 0)
