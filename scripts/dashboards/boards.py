"""The dashboards: overview, strategy, venue, risk, execution, process. Each answers one question. Draws nothing."""

from scripts.dashboards.panels import WHO, Board, Row, lines, number, quantiles, rate

VENUE = f'{WHO},venue=~"$venue"'
STRATEGY = f'{WHO},strategy=~"$strategy"'
STATES = (("0", "active", "green"), ("1", "reducing", "orange"), ("2", "halted", "red"))
PHASES = (("0", "stopped", "blue"), ("1", "warming up", "blue"), ("2", "running", "green"), ("3", "quarantined", "red"))
YES = (("0", "no", "red"), ("1", "yes", "green"))
NO = (("0", "no", "green"), ("1", "yes", "red"))
_FIRING = 'count(ALERTS{alertname=~"Quantd.+",alertname!="QuantdWatchdog",alertstate="firing"}) or vector(0)'

OVERVIEW = Board(
    "quantd-overview", "quantd / overview", "Does it trade, and how does the account stand?", (),
    (
        Row("Now", (
            number("Ready", "Whether it trades; /readyz says why not.", "none", f"min(quantd_ready{{{WHO}}})", words=YES),
            number("Halted", "Whether any scope is latched.", "none", f"max(quantd_halted{{{WHO}}})", words=NO),
            number("Alerts", "Alerts of quantd that fire.", "none", _FIRING, bad=1),
            number("Venues ready", "Share of the venues that are reconciled.", "percentunit", f"avg(quantd_venue_ready{{{WHO}}})", bad=1, good_above=True),
            number("Unknown writes", "Writes whose outcome is unknown.", "none", f"sum(quantd_unknown_operations{{{WHO}}})", bad=1),
            number("Open orders", "Working or in flight.", "none", f"sum(quantd_open_orders{{{WHO}}})"),
        )),
        Row("The account", (
            lines("Equity", "By venue, in the base currency; deposits move it too.", "short", (f'sum by (scope, currency) (quantd_equity{{{WHO},scope=~"venue:.+"}})', "{{scope}} {{currency}}")),
            lines("Profit since the journal began", "Realised and not, deposits left out.", "short", (f'sum by (kind) (quantd_profit{{{WHO},scope="account"}})', "{{kind}}")),
            lines("Drawdown", "Fall from the peak of equity.", "percentunit", (f"max by (instance) (quantd_drawdown_ratio{{{WHO}}})", "{{instance}}")),
        )),
        Row("What it does", (
            lines("Fills", "Fills a second, by strategy.", "ops", rate("quantd_fills_total", "strategy")),
            lines("Ends of orders", "How orders end.", "ops", rate("quantd_orders_total", "outcome")),
            lines("Denied by the gate", "Denials by reason: a limit that is reached again and again is a question to the strategy.", "ops", rate("quantd_denials_total", "reason")),
            lines("Exposure", "Gross, net, and the worst case with all working orders.", "short", (f'sum by (kind) (quantd_exposure_notional{{{WHO},scope="account"}})', "{{kind}}")),
        )),
    ),
)  # fmt: skip

