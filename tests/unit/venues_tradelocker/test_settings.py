"""The entry under `venues`: which address it means, and whether that is real money."""

from typing import Any

import pytest
from pydantic import ValidationError

from quantd.venues.tradelocker.settings import TradeLockerSettings


def settings(**changes: Any) -> TradeLockerSettings:
    return TradeLockerSettings.model_validate({"email": "a@b.c", "server": "S", "account": "1", **changes})


def test_demo_and_live_are_the_document_s_hosts() -> None:
    demo, live = settings(), settings(environment="live", armed="live")
    assert (demo.address, demo.is_production, demo.is_armed) == ("https://demo.tradelocker.com", False, False)
    assert (live.address, live.is_production, live.is_armed) == ("https://live.tradelocker.com", True, True)


@pytest.mark.parametrize(
    ("address", "production", "local"),
    [
        ("http://127.0.0.1:9103", False, True),
        ("https://demo.tradelocker.com", False, False),
        ("https://live.tradelocker.com/", True, False),
        ("https://stg.example.com", True, False),
    ],
)
def test_an_address_of_one_s_own_is_real_money_unless_it_is_known_not_to_be(
    address: str, production: bool, local: bool
) -> None:
    custom = settings(environment="custom", base_url=address)
    assert (custom.is_production, custom.is_local) == (production, local)


@pytest.mark.parametrize(
    "changes",
    [
        {"environment": "custom"},
        {"base_url": "https://demo.tradelocker.com"},
        {"environment": "custom", "base_url": "http://example.com"},
        {"environment": "custom", "base_url": "https://demo.tradelocker.com/backend-api"},
        {"environment": "custom", "base_url": "https://user:pw@example.com"},
        {"email": "nobody"},
        {"account": "1/2"},
        {"orders_every_s": 0.5},
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**changes)


def test_secrets_are_not_shown() -> None:
    told = settings(password="swordfish", developer_key="tl-swordfish")
    assert "swordfish" not in repr(told) + str(told.model_dump())
