"""Faults of the market itself: prices that swing at ionloop and at OANDA, replayed, while the daemon holds a position."""

import math
from collections.abc import Iterator
from pathlib import Path

from tests.deploy.live import Setting, Site, fires
from tests.process.harness import until

CALM_S, SWING_S, RUN_S = 30, 70, 600
"""Seconds of still prices at first, of one swing, of all."""
MINUTES_PER_S = 10
"""Replayed bars in a second, at 600 times their speed."""


def swinging(path: Path, middle: float, share: float) -> Path:
    """Write minutes that stand still and then swing by `share` of the middle, up first."""
    rows, price = ["timestamp,open,high,low,close,volume"], middle
    for minute in range(RUN_S * MINUTES_PER_S):
        turn = max(0.0, minute / MINUTES_PER_S - CALM_S) / SWING_S * 2 * math.pi
        close = middle * (1 + share * math.sin(turn))
        low, high = min(price, close), max(price, close)
        rows.append(f"{1_640_995_200 + 60 * minute},{price:.6f},{high:.6f},{low:.6f},{close:.6f},100000")
        price = close
    path.write_text("\n".join(rows) + "\n")
    return path


LIMITS = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  ionloop:
    type: ionloop
    environment: custom
    base_url: http://127.0.0.1:{venue}
    api_key_file: key
    reconcile: adopt
risk:
  base_currency: USDT
  account: {{max_gross_notional: 2700, max_daily_loss: 590, max_open_orders: 50}}
strategies:
  - id: steady
    use: steady.Steady
    instruments: [ionloop:BTC-USDT]
    params: {{holds: 0.05, orders_each: 0}}
    risk: {{max_position: 1}}
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5}}
health: {{port: {health}}}
logging: {{format: json}}
"""
"""A position of 2300 at first: 85 % of the limit. A swing of 22 % reaches 104 % of it, and 86 % of the day's loss."""

MARGIN = """
journal: {{path: var/q.db, state_dir: var/state}}
venues:
  oanda:
    type: oanda
    environment: custom
    base_url: http://127.0.0.1:{venue}
    stream_url: http://127.0.0.1:{venue}
    account: 101-004-1234567-001
    token_file: token
    reconcile: adopt
risk:
  base_currency: USD
  account: {{max_gross_notional: 500000, max_daily_loss: 100000, max_open_orders: 50}}
  order: {{max_order_notional: 500000}}
strategies:
  - id: steady
    use: steady.Steady
    instruments: [oanda:EUR_USD]
    params: {{holds: 100000, orders_each: 0}}
    risk: {{max_position: 1000000}}
    at_shutdown: keep
strategies_dir: strategies
feeds: {{quote_every_s: 1, max_age_s: 5}}
health: {{port: {health}}}
logging: {{format: json}}
"""
"""100 000 of 1.10 at a margin of 3.33 % on a balance of 10 000: a fall by 7.3 % comes to 85 % of the way to the closeout."""


def begin(site: Site) -> None:
    """Start venue and daemon, and see the position bought while prices stand still."""
    site.open_venue()
    site.start()
    until(lambda: site.prometheus.ask("quantd_position_quantity > 0"), CALM_S - 5, "the position")


@fires("QuantdLimitNear", "QuantdLimitExceeded", "QuantdLossNear")
def prices_swing(site: Site) -> Iterator[None]:
    """Up first: near the limit and beyond; then down: a loss."""
    yield


@fires("QuantdMarginNear")
def prices_fall(site: Site) -> Iterator[None]:
    """As prices do after they rose."""
    yield


_REPLAY = ("--replay", "prices.csv", "--speed", "600")
LIMITS_SETTING = Setting(
    LIMITS, ("ionloop", *_REPLAY), lambda folder: swinging(folder / "prices.csv", 46_000, 0.22), begin
)
MARGIN_SETTING = Setting(
    MARGIN, ("oanda", "--balance", "USD=10000", *_REPLAY),
    lambda folder: swinging(folder / "prices.csv", 1.1, 0.073), begin,
)  # fmt: skip
LIMIT_FAULTS = (prices_swing,)
MARGIN_FAULTS = (prices_fall,)
