"""The ways in which TradeLocker's answers may contradict its documents or what we know."""

KINDS = (
    "dead_info_route", "filled_but_not_whole", "history_not_complete", "listed_twice", "listing_contradicts", "quote_unreadable", "row_unreadable",
    "lot_went_unexplained", "not_supported", "order_vanished", "unknown_order_status", "unknown_symbol_status",
)  # fmt: skip
"""All kinds, for the catalogue of metrics."""
