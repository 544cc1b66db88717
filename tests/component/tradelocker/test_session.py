"""The session against the simulated server, in memory: log-in, account, configuration, renewal before the end and on 401."""

import msgspec
import pytest

from quantd.clock import ManualClock
from quantd.domain.market import Quote
from quantd.domain.outcomes import Accepted, NotExecuted, Rejected
from quantd.errors import AuthFailed
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.faults import FaultScript
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.tradelocker.columns import COLUMNS
from quantd.simulators.tradelocker.options import RATE_LIMITS, Setup, Switches
from quantd.simulators.tradelocker.venue import TradeLockerVenue
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import Lane, RateBudget
from quantd.venues.http import VenueHttp
from quantd.venues.tradelocker.api import Api, Credentials, Write
from quantd.venues.tradelocker.classify import order_id
from quantd.venues.tradelocker.columns import ConfigWire, column_maps
from quantd.venues.tradelocker.limits import BEFORE_CONFIG, told

_START_NS = 1_767_951_991_995 * 1_000_000
_MINE = Credentials("quant@example.com", "simulated", "SIM", "1000001")
_ORDER = Write(
    "POST",
    "/trade/accounts/1000001/orders",
    {
        "tradableInstrumentId": 206, "routeId": 9912, "side": "buy", "type": "market", "validity": "IOC",
        "qty": "0.10", "strategyId": "q1",
    },
)  # fmt: skip


class Site:
    """A session and the server that it is with."""

    def __init__(self, credentials: Credentials = _MINE) -> None:
        self.clock = ManualClock(_START_NS)
        self.venue = TradeLockerVenue(Setup(), clock=self.clock, switches=Switches(enforce_limits=False))
        self.venue.on_market(Quote(Setup().instruments[0].instrument().id, 65_000.0, 65_010.0, 0))
        observer = RecordingObserver()
        budget = RateBudget("tl", BEFORE_CONFIG, clock=self.clock, observer=observer)
        transport = MemoryTransport(self.venue, FaultScript(clock=self.clock))
        self.sent: list[tuple[str, bytes]] = []
        self.keys: list[str] = []
        self.answers: dict[str, HttpResponse] = {}
        """By path, instead of the server's own."""
        self._watch()
        self.failures: list[str] = []
        http = VenueHttp("tl", transport, budget, self.clock, observer)
        self.api = Api(http, credentials, auth_failed=self.failures.append)

    def _watch(self) -> None:
        handle = self.venue.handle

        def watched(request: HttpRequest) -> HttpResponse:
            self.sent.append((request.path, request.body))
            self.keys.append(request.headers.get("developer-api-key", ""))
            return self.answers.get(request.path) or handle(request)

        setattr(self.venue, "handle", watched)  # noqa: B010 -- what leaves is all that this test is about

    def wait(self, seconds: float) -> None:
        self.clock.set(self.clock.now_ns() + round(seconds * 1_000_000_000))

    async def config(self) -> ConfigWire:
        found = await self.api.read("config", "/trade/config", ConfigWire, Lane.ACCOUNT)
        assert found is not None
        return found

    async def place(self) -> tuple[object, bytes]:
        return await self.api.write(
            "place_order", _ORDER, lane=Lane.SUBMIT, deadline_at_ns=self.clock.now_ns() + 2_000_000_000
        )

    def sessions(self) -> tuple[int, int]:
        counts = self.venue.counters()["sessions"]
        return counts["log_ins"], counts["refreshes"]


async def test_the_configuration_tells_columns_and_limits() -> None:
    site = Site()
    await site.api.start()
    site.venue.adjust({"more_columns": True})
    config = await site.config()
    maps = column_maps("tl", config)
    cells = maps["ordersConfig"].cells([None, *(f"<{name}>" for name in COLUMNS["ordersConfig"])])
    assert cells["positionId"] == "<positionId>"
    served = {one.rate_limit_type.lower(): float(one.limit) for one in RATE_LIMITS if one.rate_limit_type != "TRADES"}
    ours = {one.name: one.model.capacity for one in told("tl", config.rate_limits)[len(BEFORE_CONFIG) :]}
    assert ours == served


