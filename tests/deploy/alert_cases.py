"""One situation for each alert: what makes it fire, what stays just below, and that it resolves.

Read by test_alerts.py. Values are in promtool's notation, a sample each 15 seconds: `AxN` repeats, `A+BxN` counts up, `_` is
no sample. The first hour is the trouble, the second is good again, unless a case says otherwise.
"""

from collections.abc import Mapping
from typing import NamedTuple

Series = Mapping[str, str]
HOUR = 239
"""How often a value is repeated after its first sample, to fill an hour."""
WHO = 'job="quantd",instance="a:9464"'
VENUE = f'{WHO},venue="v"'


class Case(NamedTuple):
    """What one alert is shown."""

    alert: str
    bad: Series
    below: tuple[Series, ...]
    fires_at: str = "59m"
    resolved_at: str = "118m"


def level(alert: str, series: str, *, bad: float, below: float, good: float = 0) -> Case:
    """A gauge that stands too high for an hour."""
    return Case(alert, {series: f"{bad}x{HOUR} {good}x{HOUR}"}, ({series: f"{below}x480"},))


def jump(alert: str, series: str, *, bad: int = 1, below: int = 0) -> Case:
    """A counter that jumps after 50 minutes; one that a restart sets back to zero is no jump."""
    quiet = ({series: f"0x199 {below}x280"}, {series: "7x199 0x280"})
    return Case(alert, {series: f"0x199 {bad}x280"}, quiet, "51m")


def buckets(metric: str, labels: str, first: Mapping[str, int], then: Mapping[str, int] | None = None) -> Series:
    """Buckets that grow in each step by so many, and in the second hour by so many of `then`."""
    made = {}
    for edge, each in first.items():
        words = f"0+{each}x{HOUR}"
        if then is not None:
            words += f" {each * (HOUR + 1)}+{then[edge]}x{HOUR}"
        made[f'{metric}_bucket{{{labels},le="{edge}"}}'] = words
        if edge == "+Inf":
            made[f"{metric}_count{{{labels}}}"] = words
    return made


def share_above(alert: str, metric: str, labels: str, edge: str) -> Case:
    """A histogram of which 5 % lies above `edge`; just below, none does."""
    slow, quick = {"0.1": 90, edge: 95, "10.0": 100, "+Inf": 100}, {"0.1": 99, edge: 100, "10.0": 100, "+Inf": 100}
    below = {"0.1": 98, edge: 100, "10.0": 100, "+Inf": 100}
    return Case(alert, buckets(metric, labels, slow, quick), (buckets(metric, labels, below),))


def feed_age(age_s: int, position: int) -> Series:
    """Prices that are so old, and a position."""
    return {
        f'quantd_feed_last_event_timestamp_seconds{{{VENUE},instrument="v:A-B",kind="quote"}}': f"{-age_s}+15x480",
        f'quantd_position_quantity{{{VENUE},instrument="v:A-B",strategy="s"}}': f"{position}x480",
    }


_STOPPED = {
    **feed_age(0, -1),
    f'quantd_feed_last_event_timestamp_seconds{{{VENUE},instrument="v:A-B",kind="quote"}}': f"10x{HOUR} 3600+15x{HOUR}",
}
_STATE = f'quantd_trading_state{{{WHO},scope="account"}}'
_LIMIT = f'quantd_limit_use_ratio{{{WHO},scope="account",limit="max_gross_notional"}}'
_LOSS = f'quantd_limit_use_ratio{{{WHO},scope="account",limit="max_daily_loss"}}'
_AGREED = f"quantd_reconcile_last_success_timestamp_seconds{{{VENUE}}}"
_ACK = f'{VENUE},operation="submit"'
_ONE, _TWO = (f'quantd_config_info{{job="quantd",instance="{host}",fingerprint="f"}}' for host in ("a", "b"))

