"""OANDA v20 as a simulation's venue: a margin account whose log tells everything, netting or hedging, exits on trades.

The venue's truth is its log and its pages as raw JSON, never read through the connector.
"""

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.facts import CashFlowRecorded, CursorMoved, Fact, FillRecorded
from quantd.domain.instruments import Instrument
from quantd.engine.orders import LiveOrder
from quantd.engine.state import State
from quantd.exchange.rules import DepthRules
from quantd.ports import HttpRequest
from quantd.simulators.oanda.options import AccountRules, InstrumentRules, Setup, Switches
from quantd.simulators.oanda.routes import match
from quantd.simulators.oanda.venue import OandaVenue
from tests.sim.invariants import ZERO, Model, require
from tests.sim.scenes.scene import Mishap, Scene, Truth, count_lags
from tests.sim.scenes.writes import CancelOne, Create, Writes

ACCOUNT = "101-004-1234567-001"
TOKEN = "simulated-token"
_RULES = InstrumentRules()
_COMMISSION = Decimal("0.0005")
_LAGS = ("read_lag_s", "list_lag_s")


class OandaScene(Scene):
    """Every other seed of one strategy nets; more strategies need an account that hedges."""

    name = "oanda"
    symbol = _RULES.name
    money = "USD"
    price = 1.1
    quantity = Decimal(300)
    holds_exits = True
    repeats = False
    """What the network doubles, the venue does twice: a person's matter."""
    environ: ClassVar = {"TOKEN": TOKEN}

    def __init__(self, settings: Any, seed: int, rng: random.Random, clock: LoopClock) -> None:
        home = self._home = "EUR" if seed % 5 == 2 else "USD"
        self.switches = Switches(since_id_max=rng.choice((5, 1_000)))
        setup = Setup(
            token=TOKEN,
            accounts=(AccountRules(ACCOUNT, home, hedging=settings.positions == "hedging"),),
            instruments=(msgspec.structs.replace(_RULES, commission=_COMMISSION if seed % 3 == 0 else ZERO),),
            depth=DepthRules(levels=5, size=rng.choice((600.0, 3_000.0, 1_000_000.0)), growth=1.5, step_ticks=2),
            seed=seed,
        )
        self.venue = OandaVenue(setup, clock=clock, switches=self.switches)
        self._is_closed = False

    @classmethod
    def configured(cls, settings: Any, seed: int, strategies: int) -> Any:
        """Return its section with how positions are kept."""
        mode = "hedging" if strategies > 1 or seed // 2 % 2 else "netting"
        return settings.model_copy(update={"positions": mode})

    def rules(self) -> Instrument:
        """Return the instrument."""
        return _RULES.instrument()

    def write_of(self, request: HttpRequest) -> Writes | None:
        """Tell orders by our client id; closes and exits name a trade."""
        asked = match(request)
        if asked is None or asked.operation not in ("create_order", "cancel_order"):
            return None
        if asked.operation == "cancel_order":
            return CancelOne(asked.parts["order"])
        order = json.loads(request.body)["order"]
        return Create(order.get("clientExtensions", {}).get("id", ""), None, request.body)

    def truth(self) -> Truth:
        """Return orders as the log tells them."""
        log = self._log()
        created, filled, ended = _orders_of(log)
        orders = [
            {
                "id": number, "idempotencyKey": f"{ours}-1", "filledQuantity": str(filled[number]), "fills": [],
                "status": ended.get(number, "open"),
            }
            for number, ours in created.items()
        ]  # fmt: skip
        return {"orders": orders, "transactions": [], "log": len(log)}

    def find(self, order: LiveOrder, number: int, known: frozenset[str]) -> Truth | None:
        """Return the order with our id."""
        return super().find(order, 1, known)

    # -- the venue's pages -----------------------------------------------------------------------------------------

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        request = HttpRequest(method, f"/v3/accounts/{ACCOUNT}{path}", {"Authorization": f"Bearer {TOKEN}"}, content)
        answer = self.venue.handle(request)
        assert answer.status == 200, answer
        return json.loads(answer.body, parse_float=Decimal)

    def _log(self) -> Sequence[Any]:
        """Return all transactions as they are written, however far the venue's reads lag."""
        log = self.venue.accounts[ACCOUNT].log
        return [log.get(number) for number in range(1, log.last_id + 1)]

    def compare(self, model: Model, state: State, facts: Iterable[Fact]) -> None:
        """Hold books, lots, orders and money against the venue's own pages and log, to the last digit."""
        account, log = self._ask("GET", "")["account"], self._log()
        _same_orders(state, log)
        theirs = {one["id"]: Decimal(one["currentUnits"]) for one in account["trades"]}
        ours = {one.lot.venue_id: one.lot.signed for one in state.lots["oanda"].all()} if "oanda" in state.lots else {}
        require(ours == theirs, "lots:", ours, theirs)
        held = sum((book.quantity for book in state.portfolio.books()), ZERO)
        require(held == sum(theirs.values(), ZERO), "position:", held, theirs)
        total = state.portfolio.accounts["oanda"].totals[self._home]
        require(total == Decimal(account["balance"]), "balance:", total, account["balance"])
        _same_money(list(facts), log)

    # -- what goes wrong -------------------------------------------------------------------------------------------

    def move_money(self, command: str) -> None:
        """Bring money in, or take it out."""
        self.venue.command(command, {"account": ACCOUNT, "amount": "250"})

    def mishaps(self, rng: random.Random) -> Mapping[str, Mishap]:
        """Let the venue book financing, and a person close trades in the venue's own program."""
        return {
            "financing": lambda: self.venue.command("financing", {"days": 1}),
            "closed_by_hand": lambda: self._close_by_hand(rng.random()),
        }

    def _close_by_hand(self, drawn: float) -> None:
        trades = self._ask("GET", "/openTrades")["trades"]
        if trades and not self._is_closed:
            trade = trades[int(drawn * len(trades))]
            half = abs(int(trade["currentUnits"])) // 2
            units = str(half) if drawn < 0.5 and half else "ALL"
            self._ask("PUT", f"/trades/{trade['id']}/close", {"units": units})

    def draw(self, rng: random.Random, struck: Counter[str]) -> None:
        """Set how far reads lag."""
        self.switches.read_lag_s = rng.choice((0.0, 0.0, 0.4))
        self.switches.list_lag_s = rng.choice((0.0, 0.0, 0.3, 3.0))
        count_lags(self.switches, struck, _LAGS)

    def heal(self, now_ns: int) -> None:
        """Turn everything back."""
        self.switches.read_lag_s = self.switches.list_lag_s = 0.0
        self.is_frozen = False
        self.halt(False, now_ns)

    def halt(self, on: bool, now_ns: int) -> None:
        """Halt the market."""
        self._is_closed = on
        self.venue.command("market", {"instrument": self.symbol, "status": "halted" if on else "open"})

    def stop(self, on: bool) -> None:
        """Let the log lag far behind."""
        self.switches.list_lag_s = 4.0 if on else 0.0

    def close(self, now_ns: int) -> None:
        """Let prices stand still."""
        self.is_frozen = True


