"""The Hummingbot API server as a venue: one account's keys for one spot exchange behind it.

Used by the composition root. What the server is known to do wrong, each part of the connector says where it guards
against it; docs/venues/hummingbot.md lists the evidence.
"""
