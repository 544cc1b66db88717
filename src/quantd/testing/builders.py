"""Builders of instruments, accounts and a whole engine, with values that suit most tests; every one can be changed.

Used by tests, quantd's own and those of strategy authors. A `Rig` is an engine with scripted strategies, a clock that
moves when told, and a shadow that folds every fact it writes. Holds no assertions about trading.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from quantd.domain.capabilities import Capabilities, Echo, LotWrite, Support
from quantd.domain.cash import Account, AccountKind, Balance, PositionMode
from quantd.domain.commands import Cancel, Command
from quantd.domain.events import (
    AccountOpened,
    Event,
    InstrumentListed,
    JobDone,
    OperationSent,
    OutcomeReceived,
    StrategyStarted,
    TimePassed,
)
from quantd.domain.facts import Fact
from quantd.domain.fills import Fill
from quantd.domain.instruments import Instrument, InstrumentId, TickTier
from quantd.domain.market import Quote
from quantd.domain.numbers import ZERO
from quantd.domain.orders import Limit, OrderState, TimeInForce
from quantd.domain.outcomes import Accepted, Outcome
from quantd.domain.reports import AccountSnapshot, OrderReport
from quantd.engine.context import EngineSettings, StrategySetup
from quantd.engine.core import Engine
from quantd.engine.orders import LiveOrder, Order
from quantd.engine.rates import Rates
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.state import State
from quantd.engine.strategy import Strategy

STARTED_AT_NS = 1_600_000_000_000_000_000
SECOND_NS = 1_000_000_000
BTC = InstrumentId("paper:BTC-USD")
"""The instrument of `make_instrument`."""
OPEN_HANDED = Limits(price_collar_bps=Decimal(500), passive_collar_bps=Decimal(5_000), self_match="deny")
"""What holds in a rig where the test says nothing: no age limit of quotes, so that a test need not repeat them."""

_T = TypeVar("_T")
_FACTS = msgspec.json.Decoder(Fact)


def make_instrument(id: str = BTC, **rules: Any) -> Instrument:
    """Return an instrument with a tick of 0.01, a lot of 0.001 and no fees, changed by `rules`."""
    base, _, quote = id.partition(":")[2].replace("_", "-").partition("-")
    plain: dict[str, Any] = {
        "base": base,
        "quote": quote or "USD",
        "ticks": (TickTier(ZERO, Decimal("0.01")),),
        "lot": Decimal("0.001"),
    }
    return Instrument(id=InstrumentId(id), **(plain | rules))


def make_capabilities(**changes: Any) -> Capabilities:
    """Return what a venue can do that has everything natively and finds orders by our id, changed by `changes`."""
    native: dict[str, Any] = dict.fromkeys(
        (
            "market",
            "limit",
            "stop",
            "stop_limit",
            "post_only",
            "reduce_only",
            "amend",
            "trailing",
            "bracket",
        ),
        Support.NATIVE,
    )
    native |= {
        "time_in_force": dict.fromkeys(TimeInForce, Support.NATIVE),
        "identity": Echo(),
        "quiet_period_s": 5.0,
    }
    return Capabilities(**(native | changes))


def make_lot_capabilities(**changes: Any) -> Capabilities:
    """Return what a venue can do that has everything, and holds the exits of each lot."""
    lots: dict[str, Any] = {
        "lot_writes": frozenset(LotWrite),
        "repeat_safe_lot_writes": frozenset({LotWrite.CLOSE_WHOLE, LotWrite.PROTECT}),
    }
    return make_capabilities(**(lots | changes))


def make_plain_capabilities(**changes: Any) -> Capabilities:
    """Return what a venue can do that has limit orders and cancels, and nothing else."""
    emulated = Support.EMULATED
    plain: dict[str, Any] = {
        "market": emulated,
        "stop": emulated,
        "stop_limit": emulated,
        "post_only": Support.REFUSED,
        "reduce_only": emulated,
        "amend": emulated,
        "trailing": emulated,
        "bracket": emulated,
        "time_in_force": {
            TimeInForce.GTC: Support.NATIVE,
            TimeInForce.IOC: emulated,
            TimeInForce.GTD: emulated,
            TimeInForce.FOK: Support.REFUSED,
            TimeInForce.DAY: Support.REFUSED,
        },
    }
    return make_capabilities(**(plain | changes))


def make_account(venue: str = "paper", *, margin: bool = False, hedging: bool = False) -> Account:
    """Return a spot account in USD, or a margin account."""
    return Account(
        venue=venue,
        id="1",
        kind=AccountKind.MARGIN if margin else AccountKind.SPOT,
        mode=PositionMode.HEDGING if hedging else PositionMode.NETTING,
        home_currency="USD",
    )


def make_balance(asset: str, total: Decimal | int | str, locked: Decimal | int | str = 0) -> Balance:
    """Return a balance of which `locked` is not free."""
    whole, held = Decimal(total), Decimal(locked)
    return Balance(asset, whole, whole - held, held)


def make_snapshot(
    totals: Mapping[str, Decimal | int | str], *, at_ns: int, venue: str = "paper", **fields: Any
) -> AccountSnapshot:
    """Return a snapshot that was asked for and answered at `at_ns`, with these totals, nothing locked."""
    told = tuple(make_balance(asset, total) for asset, total in totals.items())
    shown: dict[str, Any] = {"asked_at_ns": at_ns, "answered_at_ns": at_ns, "balances": told}
    return AccountSnapshot(venue=venue, received_at_ns=at_ns, **(shown | fields))


class Puppet(Strategy):
    """A strategy that does what a test tells it, and remembers what it was told."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        """(hook, its arguments), in order; without `on_job`, through which a test speaks to it."""
        self.script: Callable[[Any], Any] | None = None
        self.answer: Any = None

    def on_start(self) -> None:
        """Remember."""
        self.seen.append(("on_start", None))

    def on_order(self, order: Any) -> None:
        """Remember."""
        self.seen.append(("on_order", (order, order.state)))

    def on_fill(self, order: Any, fill: Any) -> None:
        """Remember."""
        self.seen.append(("on_fill", (order, fill)))

    def on_denied(self, denied: Any, instrument: InstrumentId) -> None:
        """Remember."""
        self.seen.append(("on_denied", denied))

    def on_timer(self, name: str) -> None:
        """Remember."""
        self.seen.append(("on_timer", name))

    def on_job(self, name: str, result: Any, error: str) -> None:
        """Carry out the script."""
        if self.script is not None:
            script, self.script = self.script, None
            self.answer = script(self)

    def hooks(self, name: str) -> list[Any]:
        """Return the arguments of every call of one hook."""
        return [what for hook, what in self.seen if hook == name]


class Rig:
    """An engine with strategies, driven by hand. Every fact goes through JSON into `shadow`, a folded state."""

    def __init__(  # noqa: PLR0913 -- what an engine is made of, each with a default
        self,
        *,
        instruments: Iterable[Instrument] = (),
        risk: RiskSettings | None = None,
        strategies: Mapping[str, Strategy] | None = None,
        limits: Mapping[str, Limits] | None = None,
        capabilities: Capabilities | None = None,
        balances: Mapping[str, Decimal | int | str] | None = None,
        margin: bool = False,
        hedging: bool = False,
        defaults: Limits = OPEN_HANDED,
        settings: EngineSettings | None = None,
        facts: Iterable[Fact] = (),
        price: float | None = 100.0,
        setups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Build, fold `facts` where there are any, else open the accounts; quote every instrument at `price`.

        Args:
            instruments: BTC of `make_instrument` where none are given.
            risk: Base currency USD and no limits where none is given.
            strategies: By id; two puppets, ``s1`` and ``s2``, where none are given. All trade everything.
            limits: By strategy; `setups`: likewise, fields of its `StrategySetup`.
            capabilities: Of every venue; all native where none are given.
            balances: Of every account; a million USD and a thousand of each base asset where none are given.
            margin: Whether the accounts are margin accounts; `hedging`: and hold a lot for each trade.
            defaults: What the gate takes where nothing is configured.
            settings: Of the engine.
            facts: What a journal held; the rig then goes on from there.
            price: Bid and ask; None for no quotes.
        """
        self.now_ns = STARTED_AT_NS
        self.facts: list[Fact] = []
        self.commands: list[Command] = []
        self.instruments = list(instruments) or [make_instrument()]
        self.risk = risk or RiskSettings(base_currency="USD")
        self.strategies: dict[str, Any] = dict(strategies or {"s1": Puppet(), "s2": Puppet()})
        ids = tuple(one.id for one in self.instruments)
        setups, limits = setups or {}, limits or {}
        self.engine = Engine(
            settings or EngineSettings(journal_id="0test", epoch=1),
            self.risk,
            [
                (StrategySetup(**({"id": name, "instruments": ids} | dict(setups.get(name, {})))), strategy, own)
                for name, strategy in self.strategies.items()
                for own in [limits.get(name, self.risk.strategy)]
            ],
            make_random=random.Random,
            log=lambda name: lambda *args, **kwargs: None,
            defaults=defaults,
        )
        self.shadow = State(Rates(self.risk.base_currency))
        venues = list(dict.fromkeys(one.venue for one in self.instruments))
        for venue in venues:
            self.engine.connect(venue, capabilities or make_capabilities())
        self.engine.declare()
        folded = list(facts)
        if folded:
            self._fold(folded)
        for instrument in self.instruments:
            self.handle(InstrumentListed(instrument, self.now_ns))
        if not folded:
            plenty = {"USD": 1_000_000} | ({} if margin else {one.base: 1_000 for one in self.instruments})
            self._open(venues, plenty if balances is None else balances, margin=margin, hedging=hedging)
        if price is not None:
            for instrument in self.instruments:
                self.quote(price, instrument=instrument.id)
        for name in self.strategies:
            self.handle(StrategyStarted(name, self.now_ns))

    def _fold(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.engine.state.apply(fact)
            self.shadow.apply(fact)
        self.now_ns = max(fact.at_ns for fact in facts)
        self.facts += facts
        self.engine.restored()

    def _open(self, venues: Iterable[str], totals: Mapping[str, Decimal | int | str], **account: bool) -> None:
        for venue in venues:
            self.handle(AccountOpened(make_account(venue, **account), self.now_ns))
            self.handle(make_snapshot(totals, at_ns=self.now_ns, venue=venue))

    @property
    def state(self) -> State:
        """The engine's state."""
        return self.engine.state

    def handle(self, event: Event) -> Sequence[Command]:
        """Give an event to the engine, fold the facts in the shadow, and return the commands."""
        commands = self.engine.handle(event)
        self.commands += commands
        for fact in self.engine.take_facts():
            self.facts.append(fact)
            self.shadow.apply(_FACTS.decode(msgspec.json.encode(fact)))
        return commands

    def do(self, script: Callable[[Any], _T], strategy: str = "s1") -> _T:
        """Run `script(strategy)` inside a hook of a puppet and return what it returned."""
        puppet: Puppet = self.strategies[strategy]
        puppet.script, puppet.answer = script, None
        self.handle(JobDone(strategy, "script", b"", self.now_ns))
        answer: _T = puppet.answer
        return answer

    def wait(self, seconds: float = 1.0) -> Sequence[Command]:
        """Let time pass, with one tick at its end."""
        self.now_ns += round(seconds * SECOND_NS)
        return self.handle(TimePassed(self.now_ns))

    def quote(self, bid: float, ask: float | None = None, *, instrument: str = BTC) -> Sequence[Command]:
        """Quote an instrument."""
        shown = bid if ask is None else ask
        return self.handle(Quote(InstrumentId(instrument), bid, shown, self.now_ns))

    # -- what the venue says -------------------------------------------------------------------------------------

    def live(self, order: Order | LiveOrder | str) -> LiveOrder:
        """Return the engine's own order behind a view or an id."""
        if isinstance(order, LiveOrder):
            return order
        return self.state.orders[order.id if isinstance(order, Order) else order]

    def answer(self, order: Order | LiveOrder | str, outcome: Outcome) -> Sequence[Command]:
        """Give the outcome of the order's operation in flight; its bytes left just before."""
        live = self.live(order)
        assert live.operation is not None, f"{live.client_order_id} has nothing in flight"
        number = live.operation.number
        self.handle(OperationSent(live.client_order_id, number, self.now_ns))
        return self.handle(OutcomeReceived(live.client_order_id, number, outcome, self.now_ns))

    def accept(self, order: Order | LiveOrder | str) -> Sequence[Command]:
        """Accept the operation in flight; the venue shows the order as working, or as cancelled after a cancel."""
        live = self.live(order)
        assert live.operation is not None, f"{live.client_order_id} has nothing in flight"
        state = OrderState.CANCELLED if isinstance(self.last_write(live), Cancel) else OrderState.WORKING
        return self.answer(live, Accepted((self.report_of(live, state=state),)))

    def last_write(self, order: LiveOrder) -> Command:
        """Return the last command for an order."""
        writes = [one for one in self.commands if getattr(one, "client_order_id", "") == order.client_order_id]
        return writes[-1]

    def report_of(self, order: Order | LiveOrder | str, **fields: Any) -> OrderReport:
        """Return a report of the order as it stands, changed by `fields`."""
        live = self.live(order)
        told: dict[str, Any] = {
            "instrument": live.instrument,
            "venue_order_id": live.venue_order_id or f"v-{live.client_order_id}",
            "state": live.state,
            "filled_quantity": live.filled,
            "received_at_ns": self.now_ns,
            "client_order_id": live.client_order_id,
        }
        return OrderReport(**(told | fields))

    def report(self, order: Order | LiveOrder | str, **fields: Any) -> Sequence[Command]:
        """Report the order as it stands, changed by `fields`."""
        return self.handle(self.report_of(order, **fields))

    def fill(
        self, order: Order | LiveOrder | str, quantity: Decimal | int | str | None = None, price: Any = None
    ) -> Sequence[Command]:
        """Report an execution: of all that is left and at the order's price (100 where it has none) by default."""
        live = self.live(order)
        traded = live.remaining if quantity is None else Decimal(quantity)
        at = Decimal(str(price)) if price is not None else live.spec.price or Decimal(100)
        told = Fill(f"t-{live.client_order_id}-{len(live.fills)}", traded, at)
        filled = live.filled + traded
        state = OrderState.FILLED if filled >= live.spec.quantity else OrderState.PARTIALLY_FILLED
        return self.report(live, filled_quantity=filled, fills=(told,), state=state)

    def hold(
        self, quantity: Decimal | int | str, strategy: str = "s1", instrument: str = BTC, price: Any = 100
    ) -> None:
        """Put a position into a strategy's book, by an order that is accepted and filled at once."""
        signed = Decimal(quantity)
        how = Limit(Decimal(str(price)))
        order = self.do(lambda s: (s.buy if signed > 0 else s.sell)(instrument, abs(signed), how), strategy)
        assert order, f"the gate denied the position: {order}"
        self.accept(order)
        self.fill(order)

    def of(self, kind: type[_T]) -> list[_T]:
        """Return the facts of one kind so far."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def sent(self, kind: type[_T]) -> list[_T]:
        """Return the commands of one kind so far."""
        return [command for command in self.commands if isinstance(command, kind)]
