"""Signatures by the venue's vector, replays, ages, and what survives a restart."""

import base64

import pytest

from quantd.clock import ManualClock
from quantd.testing.observer import RecordingObserver
from quantd.venues.ionloop.verify import MAX_AGE_NS, EventIds, is_signed, sign
from quantd.venues.ionloop.webhooks import WebhookReceiver

SECRET = "whsec_test_0123456789"
BODY = (
    b'{"id":"evt_k92qa","type":"order.filled","version":"2026-05-01","createdAt":"2026-05-14T12:00:02Z",'
    b'"data":{"orderId":"ord_9x82k1","symbol":"BTC-USDT","filledQuantity":"0.01","averagePrice":"65012.40"}}'
)
HEX = "a6118311ae9bca64d50f7f95b6fe9e8fe25aaf05f54957c2a40c48865a8da73e"
BASE64 = "phGDEa6bymTVD3+Vtv6ej+JarwX1SVfCpAxIhlqNpz4="
CREATED_NS = 1_778_760_002_000_000_000
HOUR_NS = 3_600_000_000_000


@pytest.mark.parametrize("signature", [HEX, f"sha256={HEX}", BASE64, HEX.upper(), f" {HEX} "])
def test_the_vector_is_accepted_in_every_spelling(signature: str) -> None:
    assert is_signed(SECRET, BODY, signature)


@pytest.mark.parametrize(
    "signature",
    ["", "sha256=", HEX[:-1], HEX[:-1] + "f", BASE64[:-2], "é" * 64, base64.b64encode(b"x" * 32).decode(), HEX + HEX],
)
def test_anything_else_is_refused(signature: str) -> None:
    assert not is_signed(SECRET, BODY, signature)


def test_another_body_or_secret_is_refused_and_no_secret_signs_nothing() -> None:
    assert sign(SECRET, BODY) == HEX
    assert not is_signed(SECRET, BODY + b" ", HEX)
    assert not is_signed("other", BODY, HEX)
    assert not is_signed("", BODY, sign("", BODY))


class Desk:
    """A receiver with what it delivered."""

    def __init__(self, now_ns: int = CREATED_NS + 1) -> None:
        self.clock = ManualClock(now_ns)
        self.observer = RecordingObserver()
        self.delivered: list[bytes] = []
        self.receiver = WebhookReceiver(
            "ionloop", SECRET, clock=self.clock, observer=self.observer, deliver=self.delivered.append
        )

    def receive(self, body: bytes = BODY, **headers: str) -> tuple[int, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.receiver.receive({"x-ionloop-signature": sign(SECRET, body), **named}, body)


def test_a_genuine_event_is_delivered_once_and_acknowledged_each_time() -> None:
    desk = Desk()
    assert desk.receive(x_ionloop_event_id="evt_k92qa") == (200, "taken")
    assert desk.receive() == (200, "duplicate")
    assert desk.delivered == [BODY]
    assert desk.observer.counted("quantd_webhook_events_total", result="duplicate") == 1


def test_a_forged_event_is_refused() -> None:
    desk = Desk()
    assert desk.receiver.receive({}, BODY) == (401, "bad_signature")
    assert desk.receiver.receive({"x-ionloop-signature": "0" * 64}, BODY) == (401, "bad_signature")
    assert desk.delivered == []


def test_a_header_cannot_give_an_event_another_id() -> None:
    desk = Desk()
    desk.receive()
    assert desk.receive(x_ionloop_event_id="evt_other") == (400, "malformed")
    assert len(desk.delivered) == 1


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"no", BODY.replace(b"12:00:02Z", b"12 o clock"), BODY.replace(b'"evt_k92qa"', b'""')],
)
def test_a_signed_body_that_is_no_event_is_malformed(body: bytes) -> None:
    assert Desk().receive(body) == (400, "malformed")


def test_a_type_that_nobody_knows_is_acknowledged_and_counted() -> None:
    desk = Desk()
    assert desk.receive(BODY.replace(b"order.filled", b"order.exploded")) == (200, "unknown_type")
    assert desk.delivered == []
    assert desk.observer.counted("quantd_webhook_events_total", result="unknown_type") == 1


def test_an_event_is_refused_at_25_hours_and_taken_just_before() -> None:
    assert Desk(CREATED_NS + 25 * HOUR_NS).receive() == (400, "too_old")
    assert Desk(CREATED_NS + 25 * HOUR_NS - 1).receive() == (200, "taken")


def test_an_event_that_could_not_be_delivered_is_taken_when_it_comes_again() -> None:
    desk = Desk()
    broken = [True]

    def deliver(body: bytes) -> None:
        if broken.pop():
            raise RuntimeError("inbox closed")
        desk.delivered.append(body)

    desk.receiver = WebhookReceiver("ionloop", SECRET, clock=desk.clock, observer=desk.observer, deliver=deliver)
    with pytest.raises(RuntimeError):
        desk.receive()
    broken.append(False)
    assert desk.receive() == (200, "taken")


def test_a_restart_does_not_make_an_event_new() -> None:
    before, after = Desk(), Desk()
    before.receive()
    after.receiver.restore("")
    after.receiver.restore(before.receiver.export()[1])
    assert after.receive() == (200, "duplicate")


def test_what_is_kept_while_an_event_is_handed_on_holds_that_event_too() -> None:
    before, after = Desk(), Desk()
    kept: list[tuple[str, str]] = []
    before.receiver = WebhookReceiver(
        "ionloop",
        SECRET,
        clock=before.clock,
        observer=before.observer,
        deliver=lambda body: kept.append(before.receiver.export()),
    )
    before.receive()
    after.receiver.restore(kept[0][1])
    assert after.receive() == (200, "duplicate")


def test_an_event_of_a_busy_day_writes_a_small_part_of_what_is_remembered() -> None:
    before, after = Desk(), Desk()
    kept: dict[str, str] = {}
    bodies = [BODY.replace(b"evt_k92qa", f"evt_{number:08x}".encode()) for number in range(4_000)]
    for body in bodies:
        assert before.receive(body) == (200, "taken")
        part, text = before.receiver.export()
        assert len(text) < 1_000
        kept[part] = text
    for text in kept.values():
        after.receiver.restore(text)
    assert {after.receive(body) for body in bodies[::40]} == {(200, "duplicate")}
    assert after.receive(BODY) == (200, "taken")


def test_a_full_store_forgets_ids_and_still_takes_nothing_twice() -> None:
    ids = EventIds(capacity=10)
    for number in range(25):
        ids.take(f"evt_{number}", CREATED_NS + number, CREATED_NS + 100)
        assert len(ids) <= 10
    assert all(ids.is_taken(f"evt_{number}", CREATED_NS + number) for number in range(25))
    restored = EventIds()
    restored.restore(ids.export(CREATED_NS + 100))
    assert all(restored.is_taken(f"evt_{number}", CREATED_NS + number) for number in range(25))
    assert not restored.is_taken("evt_new", CREATED_NS + 50)


def test_ids_that_their_age_refuses_are_not_kept() -> None:
    ids = EventIds(capacity=2)
    ids.take("evt_0", CREATED_NS, CREATED_NS)
    now_ns = CREATED_NS + MAX_AGE_NS
    assert ids.export(now_ns) == {}
    for number in (1, 2):
        ids.take(f"evt_{number}", now_ns, now_ns)
    assert len(ids) == 2
    assert not ids.is_taken("evt_new", CREATED_NS + 1), "forgetting by age raises no floor"
