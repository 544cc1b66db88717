"""A client of the simulated TradeLocker for its tests: requests and answers in this process, a clock that is set."""

from typing import Any

import msgspec

from quantd.clock import ManualClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.tradelocker.options import Setup, Switches
from quantd.simulators.tradelocker.venue import TradeLockerVenue

START_NS = 1_767_951_991_995 * 1_000_000
ACCOUNT = "/trade/accounts/1000001"
LOG_IN = {"email": "quant@example.com", "password": "simulated", "server": "SIM"}
INFO = "routeId=452&tradableInstrumentId=206"


class Client:
    """Asks a venue as a client would; limits are off unless wanted."""

    def __init__(self, setup: Setup | None = None, **switches: Any) -> None:
        self.clock = ManualClock(START_NS)
        self.switches = Switches(**{"enforce_limits": False, **switches})
        self.venue = TradeLockerVenue(setup or Setup(), clock=self.clock, switches=self.switches)
        self.headers: dict[str, str] = {"accNum": "60"}
        self.price(65_000.0)
        self.tokens = self.json("POST", "/auth/jwt/token", LOG_IN)
        self.headers["Authorization"] = f"Bearer {self.tokens['accessToken']}"

    def price(self, bid: float, spread: float = 10.0) -> None:
        instrument = self.venue.setup.instruments[0].instrument().id
        self.venue.on_market(Quote(instrument, bid, bid + spread, 0))

    def wait(self, seconds: float) -> None:
        self.clock.set(self.clock.now_ns() + round(seconds * 1_000_000_000))

    def ask(self, method: str, path: str, body: Any = None) -> HttpResponse:
        raw = b"" if body is None else msgspec.json.encode(body)
        return self.venue.handle(HttpRequest(method, f"/backend-api{path}", self.headers, raw))

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return msgspec.json.decode(self.ask(method, path, body).body)

    def order(self, **changes: Any) -> Any:
        body = {
            "tradableInstrumentId": 206, "routeId": 9912, "side": "buy", "type": "market", "validity": "IOC",
            "qty": "0.10", **changes,
        }  # fmt: skip
        return self.json("POST", f"{ACCOUNT}/orders", body)

    def limit(self, price: str, **changes: Any) -> Any:
        return self.order(**{"type": "limit", "validity": "GTC", "price": price, **changes})

    def rows(self, name: str, query: str = "") -> list[dict[str, Any]]:
        keys = {"executions": "filledOrders"}
        config = self.json("GET", "/trade/config")["d"]
        names = [one["id"] for one in config[f"{keys.get(name, name)}Config"]["columns"]]
        rows = self.json("GET", f"{ACCOUNT}/{name}{query}")["d"][name]
        return [dict(zip(names, row, strict=True)) for row in rows]
