"""The first draft of a strategy: a small working class and its test, under the name that the author gives.

Used by `quantd new-strategy`. Never writes over a file that is there.
"""

import keyword
import re
from pathlib import Path
from typing import NamedTuple

_STRATEGY = '''"""{title}: say here what it trades on, and why that should work."""

from decimal import Decimal

from quantd import EMA, Bar, Market, Strategy, crossed_above, crossed_below, param


class {cls}(Strategy):
    """Buys when the close rises through its average, and gets out when it falls back through it."""

    length: int = param(20, ge=2, doc="bars of the average")
    quantity: Decimal = param(Decimal("0.01"), gt=0)
    needs = {{Market}}

    def setup(self) -> None:
        # Declares inputs only: no data and no orders yet. Bars come once every tracked indicator is warm.
        bars = self.bars()
        self.close, self.average = bars.track(EMA(1)), bars.track(EMA(self.length))

    def on_bar(self, bar: Bar) -> None:
        # A target is what the position should be; repeating it sends nothing.
        if crossed_above(self.close, self.average):
            self.target(bar.instrument, self.quantity, why="above the average")
        elif crossed_below(self.close, self.average):
            self.target(bar.instrument, 0, why="below the average")
'''

_TEST = '''"""{cls} on trial: its entry, its exit, a restart."""

from decimal import Decimal
from pathlib import Path

from quantd.testing.kit import Trial, load_strategy

{cls} = load_strategy("{module}.{cls}", Path(__file__).parent.parent / "{folder}")
PARAMS = {{"length": 3, "quantity": "0.5"}}


def test_it_buys_above_the_average_and_sells_below() -> None:
    trial = Trial({cls}, PARAMS)
    trial.closes(10, 9, 8, 7)
    assert trial.trades == []
    trial.closes(9)
    assert trial.trades == [("buy", Decimal("0.5"), Decimal(9))]
    trial.closes(10, 6)
    assert trial.position() == 0
    assert [side for side, _, _ in trial.trades] == ["buy", "sell"]


def test_a_restart_in_a_position_changes_nothing() -> None:
    trial = Trial({cls}, PARAMS).closes(10, 9, 8, 7, 9)
    trial.restart().closes(10)
    assert trial.position() == Decimal("0.5")
    assert len(trial.trades) == 1
'''

_CONFIG = """  - id: {id}
    use: {module}.{cls}
    instruments: [paper:BTC-USDT]
    bars: 1m
    params: {{length: 20, quantity: 0.01}}
"""


class Names(NamedTuple):
    """What a strategy is called in its places."""

    module: str
    """Of the file: ``trend_follower``."""
    cls: str
    """Of the class: ``TrendFollower``."""

    @property
    def id(self) -> str:
        """In the configuration: ``trend-follower``."""
        return self.module.replace("_", "-")


class Draft(NamedTuple):
    """What was written."""

    strategy: Path
    test: Path
    config: str
    """An entry for the configuration."""


def names_of(name: str) -> Names:
    """Return the names that follow from `name`: ``trend_follower``, ``trend-follower`` and ``TrendFollower`` are one.

    Raises:
        ValueError: when it is no name for a module and a class.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", words) or len(words) > 32:
        raise ValueError(
            f"found {name!r}, expected a name such as trend_follower: letters, digits and _, at most 32, a letter first"
        )
    cls = "".join(word.capitalize() for word in words.split("_"))
    if keyword.iskeyword(words) or cls in _TAKEN:
        raise ValueError(f"found {name!r}, which Python or quantd use themselves: expected another name")
    return Names(words, cls)


# Names that the draft imports or its test uses: a class of that name would hide them.
_TAKEN = frozenset({"Decimal", "Ema", "Bar", "Market", "Strategy", "Path", "Trial", "None", "True", "False"})


def draft(name: str, folder: Path, tests: Path) -> Draft:
    """Write a strategy and its test.

    Args:
        name: See `names_of`.
        folder: The strategies folder; made where there is none.
        tests: The folder of tests, beside it.

    Raises:
        ValueError: when the name is no good.
        FileExistsError: when one of the files is there; then nothing is written.
    """
    names = names_of(name)
    strategy, test = folder / f"{names.module}.py", tests / f"test_{names.module}.py"
    for path in (strategy, folder / names.module, test):
        if path.exists():
            raise FileExistsError(path)
    words = {"module": names.module, "cls": names.cls, "folder": folder.name, "id": names.id}
    words["title"] = names.module.replace("_", " ").capitalize()
    for path, template in ((strategy, _STRATEGY), (test, _TEST)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template.format(**words))
    return Draft(strategy, test, _CONFIG.format(**words))
