"""Spoofing and layering: scripted ones are flagged, at the thresholds exactly; quoting as makers do it is not."""

from collections.abc import Callable

import pytest

from quantd.domain.orders import OrderKind, TimeInForce, Trigger
from tests.unit.surveillance.tape import Tape, flagged, patterns


def spoof(tape: Tape, *, large: float = 5, after_s: float = 1.0, lived_s: float = 2.0, side: str = "sell") -> None:
    """Show a large order, trade one on the other side, and take the large one away."""
    buys = side == "sell"
    shown = tape.place(side, large, 101 if buys else 99)
    tape.wait(lived_s)
    meant = tape.place("buy" if buys else "sell", 1, 100)
    tape.fill(meant, 100)
    tape.wait(after_s)
    tape.cancel(shown)
    tape.wait(30)


def layers(tape: Tape, *, count: int = 3, quantity: float = 2.0) -> None:
    """Show several orders above the market, buy one below, and take them away."""
    shown = [tape.place("sell", quantity, 101 + step) for step in range(count)]
    tape.wait(1)
    tape.fill(tape.place("buy", 1, 100), 100)
    tape.wait(1)
    tape.cancel(*shown)
    tape.wait(30)


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_a_large_order_that_goes_as_soon_as_the_other_side_traded_is_flagged_the_third_time(side: str) -> None:
    tape = Tape()
    for times in (1, 2):
        spoof(tape, side=side)
        assert patterns(tape) == [], f"seen {times} times"
    spoof(tape, side=side)
    (found,) = flagged(tape)
    assert (found.pattern.value, found.market, found.strategies) == ("spoofing", "a:BTC-USD", ("one",))
    assert set(found.orders) == {f"q{number}-one" for number in range(1, 7)}
    assert found.since_ns < found.at_ns
    assert f"5 to {side} in 1 orders withdrawn within 3 s of a fill" in found.detail


def test_after_a_finding_the_count_begins_anew() -> None:
    tape = Tape()
    for _ in range(6):
        spoof(tape)
    assert patterns(tape) == ["spoofing", "spoofing"]


def test_sightings_too_far_apart_do_not_add_up() -> None:
    tape = Tape()
    for _ in range(5):
        spoof(tape)
        tape.wait(2_000)
    assert patterns(tape) == []
    assert patterns(tape, within_s=5_000) == ["spoofing"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"large": 5}, ["spoofing"]),
        ({"large": 4.99}, []),
        ({"after_s": 3.0}, ["spoofing"]),
        ({"after_s": 3.01}, []),
        ({"lived_s": 60.0}, ["spoofing"]),
        ({"lived_s": 60.01}, []),
    ],
)
def test_each_threshold_holds_to_the_digit(changed: dict[str, float], expected: list[str]) -> None:
    tape = Tape()
    for _ in range(3):
        spoof(tape, **changed)  # type: ignore[arg-type]  # no side among them
    assert patterns(tape) == expected


def test_three_orders_withdrawn_together_are_layering_and_two_are_spoofing() -> None:
    for count, quantity, expected in ((3, 2.0, "layering"), (2, 3.0, "spoofing")):
        tape = Tape()
        for _ in range(3):
            layers(tape, count=count, quantity=quantity)
        assert patterns(tape) == [expected]


def test_an_order_that_is_moved_away_or_made_small_is_withdrawn_too() -> None:
    for change in ({"price": 130.0}, {"quantity": 0.01}):
        tape = Tape()
        for _ in range(3):
            shown = tape.place("sell", 6, 101)
            tape.fill(tape.place("buy", 1, 100), 100)
            tape.wait(1)
            tape.amend(shown, **change)
            tape.wait(10)
            tape.cancel(shown)
            tape.wait(30)
        assert patterns(tape) == ["spoofing"], change


def test_an_order_that_was_made_to_expire_is_withdrawn_and_one_that_the_venue_ends_is_not() -> None:
    for tif, expected in ((TimeInForce.GTD, ["spoofing"]), (TimeInForce.DAY, [])):
        tape = Tape()
        for _ in range(3):
            shown = tape.place("sell", 6, 101, tif=tif)
            tape.fill(tape.place("buy", 1, 100), 100)
            tape.wait(1)
            tape.end(shown, Trigger.EXPIRE)
            tape.wait(30)
        assert patterns(tape) == expected
    tape = Tape()
    for _ in range(3):
        shown = tape.place("sell", 6, 101)
        tape.fill(tape.place("buy", 1, 100), 100)
        tape.cancel(shown, asked=False)
        tape.wait(30)
    assert patterns(tape) == []


def test_two_strategies_or_two_accounts_at_one_marketplace_count_as_one() -> None:
    def scene(other: Tape) -> list[str]:
        mine = Tape("meant")
        for _ in range(3):
            shown = other.place("sell", 6, 101)
            for tape in (mine, other):
                tape.wait(1)
            mine.fill(mine.place("buy", 1, 100), 100)
            for tape in (mine, other):
                tape.wait(1)
            other.cancel(shown)
            for tape in (mine, other):
                tape.wait(30)
        found = flagged(mine, other, marketplaces={"a": "x/live", "b": "x/live", "c": "y/live"})
        return [f"{one.pattern.value} {one.market} {one.strategies}" for one in found]

    assert scene(Tape("shown")) == ["spoofing x/live:BTC-USD ('shown',)"]
    assert scene(Tape("shown", "b:BTC-USD")) == ["spoofing x/live:BTC-USD ('shown',)"]
    assert scene(Tape("shown", "c:BTC-USD")) == []


