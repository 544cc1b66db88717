"""The catalogue of metrics: one table, from which the registry and `docs/metrics.md` are made.

Used by the observers, which refuse what is not in it. Adding a metric is adding a line here; renaming one breaks
dashboards and alerts and belongs into the changelog.
"""

from collections.abc import Mapping
from typing import Final

from quantd.telemetry.metric import Kind, Metric

NETWORK_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Buckets for what crosses a network, in seconds."""
PATIENT_S: Final = (*NETWORK_S, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)
"""Buckets for what waits on the market, in seconds."""
LOCAL_S: Final = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Buckets for work inside the process, in seconds; the default deadline of callbacks, 0.25, is an edge."""
RECORDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
"""Buckets for sizes of batches."""

Values = Mapping[str, tuple[str, ...]]


def _counter(name: str, labels: str, text: str, values: Values | None = None, *, unit: str = "") -> Metric:
    return Metric(name, Kind.COUNTER, text, tuple(labels.split()), values or {}, unit)


def _gauge(name: str, labels: str, text: str, values: Values | None = None, *, unit: str = "") -> Metric:
    return Metric(name, Kind.GAUGE, text, tuple(labels.split()), values or {}, unit)


def _seconds(name: str, labels: str, text: str, buckets: tuple[float, ...], values: Values | None = None) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, tuple(labels.split()), values or {}, "seconds", buckets)


_WRITES: Final = ("submit", "amend", "cancel", "cancel_all", "close_lot", "set_protection")
_OUTCOMES: Final = ("accepted", "scheduled", "rejected", "not_executed", "unknown")
_LANES: Final = ("cancel", "flatten", "reconcile", "submit", "account", "market_data")
_FEEDS: Final = ("quote", "book", "bar")
_DENIALS: Final = (
    "malformed", "wrong_side", "order_quantity", "order_notional", "price_collar", "reference", "order_type", "session",
    "permission", "reduce_only", "duplicate", "self_match", "message_rate", "repeated_execution", "daily_orders",
    "daily_notional", "daily_fees", "order_to_trade", "market_pause", "margin_ratio", "open_orders", "open_notional",
    "position", "gross", "net", "leverage", "concentration", "balance", "capital", "loss", "drawdown",
    "trading_state", "unknown_outcome", "reconciling", "venue_not_ready", "rate_missing", "rate_stale", "clock", "not_open", "busy",
    "unsupported", "not_executed", "control_failed",
)  # fmt: skip
_HALTS: Final = (
    "operator", "dead_man", "journal", "loss_limit", "margin", "protection", "reconciliation", "reject_storm",
    "repeated_execution", "resolution", "rules", "schedule", "supervision",
)  # fmt: skip
_NAKED: Final = ("unconfirmed", "triggered", "unwatched")
_ANOMALIES: Final = (
    "not_finite", "non_positive", "crossed", "inconsistent", "empty", "duplicate", "out_of_order", "stale", "future",
    "jumped",
)  # fmt: skip
_REQUESTS: Final = (
    "ok", "refused", "rate_limited", "unavailable", "timeout", "not_sent", "auth_failed", "unreadable",
)  # fmt: skip
_DELIVERIES: Final = ("taken", "duplicate", "unknown_type", "bad_signature", "malformed", "too_old")

_IDENTITY: Final = (
    _gauge("quantd_build_info", "version python", "Always 1; the labels say what is running."),
    _gauge("quantd_config_info", "fingerprint environment run_id", "Always 1; the labels say with what."),
    _gauge("quantd_started_timestamp_seconds", "", "When this run started, Unix time.", unit="seconds"),
    _gauge("quantd_ready", "", "1 while /readyz answers 200, else 0."),
    _gauge("quantd_leader", "", "1 while this process holds the locks of its journal and of all its accounts, else 0."),
    _gauge("quantd_journal_epoch", "", "Epoch of the journal; a restored journal has a larger one."),
    _gauge(
        "quantd_heartbeat_last_timestamp_seconds",
        "",
        "When whoever watches was heard last, Unix time, where `control.dead_man_s` expects a heartbeat.",
        unit="seconds",
    ),
)

