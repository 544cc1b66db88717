"""The ways in which ionloop's answers may contradict its contract or what we know."""

KINDS = (
    "average_beyond_limit", "balances_differ", "filled_but_not_whole", "list_not_complete", "listed_twice",
    "listing_contradicts", "row_unreadable", "order_vanished", "quote_unreadable", "reply_contradicts", "sequence_fell",
    "transaction_unreadable", "unknown_market_status", "unknown_order_status",
)  # fmt: skip
"""All kinds, for the catalogue of metrics."""
