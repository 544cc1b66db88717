"""What Python does not mind about a strategy class, and a trader would: hooks never called, state that is shared."""

from pathlib import Path
from textwrap import dedent

import pytest

from quantd import Bar, Strategy
from quantd.errors import StrategyError
from quantd.plugins.hooks import unheard
from quantd.plugins.loader import Loaded, LoadFailure, StrategyLoader
from quantd.plugins.settings import StrategySettings
from quantd.testing.kit import Trial


def load(folder: Path, body: str) -> Loaded | LoadFailure:
    source = "from collections import deque\nfrom typing import ClassVar\nfrom quantd import SMA, Strategy, param\n\n"
    (folder / "s.py").write_text(source + "class S(Strategy):" + dedent(body).replace("\n", "\n    "))
    entry = {"id": "one", "use": "s.S", "instruments": ["paper:BTC-USDT"]}
    return StrategyLoader(folder).load(StrategySettings.model_validate(entry))


@pytest.mark.parametrize(
    ("body", "line", "told"),
    [
        ("\ndef on_candle(self, bar): pass", 6, "found on_candle, which nothing calls, expected one of load, on_bar, "),
        ("\ndef on_fills(self, order, fill): pass", 6, "did you mean on_fill?"),
        ("\ndef onBar(self, bar): pass", 6, "found onBar, which nothing calls"),
        ("\ndef setUp(self): pass", 6, "did you mean setup?"),
        ("\nasync def on_bar(self, bar): pass", 6, "on_bar is async: nobody awaits it"),
        ("\ndef on_bar(self, bar):\n    yield bar", 6, "on_bar holds a yield"),
        ("\ndef on_bar(self): pass", 6, "found on_bar(self), expected on_bar(self, bar)"),
        ("\ndef on_fill(self, fill): pass", 6, "found on_fill(self, fill), expected on_fill(self, order, fill)"),
        ("\nseen = []", 5, "S.seen is a list of the class, which all strategies of this class share"),
        ("\nlast: dict[str, float] = {}", 5, "S.last is a dict of the class"),
        ("\nwindow = deque(maxlen=3)", 5, "S.window is a deque of the class"),
        ("\naverage = SMA(3)", 5, "S.average is a SMA of the class"),
        ("\nfast = param(3)", 5, "found fast = param(...) without a type, expected fast: int = param(...)"),
        ("\nlevels: list[float] = param(3)", 5, "found levels of type list, expected int, or float"),
        ("\nfast: int = param(0, ge=1)", 5, "default of fast: found 0, expected a whole number at least 1"),
        ("\nfast: int = param('ten')", 5, "default of fast: found 'ten', expected a whole number"),
        (
            "\ndef setup(self):\n    self.bars(every='1M')",
            7,
            "bars: every: expected an interval with its unit, such as 2s",
        ),
    ],
)
def test_what_would_fail_in_silence_is_refused_with_its_line(tmp_path: Path, body: str, line: int, told: str) -> None:
    found = load(tmp_path, body)
    assert isinstance(found, LoadFailure)
    assert told in found.what
    assert (found.file, found.line) == (str(tmp_path / "s.py"), line)


@pytest.mark.parametrize(
    "body",
    [
        "\ndef on_bar(self, bar):\n    self.on_break()\n\ndef on_break(self): pass",
        "\ndef on_bar(self, *args): pass",
        "\ndef on_bar(self, candle, extra=None): pass",
        "\nWEIGHTS = {'a': 1}\nsides: ClassVar[list[str]] = ['buy']\nneeds = set()",
        "\ndef onward(self): pass",
    ],
)
def test_helpers_and_constants_are_the_author_s_own(tmp_path: Path, body: str) -> None:
    found = load(tmp_path, body)
    assert isinstance(found, Loaded), found


def test_a_default_has_the_type_of_its_parameter(tmp_path: Path) -> None:
    found = load(tmp_path, "\nfrom decimal import Decimal\nsize: Decimal = param(0.1)\nedge: float = param(2)")
    assert isinstance(found, Loaded)
    assert [(type(one).__name__, str(one)) for one in map(vars(found.strategy).get, ("size", "edge"))] == [
        ("Decimal", "0.1"),
        ("float", "2.0"),
    ]


class Misspelt(Strategy):
    def on_bra(self, bar: Bar) -> None:
        """Never called."""


def test_the_testing_kit_refuses_what_the_daemon_would_not_load() -> None:
    with pytest.raises(StrategyError, match=r"test_hooks\.py:\d+: found on_bra, which .* did you mean on_bar\?"):
        Trial(Misspelt)


class Deaf(Strategy):
    def setup(self) -> None:
        self.quotes()

    def on_bar(self, bar: Bar) -> None:
        """Never called."""

    def on_timer(self, name: str) -> None:
        """Never called."""


class Single(Strategy):
    def setup(self) -> None:
        self.aligned(self.bars())

    def on_bar(self, bar: Bar) -> None:
        """Never called."""


class Idle(Strategy):
    pass


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (
            Deaf,
            [
                "strategy trial: on_bar will never be called: setup asks for no bars",
                "strategy trial: on_timer will never be called: setup asks for no timer",
            ],
        ),
        (Single, ["strategy trial: on_bar will never be called: on_bars takes its aligned series"]),
        (Idle, ["strategy trial asks for no data and no timer: it will never be called"]),
    ],
)
def test_hooks_for_which_setup_asks_nothing_are_told(strategy: type[Strategy], told: list[str]) -> None:
    assert list(unheard(Trial(strategy).engine.desks["trial"])) == told
