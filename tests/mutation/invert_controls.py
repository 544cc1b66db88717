"""Shows that every control of the gate is guarded by tests: take it away, or turn its answer round, and some test fails.

Run as ``python -m tests.mutation.invert_controls`` (about two minutes); it prints a table and ends with 1 if any change
went unnoticed. Each change runs the tests of the gate in a process of its own, with this module as a pytest plugin that
changes one class before the tests are collected.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from quantd.domain.events import TradingState
from quantd.engine import standing
from quantd.engine.context import Context
from quantd.engine.risk import (
    budgets,
    exit_sides,
    exposure,
    flow,
    losses,
    margins,
    markets,
    order_controls,
    rate_age,
    throttle,
)
from quantd.engine.risk.losses import Losses
from quantd.engine.risk.wish import Denial, Wish
from quantd.engine.trading import Trading

VARIABLE = "INVERT_CONTROL"
"""Which change this process makes: ``never OrderQuantity``, ``inverted OrderQuantity``."""
TESTS = "tests/unit/risk"

CONTROLS: dict[str, type] = {
    one.__name__: one
    for module in (order_controls, exit_sides, rate_age, flow, throttle, budgets, exposure, losses, margins, markets)
    for one in vars(module).values()
    if isinstance(one, type) and hasattr(one, "guards_exits") and hasattr(one, "number") and hasattr(one, "check")
}
"""Controls 1 to 13, 15 to 20 and 24, by class."""


def never(kind: type) -> None:
    """Make a control that never denies."""
    kind.check = lambda self, wish: None  # type: ignore[attr-defined]  # every control has it


def inverted(kind: type) -> None:
    """Make a control that denies what it let pass, and lets pass what it denied."""
    check: Callable[[Any, Wish], Any] = kind.check  # type: ignore[attr-defined]  # every control has it

    def turned(self: Any, wish: Wish) -> Any:
        if check(self, wish) is None:
            return wish.deny(Denial.CONTROL_FAILED, self.number, "order", "inverted", "inverted")
        return None

    kind.check = turned  # type: ignore[attr-defined]  # every control has it


def no_loss_limits(kind: type) -> None:
    """Make loss limits that never trip."""
    Losses._look = lambda self, scope, limits, valued: None  # type: ignore[method-assign]  # that is the point


def eager_loss_limits(kind: type) -> None:
    """Make loss limits that trip where they should not, and only there."""

    def trip(self: Losses, scope: str, limits: Any, valued: Any) -> None:
        day_loss = self._context.state.baselines.begun.get(scope, valued.profit) - valued.profit
        if limits.max_daily_loss is not None and day_loss <= limits.max_daily_loss:
            self._trip(scope, limits, "inverted")

    Losses._look = trip  # type: ignore[method-assign]  # that is the point


def no_states(kind: type) -> None:
    """Let everything pass in every trading state."""
    standing.denied = lambda context, wish: None


def inverted_states(kind: type) -> None:
    """Deny while active, let pass while halted."""
    asked = standing.denied

    def turned(context: Context, wish: Wish) -> Any:
        denied = asked(context, wish)
        if denied is None:
            return wish.deny(Denial.TRADING_STATE, 22, "all", "inverted", TradingState.ACTIVE.value)
        return None

    standing.denied = turned


def no_gate(kind: type) -> None:
    """Send without asking the gate."""
    Trading._check = lambda self, wish: None  # type: ignore[method-assign]  # that is the point


CHANGES: dict[str, tuple[Callable[[type], None], type]] = {
    **{f"never {name}": (never, kind) for name, kind in CONTROLS.items()},
    **{f"inverted {name}": (inverted, kind) for name, kind in CONTROLS.items()},
    "never Losses": (no_loss_limits, Losses),
    "inverted Losses": (eager_loss_limits, Losses),
    "never TradingStates": (no_states, Trading),
    "inverted TradingStates": (inverted_states, Trading),
    "never Gate": (no_gate, Trading),
}


def pytest_configure(config: Any) -> None:
    """Make the change that the environment names, before any test is collected."""
    name = os.environ.get(VARIABLE)
    if name:
        change, kind = CHANGES[name]
        change(kind)


def failures(name: str) -> int:
    """Run the tests with a change (none for an empty name) and return how many fail.

    Raises:
        RuntimeError: when the tests did not run.
    """
    command = [sys.executable, "-m", "pytest", TESTS, "-q", "-p", "tests.mutation.invert_controls"]
    command += ["-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-r", "N"]
    command += ["-k", "not disabled"]
    done = subprocess.run(command, env=os.environ | {VARIABLE: name}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{name or 'unchanged'}: pytest ended with {done.returncode}\n{done.stdout}{done.stderr}")
    words = done.stdout.strip().splitlines()[-1].replace(",", "").split()
    return int(words[words.index("failed") - 1]) if "failed" in words else 0


def main() -> int:
    """Print the table; return 1 if a change went unnoticed or the unchanged tests fail."""
    print(f"{'change':<32} {'tests that fail':>15}")
    unnoticed = []
    for name in ("", *CHANGES):
        found = failures(name)
        print(f"{name or 'none':<32} {found:>15}", flush=True)
        if (found == 0) == bool(name):
            unnoticed.append(name or "none")
    if unnoticed:
        print(f"not as it must be: {', '.join(unnoticed)}")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