STRATEGIES = Board(
    "quantd-strategy", "quantd / strategy", "What does each strategy do, and does it do it well?", (("strategy", "quantd_strategy_state"),),
    (
        Row("State", (
            number("State", "Stopped, warming up, running or quarantined.", "none", f"max(quantd_strategy_state{{{STRATEGY}}})", words=PHASES),
            number("Warm-up", "Share of the bars that its indicators need.", "percentunit", f"min(quantd_warmup_ratio{{{STRATEGY}}})", bad=1, good_above=True),
            number("Errors", "Exceptions and missed deadlines in the range shown.", "none", f"sum(increase(quantd_strategy_errors_total{{{STRATEGY}}}[$__range]))", bad=1),
        )),
        Row("Orders and fills", (
            lines("Wished for", "Orders that it asked for, before the gate.", "ops", rate("quantd_order_requests_total", "strategy", STRATEGY)),
            lines("Denied", "By the gate, by reason.", "ops", rate("quantd_denials_total", "strategy, reason", STRATEGY)),
            lines("Fills", "Fills a second.", "ops", rate("quantd_fills_total", "strategy", STRATEGY)),
            lines("Value traded", "Notional of its fills a second, in the base currency.", "short", rate("quantd_filled_notional_total", "strategy", STRATEGY)),
        )),
        Row("Position and money", (
            lines("Position", "Signed, in the instrument's unit.", "short", (f"sum by (strategy, instrument) (quantd_position_quantity{{{STRATEGY}}})", "{{strategy}} {{instrument}}")),
            lines("Profit since the journal began", "By its own book.", "short", (f'sum by (scope, kind) (quantd_profit{{{WHO},scope=~"strategy:$strategy"}})', "{{scope}} {{kind}}")),
            lines("Seconds without a stop", "How long its longest position stands without the stop that it wished for.", "s", (f"max by (strategy) (quantd_naked_longest_seconds{{{STRATEGY}}})", "{{strategy}}"), bad=10),
        )),
        Row("Its code", (
            lines("Callback time", "One call into its code; the deadline is 0.25 s unless set otherwise.", "s", *quantiles("quantd_strategy_callback_seconds", "strategy", STRATEGY), bad=0.25),
            lines("Errors, interruptions, misfires", "Each is a line in the log.", "ops", rate("quantd_strategy_errors_total", "strategy", STRATEGY, "{{strategy}} errors"), rate("quantd_strategy_interruptions_total", "strategy", STRATEGY, "{{strategy}} interruptions"), rate("quantd_scheduler_misfires_total", "strategy", STRATEGY, "{{strategy}} misfires")),
        )),
    ),
)  # fmt: skip

VENUES = Board(
    "quantd-venue", "quantd / venue", "Does the venue answer, in time and truthfully, and what is left of its rate limits?", (("venue", "quantd_venue_ready"),),
    (
        Row("Market data", (
            lines("Age of the newest prices", "By instrument; grows while a market is closed.", "s", (f"time() - quantd_feed_last_event_timestamp_seconds{{{VENUE}}}", "{{venue}} {{instrument}} {{kind}}"), bad=60),
            lines("Events", "Market data taken in.", "ops", rate("quantd_feed_events_total", "venue, kind", VENUE)),
            lines("Refused and failed", "Data that were wrong, and polls that failed.", "ops", rate("quantd_feed_anomalies_total", "venue, kind", VENUE), rate("quantd_feed_failures_total", "venue", VENUE, "{{venue}} polls failed")),
            lines("Feeds up", "1 while the source answers for all that it is asked.", "none", (f"min by (venue, endpoint) (quantd_feed_up{{{VENUE}}})", "{{venue}} {{endpoint}}")),
            lines("Exits only", "1 for each cause that lets the venue take exits only.", "none", (f"max by (venue, cause) (quantd_venue_exits_only{{{VENUE}}})", "{{venue}} {{cause}}")),
        )),
        Row("Requests", (
            number("Ready", "Reconciled, and may be traded.", "none", f"min(quantd_venue_ready{{{VENUE}}})", words=YES),
            lines("Rate", "Requests a second by operation.", "reqps", rate("quantd_venue_request_seconds_count", "venue, operation", VENUE)),
            lines("Errors", "Share of the requests that did not end well.", "percentunit", (f'1 - sum by (venue) (rate(quantd_venue_request_seconds_count{{{VENUE},outcome="ok"}}[$__rate_interval])) / sum by (venue) (rate(quantd_venue_request_seconds_count{{{VENUE}}}[$__rate_interval]))', "{{venue}}")),
            lines("Refused orders", "By the venue's reason.", "ops", (f"sum by (venue, reason) (rate(quantd_rejects_total{{{VENUE}}}[$__rate_interval])) or vector(0)", "{{venue}} {{reason}}")),
            lines("Duration", "One request, all operations.", "s", *quantiles("quantd_venue_request_seconds", "venue", VENUE), bad=1),
        )),
        Row("Rate limits", (
            lines("Budget left", "Share of each limit; at 0 requests wait, cancels first in line.", "percentunit", (f"min by (venue, limit) (quantd_rate_budget_left_ratio{{{VENUE}}})", "{{venue}} {{limit}}")),
            lines("Waiting for the budget", "How long requests wait for their turn.", "s", *quantiles("quantd_rate_wait_seconds", "lane", VENUE)),
            lines("Too many requests", "The venue's own refusals and bans; none is right.", "ops", rate("quantd_rate_limited_total", "venue", VENUE, "{{venue}} refused"), rate("quantd_rate_bans_total", "venue", VENUE, "{{venue}} banned")),
        )),
    ),
)  # fmt: skip

