"""What all desks of a simulated OANDA share, and what each request brings: who asks, when, and under which number."""

import msgspec

from quantd.exchange import Exchange
from quantd.simulators.oanda.options import InstrumentRules, Switches
from quantd.simulators.oanda.prices import PriceDesk
from quantd.simulators.oanda.records import Account


class Floor(msgspec.Struct, frozen=True):
    """The exchange, its instruments by name, their prices, and how the venue behaves now."""

    exchange: Exchange
    instruments: dict[str, InstrumentRules]
    prices: PriceDesk
    switches: Switches


class Act(msgspec.Struct, frozen=True):
    """One request on one account; without a number it is the venue's own doing."""

    account: Account
    now_ns: int
    request_id: str = ""

    def begin(self) -> int:
        """Begin a batch in the account's log; return the newest id before it."""
        return self.account.log.begin(self.now_ns, self.request_id)
