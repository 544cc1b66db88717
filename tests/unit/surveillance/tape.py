"""Writes the facts of a scripted flow, as the journal would hold them."""

from decimal import Decimal

from quantd.domain import facts as f
from quantd.domain.fills import Fill, Liquidity
from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import ClientOrderId, OrderKind, OrderSpec, Origin, Role, Side, TimeInForce, Trigger
from quantd.surveillance.findings import Finding, Thresholds
from quantd.surveillance.watch import Surveillance

BTC = "a:BTC-USD"
SECOND_NS = 1_000_000_000


class Tape:
    """A flow, second by second."""

    def __init__(self, strategy: str = "one", instrument: str = BTC) -> None:
        self.now_s = 1_000_000.0
        self.strategy = strategy
        self.instrument = instrument
        self.facts: list[f.Fact] = []
        self._orders: dict[str, OrderSpec] = {}
        self._filled: dict[str, Decimal] = {}

    @property
    def _at_ns(self) -> int:
        return round(self.now_s * SECOND_NS)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    def place(
        self,
        side: str,
        quantity: float,
        price: float | None = None,
        *,
        kind: OrderKind | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        held: bool = False,
    ) -> str:
        """Place an order, at the market without a price; its id."""
        name = f"q{len(self._orders) + 1}-{self.strategy}"
        spec = OrderSpec(
            InstrumentId(self.instrument),
            Side(side),
            Decimal(str(quantity)),
            kind or (OrderKind.MARKET if price is None else OrderKind.LIMIT),
            None if price is None else Decimal(str(price)),
            time_in_force=tif,
        )
        self._orders[name], self._filled[name] = spec, Decimal(0)
        intended = f.OrderIntended(
            ClientOrderId(name), self.strategy, spec, Origin.STRATEGY, Role.ENTRY, 0, self._at_ns, held=held
        )
        self.facts.append(intended)
        return name

    def cancel(self, *names: str, asked: bool = True) -> None:
        """Cancel orders, or let the venue do it unasked."""
        for name in names:
            if asked:
                self.facts.append(f.CancelIntended(ClientOrderId(name), 2, self._at_ns))
            self.facts.append(f.OrderMoved(ClientOrderId(name), Trigger.CANCEL, self._at_ns))

    def end(self, name: str, trigger: Trigger) -> None:
        """Let an order end otherwise, or live again."""
        self.facts.append(f.OrderMoved(ClientOrderId(name), trigger, self._at_ns))

    def amend(self, name: str, *, quantity: float | None = None, price: float | None = None) -> None:
        """Change an order's terms."""
        spec = self._orders[name]
        terms = (
            spec.quantity if quantity is None else Decimal(str(quantity)),
            spec.price if price is None else Decimal(str(price)),
        )
        self.facts.append(f.AmendIntended(ClientOrderId(name), 2, *terms, self._at_ns))
        self.facts.append(f.OrderAmended(ClientOrderId(name), *terms, self._at_ns))

    def fill(
        self, name: str, price: float, quantity: float | None = None, *, trade: str = "", taker: bool = False
    ) -> None:
        """Fill an order, all of it unless a quantity is given."""
        spec = self._orders[name]
        traded = spec.quantity - self._filled[name] if quantity is None else Decimal(str(quantity))
        self._filled[name] += traded
        liquidity = Liquidity.TAKER if taker else Liquidity.UNKNOWN
        fill = Fill(trade or f"{name}/{self._filled[name]}", traded, Decimal(str(price)), liquidity=liquidity)
        self.facts.append(
            f.FillRecorded(
                ClientOrderId(name), self.strategy, spec.instrument, spec.side, fill, self._filled[name], self._at_ns
            )
        )


def flagged(*tapes: Tape, marketplaces: dict[str, str] | None = None, **thresholds: float) -> list[Finding]:
    """Return what surveillance finds in flows that happen at the same time."""
    surveillance = Surveillance(Thresholds(**thresholds), marketplaces or {})  # type: ignore[arg-type]  # counts too
    facts = sorted((fact for tape in tapes for fact in tape.facts), key=lambda fact: fact.at_ns)
    last_ns = max((fact.at_ns for fact in facts), default=0)
    return [*surveillance.facts(facts), *surveillance.over(last_ns + 3_600 * SECOND_NS)]


def patterns(*tapes: Tape, marketplaces: dict[str, str] | None = None, **thresholds: float) -> list[str]:
    """Return the patterns alone."""
    return [one.pattern.value for one in flagged(*tapes, marketplaces=marketplaces, **thresholds)]
