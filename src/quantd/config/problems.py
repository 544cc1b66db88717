"""What is wrong with a configuration: every problem with its place, and the error that carries them all.

Used by every step of loading, and by the composition root for what only it can find out. Prints no secrets: whoever
reports a problem says what was found in words that are safe to show.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quantd.config.tree import Origin, Path
from quantd.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and how to put it right."""

    where: Origin | None
    """Place in a file, or the variable; None where there is no such place."""
    key: Path
    """Keys from the root; empty for a whole file."""
    found: str
    """What was found, without secrets."""
    expected: str
    """What should be there."""
    nearest: str | None = None
    """What was probably meant."""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        key = f"{'.'.join(self.key)}: " if self.key else ""
        hint = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{place}{key}found {self.found}, expected {self.expected}{hint}"


class ConfigProblems(ConfigError):
    """The configuration is unusable; `problems` holds all that was found, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _place(problem: Problem) -> tuple[str, int, int]:
    where = problem.where
    return ("", 0, 0) if where is None else (where.source, where.line or 0, where.column or 0)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the entry of `known` that `word` most resembles, or None where none is close."""
    by_shape = {_shape(entry): entry for entry in sorted(known)}
    close = difflib.get_close_matches(_shape(word), list(by_shape), n=1, cutoff=0.6)
    return by_shape[close[0]] if close else None


def _shape(word: str) -> str:
    return word.casefold().replace("-", "_")


def choice(options: Sequence[str]) -> str:
    """Return `options` as words: ``one of a, b, c``."""
    return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
