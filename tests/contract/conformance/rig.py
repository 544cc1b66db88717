"""What the conformance suite needs of a venue: a connector, the simulated venue behind it, and the venue's own truth.

One rig for each venue. It stands in virtual time; the cases speak to it in the words of the engine only.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from quantd.clock import LoopClock
from quantd.domain.commands import Amend, Cancel, Submit
from quantd.domain.instruments import Instrument, InstrumentId
from quantd.domain.numbers import BPS, ONE, Rounding
from quantd.domain.orders import ClientOrderId, OrderKind, OrderRef, OrderSpec, OrderState, Side, TimeInForce
from quantd.domain.outcomes import Accepted, Outcome, Scheduled
from quantd.domain.reports import OrderReport
from quantd.ports import Connector
from quantd.simulators.faults import Action

SECOND_NS = 1_000_000_000


class Truth(msgspec.Struct, frozen=True):
    """What the simulated venue itself holds of our account."""

    totals: Mapping[str, Decimal]
    """By asset; assets of which there is nothing may be missing."""
    held: Mapping[str, Decimal]
    """Signed quantity of lots by instrument; empty on spot."""
    working: frozenset[str]
    """Venue ids of the orders that work."""


class Rig(ABC):
    """One venue under test."""

    name: ClassVar[str]
    """The venue's column."""
    symbol: ClassVar[str]
    unknown_symbol: ClassVar[str] = "NOPE-NOPE"
    bid: ClassVar[Decimal]
    ask: ClassVar[Decimal]
    """Where the market stands when a case begins."""
    quantity: ClassVar[Decimal]
    """An ordinary order's; the venue's minimum must lie well below."""
    huge: ClassVar[Decimal]
    """More than the account can pay."""
    routes: ClassVar[Mapping[str, str]] = {}
    """``submit``, ``cancel``, ``amend``, ``quotes``, ``snapshot`` -> the simulator's name of the request; without one
    nothing can be lost on the way."""
    not_applicable: ClassVar[Mapping[str, str]] = {}
    """Number of a case -> why it says nothing of this venue."""
    settles_s: ClassVar[float] = 2.0
    """Within this time an order that can trade has traded, and the venue shows it."""

    connector: Connector
    instrument: Instrument

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self._numbers = 0

    # -- what each venue does in its own way -----------------------------------------------------------------------

    @abstractmethod
    def connect(self, *, wrong_credentials: bool = False) -> Connector:
        """Return a new connector of the same account, as after a restart."""

    @abstractmethod
    def move(self, bid: Decimal, ask: Decimal) -> None:
        """Move the market."""

    @abstractmethod
    def truth(self) -> Truth:
        """Return what the venue itself holds."""

    def fault(self, action: Action, request: str, **terms: Any) -> None:
        """Let the next request of a kind meet a fault, once."""
        raise NotImplementedError

    def refusals(self) -> int:
        """Return how many requests the venue has refused as too many."""
        return 0

    def expire_credentials(self) -> None:
        """Let the session end at the venue while the connector believes in it."""
        raise NotImplementedError

    def skew(self, seconds: float) -> None:
        """Let the venue's clock go wrong."""
        raise NotImplementedError

    def deposit(self, amount: Decimal) -> str:
        """Bring money in and return its asset."""
        raise NotImplementedError

    async def foreign_order(self, price: Decimal, quantity: Decimal) -> None:
        """Place a buy limit in our account that is not ours."""
        raise NotImplementedError

    # -- what all cases use ----------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the session and read the rules."""
        self.connector = self.connect()
        self.move(self.bid, self.ask)
        await self.connector.start()
        (self.instrument,) = await self.connector.instruments([self.symbol])

    @property
    def instrument_id(self) -> InstrumentId:
        """The instrument of all cases."""
        return self.instrument.id

    def price(self, bps: int, of: Decimal | None = None) -> Decimal:
        """Return a price on a tick so many basis points away from the bid."""
        return self.instrument.price((of or self.bid) * (ONE + bps * BPS), Rounding.NEAREST)

    def submit(self, *, kind: OrderKind = OrderKind.LIMIT, side: Side = Side.BUY, **terms: Any) -> Submit:
        """Return the command for a new order; without a price a limit rests well away from the market."""
        self._numbers += 1
        price = terms.pop("price", None)
        if price is None and kind in (OrderKind.LIMIT, OrderKind.STOP_LIMIT):
            price = self.price(-200 if side is Side.BUY else 200)
        quantity = terms.pop("quantity", self.quantity)
        protection = terms.pop("protection", None)
        spec = OrderSpec(self.instrument_id, side, quantity, kind, price, **terms)
        deadline_at_ns = self.clock.now_ns() + 2 * SECOND_NS
        return Submit(ClientOrderId(f"qcf-1-{self._numbers:x}"), 1, spec, deadline_at_ns, 0, protection)

    def ref(self, command: Submit, venue_order_id: str, filled: Decimal = Decimal(0)) -> OrderRef:
        """Return how the engine asks for an order."""
        return OrderRef(command.client_order_id, (venue_order_id,), command.spec, filled, self.clock.now_ns())

    def cancel(self, command: Submit, venue_order_id: str) -> Cancel:
        """Return the command that cancels an order."""
        return Cancel(command.client_order_id, 2, self.instrument_id, venue_order_id)

    def amend(self, command: Submit, venue_order_id: str, *, quantity: Decimal, price: Decimal) -> Amend:
        """Return the command that changes an order."""
        spec = msgspec.structs.replace(command.spec, quantity=quantity, price=price)
        deadline_at_ns = self.clock.now_ns() + 2 * SECOND_NS
        return Amend(
            command.client_order_id, 2, self.instrument_id, venue_order_id, spec, deadline_at_ns, 0, quantity, price
        )

    async def place(self, command: Submit) -> tuple[str, Outcome]:
        """Send an order that the venue must take; return its id there and the outcome."""
        outcome = await self.connector.submit(command)
        if isinstance(outcome, Scheduled):
            await asyncio.sleep(0.1)  # the venue has it in hand; the exchange behind it is quick
        return named_by(outcome), outcome

    async def follow(
        self, command: Submit, outcome: Outcome, until: Callable[[OrderReport], bool], within_s: float | None = None
    ) -> OrderReport:
        """Ask for an order until a report satisfies `until`; the outcome's own report counts first.

        Raises:
            AssertionError: none did in time; names the last one.
        """
        last = outcome.reports[-1] if isinstance(outcome, Accepted) and outcome.reports else None
        deadline_ns = self.clock.monotonic_ns() + round((within_s or self.settles_s) * SECOND_NS)
        while last is None or not until(last):
            assert self.clock.monotonic_ns() < deadline_ns, f"{command.client_order_id} stays {last}"
            await asyncio.sleep(0.25)
            filled = Decimal(0) if last is None else last.filled_quantity
            for report in await self.connector.order_reports([self.ref(command, named_by(outcome), filled)]):
                last = report
            if last is None:  # nothing changed since it was taken on: what is open shows it
                open_now = (await self.connector.snapshot()).orders
                last = next((one for one in open_now if one.venue_order_id == named_by(outcome)), None)
        return last

    async def fill(self, *, side: Side = Side.BUY, quantity: Decimal | None = None) -> tuple[Submit, OrderReport]:
        """Trade: a limit through the market, met by the next price."""
        edge = self.price(20 if side is Side.BUY else -20)
        command = self.submit(side=side, price=edge, quantity=quantity or self.quantity)
        _, outcome = await self.place(command)
        await asyncio.sleep(0.1)
        self.move(self.bid, self.ask)
        return command, await self.follow(command, outcome, lambda report: report.state is OrderState.FILLED)

    async def totals(self) -> dict[str, Decimal]:
        """Return the balances that the connector reads, without the empty ones."""
        snapshot = await self.connector.snapshot()
        return {balance.asset: balance.total for balance in snapshot.balances if balance.total}

    async def open_ids(self, connector: Connector | None = None) -> list[str]:
        """Return the venue ids of the open orders that a connector reads."""
        snapshot = await (connector or self.connector).snapshot()
        return sorted(report.venue_order_id for report in snapshot.orders)


def named_by(outcome: Outcome) -> str:
    """Return the venue's id of the order that an outcome tells of.

    Raises:
        AssertionError: the venue did not take it.
    """
    if isinstance(outcome, Scheduled):
        return outcome.ref
    assert isinstance(outcome, Accepted), outcome
    return outcome.reports[0].venue_order_id


ENDED = (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.EXPIRED)
TIFS: Sequence[TimeInForce] = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY, TimeInForce.GTD)
