"""What a paper account opens with after a restart."""

from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from quantd.app.venues import reopen_paper
from quantd.clock import ManualClock
from quantd.engine.rates import Rates
from quantd.engine.state import State
from quantd.testing.builders import make_balance
from quantd.venues.paper.connector import PaperConnector
from quantd.venues.paper.settings import PaperSettings
from quantd.venues.parts import VenueParts

D = Decimal
DATA = {"synthetic": {"instruments": [{"symbol": "BTC-USD", "price": 100}]}}


@pytest.mark.parametrize(
    ("account", "known", "opened"),
    [
        ("margin", "-50", {"USD": D(-50)}),  # a jump has taken more than there was: a restart is no gift
        ("margin", "0", {"USD": D(0)}),
        ("spot", "70", {"USD": D(70)}),
    ],
)
async def test_an_account_goes_on_with_what_it_had(account: str, known: str, opened: dict[str, Decimal]) -> None:
    fields: dict[str, Any] = {"data": DATA, "balances": {"USD": "1000"}, "account": account}
    settings = PaperSettings.model_validate(fields)
    connector = PaperConnector("paper", settings, ManualClock(1))
    state = State(Rates("USD"))
    state.portfolio.account("paper").replace([make_balance("USD", known)], 1, {})
    reopen_paper(MappingProxyType({"paper": VenueParts(settings=settings, connector=connector)}), state)
    await connector.start()
    snapshot = await connector.snapshot()
    assert {one.asset: one.total for one in snapshot.balances} == opened
