"""Exits that the venue holds are confirmed in a backtest as live, however far apart its prices are."""

from pathlib import Path

import pytest

from quantd.app.backtest import Options, plan_backtest
from quantd.backtest import summarise
from quantd.config.loader import load
from tests.component.backtest.test_plan import CALM, CONFIG, FROM_S, Rig, deals, paper

HOLDS = paper(account="margin", protection="venue")
ON_QUOTES = """
from quantd import Market, Protect, Strategy

class S(Strategy):
    needs = {Market, Protect}

    def setup(self):
        self.quotes()
        self.has_bought = False

    def on_quote(self, quote):
        if not self.has_bought:
            self.has_bought = True
            self.target(quote.instrument, 1, protect=Protect(stop=95, take=120))
"""


@pytest.mark.parametrize("step_s", [1, 20, 60, 600])
def test_a_position_keeps_its_stop_at_the_venue_between_quotes_that_are_far_apart(tmp_path: Path, step_s: int) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "s.py").write_text(ON_QUOTES)
    data = tmp_path / "bars.csv"
    rows = [f"{FROM_S + step_s * number},100.0{number % 2},100.1" for number in range(30)]
    data.write_text("\n".join(["time,bid,ask", *rows]) + "\n")
    path = tmp_path / "quantd.yaml"
    path.write_text(CONFIG.format(home=tmp_path, venue=HOLDS, instrument="v:BTC-USD", step_s=60))
    run = plan_backtest(load([path], {}), Options(data={"v:BTC-USD": data})).backtest.run()
    assert deals(run) == [("buy", 100.1)]
    assert summarise(run).latched == ()


@pytest.mark.parametrize(
    ("first", "then"), [("trail=20", "stop=95"), ("stop=95", "trail=20"), ("take=150", "stop=95"), ("", "stop=95")]
)
def test_exits_may_be_changed_for_others_long_after_the_entry(tmp_path: Path, first: str, then: str) -> None:
    action = (
        f"self.target(bar.instrument, 1, protect=Protect({first}) if {first!r} else None)\n"
        f"        elif self.count == 4:\n            self.protect(None, Protect({then}))\n"
        f"        elif self.count == 9:\n            self.protect(None, Protect(trail=20))\n"
        f"        elif self.count == 14:\n            self.protect(None, Protect(stop=95))"
    )
    run = Rig(tmp_path).plan(action, [CALM] * 20, HOLDS).backtest.run()
    assert deals(run) == [("buy", 100.0)]
    assert summarise(run).latched == ()