_ORDERS: Final = (
    _counter("quantd_order_requests_total", "venue strategy", "Orders that were wished for, before the gate."),
    _counter(
        "quantd_orders_total",
        "venue strategy outcome",
        "Orders by the end that they came to.",
        {"outcome": ("filled", "cancelled", "rejected", "denied", "expired")},
    ),
    _counter(
        "quantd_order_operations_total",
        "venue operation outcome",
        "Writes sent to the venue, by what is known of their outcome.",
        {"operation": _WRITES, "outcome": _OUTCOMES},
    ),
    _counter("quantd_orders_reopened_total", "venue", "Ended orders that newer evidence showed alive."),
    _counter(
        "quantd_fills_total",
        "venue strategy quality",
        "Fills booked.",
        {"quality": ("confirmed", "estimated")},
    ),
    _counter("quantd_estimated_fills_total", "venue", "Fills booked at an estimated price or fee, to be corrected."),
    _gauge("quantd_fills_awaiting_correction", "venue", "Estimated fills that still await the venue's final word."),
    _counter("quantd_fill_corrections_total", "venue", "Fills whose price or fee was corrected later."),
    _counter("quantd_filled_notional_total", "venue strategy currency", "Notional of all fills, in the base currency."),
    _counter("quantd_fees_total", "venue strategy asset", "Fees paid, in units of the asset."),
    _counter("quantd_rebates_total", "venue strategy asset", "Fees that the venue paid to us, in units of the asset."),
    _counter("quantd_rejects_total", "venue reason", "Orders and changes that the venue refused, by reason."),
    _seconds(
        "quantd_order_ack_seconds",
        "venue operation",
        "From sending a write to its typed outcome.",
        NETWORK_S,
        {"operation": _WRITES},
    ),
    _seconds("quantd_order_fill_seconds", "venue", "From sending an order to its first fill.", PATIENT_S),
    _seconds("quantd_decision_seconds", "", "From receiving market data to the commands that it led to.", LOCAL_S),
    _seconds(
        "quantd_tick_to_order_seconds", "venue", "From receiving market data to the order's bytes leaving.", LOCAL_S
    ),
    _gauge("quantd_open_orders", "venue strategy", "Orders working or in flight."),
    _counter(
        "quantd_stale_commands_total",
        "venue operation",
        "Commands dropped at the door: too old, or halted meanwhile.",
        {"operation": _WRITES},
    ),
)

_RISK: Final = (
    _counter(
        "quantd_denials_total",
        "strategy reason",
        "Orders and changes that the risk gate denied, by code.",
        {"reason": _DENIALS},
    ),
    _counter(
        "quantd_abuse_patterns_total",
        "strategy pattern",
        "Patterns of market abuse that were flagged in our own flow, by each strategy that took part.",
        {"pattern": ("spoofing", "layering", "wash", "momentum")},
    ),
    _seconds("quantd_gate_seconds", "", "One pass of the risk gate.", LOCAL_S),
    _gauge(
        "quantd_limit_use_ratio", "scope limit", "Worst case as a share of the limit; 1 is the limit.", unit="ratio"
    ),
    _counter(
        "quantd_limit_changes_total",
        "scope result",
        "Changes of limits at run time.",
        {"result": ("tightened", "loosened", "refused")},
    ),
    _counter("quantd_soft_limits_total", "scope limit", "Times that a soft limit was exceeded."),
    _gauge("quantd_trading_state", "scope", "0 active, 1 reducing, 2 halted; the strictest of all scopes holds."),
    _gauge("quantd_halted", "", "1 while the halt latch is set, else 0."),
    _counter(
        "quantd_halts_total",
        "reason",
        "Times a trading state was latched, by the control that did it, or by a person.",
        {"reason": _HALTS},
    ),
)

_BOOKS: Final = (
    _gauge(
        "quantd_position_quantity", "venue instrument strategy", "Signed position in the instrument's quantity unit."
    ),
    _gauge(
        "quantd_exposure_notional",
        "scope currency kind",
        "Exposure in the base currency: held, and the worst case with all working orders.",
        {"kind": ("gross", "net", "worst_gross")},
    ),
    _gauge("quantd_equity", "scope currency", "Equity in the base currency."),
    _gauge(
        "quantd_profit",
        "scope currency kind",
        "Profit since the journal began, in the base currency; deposits and withdrawals are none.",
        {"kind": ("realized", "unrealized")},
    ),
    _gauge(
        "quantd_drawdown_ratio", "scope", "How far equity lies below its peak, as a share of the peak.", unit="ratio"
    ),
    _gauge(
        "quantd_balance",
        "venue asset kind",
        "Balance at the venue, in units of the asset.",
        {"kind": ("free", "locked")},
    ),
)

