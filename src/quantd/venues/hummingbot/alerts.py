"""The ways in which a Hummingbot server may contradict itself or what we know."""

KINDS = (
    "failed_but_may_live", "list_not_complete", "open_but_not_active", "history_shrank", "fills_missing",
    "listed_twice", "listing_contradicts", "quote_unreadable", "row_unreadable",
)  # fmt: skip
"""All kinds, for the catalogue of metrics."""
