"""Writes all metrics as one page: Prometheus' text format 0.0.4, or OpenMetrics 1.0 where the scraper prefers that.

Used by the observer. Only OpenMetrics carries exemplars and units.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Final

from quantd.telemetry.metric import Kind, Metric
from quantd.telemetry.series import Distribution, Figure


class Format(Enum):
    """What a scraper can be given, by its content type."""

    PLAIN = "text/plain; version=0.0.4; charset=utf-8"
    OPEN = "application/openmetrics-text; version=1.0.0; charset=utf-8"


_VERSIONS: Final[Mapping[str, tuple[Format, frozenset[str]]]] = {
    "application/openmetrics-text": (Format.OPEN, frozenset({"", "1.0.0"})),
    "text/plain": (Format.PLAIN, frozenset({"", "0.0.4"})),
    "text/*": (Format.PLAIN, frozenset({""})),
    "*/*": (Format.PLAIN, frozenset({""})),
}


def chosen(accept: str) -> Format:
    """Return the format that an `Accept` header likes best; plain text where it says nothing that we have.

    Among equals the first one wins (RFC 9110, 12.5.1 leaves that to the server).
    """
    best, best_weight = Format.PLAIN, 0.0
    for offer in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in offer.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        known = _VERSIONS.get(kind)
        weight = _weight(given.get("q", "1"))
        if known is not None and given.get("version", "").strip('"') in known[1] and weight > best_weight:
            best, best_weight = known[0], weight
    return best


def page(families: Iterable[tuple[Metric, Sequence[Figure | Distribution]]], form: Format, rest: str) -> bytes:
    """Return the body of an answer.

    Args:
        families: Every metric with its series.
        form: How it is written.
        rest: Further families, written in that format already.
    """
    parts: list[str] = []
    is_open = form is Format.OPEN
    for metric, series in families:
        parts.append(_open_head(metric) if is_open else _plain_head(metric))
        lines = [one.lines() for one in series]
        parts += [line.open for line in lines] if is_open else [line.plain for line in lines]
    parts.append(rest)
    return "".join(parts).encode()


def _plain_head(metric: Metric) -> str:
    return f"# HELP {metric.name} {_help(metric)}\n# TYPE {metric.name} {metric.kind.value}\n"


def _open_head(metric: Metric) -> str:
    # A counter's family goes without the suffix that its samples carry.
    name = metric.name.removesuffix("_total") if metric.kind is Kind.COUNTER else metric.name
    unit = f"# UNIT {name} {metric.unit}\n" if metric.unit else ""
    return f"# HELP {name} {_help(metric)}\n# TYPE {name} {metric.kind.value}\n{unit}"


def _help(metric: Metric) -> str:
    return metric.help.replace('"', "'").replace("\\", "\\\\").replace("\n", "\\n")


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
