"""Signatures by the vectors of the venue's recipe, timestamps that never repeat, and the clock that follows the venue's."""

import pytest

from quantd.venues.ripio.signing import Signer, sign, sign_parameters, stamp_of

SECRET = "test-secret-abcdef0123456789"
ORDER_ID = "0f4a8504-21fb-4be6-9771-25dcf5f68f87"
B2 = (
    b'{"pair":"BTC_BRL","side":"buy","type":"limit","amount":"0.01","price":"300000",'
    b'"external_id":"0f4a8504-21fb-4be6-9771-25dcf5f68f87"}'
)
B3 = b'{"id":"7155ED34-9EC4-4733-8B32-1E4319CB662F"}'


class Watch:
    """A clock that is set by hand."""

    def __init__(self, ms: int) -> None:
        self.ms = ms

    def now_ns(self) -> int:
        return self.ms * 1_000_000

    def monotonic_ns(self) -> int:
        return self.ms * 1_000_000


@pytest.mark.parametrize(
    ("ms", "method", "path", "body", "signature"),
    [
        (1718000000000, "GET", "/trade/orders", b"", "8TI0hdmBk9aWH6fdvy1GLoNwJOOloKZL44rY6Q7JjUE="),
        (1718000000001, "POST", "/trade/orders", B2, "CEMmqr/11GXaoLD8UZWzmObIOpDNudP6JUXRMqpuwS8="),
        (1718000000002, "DELETE", "/trade/orders", B3, "mbonL8d/LzBagC2a5Ov9L9hmhwWF+8nI8l/kJ00tDaw="),
        (
            1718000000003, "GET", f"/trade/orders/by-external-id/{ORDER_ID}", b"",
            "0feifUIO7WSpqUGUAfxBzOM937jRj8tkjI7UeutZxfA=",
        ),
        (1718000000004, "POST", "/trade/ticket", b"", "cDvx06Dkw6gXsvRPkf3rL7uDE+6BDlmU80QZwJP6iv0="),
    ],
)  # fmt: skip
def test_a_signature_is_the_vector_s(ms: int, method: str, path: str, body: bytes, signature: str) -> None:
    assert sign(SECRET, ms, method, path, body) == signature


def test_other_bytes_of_the_same_body_have_another_signature() -> None:
    spaced = B2.replace(b":", b": ").replace(b",", b", ")
    assert sign(SECRET, 1718000000001, "POST", "/trade/orders", spaced) == (
        "Rftsj8LuvSPrU1bmqOICtMjuX7/ZH71Wmf/Pbr6Gk2k="
    )


def test_a_request_on_the_websocket_api_signs_its_parameters_alone() -> None:
    parameters = (
        b'{"pair":"BTC_BRL","side":"buy","type":"limit","amount":0.001,"price":100000,'
        b'"external_id":"test-limit-1761758744255"}'
    )
    signature = sign_parameters(SECRET, 1634567890000, parameters)
    assert signature == "cpafY7frDkda3lk6nLRfTpgBq1KU9Y8srPW+933Z9Zk="


def test_headers_carry_the_raw_token_and_sign_the_very_stamp_they_show() -> None:
    signer = Signer("token", SECRET, clock=Watch(1718000000001), tolerance_ms=4_000)
    headers = signer.headers("POST", "/trade/orders", B2)
    assert headers["Authorization"] == "token"
    assert headers["Timestamp"] == "1718000000001"
    assert headers["Timestamp-tolerance"] == "4000"
    assert headers["Signature"] == "CEMmqr/11GXaoLD8UZWzmObIOpDNudP6JUXRMqpuwS8="
    assert headers["Content-Type"] == "application/json"
    assert "Content-Type" not in signer.headers("GET", "/trade/orders")


def test_timestamps_strictly_increase_within_a_millisecond_and_when_our_clock_is_set_back() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    stamps = [int(signer.headers("GET", "/x")["Timestamp"]) for _ in range(3)]
    watch.ms -= 500
    stamps.append(int(signer.headers("GET", "/x")["Timestamp"]))
    assert stamps == [1_000_000, 1_000_001, 1_000_002, 1_000_003]


def test_a_clock_of_ours_that_ran_ahead_and_was_set_back_leaves_no_stamps_in_the_future() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    watch.ms += 40_000
    assert signer.headers("GET", "/x")["Timestamp"] == "1040000"
    watch.ms -= 40_000
    assert signer.headers("GET", "/x")["Timestamp"] == "1000000"


def test_a_refusal_of_a_stamp_that_ran_ahead_is_a_matter_of_the_clock_even_where_the_offset_is_right() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    watch.ms += 40_000
    signer.headers("GET", "/x")
    watch.ms -= 40_000
    signer.heard(1_000_000, refused_ms=1_040_000)
    assert signer.jumps == 1


def test_of_several_looks_at_the_venue_s_clock_the_least_delayed_one_counts() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    for venue_ms in (1_001_900, 1_002_000, 991_000, 1_001_950):  # the third answer was eleven seconds on its way
        signer.heard(venue_ms)
    assert signer.offset_ms == 2_000
    assert signer.headers("GET", "/x")["Timestamp"] == "1002000"


def test_after_a_refusal_the_venue_s_clock_is_taken_anew_even_when_it_lies_behind() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    signer.heard(1_060_000)
    assert signer.headers("GET", "/x")["Timestamp"] == "1060000"
    signer.heard(970_000, refused_ms=1_060_000)
    assert signer.jumps == 1
    assert signer.headers("GET", "/x")["Timestamp"] == "970000"
    signer.heard(970_001, refused_ms=970_000)
    assert signer.jumps == 1, "a refusal within the tolerance is no matter of the clock"


def test_a_refusal_that_comes_back_late_is_no_matter_of_the_clock() -> None:
    watch = Watch(1_000_000)
    signer = Signer("token", SECRET, clock=watch)
    signer.heard(1_000_000)
    stamped_ms = stamp_of(signer.headers("POST", "/x", b"{}"))
    watch.ms += 30_000
    signer.heard(1_000_010, refused_ms=stamped_ms)
    assert (signer.jumps, signer.offset_ms) == (0, 0)


def test_nothing_that_is_printed_shows_token_or_secret() -> None:
    signer = Signer("the-token", SECRET, clock=Watch(1))
    assert "the-token" not in f"{signer!r} {signer}"
    assert SECRET not in f"{signer!r} {signer}"
