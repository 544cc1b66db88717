"""The venue's rate limits as data; both are documented and count by address, whatever the account.

Used by the composition root. 120 requests a second are allowed and at most 100 advised on one connection: a bucket of
100 a second with a burst of 15 keeps to both, and leaves room for the streams' connections.
"""

from collections.abc import Mapping

import msgspec

from quantd.venues.budget import Bucket, Limit, Window

REQUESTS = Limit("requests", Bucket(100.0, 15), scope="address")
"""Documented: 120 a second for an address, above them 429."""

LIMITS = (REQUESTS,)


def configured(models: Mapping[str, Bucket | Window]) -> tuple[Limit, ...]:
    """Return `LIMITS` with other models for those named.

    Raises:
        ValueError: when a name is none of theirs.
    """
    names = {limit.name for limit in LIMITS}
    unknown = sorted(set(models) - names)
    if unknown:
        raise ValueError(f"no such rate limit: {', '.join(unknown)}; expected some of {', '.join(sorted(names))}")
    return tuple(msgspec.structs.replace(limit, model=models.get(limit.name, limit.model)) for limit in LIMITS)
