"""The hard limits under which the state machine of the engine trades."""

from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.engine.risk.limits import Limits, RateLimit, RiskSettings
from quantd.testing.builders import BTC

D = Decimal
ETH = InstrumentId("paper:ETH-USD")
INSTRUMENTS = (BTC, ETH)
STRATEGIES = ("s1", "s2")

POSITION = D(4)
NET_POSITION = D(6)
GROSS = D(900)
NET = D(700)
OPEN_ORDERS = 5
OPEN_NOTIONAL = D(700)
ORDER_QUANTITY = D(4)
RATE = RateLimit(count=8, per_s=3.0)

RISK = RiskSettings(
    base_currency="USD",
    order=Limits(max_order_quantity=ORDER_QUANTITY, self_match="cancel_oldest", price_collar_bps=D(2_000)),
    account=Limits(
        max_gross_notional=GROSS,
        max_net_notional=NET,
        max_open_orders=OPEN_ORDERS,
        max_open_notional=OPEN_NOTIONAL,
        submit_rate=RATE,
    ),
    instruments={one: Limits(max_position=NET_POSITION) for one in INSTRUMENTS},
)
OWN = {name: Limits(max_position=POSITION) for name in STRATEGIES}
