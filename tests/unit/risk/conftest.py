"""Every rig that a test of the gate made must hold the invariants when the test is over."""

from collections.abc import Iterator
from typing import Any

import pytest

from quantd.testing.builders import Rig
from tests.invariants import check_image, check_rig


@pytest.fixture(autouse=True)
def rigs_hold_the_invariants(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    made: list[Rig] = []
    build = Rig.__init__

    def remembering(self: Rig, **arguments: Any) -> None:
        made.append(self)
        build(self, **arguments)

    monkeypatch.setattr(Rig, "__init__", remembering)
    yield
    for rig in made:
        check_rig(rig)
        check_image(rig)
