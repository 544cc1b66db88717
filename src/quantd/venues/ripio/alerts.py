"""The ways in which Ripio's answers may contradict its documents or what we know."""

KINDS = (
    "checksum_differs", "clock_jumped", "external_id_twice", "list_not_complete", "listed_twice",
    "listing_contradicts", "row_unreadable", "order_vanished", "partial_not_open", "reply_contradicts", "stream_gap",
    "stream_unreadable", "trade_of_another_order", "trades_missing", "unknown_order_status",
)  # fmt: skip
"""All kinds, for the catalogue of metrics."""
