"""The Ripio contract as a table: each thing that the documents name, and the test of the simulator that holds it.

Run as a module, it writes docs/venues/ripio-contract.md; a test compares. The first part is the document that the project
started from (the listing of the user's orders), whole; the second the rest of the API by route, error and topic.
"""

from typing import NamedTuple

LISTS = "tests/component/simulators/test_ripio_lists.py"
ACCESS = "tests/component/simulators/test_ripio_access.py"
ORDERS = "tests/component/simulators/test_ripio_orders.py"
LIFE = "tests/component/simulators/test_ripio_order_life.py"
MARKET = "tests/component/simulators/test_ripio_market.py"
STREAMS = "tests/component/simulators/test_ripio_streams.py"


class Row(NamedTuple):
    """One thing and its test."""

    kind: str
    name: str
    file: str
    test: str


def rows(kind: str, names: str, file: str, test: str) -> list[Row]:
    """Return a row for each of several names."""
    return [Row(kind, name, file, test) for name in names.split()]


_SHAPE = "test_orders_have_the_seed_document_s_fields_and_kinds"
_PAGES = "test_page_numbers_count_and_shift_when_rows_come"
_CURSOR = "test_cursor_walks_on_and_back_and_nothing_that_comes_moves_it"
_DATES = "test_dates_choose_and_ten_days_are_the_default"
_TYPES = "test_side_and_type_choose"

SEED = (
    Row("endpoint", "GET /trade/orders", ACCESS, "test_worked_vectors_are_signed_and_let_in"),
    *rows("header", "authorization signature timestamp", ACCESS, "test_each_header_of_the_three_is_required"),
    Row("header", "timestamp in milliseconds", ACCESS, "test_timestamps_are_whole_milliseconds"),
    Row(
        "header", "timstamp-tolerance", ACCESS,
        "test_misspelt_tolerance_of_the_reference_pages_counts_only_by_switch",
    ),
    Row("header", "timestamp-tolerance", ACCESS, "test_timestamps_hold_within_the_tolerance_either_way"),
    Row("parameter", "pair", LISTS, "test_pair_is_required_and_must_exist"),
    Row("parameter", "status", LISTS, "test_status_chooses_one_or_several"),
    *rows("parameter", "side type", LISTS, _TYPES),
    Row("parameter", "ids", LISTS, "test_ids_choose_up_to_ten_in_either_case"),
    *rows("parameter", "start_date end_date", LISTS, _DATES),
    *rows("parameter", "page_size current_page", LISTS, _PAGES),
    Row("parameter", "c", LISTS, _CURSOR),
    Row("limit", "ids: 10 at most", LISTS, "test_ids_choose_up_to_ten_in_either_case"),
    Row("limit", "start_date: not before 2017-10-01", LISTS, "test_filters_that_are_none_are_40000"),
    Row("limit", "start_date to end_date: 6 months at most", LISTS, "test_six_months_are_the_longest_span"),
    *rows("enum side", "buy sell", LISTS, _TYPES),
    *rows("enum type", "limit market stop_limit trailing ceiling iceberg", LISTS, _TYPES),
    Row("enum status", "executed_completely", LISTS, "test_status_chooses_one_or_several"),
    Row("status", "200", LISTS, _SHAPE),
    *rows("frame", "data error_code message", LISTS, _SHAPE),
    *rows("data", "orders pagination", LISTS, _SHAPE),
    *rows("data", "nc pc", LISTS, _CURSOR),
    *rows("pagination", "current_page registers_count total_pages page_size", LISTS, _PAGES),
    *rows(
        "order",
        "create_date executed_amount external_id id pair price remaining_amount remaining_value requested_amount"
        " requested_value side status total_value type update_date fee",
        LISTS, _SHAPE,
    ),
)  # fmt: skip
"""The document that the project started from; it names no error but the two keys of the frame."""

_CANCEL = "test_cancel_answers_the_order_and_a_second_one_is_40020"
_NOT_TO_THE_LETTER = "test_create_that_is_not_to_the_letter_is_40000_and_counted"
_FORBIDDEN_BY_RULES = "test_what_rules_and_funds_forbid_has_its_number"
_CACHED = "test_public_routes_repeat_themselves_for_half_a_minute_and_private_twins_do_not"
_TICKET = "test_ticket_is_good_for_one_connection_within_a_minute"
_LEVEL_2 = "test_level_2_has_market_and_resting_orders_and_a_hash_only_in_public"

