"""A client of the simulated OANDA for its tests: requests and answers in this process, a clock that is set."""

from typing import Any

import msgspec

from quantd.clock import ManualClock
from quantd.domain.market import Quote
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.oanda.options import AccountRules, InstrumentRules, Setup, Switches
from quantd.simulators.oanda.venue import OandaVenue

START_NS = 1_767_951_991_995_000_000
"""2026-01-09, 09:46 UTC: a Friday."""
ID = "101-004-1234567-001"
EUR_USD = InstrumentRules()
USD_JPY = InstrumentRules("USD", "JPY", 3, 0, -2)


def one_account(**changes: Any) -> Setup:
    """Return an environment with one account of EUR_USD, of one level of any size."""
    return Setup(accounts=(AccountRules(**changes),), depth=None)


class Client:
    """Asks a venue as a client would; limits are off unless wanted."""

    def __init__(self, setup: Setup | None = None, **switches: Any) -> None:
        self.clock = ManualClock(START_NS)
        self.setup = setup or one_account()
        self.switches = Switches(**{"enforce_limits": False, **switches})
        self.venue = OandaVenue(self.setup, clock=self.clock, switches=self.switches)
        self.headers = {"Authorization": "Bearer simulated-token", "Host": "127.0.0.1:9102"}
        self.price(1.1)

    def price(self, bid: float, spread: float = 0.0002, name: str = "EUR_USD") -> None:
        rules = self.venue.instruments[name]
        self.venue.on_market(Quote(rules.id, round(bid, 5), round(bid + spread, 5), 0))

    def wait(self, seconds: float) -> None:
        self.clock.set(self.clock.now_ns() + round(seconds * 1_000_000_000))

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> HttpResponse:
        raw = b"" if body is None else msgspec.json.encode(body)
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        whole = path if path.startswith("/v3") else f"/v3/accounts/{ID}{path}"
        return self.venue.handle(HttpRequest(method, whole, {**self.headers, **more}, raw))

    def json(self, method: str, path: str, body: Any = None) -> Any:
        return msgspec.json.decode(self.ask(method, path, body).body)

    def get(self, path: str) -> Any:
        return self.json("GET", path)

    def status(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        response = self.ask(method, path, body)
        return response.status, msgspec.json.decode(response.body)

    def order(self, **changes: Any) -> Any:
        body = {"type": "MARKET", "instrument": "EUR_USD", "units": "100", **changes}
        return self.json("POST", "/orders", {"order": body})

    def limit(self, price: str, **changes: Any) -> Any:
        return self.order(**{"type": "LIMIT", "price": price, **changes})

    def trade(self, **changes: Any) -> str:
        """Open a trade and return its id."""
        return str(self.order(**changes)["orderFillTransaction"]["tradeOpened"]["tradeID"])

    def log(self, since: int | str = 0) -> list[Any]:
        told: list[Any] = self.get(f"/transactions/sinceid?id={since}")["transactions"]
        return told

    def types(self, since: int | str = 0) -> list[str]:
        return [one["type"] for one in self.log(since)]
