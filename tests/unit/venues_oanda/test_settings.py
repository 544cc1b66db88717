"""Practice, live and an address of one's own: what moves real money, what streams, what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from quantd.venues.budget import Bucket, with_models
from quantd.venues.oanda.limits import LIMITS
from quantd.venues.oanda.settings import OandaSettings

ACCOUNT = "101-001-1234567-001"


def settings(**keys: Any) -> OandaSettings:
    return OandaSettings.model_validate({"account": ACCOUNT, **keys})


def test_practice_is_the_default_and_moves_no_real_money() -> None:
    one = settings()
    assert (one.address, one.is_production) == ("https://api-fxpractice.oanda.com", False)
    assert one.stream_address == "https://stream-fxpractice.oanda.com"
    assert not one.is_local


def test_live_moves_real_money_and_has_hosts_of_its_own() -> None:
    one = settings(environment="live")
    assert (one.is_production, one.is_armed) == (True, False)
    assert (one.address, one.stream_address) == ("https://api-fxtrade.oanda.com", "https://stream-fxtrade.oanda.com")
    assert settings(environment="live", armed="live").is_armed


@pytest.mark.parametrize(
    ("address", "production"),
    [
        ("http://127.0.0.1:9107", False),
        ("https://api-fxpractice.oanda.com", False),
        ("https://api-fxtrade.oanda.com", True),
        ("https://proxy.example", True),
    ],
)
def test_an_address_of_ones_own_counts_as_real_unless_it_is_known_not_to_be(address: str, production: bool) -> None:
    one = settings(environment="custom", base_url=address)
    assert one.is_production is production
    assert one.stream_address is None, "no stream unless its address is told"


def test_streams_can_be_switched_off_or_sent_elsewhere() -> None:
    assert settings(streams=False).stream_address is None
    custom = {"environment": "custom", "base_url": "http://127.0.0.1:9107", "stream_url": "http://127.0.0.1:9107/"}
    assert settings(**custom).stream_address == "http://127.0.0.1:9107"


@pytest.mark.parametrize(
    "keys",
    [
        {"account": "1234567"},
        {"environment": "custom"},
        {"base_url": "https://proxy.example"},
        {"stream_url": "https://proxy.example"},
        {"environment": "custom", "base_url": "http://proxy.example"},
        {"environment": "custom", "base_url": "https://user@proxy.example"},
        {"environment": "sandbox"},
        {"currency": "dollars"},
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**keys)


def test_the_token_is_not_shown() -> None:
    assert "top-secret" not in repr(settings(token="top-secret"))


def test_the_budget_stays_below_what_is_documented_and_takes_overrides_by_name() -> None:
    (limit,) = LIMITS
    assert isinstance(limit.model, Bucket)
    assert limit.model.rate_per_s + limit.model.burst <= 120
    assert limit.scope == "address"
    assert with_models(LIMITS, {"requests": Bucket(5.0, 1)})[0].model == Bucket(5.0, 1)
    with pytest.raises(ValueError, match="no such rate limit: orders"):
        with_models(LIMITS, {"orders": Bucket(5.0, 1)})
