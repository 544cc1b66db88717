"""Accounts at one address: what the venue counts by address, and its bans, hold for all of them."""

from pathlib import Path

from quantd.app.venues import build_venues, over_http
from quantd.clock import LoopClock
from quantd.config import load
from quantd.testing.loop import run_virtual
from quantd.testing.observer import RecordingObserver
from quantd.venues.budget import Lane
from quantd.venues.parts import Surroundings

CONFIG = """
journal: {path: q.db, state_dir: state}
venues:
  one: {type: ionloop, environment: custom, base_url: "http://127.0.0.1:9001", api_key_file: KEY}
  two: {type: ionloop, environment: custom, base_url: "http://localhost:9001", api_key_file: KEY2}
  far: {type: ionloop, environment: custom, base_url: "http://127.0.0.1:9002", api_key_file: KEY}
risk:
  base_currency: USDT
  account: {max_gross_notional: 50000, max_daily_loss: 5000, max_open_orders: 30}
strategies: []
"""


def test_a_ban_silences_all_accounts_at_its_address_and_none_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    (tmp_path / "key2").write_text("k2")
    (tmp_path / "q.yaml").write_text(CONFIG.replace("KEY", str(tmp_path / "key")))
    settings = load([tmp_path / "q.yaml"], environ={})

    async def body(clock: LoopClock) -> None:
        around = Surroundings(
            clock, RecordingObserver(), lambda lane: None, lambda instrument: (), lambda name, reason: None, over_http
        )
        built = build_venues(settings, around)
        one, two, far = (built[name].budget for name in ("one", "two", "far"))
        assert one is not None
        assert two is not None
        assert far is not None
        assert one.try_acquire("status", Lane.MARKET_DATA) is not None
        assert two.try_acquire("status", Lane.MARKET_DATA) is None, "the venue wants one look in 15 s from an address"
        assert far.try_acquire("status", Lane.MARKET_DATA) is not None
        one.ban(None)
        assert two.try_acquire("cancel_order", Lane.CANCEL) is None
        assert far.try_acquire("cancel_order", Lane.CANCEL) is not None

    run_virtual(body)
