"""Gauges of what is held and allowed: trading states, positions, profit, balances, drawdown, and the use of limits.

Sampled by the watcher a few times a second. Reads the engine's state, changes nothing.
"""

from decimal import Decimal

from quantd.domain.events import TradingState
from quantd.engine.core import Engine
from quantd.ports import Observer
from quantd.runtime.limit_use import ACCOUNT, LimitUse

LEVELS = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}
"""What ``quantd_trading_state`` shows."""


class Gauges:
    """Sets them.

    Args:
        engine: For reading.
        observer: Gets the metrics.
    """

    def __init__(self, engine: Engine, observer: Observer) -> None:
        self._engine = engine
        self._observer = observer
        self._currency = engine.risk.risk.base_currency
        self._limits = LimitUse(engine)
        self._peak: Decimal | None = None
        """Highest profit seen in this run."""

    def sample(self) -> None:
        """Set all gauges; equity, drawdown and use of limits stay as they were while a price or rate is missing."""
        self._trading_states()
        self._books()
        self._accounts()
        self._drawdown()
        self._limits.sample(self._observer)

    def _trading_states(self) -> None:
        latches = self._engine.state.latches
        scopes = ["all", *(f"venue:{one}" for one in self._engine.context.capabilities)]
        scopes += [f"strategy:{one}" for one in self._engine.desks]
        # What is latched beyond these, an instrument or what is no longer configured, stands so since before a restart too.
        for scope in dict.fromkeys((*scopes, *latches)):
            level = LEVELS[latches[scope].state] if scope in latches else 0
            self._observer.gauge("quantd_trading_state", level, scope=scope_label(scope))

    def _drawdown(self) -> None:
        """Tell the fall from the highest profit, known from the journal or seen in this run, as a share of equity then."""
        state = self._engine.state
        profit = self._engine.guards.losses.profit(ACCOUNT)
        equities = [state.equity(venue) for venue in state.portfolio.accounts]
        if profit is None or not equities or None in equities:
            return
        self._peak = max(
            profit, state.baselines.peaks.get(ACCOUNT, profit), profit if self._peak is None else self._peak
        )
        fall = self._peak - profit
        highest = sum((one for one in equities if one is not None), fall)
        if highest > 0:
            self._observer.gauge("quantd_drawdown_ratio", float(fall / highest), scope=ACCOUNT)

    def _books(self) -> None:
        """Tell holdings and profits; a holding without any price counts at its cost in profits, what has no rate not at all."""
        gross = net = Decimal(0)
        profits: dict[str, list[Decimal]] = {}
        state = self._engine.state
        for book in state.portfolio.books():
            rules = book.instrument
            self._observer.gauge(
                "quantd_position_quantity",
                float(book.quantity),
                venue=rules.venue,
                instrument=str(rules.id),
                strategy=strategy_label(book.strategy),
            )
            rates = state.rates
            price, rate = rates.last_good(rates.marks[rules.id]), rates.rate(rules.settlement_currency, rates.last_good)
            costs = [
                amount * (rates.rate(asset, rates.last_good) or Decimal(0)) for asset, amount in book.costs.items()
            ]
            if rate is None:
                continue
            scopes = ("account", f"strategy:{strategy_label(book.strategy)}")
            for scope in scopes:
                sums = profits.setdefault(scope, [Decimal(0), Decimal(0)])
                sums[0] += book.realised * rate - sum(costs)
                if price is not None:
                    sums[1] += book.unrealised(price) * rate
            if price is None:
                continue
            value = rules.notional(book.quantity, price) * rate
            gross += abs(value)
            net += value
        for scope, (realised, unrealised) in profits.items():
            for kind, amount in (("realized", realised), ("unrealized", unrealised)):
                self._observer.gauge("quantd_profit", float(amount), scope=scope, currency=self._currency, kind=kind)
        for kind, amount in (("gross", gross), ("net", net)):
            self._observer.gauge(
                "quantd_exposure_notional", float(amount), scope="account", currency=self._currency, kind=kind
            )

    def _accounts(self) -> None:
        state = self._engine.state
        for venue, account in state.portfolio.accounts.items():
            equity = state.equity(venue)
            if equity is not None:
                self._observer.gauge("quantd_equity", float(equity), scope=f"venue:{venue}", currency=self._currency)
            for asset, total in account.totals.items():
                free = account.free(asset)
                self._observer.gauge("quantd_balance", float(free), venue=venue, asset=asset, kind="free")
                self._observer.gauge("quantd_balance", float(total - free), venue=venue, asset=asset, kind="locked")


def strategy_label(strategy: str) -> str:
    """Return a strategy's name in a label; what no strategy did is external."""
    return strategy or "external"


def scope_label(scope: str) -> str:
    """Return a latch's scope in a label."""
    return "account" if scope == "all" else scope