_FEEDS_AND_STRATEGIES: Final = (
    _gauge(
        "quantd_feed_last_event_timestamp_seconds",
        "venue instrument kind",
        "When the newest good market data of an instrument was received, Unix time.",
        {"kind": _FEEDS},
        unit="seconds",
    ),
    _counter("quantd_feed_events_total", "venue kind", "Market data taken in.", {"kind": _FEEDS}),
    _counter(
        "quantd_feed_anomalies_total",
        "venue kind",
        "Market data refused, by what was wrong with it.",
        {"kind": _ANOMALIES},
    ),
    _counter("quantd_feed_failures_total", "venue", "Polls that failed."),
    _counter(
        "quantd_feed_polls_total",
        "venue endpoint outcome",
        "Polls, by how they ended.",
        {"outcome": ("answered", "failed", "refused")},
    ),
    _counter(
        "quantd_feed_skipped_slots_total", "venue endpoint", "Polls left out because an earlier one took too long."
    ),
    _counter("quantd_stream_connections_total", "venue endpoint", "Attempts to open a stream of the venue's."),
    _counter("quantd_stream_losses_total", "venue endpoint", "Streams that had come up and were lost."),
    _gauge("quantd_feed_up", "venue endpoint", "1 while the source answers for all that it is asked, else 0."),
    _gauge("quantd_warmup_ratio", "strategy", "Share of the warm-up that is done; 1 when it trades.", unit="ratio"),
    _gauge(
        "quantd_warmup_gaps",
        "strategy",
        "Times that a series began its warm-up anew behind a gap longer than `max_gap`.",
    ),
    _seconds("quantd_strategy_callback_seconds", "strategy hook", "One call into a strategy.", LOCAL_S),
    _counter("quantd_strategy_errors_total", "strategy", "Exceptions and missed deadlines of a strategy's code."),
    _counter(
        "quantd_strategy_restarts_total", "strategy", "Fresh objects given to a quarantined strategy by supervision."
    ),
    _counter("quantd_strategy_interruptions_total", "strategy", "Callbacks that the watchdog interrupted."),
    _gauge("quantd_strategy_state", "strategy", "0 stopped, 1 warming up, 2 running, 3 quarantined."),
    _counter("quantd_scheduler_misfires_total", "strategy", "Timers that fired later than they may."),
)

_VENUES: Final = (
    _seconds(
        "quantd_venue_request_seconds",
        "venue operation outcome",
        "One request to the venue.",
        NETWORK_S,
        {"outcome": _REQUESTS},
    ),
    _counter("quantd_venue_anomalies_total", "venue kind", "Answers of the venue that contradict what it documents."),
    _gauge("quantd_venue_ready", "venue", "1 while the venue is reconciled and takes entries, else 0."),
    _gauge(
        "quantd_venue_exits_only",
        "venue cause",
        "1 while this cause lets the venue take exits only, 0 once it is over.",
    ),
    _gauge("quantd_venue_clock_offset_seconds", "venue", "The venue's clock minus ours.", unit="seconds"),
    _gauge(
        "quantd_rate_budget_left_ratio",
        "venue limit",
        "Share left of a rate limit of more than one request.",
        unit="ratio",
    ),
    _seconds(
        "quantd_rate_wait_seconds", "venue lane", "How long a request waited for its turn.", NETWORK_S, {"lane": _LANES}
    ),
    _counter("quantd_rate_limited_total", "venue", "Times the venue said: too many requests."),
    _counter("quantd_rate_bans_total", "venue", "Times the venue shut us out for a while."),
    _counter(
        "quantd_webhook_events_total",
        "venue result",
        "Deliveries of webhooks, by what became of them.",
        {"result": _DELIVERIES},
    ),
)

