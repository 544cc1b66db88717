"""The simulated TradeLocker's instruments, quotes, bars and sessions, by requests and answers."""

from quantd.simulators.tradelocker.options import InstrumentRules, Setup
from tests.unit.simulators.tradelocker_client import INFO, START_NS, Client


def test_market_data_wants_an_info_route_that_is_alive() -> None:
    client = Client(Setup(instruments=(InstrumentRules(info_routes=(452, 453)),)), dead_info_routes=1)
    assert client.json("GET", f"/trade/quotes?{INFO}")["d"]["bp"] == 65_000.0
    for route in ("453", "9912"):
        for path in ("quotes", "depth", "dailyBar", "history"):
            told = client.json("GET", f"/trade/{path}?routeId={route}&tradableInstrumentId=206")
            assert told["s"] == "error", (route, path)


def test_bars_are_cut_from_the_bids_with_both_ends_and_no_data_names_the_next() -> None:
    client = Client()
    minute = START_NS // 60_000_000_000 * 60_000
    client.price(64_900.0)
    client.wait(60.0)
    client.price(65_200.0)
    told = client.json("GET", f"/trade/history?{INFO}&resolution=1m&from={minute}&to={minute + 60_000}")
    bars = told["d"]["barDetails"]
    assert [(bar["t"], bar["o"], bar["l"], bar["c"]) for bar in bars] == [
        (minute, 65_000.0, 64_900.0, 64_900.0), (minute + 60_000, 65_200.0, 65_200.0, 65_200.0),
    ]  # fmt: skip
    late = f"from={minute + 120_000}&to={minute + 180_000}"
    assert client.json("GET", f"/trade/history?{INFO}&resolution=1m&{late}") == {"s": "no_data", "nb": minute + 60_000}
    assert client.json("GET", f"/trade/history?{INFO}&resolution=1m&from=0&to={minute}")["s"] == "error"
    assert client.json("GET", f"/trade/history?{INFO}&resolution=2m&{late}")["s"] == "error"
    day = client.json("GET", f"/trade/dailyBar?{INFO}&barType=BID")["d"]
    assert (day["h"], day["l"]) == (65_200.0, 64_900.0)


def test_closed_market_refuses_orders_with_the_words_that_were_seen() -> None:
    client = Client()
    client.venue.command("market", {"symbol": "BTCUSD", "status": "closed"})
    assert client.order()["errmsg"] == "Order cannot be created since trading out of session is forbidden."
    assert client.json("GET", "/trade/instruments/206?routeId=9912")["d"]["symbolStatus"] == "CLOSED"
    assert client.json("GET", "/trade/sessionStatuses/20")["d"]["allowedOperations"] == [0, 0, 0]
    client.venue.command("market", {"symbol": "BTCUSD", "status": "reduce_only"})
    assert client.order()["errmsg"] == "Order cannot be created. Only positions closing is allowed"


def test_details_have_their_mixture_of_numbers_and_text() -> None:
    client = Client()
    told = client.json("GET", "/trade/instruments/206?routeId=452&locale=en")["d"]
    assert (told["leverage"], told["lotStep"], told["maxLot"]) == ("20.00", 0.01, None)
    assert told["tickSize"] == [{"leftRangeLimit": None, "tickSize": 0.01}]
    assert client.json("GET", "/trade/sessions/1547")["d"]["blockTrading"] is False