def _orders_of(log: Sequence[Any]) -> tuple[dict[str, str], Counter[str], dict[str, str]]:
    """Return orders of ours by number with their client id, what was filled of each, and how they ended."""
    created: dict[str, str] = {}
    filled: Counter[str] = Counter()
    ended: dict[str, str] = {}
    for entry in log:
        ours = entry.get("clientExtensions", {}).get("id", "")
        if entry["type"].endswith("_ORDER") and "tradeID" not in entry and ours and "replacesOrderID" not in entry:
            created[entry["id"]] = ours
        elif entry["type"] == "ORDER_FILL":
            filled[entry["orderID"]] += abs(int(entry["units"]))
            ended[entry["orderID"]] = "filled"
        elif entry["type"] == "ORDER_CANCEL":
            ended[entry["orderID"]] = "cancelled"
    return created, filled, ended


def _same_money(facts: Sequence[Fact], log: Sequence[Any]) -> None:
    """What fills, fees and flows tell is all that moved the balance since the first look; nothing was inferred."""
    places = [int(one.value) for one in facts if isinstance(one, CursorMoved) and one.name == "transactions_until"]
    balances = {int(one["id"]): Decimal(one["accountBalance"]) for one in log if "accountBalance" in one}
    opening = next(balance for number, balance in reversed(balances.items()) if number <= places[0])
    told = ZERO
    for fact in facts:
        if isinstance(fact, FillRecorded) and int(fact.fill.id.partition("/")[0]) > places[0]:
            require(fact.fill.settled is not None, "a fill does not say what it settled:", fact)
            told += (fact.fill.settled or ("", ZERO))[1] - sum(amount for _, amount in fact.fill.fees)
        if isinstance(fact, CashFlowRecorded):
            require(not fact.flow.inferred, "money moved that nobody told of:", fact.flow)
            told += fact.flow.amount if int(fact.flow.id.partition("/")[0]) > places[0] else 0
    moved = list(balances.values())[-1] - opening
    require(told == moved, "money: fills, fees and flows tell of", told, "the balance moved by", moved)


def _same_orders(state: State, log: Sequence[Any]) -> None:
    filled: Counter[str] = Counter()
    names: dict[str, str] = {}
    for entry in log:
        ours = entry.get("clientExtensions", {}).get("id", "")
        if entry["type"].endswith("_ORDER") and "tradeID" not in entry:
            names[entry["id"]] = names.get(entry.get("replacesOrderID", ""), "") or ours or entry["id"]
        if entry["type"] == "ORDER_FILL":
            filled[names.get(entry["orderID"], entry["orderID"])] += abs(int(entry["units"]))
    for order in state.orders.all_orders():
        numbers = order.venue_order_ids
        theirs = filled[order.client_order_id] + sum(filled[one] for one in set(numbers))
        if not order.client_order_id.startswith("x-"):
            require(order.filled == theirs, "filled:", order.client_order_id, numbers, order.filled, theirs)
        require(order.operation is None, "a write was never settled:", order.client_order_id, order.operation)
        require(not order.is_open, "an order is open:", order.client_order_id)