_TRUTH: Final = (
    _gauge("quantd_reconcile_differences", "venue", "Differences between the venue's truth and ours at the last look."),
    _counter(
        "quantd_reconcile_runs_total", "venue result", "Reconciliations.", {"result": ("clean", "different", "failed")}
    ),
    _gauge(
        "quantd_reconcile_last_success_timestamp_seconds",
        "venue",
        "When truth and books last agreed, Unix time; 0 for never in this run.",
        unit="seconds",
    ),
    _gauge(
        "quantd_naked_longest_seconds",
        "strategy",
        "How long the strategy's longest unprotected position stands without its stop, its market being open; 0 when none.",
        unit="seconds",
    ),
    _counter(
        "quantd_naked_seconds_total",
        "venue strategy reason",
        "Time that positions stood without their stop while their market was open.",
        {"reason": _NAKED},
        unit="seconds",
    ),
    _counter(
        "quantd_naked_positions_total",
        "strategy reason outcome",
        "Positions that stood without their stop for too long, by what was done.",
        {"reason": _NAKED, "outcome": ("alert", "exit", "halt")},
    ),
    _gauge(
        "quantd_venue_equity",
        "venue currency",
        "Worth of a margin account in its home currency, as the venue counts it.",
    ),
    _gauge(
        "quantd_venue_margin_closeout_ratio",
        "venue",
        "How near the venue is to closing positions by itself; 1 is the moment.",
        unit="ratio",
    ),
    _gauge("quantd_unknown_operations", "venue", "Writes whose outcome is unknown right now."),
    _counter(
        "quantd_unknown_seconds_total", "venue", "Time that writes spent with an unknown outcome.", unit="seconds"
    ),
    _seconds("quantd_journal_append_seconds", "", "From asking for a record to having it on disk.", LOCAL_S),
    Metric("quantd_journal_batch_records", Kind.HISTOGRAM, "Records in one commit.", unit="records", buckets=RECORDS),
    _counter("quantd_journal_failures_total", "", "Appends that the disk refused; the process then ends."),
    _gauge("quantd_journal_bytes", "", "The journal's file with its write-ahead log.", unit="bytes"),
    _gauge("quantd_journal_archive_bytes", "", "Files of the journal's archive.", unit="bytes"),
    _gauge("quantd_input_log_bytes", "", "Input logs of `record: true`, of all runs.", unit="bytes"),
    _gauge("quantd_disk_free_bytes", "", "Room left where the journal lies.", unit="bytes"),
    _counter(
        "quantd_journal_archive_failures_total", "", "Runs of the archive that failed; its records stay in the journal."
    ),
)

_PROCESS: Final = (
    _gauge("quantd_inbox_depth", "", "Events waiting for the engine."),
    _counter("quantd_inbox_conflated_total", "", "Market data replaced by newer data before the engine saw it."),
    _counter("quantd_events_total", "", "Events that the engine handled."),
    _seconds("quantd_loop_lag_seconds", "", "How late the event loop wakes up.", (*LOCAL_S, 2.5, 5.0, 10.0)),
    _counter("quantd_clock_jumps_total", "", "Jumps of the wall clock by more than a second."),
    _counter(
        "quantd_task_restarts_total",
        "kind",
        "Background tasks started again after a failure.",
        {"kind": ("poller",)},
    ),
    _counter("quantd_metric_series_folded_total", "metric", "Observations folded into `other`: too many label values."),
)

_NOTICES: Final = (
    _counter(
        "quantd_notifications_total",
        "channel outcome",
        "Notices by what became of them: told alone, told in a summary, refused or given up, lost for want of room.",
        {"outcome": ("sent", "summarised", "failed", "dropped")},
    ),
    _counter("quantd_notification_attempts_failed_total", "channel", "Messages that did not reach their receiver."),
    _counter("quantd_notification_repeats_total", "", "Notices that were not told again: the same was told lately."),
    _seconds("quantd_notification_seconds", "channel", "From a notice to its receiver's answer.", PATIENT_S),
    _counter(
        "quantd_monitor_heartbeats_total",
        "outcome",
        "Heartbeats to the monitor outside.",
        {"outcome": ("sent", "failed")},
    ),
)

CATALOGUE: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for part in (_IDENTITY, _ORDERS, _RISK, _BOOKS, _FEEDS_AND_STRATEGIES, _VENUES, _TRUTH, _PROCESS, _NOTICES)
    for metric in part
}
"""All metrics by name, in the order of the documentation."""

_FEEDS_BEGIN: Final = "when the venue's feeds begin"
LATER: Final[Mapping[str, str]] = {
    "quantd_fees_total": "with the first fee in that asset",
    "quantd_rebates_total": "with the first rebate in that asset",
    "quantd_rejects_total": "with the first refusal for that reason, which is the venue's word; the count of all refusals is "
    '`quantd_order_operations_total{outcome="rejected"}`, from the start',
    "quantd_soft_limits_total": "from the start where a soft limit is configured; else with the first crossing",
    "quantd_feed_polls_total": _FEEDS_BEGIN,
    "quantd_feed_skipped_slots_total": _FEEDS_BEGIN,
    "quantd_stream_connections_total": _FEEDS_BEGIN,
    "quantd_stream_losses_total": _FEEDS_BEGIN,
    "quantd_venue_anomalies_total": "with the venue's connector",
    "quantd_venue_request_seconds": "with the first such request",
}
"""Counters and histograms of which not every series exists at 0 before anything happens, and when they do."""