RISK = Board(
    "quantd-risk", "quantd / risk", "How much of each limit is used, and what has a control done?", (),
    (
        Row("States", (
            lines("Trading state", "0 active, 1 reducing, 2 halted; the strictest scope holds.", "none", (f"max by (scope) (quantd_trading_state{{{WHO}}})", "{{scope}}"), bad=2),
            lines("Latched by", "Which control, or an operator, latched a state.", "none", (f"sum by (reason) (increase(quantd_halts_total{{{WHO}}}[$__rate_interval]))", "{{reason}}")),
            number("State", "The strictest of all scopes.", "none", f"max(quantd_trading_state{{{WHO}}})", words=STATES),
        )),
        Row("Limits", (
            lines("Use of each limit", "Worst case as a share of the limit; 1 is the limit.", "percentunit", (f"max by (scope, limit) (quantd_limit_use_ratio{{{WHO}}})", "{{scope}} {{limit}}"), bad=1),
            lines("Denials", "Orders that the gate denied, by reason.", "ops", rate("quantd_denials_total", "reason")),
            lines("Patterns flagged", "By surveillance of our own flow, for a person to look at; none is right.", "none", (f"sum by (strategy, pattern) (increase(quantd_abuse_patterns_total{{{WHO}}}[$__rate_interval])) > 0 or vector(0)", "{{strategy}} {{pattern}}")),
            lines("Soft limits and changes", "Soft limits exceeded, and limits that a person changed.", "none", (f"sum by (scope, limit) (increase(quantd_soft_limits_total{{{WHO}}}[$__rate_interval])) or vector(0)", "{{scope}} {{limit}} exceeded"), (f"sum by (scope, result) (increase(quantd_limit_changes_total{{{WHO}}}[$__rate_interval])) or vector(0)", "{{scope}} {{result}}")),
        )),
        Row("Exposure", (
            lines("Exposure by scope", "The worst case with all working orders, in the base currency.", "short", (f'sum by (scope) (quantd_exposure_notional{{{WHO},kind="worst_gross"}})', "{{scope}}")),
            lines("Profit since the journal began", "By scope, realised and not.", "short", (f"sum by (scope) (quantd_profit{{{WHO}}})", "{{scope}}")),
            lines("Drawdown", "Fall from the peak.", "percentunit", (f"max by (scope) (quantd_drawdown_ratio{{{WHO}}})", "{{scope}}")),
        )),
        Row("Protection", (
            lines("Longest without a stop", "Positions whose stop is not in place, their market being open.", "s", (f"max by (strategy) (quantd_naked_longest_seconds{{{WHO}}})", "{{strategy}}"), bad=10),
            lines("Seconds without a stop", "Seconds per second, by reason.", "short", rate("quantd_naked_seconds_total", "strategy, reason")),
            lines("What was done", "Positions that stood so for too long, by the action taken.", "none", (f"sum by (outcome) (increase(quantd_naked_positions_total{{{WHO}}}[$__rate_interval])) or vector(0)", "{{outcome}}")),
        )),
    ),
)  # fmt: skip

