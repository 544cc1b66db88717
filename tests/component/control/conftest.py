"""A house for each test, its listener open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.component.control.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A small daemon behind a control listener."""
    house = House(tmp_path)
    await house.listener.start()
    yield house
    await house.listener.stop()
    house.store.close()
