"""Control 19: loss limits. Daily loss and drawdown of each strategy and of the account, unrealised included.

Floats decide nothing: they only tell when it is worth counting exactly. A trip latches its scope once.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from quantd.domain.events import TradingState
from quantd.domain.facts import DayStarted, PeaksRecorded
from quantd.domain.instruments import InstrumentId
from quantd.domain.limit_facts import DayProfitsRecorded
from quantd.domain.numbers import ZERO
from quantd.engine.context import Context
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.profits import ACCOUNT, Profits, Valued
from quantd.engine.risk.soft import SoftLimits, soft_share
from quantd.engine.risk.wish import Denial, Denied, Wish

BY = "loss_limit"
"""Who latched a state, where it was this control."""

Tripped = Callable[[str, TradingState, bool], None]
"""Told of a trip: scope, the state it set, and whether to flatten."""


class _Assumed:
    """A scope in which some holding has no price yet, or some currency no rate."""

    __slots__ = ("begun", "last", "peak")

    def __init__(self, begun: Decimal, peak: Decimal, last: Valued) -> None:
        self.begun = begun
        """Profit from which losses count meanwhile."""
        self.peak = peak
        self.last = last

    @property
    def loss(self) -> Decimal:
        """What was lost meanwhile."""
        return self.begun - self.last.profit

    def look(self, valued: Valued) -> None:
        """Take in a profit. What becomes known moves it by what was gained or lost before, and the baselines with it."""
        if valued.unknown != self.last.unknown:
            self.begun += valued.profit - self.last.profit
            self.peak += valued.profit - self.last.profit
        self.last = valued


class LossKnown(Stateless):
    """Denies new exposure in a scope whose loss cannot be told: a limit that sees nothing lets nothing in."""

    number = 19

    def __init__(self, scope: str, losses: "Losses") -> None:
        self._scope = scope
        self._losses = losses

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        unknown = self._losses.unknown(self._scope)
        if unknown:
            found = f"none for {', '.join(unknown)}"
            return wish.deny(Denial.RATE_MISSING, 19, self._scope, "a price and rate for every holding and fee", found)
        return None


class Losses:
    """Follows profit by scope and trips once a limit is exceeded."""

    def __init__(self, context: Context, soft: SoftLimits) -> None:
        self._context = context
        self._soft = soft
        self._profits = Profits(context.state)
        self._limits: dict[str, Limits] = {}
        self.watches = False
        """Whether any limit is set; nothing is done otherwise."""
        self.tripped: Tripped = lambda scope, state, flatten: None
        """Set by the engine: cancels and closes after a trip."""
        self._peaks_changed: dict[str, Decimal] = {}
        self._scopes: dict[str, None] = {}
        """The account and every strategy, limited or not: a limit may come while the day is under way."""
        self._settled = False
        """Whether all that is to have a baseline has one."""
        self._assumed: dict[str, _Assumed] = {}
        self._seen_whole: set[str] = set()
        """Scopes whose profit was known at some time since the start."""

    def set_limits(self, risk: RiskSettings, strategies: Mapping[str, Limits]) -> None:
        """Take over the limits."""
        scopes = {ACCOUNT: risk.account} | {f"strategy:{name}": limits for name, limits in strategies.items()}
        self._limits = {
            scope: limits
            for scope, limits in scopes.items()
            if limits.max_daily_loss is not None or limits.max_drawdown is not None
        }
        self.watches = bool(self._limits)
        self._scopes = dict.fromkeys(scopes)
        self._settled = False

    def day_began(self, day: str) -> None:
        """Let losses of the day count from now on, in each scope whose profit is known."""
        found = {scope: self.profit(scope) for scope in self._scopes}
        profits = {scope: profit for scope, profit in found.items() if profit is not None}
        self._context.record(DayStarted(day, profits, self._context.now_ns))
        self._settled = False
        self._assumed.clear()

    def settle(self) -> None:
        """Let a scope that has no baseline yet count from its first known profit: since the journal began is too long."""
        context, baselines, self._settled = self._context, self._context.state.baselines, True
        begun: dict[str, Decimal] = {}
        peaks: dict[str, Decimal] = {}
        for scope in self._scopes if baselines.day else self._limits:
            is_new = scope in self._limits and scope not in baselines.peaks
            if scope in baselines.begun and not is_new:
                continue
            profit = self.profit(scope)
            if profit is None:
                self._settled = False
                continue
            self._seen_whole.add(scope)
            assumed = self._assumed.get(scope)
            first = profit if assumed is None else profit + assumed.loss
            if scope not in baselines.begun:
                begun[scope] = first
            if is_new:
                peaks[scope] = first
        if begun:
            context.record(DayProfitsRecorded(baselines.day, begun, context.now_ns))
        if peaks:
            context.record(PeaksRecorded(peaks, context.now_ns))

    def profit(self, scope: str) -> Decimal | None:
        """Return the exact profit of a scope in the base currency, None when a price or rate was never known."""
        valued = self._profits.of(scope)
        return None if valued.unknown else valued.profit

    def unknown(self, scope: str) -> tuple[str, ...]:
        """Return what keeps a scope's profit from being known: instruments without a price, currencies without a rate."""
        return self._profits.of(scope).unknown

    def day_loss(self, scope: str) -> Decimal | None:
        """Return what a scope has lost since the trading day began, negative where it gained; None if not known."""
        profit, begun = self.profit(scope), self._context.state.baselines.begun.get(scope)
        return None if profit is None or begun is None else begun - profit

    def drawdown(self, scope: str) -> Decimal | None:
        """Return how far a scope's profit is below its highest; None if not known, or of a scope without loss limits."""
        profit, peak = self.profit(scope), self._context.state.baselines.peaks.get(scope)
        return None if profit is None or peak is None else max(ZERO, peak - profit)

    def controls(self, instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
        """Make the controls of one (strategy, instrument)."""
        limited = dict(scoped("max_daily_loss")) | dict(scoped("max_drawdown"))
        for scope in limited:
            yield LossKnown(scope, self)

    def marked(self, instrument: InstrumentId) -> None:
        """A price or a fill moved: look at the scopes that hold this instrument."""
        if not self._settled:
            self.settle()
        for book in self._context.state.portfolio.books(instrument):
            if book.has_result:
                break
        else:
            return
        for scope, limits in self._limits.items():
            self._look(scope, limits, self._profits.of(scope))

    def _look(self, scope: str, limits: Limits, valued: Valued) -> None:
        profit = valued.profit
        if valued.unknown:
            begun, peak = self._while_assumed(scope, valued)
        else:
            self._seen_whole.add(scope)
            self._assumed.pop(scope, None)
            baselines = self._context.state.baselines
            begun, peak = baselines.begun[scope], self._peaks_changed.get(scope, baselines.peaks[scope])
            if limits.drawdown_trailing is not False and profit > peak:
                self._peaks_changed[scope] = peak = profit
        day_loss = begun - profit
        if limits.soft_pct is not None:
            self._warn(scope, limits, "max_daily_loss", day_loss)
            self._warn(scope, limits, "max_drawdown", peak - profit)
        if limits.max_daily_loss is not None and day_loss > limits.max_daily_loss:
            self._trip(scope, limits, f"daily loss {day_loss} above {limits.max_daily_loss}")
        elif limits.max_drawdown is not None and peak - profit > limits.max_drawdown:
            self._trip(scope, limits, f"drawdown {peak - profit} above {limits.max_drawdown}")

    def _while_assumed(self, scope: str, valued: Valued) -> tuple[Decimal, Decimal]:
        """Return the day's beginning and the peak from which losses count while something is unknown.

        Where all was known before, only something new can be unknown, which has gained nothing yet: the recorded baselines
        hold. After a restart they may contain a profit that nobody sees now, and what is lost since then counts.
        """
        assumed = self._assumed.get(scope)
        if assumed is None:
            baselines, first = self._context.state.baselines, valued.profit
            begun = peak = first
            if scope in self._seen_whole:
                begun = baselines.begun.get(scope, first)
                peak = self._peaks_changed.get(scope, baselines.peaks.get(scope, first))
            assumed = self._assumed[scope] = _Assumed(begun, peak, valued)
        assumed.look(valued)
        return assumed.begun, assumed.peak

    def _warn(self, scope: str, limits: Limits, name: str, observed: Decimal) -> None:
        soft = soft_share(limits, name)
        if soft is not None:
            self._soft.seen((scope, name, ""), soft, getattr(limits, name), observed if observed > soft else None)

    def _trip(self, scope: str, limits: Limits, why: str) -> None:
        context = self._context
        latched = "all" if scope == ACCOUNT else scope
        known = context.state.latches.get(latched)
        if known is not None and known.by == BY:
            return
        action = limits.loss_action or "reduce"
        state = TradingState.HALTED if action == "halt" else TradingState.REDUCING
        if context.latch(latched, state, BY, why):
            self.tripped(latched, state, action == "flatten")

    def time_passed(self) -> None:
        """Record baselines and new peaks, so that a restart knows them."""
        if not self._settled:
            self.settle()
        if self._peaks_changed:
            self._context.record(PeaksRecorded(self._peaks_changed, self._context.now_ns))
            self._peaks_changed = {}
