"""Control 24: no new exposure in a market that is not itself: a wide spread, an extreme move, a halt just over.

Follows prices with floats, as market data is, with a part in a billion for their rounding. A pause is not latched: it
ends once fresh prices have shown a calm market for `resume_after_s`. After a restart that time begins anew.
"""

from collections import deque
from collections.abc import Iterable

from quantd.domain.instruments import InstrumentId
from quantd.engine.rates import Mark, Rates
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied, Wish

MOVE_WINDOW_S = 60.0
"""Seconds over which a move is measured where `move_window_s` is not set."""
_ROUNDING = 1.0 + 1e-9


class Calm:
    """Whether one market is calm by the limits of one scope."""

    def __init__(self, scope: str, limits: Limits) -> None:
        self.scope = scope
        self.since_ns: int | None = None
        """When the calm began, None while there is none."""
        self.broken = ("a price", "none")
        """What was expected and seen when it ended."""
        self.resume_s = limits.resume_after_s or 0.0
        self._spread_bps = None if limits.max_spread_bps is None else float(limits.max_spread_bps)
        self._move = None if limits.max_move_pct is None else float(limits.max_move_pct) / 100
        self._window_s = limits.move_window_s or MOVE_WINDOW_S
        self._highs: deque[tuple[int, float]] = deque()
        self._lows: deque[tuple[int, float]] = deque()

    def marked(self, mark: Mark) -> None:
        """Take in a price."""
        broken = self._look(mark)
        if broken is not None:
            self.broken = broken
            self.since_ns = None
        elif self.since_ns is None:
            self.since_ns = mark.at_ns

    def _look(self, mark: Mark) -> tuple[str, str] | None:
        last = mark.last
        if not last > 0:
            return "a two-sided price", "none"
        if self._move is not None:
            low, high = self._range(mark.at_ns, last)
            if high - low > low * self._move * _ROUNDING:
                return f"a move of {self._move:.2%} in {self._window_s} s", f"{high / low - 1:.2%}"
        if self._spread_bps is not None:
            spread_bps = (mark.ask - mark.bid) / last * 1e4
            if spread_bps > self._spread_bps * _ROUNDING:
                return f"a spread of {self._spread_bps} bps", f"{spread_bps:.1f} bps"
        return None

    def _range(self, at_ns: int, last: float) -> tuple[float, float]:
        """Return the lowest and highest price of the window, this one included."""
        oldest_ns = at_ns - int(self._window_s * 1e9)
        for prices, is_beaten in ((self._lows, last.__le__), (self._highs, last.__ge__)):
            while prices and prices[0][0] < oldest_ns:
                prices.popleft()
            while prices and is_beaten(prices[-1][1]):
                prices.pop()
            prices.append((at_ns, last))
        return self._lows[0][1], self._highs[0][1]


class MarketPause(Stateless):
    """Asks whether the market has been calm for long enough."""

    number = 24

    def __init__(self, calm: Calm) -> None:
        self._calm = calm

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        calm, mark = self._calm, wish.mark
        if calm.since_ns is None:
            return wish.deny(Denial.MARKET_PAUSE, 24, calm.scope, *calm.broken)
        # Measured from price to price, not to now: silence is no calm, and a market that reopens must show itself.
        calm_ns = mark.at_ns - max(calm.since_ns, mark.opened_at_ns)
        if calm_ns < int(calm.resume_s * 1e9):
            return wish.deny(
                Denial.MARKET_PAUSE, 24, calm.scope, f"{calm.resume_s} s of calm", f"{max(calm_ns, 0) / 1e9:.3f} s"
            )
        return None


class Markets:
    """Follows every market for which a limit is set."""

    def __init__(self, rates: Rates, own: Limits) -> None:
        self._rates = rates
        self._own = own
        self._risk = RiskSettings(base_currency="")
        self._calms: dict[InstrumentId, tuple[Calm, ...]] = {}
        self.watches = False
        """Whether any limit is set."""

    def set_limits(self, risk: RiskSettings) -> None:
        """Take over the limits; every market must show itself anew."""
        self._risk = risk
        self._calms = {}
        everywhere = (risk.order.over(self._own), risk.account, *risk.venues.values(), *risk.instruments.values())
        self.watches = any(_is_set(limits) for limits in everywhere)

    def marked(self, instrument: InstrumentId) -> None:
        """A price came in."""
        mark = self._rates.marks[instrument]
        for calm in self._of(instrument):
            calm.marked(mark)

    def controls(self, instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
        """Make the controls of one instrument."""
        for calm in self._of(instrument):
            yield MarketPause(calm)

    def _of(self, instrument: InstrumentId) -> tuple[Calm, ...]:
        found = self._calms.get(instrument)
        if found is None:
            risk, venue = self._risk, instrument.partition(":")[0]
            scopes = (
                ("order", risk.order.over(self._own)),
                (f"instrument:{instrument}", risk.instruments.get(instrument)),
                (f"venue:{venue}", risk.venues.get(venue)),
                ("account", risk.account),
            )
            found = tuple(Calm(scope, limits) for scope, limits in scopes if limits is not None and _is_set(limits))
            self._calms[instrument] = found
        return found


def _is_set(limits: Limits) -> bool:
    return any(one is not None for one in (limits.max_spread_bps, limits.max_move_pct, limits.resume_after_s))