EXECUTION = Board(
    "quantd-execution", "quantd / execution", "How do orders fare from decision to fill, and do the books agree with the venue?", (("venue", "quantd_venue_ready"),),
    (
        Row("Writes", (
            lines("Sent", "Writes a second by operation.", "ops", rate("quantd_order_operations_total", "venue, operation", VENUE)),
            lines("Outcomes", "What is known of them.", "ops", rate("quantd_order_operations_total", "venue, outcome", VENUE)),
            lines("Stale at the door", "Dropped before they left: too old, or halted meanwhile.", "ops", rate("quantd_stale_commands_total", "venue, operation", VENUE)),
        )),
        Row("Times", (
            lines("From price to commands", "Deciding, all strategies.", "s", *quantiles("quantd_decision_seconds", "")),
            lines("From price to bytes", "From receiving market data to the order's bytes leaving.", "s", *quantiles("quantd_tick_to_order_seconds", "venue", VENUE)),
            lines("Acknowledgement", "From sending a write to its typed outcome; the objective is 99 % within 1 s.", "s", *quantiles("quantd_order_ack_seconds", "venue", VENUE), bad=1),
            lines("First fill", "From sending an order to its first fill.", "s", *quantiles("quantd_order_fill_seconds", "venue", VENUE)),
        )),
        Row("Unknown", (
            lines("Unknown now", "Writes whose outcome is unknown; their worst case is reserved.", "none", (f"sum by (venue) (quantd_unknown_operations{{{VENUE}}})", "{{venue}}"), bad=1),
            lines("Time unknown", "Seconds per second.", "short", rate("quantd_unknown_seconds_total", "venue", VENUE)),
            lines("Estimated fills", "Fills that await the venue's final word, and corrections.", "none", (f"sum by (venue) (quantd_fills_awaiting_correction{{{VENUE}}})", "{{venue}} waiting"), (f"sum by (venue) (increase(quantd_fill_corrections_total{{{VENUE}}}[$__rate_interval]))", "{{venue}} corrected")),
        )),
        Row("Reconciliation", (
            lines("Differences", "At the last look.", "none", (f"sum by (venue) (quantd_reconcile_differences{{{VENUE}}})", "{{venue}}"), bad=1),
            lines("Since books and truth agreed", "Grows while they differ or the venue is away.", "s", (f"time() - (quantd_reconcile_last_success_timestamp_seconds{{{VENUE}}} > 0)", "{{venue}}"), bad=300),
            lines("Runs", "By result.", "ops", rate("quantd_reconcile_runs_total", "venue, result", VENUE)),
        )),
    ),
)  # fmt: skip

PROCESS = Board(
    "quantd-process", "quantd / process", "Does the process have the time, the memory and the disk that it needs?", (),
    (
        Row("Utilisation", (
            lines("CPU", "Share of one core.", "percentunit", (f"sum by (instance) (rate(process_cpu_seconds_total{{{WHO}}}[$__rate_interval]))", "{{instance}}")),
            lines("Memory", "Resident.", "bytes", (f"sum by (instance) (process_resident_memory_bytes{{{WHO}}})", "{{instance}}")),
            lines("Open files", "Descriptors.", "none", (f"sum by (instance) (process_open_fds{{{WHO}}})", "{{instance}}")),
            lines("Events", "That the engine handled.", "ops", rate("quantd_events_total", "instance")),
        )),
        Row("Saturation", (
            lines("Loop lag", "How late the event loop wakes up; at 10 s the watchdog halts.", "s", *quantiles("quantd_loop_lag_seconds", "instance"), bad=0.5),
            lines("Inbox", "Events that wait for the engine.", "none", (f"max by (instance) (quantd_inbox_depth{{{WHO}}})", "{{instance}}")),
            lines("Conflated", "Market data replaced by newer before the engine saw it.", "ops", rate("quantd_inbox_conflated_total", "instance")),
            lines("Journal append", "From asking for a record to having it on disk; every order waits for it.", "s", *quantiles("quantd_journal_append_seconds", "instance"), bad=0.25),
            lines("Gate", "One pass of the risk gate.", "s", *quantiles("quantd_gate_seconds", "instance")),
            lines("Disk", "What the journal, its archive and input logs take, and what is left.", "bytes",
                  *((f"max by (instance) (quantd_{name}_bytes{{{WHO}}})", f"{{{{instance}}}} {name}")
                    for name in ("journal", "journal_archive", "input_log", "disk_free"))),
        )),
        Row("Errors", (
            lines("Restarts of tasks", "Background tasks started again after a failure.", "ops", rate("quantd_task_restarts_total", "instance, kind")),
            lines("Journal failures and clock jumps", "Each failure ends the process; each jump pauses new exposure.", "ops", rate("quantd_journal_failures_total", "instance", legend="{{instance}} journal"), rate("quantd_clock_jumps_total", "instance", legend="{{instance}} clock")),
            number("Up for", "Since the start of this run.", "s", f"time() - min(quantd_started_timestamp_seconds{{{WHO}}})"),
        )),
    ),
)  # fmt: skip

BOARDS = (OVERVIEW, STRATEGIES, VENUES, RISK, EXECUTION, PROCESS)
