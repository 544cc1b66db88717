"""What a series is warmed up with: bars from the store or the venue, and all of them marked as no price of now."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from quantd.app.warm_up import history
from quantd.domain.instruments import Instrument
from quantd.domain.market import Bar
from quantd.testing.builders import BTC, Rig, make_capabilities
from tests.component.feeds.test_store import bar, opened


class Venue:
    """A venue that has one bar of a minute, and none of other intervals."""

    capabilities = make_capabilities(native_bars_s=frozenset({60}))

    async def bars(self, instrument: Instrument, every_s: int, count: int) -> tuple[Bar, ...]:
        return (bar(7, instrument=instrument.id),)


async def test_bars_that_warm_up_a_series_are_no_price_of_now(tmp_path: Path) -> None:
    async with opened(tmp_path / "bars.db") as store:
        kept = bar(3, instrument=BTC, interval_s=300)
        store.append(kept)
        venues = {"paper": SimpleNamespace(connector=Venue())}
        shared: Any = SimpleNamespace(bars=store, venues=venues, engine=Rig().engine)
        (native,) = await history(shared, BTC, 60, 1)
        (stored,) = await history(shared, BTC, 300, 1)
    assert native == msgspec.structs.replace(bar(7, instrument=BTC), is_history=True)
    assert stored == msgspec.structs.replace(kept, is_history=True)
