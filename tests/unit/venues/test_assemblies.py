"""What each of our venues has beyond being asked: a part that is left out is followed by nobody, and nothing else tells."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Any

import pytest

from quantd.clock import SystemClock
from quantd.config.venue_kinds import venue_kind
from quantd.domain.events import Event
from quantd.ports import Transport
from quantd.telemetry.metrics import NullObserver
from quantd.venues.parts import Surroundings, VenueParts
from quantd.venues.transport import AiohttpTransport

HERE = {"base_url": "http://127.0.0.1:1"}
CUSTOM = {"environment": "custom", **HERE}
SECTIONS: dict[str, dict[str, Any]] = {
    "hummingbot": {**HERE, "connector": "binance", "password": "p"},
    "ionloop": {**CUSTOM, "api_key": "k"},
    "oanda": {**CUSTOM, "stream_url": HERE["base_url"], "account": "101-004-1234567-001", "token": "t"},
    "ripio": {**HERE, "stream_url": "ws://127.0.0.1:1/", "api_token": "t", "api_secret": "s"},
    "tradelocker": {**CUSTOM, "email": "a@b.c", "password": "p", "server": "S", "account": "1"},
}
MORE = ("prices", "hints", "stream", "log", "cash_flows", "webhook")


def built(venue: str, *, kept_s: list[float] | None = None, **more: Any) -> VenueParts:
    """Return a venue's parts, nothing is opened; `kept_s` gets how long its idle connections are kept."""

    def transport(name: str, url: str, idle_s: float) -> Transport:
        if kept_s is not None:
            kept_s.append(idle_s)
        return AiohttpTransport(url, idle_s=idle_s)

    kind = venue_kind(venue)
    around = Surroundings(
        SystemClock(),
        NullObserver(),
        last_look=lambda lane: None,
        known_venue_ids=lambda instrument: (),
        auth_failed=lambda name, reason: None,
        transport=transport,
    )
    return kind.build(venue, kind.settings.model_validate({"type": venue, **SECTIONS[venue], **more}), around)


@pytest.mark.parametrize(
    ("venue", "more", "expected"),
    [
        ("hummingbot", {}, set()),
        ("ionloop", {}, {"cash_flows"}),
        ("ionloop", {"webhook_secret": "w"}, {"cash_flows", "webhook"}),
        ("oanda", {}, {"prices", "hints", "log"}),
        ("oanda", {"streams": False}, {"log"}),
        ("ripio", {}, {"stream"}),
        ("ripio", {"stream": False}, set()),
        ("tradelocker", {}, set()),
    ],
)
async def test_each_venue_names_what_it_has(venue: str, more: dict[str, Any], expected: set[str]) -> None:
    parts = built(venue, **more)
    assert {name for name in MORE if getattr(parts, name) is not None} == expected
    assert parts.kill is not None
    assert parts.budget is not None


async def test_connections_to_a_hummingbot_server_are_given_up_before_it_closes_them() -> None:
    kept_s: list[float] = []
    built("hummingbot", kept_s=kept_s)
    built("ripio", kept_s=kept_s)
    assert kept_s == [4.0, 15.0], "it closes them after 5 s"


async def test_ionloop_takes_signed_notices_and_registers_only_where_it_is_told_to() -> None:
    webhook = built("ionloop", webhook_secret="w").webhook
    assert webhook is not None
    assert webhook.register is None
    taken: list[Iterable[Event]] = []
    body = b'{"id":"e1","type":"account.updated","createdAt":"2199-01-01T00:00:00Z","data":{}}'
    signature = hmac.new(b"w", body, hashlib.sha256).hexdigest()
    receiver = webhook.receiver(taken.append)
    assert receiver.receive({"x-ionloop-signature": "00"}, body) == (401, "bad_signature")
    assert receiver.receive({"x-ionloop-signature": signature}, body) == (200, "taken")
    assert len(taken) == 1
    told = built("ionloop", webhook_secret="w", register_webhook=True).webhook
    assert told is not None
    assert told.register is not None