def test_an_order_that_lives_again_is_watched_again() -> None:
    tape = Tape()
    for _ in range(3):
        shown = tape.place("sell", 6, 101)
        tape.cancel(shown)
        tape.end(shown, Trigger.REOPEN)
        tape.fill(tape.place("buy", 1, 100), 100)
        tape.wait(1)
        tape.cancel(shown)
        tape.wait(30)
    assert patterns(tape) == ["spoofing"]


# --- what is not abuse ------------------------------------------------------------------------------------------------


def maker_requotes(tape: Tape) -> None:
    """Both quotes follow a fill, the other one five times as large by inventory, and come back at once."""
    bid, ask = tape.place("buy", 1, 99), tape.place("sell", 6, 101)
    tape.wait(1)
    tape.fill(bid, 99)
    tape.wait(0.2)
    tape.cancel(ask)
    again = [tape.place("buy", 1, 98.9), tape.place("sell", 6, 100.9)]
    tape.wait(10)
    tape.cancel(*again)
    tape.wait(20)


def maker_amends(tape: Tape) -> None:
    """The other quote is moved by a few basis points."""
    bid, ask = tape.place("buy", 1, 99), tape.place("sell", 6, 101)
    tape.fill(bid, 99)
    tape.wait(0.5)
    tape.amend(ask, price=101.2)
    tape.wait(30)
    tape.cancel(ask)


def grid_without_a_return(tape: Tape) -> None:
    """As many levels on either side; a fill takes the whole grid down, and it stays down."""
    bids = [tape.place("buy", 1, 99 - step) for step in range(5)]
    asks = [tape.place("sell", 1, 101 + step) for step in range(5)]
    tape.wait(1)
    tape.fill(bids[0], 99)
    tape.wait(1)
    tape.cancel(*bids[1:], *asks)
    tape.wait(30)


def target_grows_with_its_position(tape: Tape) -> None:
    """A take-profit of ten is replaced by one of eleven after another one was bought."""
    target = tape.place("sell", 10, 110)
    tape.wait(1)
    tape.fill(tape.place("buy", 1), 100)
    tape.wait(0.1)
    tape.cancel(target)
    larger = tape.place("sell", 11, 110)
    tape.wait(30)
    tape.cancel(larger)


def stop_follows(tape: Tape) -> None:
    """A stop is in no book."""
    stop = tape.place("sell", 10, 90, kind=OrderKind.STOP_LIMIT)
    tape.fill(tape.place("buy", 1), 100)
    tape.wait(0.1)
    tape.cancel(stop)
    tape.wait(30)


def held_by_the_engine(tape: Tape) -> None:
    """An order that never left."""
    held = tape.place("sell", 10, 110, held=True)
    tape.fill(tape.place("buy", 1), 100)
    tape.cancel(held)
    tape.wait(30)


def most_of_it_had_traded(tape: Tape) -> None:
    """A large order that traded was meant; what is left of it may go."""
    ask = tape.place("sell", 20, 101)
    tape.fill(ask, 101, 3)
    tape.wait(1)
    tape.fill(tape.place("buy", 1, 100), 100)
    tape.cancel(ask)
    tape.wait(30)


def old_order_goes_with_a_young_one(tape: Tape) -> None:
    """The large one had stood for long; what was shown just now is small."""
    old = tape.place("sell", 20, 102)
    tape.wait(61)
    young = tape.place("sell", 1, 101)
    tape.fill(tape.place("buy", 1, 100), 100)
    tape.wait(1)
    tape.cancel(old, young)
    tape.wait(30)


def cancelled_before_the_fill(tape: Tape) -> None:
    """The signal turns: first the old order goes, then the new one trades."""
    ask = tape.place("sell", 10, 101)
    tape.wait(1)
    tape.cancel(ask)
    tape.fill(tape.place("buy", 1), 100)
    tape.wait(30)


def refused(tape: Tape) -> None:
    """An order that the venue refused was never shown for long, and not withdrawn."""
    ask = tape.place("sell", 10, 101)
    tape.fill(tape.place("buy", 1), 100)
    tape.end(ask, Trigger.REJECT)
    tape.wait(30)


@pytest.mark.parametrize(
    "normal",
    [
        maker_requotes, maker_amends, grid_without_a_return, target_grows_with_its_position, stop_follows,
        held_by_the_engine, most_of_it_had_traded, old_order_goes_with_a_young_one, cancelled_before_the_fill, refused,
    ],
)  # fmt: skip
def test_normal_quoting_is_not_flagged(normal: Callable[[Tape], None]) -> None:
    tape = Tape()
    for _ in range(20):
        normal(tape)
    assert patterns(tape) == []


def test_what_comes_back_further_from_the_market_than_allowed_is_gone() -> None:
    for back, expected in ((101.25, []), (101.26, ["spoofing"])):
        tape = Tape()
        for _ in range(3):
            shown = tape.place("sell", 6, 101)
            tape.fill(tape.place("buy", 1, 100), 100)
            tape.wait(1)
            tape.cancel(shown)
            later = tape.place("sell", 6, back)
            tape.wait(90)
            tape.cancel(later)
        assert patterns(tape, near_bps=25 / 1.01) == expected
