"""What a panel of a dashboard shows: a question, expressions, a unit. Used by the boards and by the builder; draws nothing."""

from enum import Enum
from typing import NamedTuple

WHO = 'job=~"$job",instance=~"$instance"'
"""Matchers that every expression has."""


class Kind(Enum):
    """How a panel is drawn."""

    LINES = "lines"
    NUMBER = "number"


class Query(NamedTuple):
    """One expression and the name of its lines, in Grafana's template words."""

    expr: str
    legend: str


class Panel(NamedTuple):
    """One panel.

    Args:
        title: What it shows, in a few words.
        description: What to read from it, and what to do.
        unit: Grafana's id of the unit.
        queries: At least one.
        kind: Lines over time, or the newest number.
        bad: From here on it is bad, drawn as a threshold; None where no value is.
        good_above: Whether larger is better, so that the threshold counts downwards.
        decimals: Digits after the point; None for Grafana's choice.
        words: Text instead of a number, as `0: active`.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.LINES
    bad: float | None = None
    good_above: bool = False
    decimals: int | None = None
    words: tuple[tuple[str, str, str], ...] = ()


class Row(NamedTuple):
    """Panels under one heading; data flows from left to right, rates and errors first, durations last."""

    title: str
    panels: tuple[Panel, ...]


class Board(NamedTuple):
    """One dashboard, which answers one question.

    Args:
        uid: Stable id; alerts and links name it.
        title: As listed.
        question: What it answers, in one sentence.
        variables: Label by which it narrows, besides job and instance, with the metric that knows its values.
        rows: From top to bottom.
    """

    uid: str
    title: str
    question: str
    variables: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]


def lines(title: str, description: str, unit: str, *queries: tuple[str, str], bad: float | None = None) -> Panel:
    """Return a panel of lines over time."""
    return Panel(title, description, unit, tuple(Query(*one) for one in queries), bad=bad)


def number(  # noqa: PLR0913 -- what a number looks like when it is bad, or stands for a word
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    bad: float | None = None,
    good_above: bool = False,
    words: tuple[tuple[str, str, str], ...] = (),
) -> Panel:
    """Return a panel of the newest number."""
    queries = (Query(expr, ""),)
    return Panel(title, description, unit, queries, Kind.NUMBER, bad, good_above=good_above, words=words)


def quantiles(metric: str, by: str, matchers: str = WHO) -> tuple[tuple[str, str], ...]:
    """Return the median and the 99th percentile of a histogram, by one label."""
    group = f"le, {by}" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    rate = f"sum by ({group}) (rate({metric}_bucket{{{matchers}}}[$__rate_interval]))"
    return tuple((f"histogram_quantile({q}, {rate})", f"{name}{word}") for q, word in ((0.5, "median"), (0.99, "p99")))


def rate(metric: str, by: str, matchers: str = WHO, legend: str = "") -> tuple[str, str]:
    """Return the rate of a counter, by labels."""
    words = legend or " ".join(f"{{{{{one.strip()}}}}}" for one in by.split(","))
    return f"sum by ({by}) (rate({metric}{{{matchers}}}[$__rate_interval]))", words