ROUTES = (
    Row("route", "server_time", MARKET, "test_server_time_is_public_and_never_cached"),
    *rows("route", "public_pairs pairs", MARKET, "test_pairs_tell_rules_and_whether_they_are_enabled"),
    *rows("route", "public_currencies currencies", MARKET, "test_currencies_tell_their_precision"),
    *rows("route", "public_tickers public_ticker", MARKET, _CACHED),
    *rows("route", "tickers ticker", MARKET, "test_ticker_has_the_day"),
    *rows("route", "public_level_2 level_2", MARKET, _LEVEL_2),
    *rows("route", "public_level_3 level_3", MARKET, "test_level_3_has_ids"),
    *rows("route", "public_trades", LISTS, "test_public_trades_name_both_sides"),
    *rows("route", "trades user_trades", LISTS, "test_trades_page_by_cursor_only"),
    Row("route", "estimate_price", MARKET, "test_estimate_walks_the_book"),
    Row("route", "balances", MARKET, "test_balances_of_all_or_named_assets"),
    *rows("route", "trading_fees fees_and_limits", MARKET, "test_fees_are_told_in_percent_and_as_fractions"),
    Row("route", "statement", LISTS, "test_statement_adds_up_to_the_balances"),
    Row("route", "order_trades", LISTS, "test_trades_of_one_order"),
    Row("route", "open_orders", LISTS, "test_open_orders_are_the_open_ones_of_all_pairs_or_one"),
    Row("route", "user_orders", LISTS, _SHAPE),
    Row("route", "order_by_external_id", LIFE, "test_external_id_is_not_unique_and_the_newest_is_found"),
    Row("route", "order", ORDERS, "test_limit_that_rests_is_filled_as_maker_with_the_fee_in_what_it_receives"),
    Row("route", "create_order", ORDERS, "test_create_answers_the_short_form_with_numbers"),
    Row("route", "amend_order", LIFE, "test_amend_changes_price_and_amount_under_the_same_id"),
    *rows("route", "cancel_order cancel_by_external_id delete_order delete_by_external_id", LIFE, _CANCEL),
    Row("route", "cancel_all", LIFE, "test_cancel_all_takes_a_pair_s_orders_or_all_and_may_leave_some"),
    Row("route", "ticket", STREAMS, _TICKET),
)  # fmt: skip

TYPES = (
    Row("type", "limit", ORDERS, "test_limit_that_crosses_is_filled_at_once_as_taker"),
    Row("type", "market", ORDERS, "test_market_order_by_value_buys_what_the_value_pays"),
    Row("type", "stop_limit", ORDERS, "test_stop_limit_waits_for_its_stop_and_rests_at_its_limit"),
    Row("type", "trailing", ORDERS, "test_trailing_order_follows_the_market_and_fires_on_the_way_back"),
    Row("type", "ceiling", ORDERS, "test_ceiling_order_spends_a_value"),
    Row("type", "iceberg", ORDERS, "test_iceberg_shows_its_step_and_fills_whole"),
)

ERRORS = (
    Row("error", "40000", ORDERS, _NOT_TO_THE_LETTER),
    *rows("error", "40010 40011", ORDERS, _FORBIDDEN_BY_RULES),
    Row("error", "40020", LIFE, _CANCEL),
    Row("error", "40021", LIFE, "test_cancel_of_an_executed_order_is_40021"),
    Row("error", "40090", LIFE, "test_amend_of_what_ended_or_has_no_price_is_refused"),
    Row("error", "40100", ACCESS, "test_blocked_token_is_told_40100"),
    Row("error", "40300", ACCESS, "test_reader_may_read_and_not_trade"),
    Row("error", "40400", ACCESS, "test_unknown_route_is_40400_in_the_frame"),
    Row("error", "42900", ACCESS, "test_daily_cap_ends_with_the_utc_day_and_has_words_of_its_own"),
    *rows("error", "50000 50001 50002 50003", MARKET, "test_internal_errors_have_their_numbers"),
    Row("error", "503", MARKET, "test_maintenance_is_503_for_everything"),
)

TOPICS = (
    Row("topic", "orderbook/level_2", STREAMS, "test_book_begins_with_the_whole_and_is_told_when_it_changes"),
    Row(
        "topic", "orderbook/level_2_delta", STREAMS,
        "test_deltas_lead_from_the_first_book_to_the_present_one_and_their_checksums_fit",
    ),
    *rows(
        "topic", "orderbook/level_3 ticker trade", STREAMS,
        "test_level_3_has_ids_and_ticker_and_trades_come_as_they_happen",
    ),
    Row("topic", "order_status", STREAMS, "test_order_status_follows_an_order_in_the_stream_s_own_words"),
    *rows("topic", "balance user_trades", STREAMS, "test_balance_tells_what_changed_and_user_trades_the_fill"),
    *rows(
        "method", "order.create order.cancel order.update", STREAMS,
        "test_orders_are_created_updated_and_cancelled_over_the_websocket_api",
    ),
)  # fmt: skip

_HEAD = """# Ripio Trade: the contract, row by row

Generated by `python -m tests.contract.ripio_rows`; do not edit. What each row means, and how well it is known, is told in
[ripio.md](ripio.md). The tests are the simulator's; the connector's are in the [conformance table](conformance.md).
"""
_SECTIONS = (
    ("The document that the project started from", SEED),
    ("The other routes", ROUTES),
    ("Types of orders", TYPES),
    ("Errors", ERRORS),
    ("Streams and WebSocket API", TOPICS),
)
_TAIL = """
The refusals of withdrawals (40030 to 40035, 40040, 40041, 40050) are not served: nothing here withdraws.
"""


def page() -> str:
    """Return the document."""
    parts = [_HEAD]
    for title, chosen in _SECTIONS:
        lines = [f"| {row.kind} | `{row.name}` | `{row.file}::{row.test}` |" for row in chosen]
        parts.append("\n".join([f"\n## {title}\n", "| what | name | test |", "|---|---|---|", *lines, ""]))
    return "".join([*parts, _TAIL])


if __name__ == "__main__":
    print(page(), end="")