CASES = (
    Case("QuantdDown", {f"up{{{WHO}}}": f"0x{HOUR} 1x{HOUR}"}, ({f"up{{{WHO}}}": "1x230 0x2 1x200"},)),
    Case(
        "QuantdAbsent",
        {f"quantd_build_info{{{WHO}}}": f"_x{HOUR} 1x{HOUR}"},
        ({f"quantd_build_info{{{WHO}}}": "1x215 _x20 1x300"},),
    ),
    Case(
        "QuantdRestarting",
        {f"quantd_started_timestamp_seconds{{{WHO}}}": "0x9 1x9 2x9 3x400"},
        ({f"quantd_started_timestamp_seconds{{{WHO}}}": "0x9 1x9 2x400"},),
        "9m",
    ),
    Case("QuantdTwoDaemons", {_ONE: "1x480", _TWO: f"1x{HOUR} _x{HOUR}"}, ({_ONE: "1x480"}, {_ONE: "1x480", _TWO: "_x230 1x4 _x200"})),
    level("QuantdLeaderLost", f"quantd_leader{{{WHO}}}", bad=0, below=1, good=1),
    share_above("QuantdLoopSlow", "quantd_loop_lag_seconds", WHO, "0.5"),
    jump("QuantdSeriesFolded", f'quantd_metric_series_folded_total{{{WHO},metric="m"}}'),
    level("QuantdHalted", _STATE, bad=2, below=1),
    level("QuantdReducing", _STATE, bad=1, below=0),
    jump("QuantdLatchedByControl", f'quantd_halts_total{{{WHO},reason="loss_limit"}}'),
    jump("QuantdAbusePattern", f'quantd_abuse_patterns_total{{{WHO},strategy="s",pattern="layering"}}'),
    level("QuantdStrategyQuarantined", f'quantd_strategy_state{{{WHO},strategy="s"}}', bad=3, below=2, good=2),
    jump("QuantdMisfires", f'quantd_scheduler_misfires_total{{{WHO},strategy="s"}}'),
    level("QuantdPositionNaked", f'quantd_naked_longest_seconds{{{WHO},strategy="s"}}', bad=11, below=10),
    level("QuantdLimitNear", _LIMIT, bad=0.91, below=0.9),
    level("QuantdLimitExceeded", _LIMIT, bad=1.01, below=1),
    level("QuantdLossNear", _LOSS, bad=0.81, below=0.8),
    level("QuantdMarginNear", f"quantd_venue_margin_closeout_ratio{{{VENUE}}}", bad=0.81, below=0.8),
    level("QuantdVenueNotReady", f"quantd_venue_ready{{{VENUE}}}", bad=0, below=1, good=1),
    level("QuantdReconcileDifference", f"quantd_reconcile_differences{{{VENUE}}}", bad=1, below=0),
    # Never in this run (0) is not overdue: QuantdVenueNotReady says that.
    Case("QuantdReconcileOverdue", {_AGREED: f"100x{HOUR} 3600+15x{HOUR}"}, ({_AGREED: "-300+15x480"}, {_AGREED: "0x480"})),
    level("QuantdOrderUnknown", f"quantd_unknown_operations{{{VENUE}}}", bad=1, below=0),
    jump("QuantdRejectStorm", f'quantd_order_operations_total{{{VENUE},operation="submit",outcome="rejected"}}', bad=11, below=9),
    Case(
        "QuantdAckSlow",
        buckets("quantd_order_ack_seconds", _ACK, {"1.0": 85, "+Inf": 100}, {"1.0": 100, "+Inf": 100}),
        (buckets("quantd_order_ack_seconds", _ACK, {"1.0": 86, "+Inf": 100}),),
    ),
    Case("QuantdMarketDataStale", _STOPPED, (feed_age(60, -1), feed_age(600, 0))),
    level("QuantdFeedDown", f'quantd_feed_up{{{VENUE},endpoint="quotes"}}', bad=0, below=1, good=1),
    jump("QuantdStreamChurn", f'quantd_stream_losses_total{{{VENUE},endpoint="stream"}}', bad=6, below=4),
    level("QuantdClockOffset", f"quantd_venue_clock_offset_seconds{{{VENUE}}}", bad=-1.1, below=-1),
    level("QuantdRateBudgetLow", f'quantd_rate_budget_left_ratio{{{VENUE},limit="key"}}', bad=0.04, below=0.05, good=1),
    jump("QuantdRateLimited", f"quantd_rate_limited_total{{{VENUE}}}"),
    jump("QuantdBanned", f"quantd_rate_bans_total{{{VENUE}}}"),
    jump("QuantdJournalFailed", f"quantd_journal_failures_total{{{WHO}}}"),
    share_above("QuantdJournalSlow", "quantd_journal_append_seconds", WHO, "0.25"),
    level("QuantdDiskLow", f"quantd_disk_free_bytes{{{WHO}}}", bad=1.9e9, below=2e9, good=9e9),
    jump("QuantdNotArchived", f"quantd_journal_archive_failures_total{{{WHO}}}"),
)  # fmt: skip