async def test_tokens_are_renewed_before_their_end_without_a_new_log_in() -> None:
    site = Site()
    await site.api.start()
    site.wait(3_299.0)
    await site.config()
    assert site.sessions() == (1, 0)
    site.wait(2.0)
    await site.config()
    assert site.sessions() == (1, 1)
    assert site.venue.counters()["sessions"]["unauthorized"] == 0


async def test_a_renewal_that_fails_stops_nothing_while_the_token_lives() -> None:
    site = Site()
    await site.api.start()
    refresh = "/backend-api/auth/jwt/refresh"
    site.answers[refresh] = HttpResponse(503, {}, b"")
    placed, renewals = [], []
    for wait_s in (3_301.0, 10.0, 25.0, 250.0, 20.0):  # the token's end is at 3,600
        site.wait(wait_s)
        placed.append((await site.place())[0])
        renewals.append(sum(path == refresh for path, _ in site.sent))
    assert placed == [Accepted()] * 4 + [NotExecuted("no_session")]
    assert renewals == [1, 1, 2, 3, 4]


async def test_what_is_forbidden_spends_no_session() -> None:
    site = Site()
    await site.api.start()
    site.answers["/backend-api/trade/config"] = HttpResponse(403, {}, b'{"message": "forbidden"}')
    for _ in range(2):
        site.wait(2.0)
        with pytest.raises(AuthFailed):
            await site.config()
    assert site.sessions() == (1, 0)


async def test_a_401_renews_once_and_the_order_is_placed_once() -> None:
    site = Site()
    await site.api.start()
    site.venue.command("revoke", {})
    outcome, body = await site.place()
    assert outcome == Accepted()
    assert [one["id"] for one in site.venue.state()["orders"]] == [order_id(body)]
    assert site.sessions() == (1, 1)


async def test_the_base_path_is_the_document_s() -> None:
    site = Site()
    await site.api.start()
    assert {path.startswith("/backend-api/") for path, _ in site.sent} == {True}


async def test_the_log_in_says_server_and_not_the_older_word() -> None:
    site = Site()
    await site.api.start()
    bodies = [msgspec.json.decode(body) for path, body in site.sent if path == "/backend-api/auth/jwt/token"]
    assert bodies == [{"email": "quant@example.com", "password": "simulated", "server": "SIM"}]


async def test_a_developer_key_goes_with_every_request_where_there_is_one() -> None:
    site = Site(msgspec.structs.replace(_MINE, developer_key="tl-key"))
    await site.api.start()
    await site.config()
    assert site.keys == ["tl-key"] * 3
    assert "tl-key" not in repr(site.api)


async def test_a_refusal_of_business_is_not_sent_again() -> None:
    site = Site()
    await site.api.start()
    site.venue.command("market", {"symbol": "BTCUSD", "status": "closed"})
    outcome, _ = await site.place()
    assert isinstance(outcome, Rejected)
    assert outcome.code == "market_closed"
    assert site.venue.counters()["requests"]["place_order"] == 1


async def test_a_spent_refresh_token_leads_to_a_log_in() -> None:
    site = Site()
    await site.api.start()
    site.venue.command("revoke", {"refresh": True})
    site.wait(2.0)  # the clock stands still: nothing else makes room in the budget again
    await site.config()
    assert site.sessions() == (2, 0)


async def test_a_write_that_stays_refused_is_told_and_not_repeated_again() -> None:
    site = Site()
    await site.api.start()
    site.venue.adjust({"access_s": 0.0})
    site.venue.command("revoke", {})
    outcome, _ = await site.place()
    assert isinstance(outcome, Rejected)
    assert outcome.code == "unauthorized"
    assert site.failures == ["place_order: refused with a fresh token"]
    assert site.venue.state()["orders"] == []


@pytest.mark.parametrize("changes", [{"password": "wrong"}, {"account_id": "7"}])
async def test_wrong_credentials_and_accounts_are_told_at_the_start(changes: dict[str, str]) -> None:
    site = Site(msgspec.structs.replace(_MINE, **changes))
    with pytest.raises(AuthFailed):
        await site.api.start()
    assert "wrong" not in repr(site.api) + repr(msgspec.structs.replace(_MINE, **changes))
