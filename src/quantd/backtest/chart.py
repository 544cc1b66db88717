"""Equity and drawdown as one SVG, with a mark for each fill. Nothing is needed to draw it, and any browser shows it.

Used by the command line. Thinned to what the width can show: the extremes of each column of pixels are kept.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from xml.sax.saxutils import escape

from quantd.backtest.loop import Backtest
from quantd.domain.orders import Side

WIDTH, HEIGHT, LEFT, RIGHT, TOP = 960, 420, 80, 16, 34
_EQUITY_HEIGHT, _GAP, _FALL_HEIGHT = 240, 24, 80
_FILLS_MAX = 1_000
"""Above this many fills none are marked: they would cover the curve."""
_STYLE = (
    "text{font:12px sans-serif;fill:#444}.equity{fill:none;stroke:#1565c0;stroke-width:1.2}"
    ".fall{fill:#c62828;fill-opacity:.35;stroke:#c62828;stroke-width:.6}.grid{stroke:#ddd}"
    ".buy{fill:#2e7d32}.sell{fill:#c62828}"
)


def svg(backtest: Backtest, title: str) -> str:
    """Return the picture of a finished run; of one without equity only the title."""
    times, values = backtest.equity.times, backtest.equity.values
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"><style>{_STYLE}</style>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{LEFT}" y="20">{escape(title)}</text>',
    ]
    if times:
        picture = _Picture(times, values)
        parts += picture.draw()
        if len(backtest.fills) <= _FILLS_MAX:
            parts += (picture.fill(fact.at_ns, fact.side) for fact in backtest.fills)
    return "".join([*parts, "</svg>\n"])


class _Picture:
    def __init__(self, times: Sequence[int], values: Sequence[float]) -> None:
        self._times = times
        self._values = values
        self._first, self._span = times[0], max(times[-1] - times[0], 1)
        low, high = min(values), max(values)
        self._low, self._range = low, (high - low) or abs(high) or 1.0
        self._high = high
        self._falls = [
            (peak - value) / peak if peak > 0 else 0.0
            for peak, value in zip(accumulate(values, max), values, strict=True)
        ]
        self._deepest = max(self._falls) or 1.0

    def _x(self, at_ns: int) -> float:
        return LEFT + (at_ns - self._first) / self._span * (WIDTH - LEFT - RIGHT)

    def _y(self, value: float) -> float:
        return TOP + _EQUITY_HEIGHT * (1.0 - (value - self._low) / self._range)

    def _fall_y(self, fall: float) -> float:
        return TOP + _EQUITY_HEIGHT + _GAP + _FALL_HEIGHT * fall / self._deepest

    def draw(self) -> list[str]:
        """Return both curves and their scales."""
        equity = " ".join(f"{self._x(self._times[at]):.1f},{self._y(self._values[at]):.1f}" for at in self._columns())
        falls = " ".join(
            f"{self._x(self._times[at]):.1f},{self._fall_y(self._falls[at]):.1f}" for at in self._columns()
        )
        zero = f"{self._fall_y(0.0):.1f}"
        right = WIDTH - RIGHT
        lines = [
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="4" y="{y + 4:.1f}">{escape(label)}</text>'
            for y, label in (
                (self._y(self._high), f"{self._high:,.2f}"),
                (self._y(self._low), f"{self._low:,.2f}"),
                (self._fall_y(0.0), "0 %"),
                (self._fall_y(self._deepest), f"-{max(self._falls):.2%}"),
            )
        ]
        days = [
            f'<text x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{_day(at)}</text>'
            for x, anchor, at in ((LEFT, "start", self._times[0]), (right, "end", self._times[-1]))
        ]
        return [
            *lines,
            *days,
            f'<polyline class="equity" points="{equity}"/>',
            f'<polygon class="fall" points="{LEFT},{zero} {falls} {right},{zero}"/>',
        ]

    def _columns(self) -> list[int]:
        """Return the indices to draw: first, lowest, highest and last of each column of pixels."""
        count, columns = len(self._times), WIDTH - LEFT - RIGHT
        if count <= 4 * columns:
            return list(range(count))
        chosen: list[int] = []
        for column in range(columns):
            start, end = column * count // columns, (column + 1) * count // columns
            at = range(start, end)
            chosen += sorted(
                {start, end - 1, min(at, key=self._values.__getitem__), max(at, key=self._values.__getitem__)}
            )
        return chosen

    def fill(self, at_ns: int, side: Side) -> str:
        """Return the mark of one fill, on the curve."""
        at = min(bisect_left(self._times, at_ns), len(self._times) - 1)
        kind = "buy" if side is Side.BUY else "sell"
        return f'<circle class="{kind}" r="2.2" cx="{self._x(at_ns):.1f}" cy="{self._y(self._values[at]):.1f}"/>'


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
