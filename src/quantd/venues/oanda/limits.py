"""The venue's rate limits as data; both are documented and count by address, whatever the account.

Used by the composition root. 120 requests a second are allowed and at most 100 advised on one connection: a bucket of
100 a second with a burst of 15 keeps to both, and leaves room for the streams' connections.
"""

from quantd.venues.budget import Bucket, Limit

REQUESTS = Limit("requests", Bucket(100.0, 15), scope="address")
"""Documented: 120 a second for an address, above them 429."""

LIMITS = (REQUESTS,)
