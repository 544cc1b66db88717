"""The fills of a run as CSV, one row each, money as exact text.

Used by the command line.
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TextIO

from quantd.domain.facts import FillRecorded
from quantd.domain.numbers import plain

COLUMNS = (
    "time", "strategy", "instrument", "side", "quantity", "price", "fees", "liquidity", "order", "fill",
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_fills(fills: Iterable[FillRecorded], file: TextIO) -> None:
    """Write a header and all fills; fees as ``amount asset``, joined by ``+``. Times are UTC, to the microsecond."""
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)
    for fact in fills:
        fill = fact.fill
        rows.writerow(
            (
                (_EPOCH + timedelta(microseconds=fact.at_ns // 1_000)).isoformat(),
                fact.strategy,
                fact.instrument,
                fact.side.value,
                plain(fill.quantity),
                plain(fill.price),
                "+".join(f"{plain(amount)} {asset}" for asset, amount in fill.fees),
                fill.liquidity.value,
                fact.client_order_id,
                fill.id,
            )
        )
