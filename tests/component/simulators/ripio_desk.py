"""A simulated Ripio Trade and a client that signs by hand, in memory: what the simulator's tests stand on."""

import json
from base64 import b64encode
from decimal import Decimal
from hashlib import sha256
from hmac import new as hmac
from typing import Any

from quantd.clock import ManualClock
from quantd.domain.market import Quote
from quantd.exchange import DepthRules
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.ripio.options import Credential, PairRules, RateRules, Setup, Switches
from quantd.simulators.ripio.venue import RipioVenue

SECOND_NS = 1_000_000_000
STARTED_NS = 1_780_000_000 * SECOND_NS
PAIR = PairRules()
OPEN_HANDED = RateRules(per_second=10**5, burst=10**5, public_per_second=10**5, public_burst=10**5)
BALANCES = {"main": {"BRL": Decimal(1_000_000), "BTC": Decimal(2)}, "other": {"BRL": Decimal(500_000)}}
MAIN = Credential("main-token", "main-secret")
OTHER = Credential("other-token", "other-secret", "other")
READER = Credential("reader-token", "reader-secret", permissions=("Read",))
LIMIT = {"pair": "BTC_BRL", "side": "buy", "type": "limit", "amount": "0.01", "price": "300000", "external_id": "one"}


class Desk:
    """A venue whose one pair is at 300,000 to 300,010 BRL, one BTC at either side and nothing behind it."""

    def __init__(self, **setup: Any) -> None:
        self.clock = ManualClock(STARTED_NS)
        self.switches = Switches(public_cache_s=0)
        chosen: dict[str, Any] = {
            "rates": OPEN_HANDED, "balances": BALANCES, "credentials": (MAIN, OTHER, READER),
            "depth": DepthRules(levels=1), **setup,
        }  # fmt: skip
        self.venue = RipioVenue(Setup(**chosen), clock=self.clock, switches=self.switches)
        self.requests = 0
        self.quote(300_000, 300_010)

    def quote(self, bid: float, ask: float, size: float = 1.0, pair: str = "BTC_BRL") -> None:
        """Move the market; `size` is there at the best prices, and nothing behind them."""
        instrument = self.venue.pairs.listed[pair].instrument
        self.venue.on_market(Quote(instrument.id, bid, ask, 0, None, size, size))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.set(self.clock.now_ns() + round(seconds * SECOND_NS))

    def signed(
        self, method: str, path: str, body: bytes = b"", *, who: Credential = MAIN, **headers: str
    ) -> HttpRequest:
        """Return a signed request; `headers` (with underscores) replace or add to what it has."""
        self.requests += 1
        self.clock.set(self.clock.now_ns() + 1_000_000)  # two requests never share a millisecond
        stamp = headers.pop("timestamp", str(self.clock.now_ns() // 1_000_000))
        message = f"{stamp}{method}{path.partition('?')[0]}".encode() + body
        signature = b64encode(hmac(who.secret.encode(), message, sha256).digest()).decode()
        named = {"Authorization": who.token, "Timestamp": stamp, "Signature": signature}
        if body:
            named["Content-Type"] = "application/json"
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        return HttpRequest(method, path, named, body)

    def ask(self, method: str, path: str, body: Any = None, **how: Any) -> tuple[int, Any]:
        """Ask and return (status, tree); fractions are Decimals."""
        content = body if isinstance(body, bytes) else b"" if body is None else compact(body)
        response = self.venue.handle(self.signed(method, "/trade" + path, content, **how))
        return response.status, tree_of(response)

    def data(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        """Ask, expect a success in its frame, and return what is in it."""
        status, tree = self.ask(method, path, body, **how)
        assert status == 200, tree
        assert (tree["error_code"], tree["message"]) == (None, None)
        return tree["data"]

    def code(self, method: str, path: str, body: Any = None, **how: Any) -> tuple[int, int]:
        """Ask, expect a failure in its frame, and return (status, error code)."""
        status, tree = self.ask(method, path, body, **how)
        assert tree["data"] is None
        assert tree["message"]
        return status, tree["error_code"]

    def public(self, path: str) -> tuple[int, Any]:
        """Ask without a signature."""
        response = self.venue.handle(HttpRequest("GET", "/trade" + path))
        return response.status, tree_of(response)

    def create(self, **changes: Any) -> Any:
        """Place an order like `LIMIT`; a change to None leaves a field out."""
        return self.data("POST", "/orders", order(**changes))

    def refused(self, **changes: Any) -> int:
        """Place an order that must be refused with a 400, and return the code."""
        status, code = self.code("POST", "/orders", order(**changes))
        assert status == 400
        return code

    def get(self, order_id: str) -> Any:
        """Look an order up."""
        return self.data("GET", f"/orders/{order_id}")

    def balance(self, asset: str, **how: Any) -> Any:
        """Return (available, locked)."""
        (row,) = self.data("GET", f"/user/balances?currency_code={asset}", **how)
        return Decimal(row["available_amount"]), Decimal(row["locked_amount"])


def order(**changes: Any) -> dict[str, Any]:
    """Return a create's body."""
    return {name: value for name, value in (LIMIT | changes).items() if value is not None}


def market(**changes: Any) -> dict[str, Any]:
    """Return the changes that make a market order of `LIMIT`."""
    return {"type": "market", "price": None, **changes}


def compact(body: Any) -> bytes:
    """Return JSON without spaces."""
    return json.dumps(body, separators=(",", ":")).encode()


def tree_of(response: HttpResponse) -> Any:
    """Return the JSON of an answer, None where it is a page."""
    if not response.headers["content-type"].startswith("application/json"):
        return None
    return json.loads(response.body, parse_float=Decimal)
