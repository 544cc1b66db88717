"""The ways in which OANDA's answers may contradict its contract or what we know."""

KINDS = (
    "log_has_a_hole", "log_out_of_reach", "order_not_shown", "trades_are_not_the_position", "listed_twice",
    "listing_contradicts", "row_unreadable",
)  # fmt: skip
"""All kinds, for the catalogue of metrics."""
