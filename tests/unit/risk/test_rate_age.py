"""Rates that may be hours old value nothing new; a market that is closed by its hours has no newer one."""

from typing import Any

import pytest

from quantd.app.bar_limits import reference_age
from quantd.domain.instruments import InstrumentId, MarketStatus
from quantd.domain.market import StatusChanged
from quantd.domain.orders import Limit
from quantd.engine.orders import Order
from quantd.engine.risk.controls import DEFAULTS
from quantd.engine.risk.limits import Limits, RiskSettings
from quantd.engine.risk.wish import Denial, Denied
from quantd.testing.builders import Rig, make_instrument
from tests.unit.risk.cases import D

COIN, REAL = InstrumentId("crypto:BTC-BRL"), InstrumentId("forex:USD-BRL")
DAY_S = 86_400
VALUED = Limits(max_gross_notional=D(10_000))


def rig_of(account: Limits = VALUED, **rig: Any) -> Rig:
    """Return a rig that trades a coin in reals, which the price of another venue converts; by the defaults."""
    made = Rig(
        instruments=[make_instrument(COIN), make_instrument(REAL)],
        risk=RiskSettings(base_currency="USD", account=account),
        balances={"BRL": 1_000_000, "BTC": 10, "USD": 1_000},
        defaults=DEFAULTS,
        price=5.0,
        **rig,
    )
    made.hold(1, instrument=COIN, price=5)
    return made


def later(rig: Rig, seconds: float) -> None:
    """Let time pass in which the coin's price comes and the rate's does not."""
    rig.wait(seconds)
    rig.quote(5.0, instrument=COIN)


def turn(rig: Rig, status: MarketStatus) -> None:
    rig.handle(StatusChanged(REAL, status, rig.now_ns))


def bought(rig: Rig) -> Denied | None:
    answer = rig.do(lambda s: s.buy(COIN, 1, Limit(D(5))))
    return answer if isinstance(answer, Denied) else None


def test_new_exposure_by_an_old_rate_is_denied_in_words_of_its_own_and_exits_leave() -> None:
    rig = rig_of()
    later(rig, 300)
    assert bought(rig) is None
    later(rig, 0.5)
    denied = bought(rig)
    assert denied is not None
    assert (denied.code, denied.control, denied.scope) == (Denial.RATE_STALE, 5, "order")
    assert denied.limit == "a rate of BRL of at most 300.0 s"
    assert denied.observed == "forex:USD-BRL: 300.500 s"
    assert denied.is_transient
    assert isinstance(rig.do(lambda s: s.sell(COIN, 1, Limit(D(6)))), Order)
    rig.quote(5.0, instrument=REAL)
    assert bought(rig) is None


def test_a_week_end_holds_up_nothing_that_trades_then() -> None:
    rig = rig_of()
    later(rig, 60)
    turn(rig, MarketStatus.CLOSED)
    later(rig, 2 * DAY_S)
    assert bought(rig) is None
    turn(rig, MarketStatus.OPEN)
    denied = bought(rig)
    assert denied is not None, "prices may have leapt: the first one has to come"
    assert denied.code is Denial.RATE_STALE
    rig.quote(5.2, instrument=REAL)
    assert bought(rig) is None


def test_a_rate_that_was_old_when_its_market_closed_stays_old() -> None:
    rig = rig_of()
    later(rig, 301)
    turn(rig, MarketStatus.CLOSED)
    later(rig, DAY_S)
    denied = bought(rig)
    assert denied is not None
    assert denied.observed == "forex:USD-BRL: 301.000 s"


@pytest.mark.parametrize("status", [MarketStatus.HALTED, MarketStatus.DELISTED])
def test_a_halt_is_no_closing(status: MarketStatus) -> None:
    rig = rig_of()
    turn(rig, status)
    later(rig, 301)
    assert bought(rig) is not None


def test_a_closing_behind_a_halt_counts_from_the_closing() -> None:
    rig = rig_of()
    turn(rig, MarketStatus.HALTED)
    later(rig, 200)
    turn(rig, MarketStatus.CLOSED)
    later(rig, DAY_S)
    assert bought(rig) is None


def test_a_rate_that_is_missing_is_called_missing() -> None:
    rig = rig_of()
    rig.quote(0, 5, instrument=REAL)
    later(rig, 301)
    denied = bought(rig)
    assert denied is not None
    assert denied.code is Denial.RATE_MISSING


def test_where_no_limit_is_one_of_value_no_rate_is_asked_for() -> None:
    rig = rig_of(Limits(max_open_orders=10))
    later(rig, 3_600)
    assert bought(rig) is None


def test_on_a_margin_account_the_rate_to_its_home_currency_counts_without_any_limit() -> None:
    rig = rig_of(Limits(), margin=True)
    later(rig, 301)
    denied = bought(rig)
    assert denied is not None
    assert denied.code is Denial.RATE_STALE


def test_what_is_traded_has_the_age_of_its_own_price_though_it_converts_as_well() -> None:
    rig = Rig(
        instruments=[make_instrument(REAL)],
        risk=RiskSettings(base_currency="USD", account=VALUED, order=Limits(max_quote_age_s=7_200.0)),
        balances={"BRL": 1_000_000, "USD": 1_000},
        defaults=DEFAULTS,
        price=5.0,
    )
    rig.wait(3_600)
    assert isinstance(rig.do(lambda s: s.buy(REAL, 1, Limit(D(5)))), Order)


@pytest.mark.parametrize("bar_s", [0.0, 3_600.0])
def test_a_backtest_holds_rates_by_a_configured_age_alone_which_admits_two_bars(bar_s: float) -> None:
    risk = RiskSettings(base_currency="USD", account=Limits(max_rate_age_s=60.0))
    changed, defaults = reference_age(risk, bar_s, [])
    assert defaults.max_rate_age_s is None
    assert changed.account.max_rate_age_s == (7_200.0 if bar_s else 60.0)
