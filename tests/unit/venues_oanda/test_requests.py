"""Bodies of requests: every kind of order, what hangs on a trade, replacements that lose nothing."""

from decimal import Decimal
from typing import Any

import pytest

from quantd.domain.instruments import InstrumentId
from quantd.domain.lots import LotProtection
from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.venues.oanda import requests
from tests.unit.venues_oanda.entries import limit

D = Decimal
EUR_USD = InstrumentId("oanda:EUR_USD")


def spec(kind: OrderKind = OrderKind.LIMIT, side: Side = Side.BUY, **terms: Any) -> OrderSpec:
    price = D("1.10000") if kind is OrderKind.LIMIT else None
    trigger = D("1.20000") if kind is OrderKind.STOP else None
    return OrderSpec(EUR_USD, side, D(1000), kind, price, trigger, **terms)


def order(of: OrderSpec, protection: LotProtection | None = None) -> dict[str, Any]:
    body: dict[str, Any] = requests.new_order(of, "q1", protection)["order"]
    return body


def test_an_order_carries_our_id_and_its_trade_our_tag() -> None:
    body = order(spec(side=Side.SELL))
    assert (body["type"], body["instrument"], body["units"], body["price"]) == ("LIMIT", "EUR_USD", "-1000", "1.1")
    assert body["clientExtensions"] == {"id": "q1"}
    assert body["tradeClientExtensions"] == {"tag": "q1"}, "no id: the rest of a part would clash with it"


@pytest.mark.parametrize(
    ("asked", "sent"), [("GTC", "GTC"), ("IOC", "IOC"), ("FOK", "FOK"), ("DAY", "GFD"), ("GTD", "GTD")]
)
def test_each_time_in_force_has_the_venues_word(asked: str, sent: str) -> None:
    body = order(spec(time_in_force=TimeInForce[asked], expires_at_ns=1_466_621_328_262_344_782))
    assert body["timeInForce"] == sent
    assert body.get("gtdTime") == ("2016-06-22T18:48:48.262344782Z" if asked == "GTD" else None)


def test_a_market_order_is_never_good_till_cancelled_and_has_no_price() -> None:
    body = order(spec(OrderKind.MARKET))
    assert (body["timeInForce"], "price" in body) == ("IOC", False)
    assert order(spec(OrderKind.MARKET, time_in_force=TimeInForce.FOK))["timeInForce"] == "FOK"


def test_a_stop_is_priced_at_its_trigger() -> None:
    assert order(spec(OrderKind.STOP))["price"] == "1.2"


def test_reduce_only_is_the_venues_position_fill() -> None:
    assert order(spec())["positionFill"] == "DEFAULT"
    assert order(spec(reduce_only=True))["positionFill"] == "REDUCE_ONLY"


def test_exits_go_with_the_entry() -> None:
    body = order(spec(), LotProtection(stop=D("1.05"), take=D("1.2"), trail=D("0.01")))
    assert body["stopLossOnFill"] == {"price": "1.05"}
    assert body["takeProfitOnFill"] == {"price": "1.2"}
    assert body["trailingStopLossOnFill"] == {"distance": "0.01"}


def test_a_replacement_keeps_the_tag_and_the_exits_of_the_one_before() -> None:
    before = limit(7, tradeClientExtensions={"tag": "q1"}, stopLossOnFill={"price": "1.05", "timeInForce": "GTC"})
    body = requests.replacement(spec(), D(600), before)["order"]
    assert body["units"] == "600", "only what is not filled yet"
    assert body["tradeClientExtensions"] == {"tag": "q1"}
    assert body["stopLossOnFill"] == {"price": "1.05", "timeInForce": "GTC"}
    assert "clientExtensions" not in body, "inherited; said again it may clash with the one that is being replaced"


SHOWN = LotProtection(stop=D("1.05"), trail=D("0.01"))


@pytest.mark.parametrize(
    ("wanted", "shown", "body"),
    [
        (LotProtection(stop=D("1.06")), None, {"stopLoss": {"price": "1.06"}, "takeProfit": None, "trailingStopLoss": None}),
        (LotProtection(stop=D("1.06"), trail=D("0.01")), SHOWN, {"stopLoss": {"price": "1.06"}}),
        (LotProtection(stop=D("1.05"), trail=D("0.02")), SHOWN, {"stopLoss": {"price": "1.05"}, "trailingStopLoss": {"distance": "0.02"}}),
        (LotProtection(take=D("1.2")), SHOWN, {"stopLoss": None, "takeProfit": {"price": "1.2"}, "trailingStopLoss": None}),
        (LotProtection(), SHOWN, {"stopLoss": None, "trailingStopLoss": None}),
        (LotProtection(), LotProtection(), {}),
    ],
)  # fmt: skip
def test_exits_are_set_changed_cancelled_by_null_or_left_alone(
    wanted: LotProtection, shown: LotProtection | None, body: dict[str, Any]
) -> None:
    assert requests.dependents(wanted, shown) == body


@pytest.mark.parametrize(
    ("wanted", "unsure", "body"),
    [
        (SHOWN, {"stopLoss"}, {"stopLoss": {"price": "1.05"}}),
        (SHOWN, {"trailingStopLoss"}, {"stopLoss": {"price": "1.05"}, "trailingStopLoss": {"distance": "0.01"}}),
        (SHOWN, {"takeProfit"}, {"stopLoss": {"price": "1.05"}, "takeProfit": None}),
    ],
)
def test_what_a_lost_write_may_have_changed_is_said_again_and_nothing_else(
    wanted: LotProtection, unsure: set[str], body: dict[str, Any]
) -> None:
    assert requests.dependents(wanted, SHOWN, unsure) == body


def test_a_close_is_all_or_a_positive_part() -> None:
    assert requests.close(None) == {"units": "ALL"}
    assert requests.close(D("250.0")) == {"units": "250"}
