"""The ways in which a Hummingbot server may contradict itself or what we know."""

KINDS = ("failed_but_may_live", "list_not_complete", "open_but_not_active", "history_shrank", "fills_missing")
"""All kinds, for the catalogue of metrics."""
