"""Faults on demand: which request meets which mishap, by a script and by changes while running.

The shell and the in-memory transport ask `FaultScript.decide` once for each request and do what it says; the same
script, seed and requests give the same decisions in both. It executes nothing itself.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
import yaml

from quantd.errors import ConfigError
from quantd.ports import Clock, Random

NS_PER_S = 1_000_000_000


class Action(Enum):
    """What happens to a request."""

    DROP_BEFORE = "drop_before"
    """Lost on the way in: not processed, no answer."""
    DROP_AFTER = "drop_after"
    """Processed, and the answer is lost."""
    DELAY = "delay"
    """Held up before it is processed."""
    DELAY_AFTER = "delay_after"
    """Processed at once, the answer held up."""
    ERROR = "error"
    """Answered with `status` instead of being processed."""
    ERROR_AFTER = "error_after"
    """Processed, and answered with `status` all the same."""
    THROTTLE = "throttle"
    """Refused as one too many (429), not processed."""
    TRUNCATE = "truncate"
    """Processed, and the answer breaks off in the middle."""
    GARBAGE = "garbage"
    """Processed, and the answer is unreadable."""
    DUPLICATE = "duplicate"
    """Processed twice, as if the network had repeated it; the first answer counts."""


class FaultRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. All conditions that are given must hold; without any, every request of the route meets the fault."""

    action: Action
    route: str = "*"
    """Name of an operation, with ``*`` as a wildcard: ``create_order``, ``*order*``."""
    nth: int | tuple[int, ...] = ()
    """Which of the route's requests since the rule stands, from 1."""
    every: int = 0
    """Each request whose number is a multiple; 0 is no condition."""
    probability: float | None = None
    """Share of the requests, 0 to 1, drawn with the script's seed."""
    between: tuple[float, float] | None = None
    """Seconds since the rule stands: from (inclusive) and to (exclusive)."""
    times: int | None = None
    """How often at most."""
    status: int = 500
    """Of the ``error`` actions."""
    delay_s: float = 1.0
    """Of the ``delay`` actions."""
    retry_after_s: float | None = None
    """Named by ``error`` and ``throttle``; a throttle names 1 s without it."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        if self.probability is not None and not 0 <= self.probability <= 1:
            raise ValueError(f"expected a probability of 0 to 1, found {self.probability}")
        if not 100 <= self.status <= 599:
            raise ValueError(f"expected an HTTP status of 100 to 599, found {self.status}")
        if not 0 <= self.delay_s <= 3600:
            raise ValueError(f"expected delay_s of 0 to 3600, found {self.delay_s}")
        if self.every < 0 or (self.times is not None and self.times < 0):
            raise ValueError("expected every and times of 0 or more")


class FaultPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A script as its file has it."""

    rules: tuple[FaultRule, ...] = ()
    seed: int = 0


def load_plan(path: Path) -> FaultPlan:
    """Read a YAML file with ``rules`` and perhaps a ``seed``.

    Raises:
        ConfigError: when it cannot be read or says something that no rule can say; names file and key.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is no YAML: {error}") from error
    try:
        return msgspec.convert({"rules": tree} if isinstance(tree, list) else tree or {}, FaultPlan)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


class _Standing:
    """A rule and what it has seen."""

    __slots__ = ("done", "rule", "seen", "since_ns")

    def __init__(self, rule: FaultRule, since_ns: int) -> None:
        self.rule = rule
        self.since_ns = since_ns
        self.seen = 0
        self.done = 0


class FaultScript:
    """Decides for each request; the first rule that applies wins.

    Args:
        rules: To begin with.
        clock: For `FaultRule.between`.
        rng: Seeded; drawn once for each request and rule with a probability.
    """

    def __init__(self, rules: Iterable[FaultRule] = (), *, clock: Clock, rng: Random | None = None) -> None:
        self._clock = clock
        self._rng: Random = rng if rng is not None else random.Random(0)
        self._standing: list[_Standing] = []
        self.done: Counter[str] = Counter()
        """How often each action was decided."""
        self.add(rules)

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules that stand, in order."""
        return tuple(standing.rule for standing in self._standing)

    def add(self, rules: Iterable[FaultRule]) -> None:
        """Append rules; they count requests and time from now."""
        now_ns = self._clock.now_ns()
        self._standing += [_Standing(rule, now_ns) for rule in rules]

    def clear(self) -> None:
        """Heal everything."""
        self._standing.clear()

    def decide(self, operation: str) -> FaultRule | None:
        """Return the rule that the request of a route meets, None when it is carried well."""
        found = None
        for standing in self._standing:
            rule = standing.rule
            if not fnmatchcase(operation, rule.route):
                continue
            standing.seen += 1
            # Drawn even where another condition fails: what comes later does not depend on it.
            lucky = rule.probability is None or self._rng.random() < rule.probability
            if found is None and lucky and self._holds(standing):
                standing.done += 1
                found = rule
        if found is not None:
            self.done[found.action.value] += 1
        return found

    def _holds(self, standing: _Standing) -> bool:
        rule = standing.rule
        if rule.times is not None and standing.done >= rule.times:
            return False
        if rule.nth and standing.seen not in _numbers(rule.nth):
            return False
        if rule.every and standing.seen % rule.every:
            return False
        if rule.between is None:
            return True
        since_s = (self._clock.now_ns() - standing.since_ns) / NS_PER_S
        return rule.between[0] <= since_s < rule.between[1]


def _numbers(nth: int | tuple[int, ...]) -> Sequence[int]:
    return (nth,) if isinstance(nth, int) else nth
