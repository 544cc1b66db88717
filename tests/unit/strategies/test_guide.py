"""The guide for authors: its code runs, its tests pass, its configuration loads, its tables are complete."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from quantd import Strategy
from quantd.config import load
from quantd.engine.params import declared
from quantd.plugins.loader import Loaded, StrategyLoader
from quantd.testing.kit import load_strategy
from tests.unit.strategies.test_shipped import SHIPPED

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "writing-a-strategy.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def guide() -> Iterator[ModuleType]:
    """All Python blocks as one module, each on top of those before it."""
    module = ModuleType("guide")
    sys.modules["guide"] = module
    for block in blocks("python"):
        exec(compile(block, "docs/writing-a-strategy.md", "exec"), vars(module))  # noqa: S102 -- the guide's code is ours
    yield module
    del sys.modules["guide"]


def test_the_guide_s_own_tests_pass(guide: ModuleType) -> None:
    tests: dict[str, Any] = {name: value for name, value in vars(guide).items() if name.startswith("test_")}
    assert len(tests) == 5
    for test in tests.values():
        test()


def test_the_first_example_is_the_file_that_is_shipped() -> None:
    shipped = (ROOT / "strategies" / "sma_cross.py").read_text(encoding="utf-8")
    assert blocks("python")[0].split("class SmaCross")[1].strip() == shipped.split("class SmaCross")[1].strip()


def test_the_configuration_of_the_guide_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks("yaml")
    path = tmp_path / "guide.yaml"
    path.write_text(block, encoding="utf-8")
    monkeypatch.chdir(ROOT)
    settings = load([Path("config/paper.yaml"), path], {})
    (entry,) = [one for one in settings.strategies if one.id == "btc-cross"]
    assert entry.schedule.flat_by == "55 16 * * mon-fri Europe/London"
    result = StrategyLoader(settings.strategies_dir).load(entry, settings)
    assert isinstance(result, Loaded), str(result)


def test_the_table_of_strategies_is_complete() -> None:
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \|[^|]*\| `([^`]*)` \|$", GUIDE, re.MULTILINE))
    assert rows == {use: ", ".join(declared(load_strategy(use, ROOT / "strategies"))) for use in SHIPPED}


def test_every_hook_and_every_call_is_named() -> None:
    public = {name for name in vars(Strategy) if not name.startswith("_")}
    assert {name for name in public if f"{name}" not in GUIDE} == set()
