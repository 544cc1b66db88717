"""Every numbered case over every connector; see `tests/contract/conformance/`."""

import pytest

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from tests.contract.conformance.case import CASES, Case, why_not
from tests.contract.conformance.page import PAGE, page
from tests.contract.conformance.rig import Rig
from tests.contract.conformance.venues import RIGS


@pytest.mark.parametrize("make", RIGS, ids=lambda make: str(make.name))
@pytest.mark.parametrize("one", CASES.values(), ids=lambda one: f"{one.number}")
def test_case(one: Case, make: type[Rig]) -> None:
    async def act(clock: LoopClock) -> None:
        rig = make(clock)
        await rig.start()
        if not why_not(one, rig):
            await one.act(rig)

    run_virtual(act)


def test_the_page_says_what_the_suite_does() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.contract.conformance.page"
