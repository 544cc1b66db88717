"""The table cases x venues as `docs/venues/conformance.md`: `python -m tests.contract.conformance.page` writes it.

A case counts as passed because the suite runs it; the test of this page fails when the page says anything else.
"""

from pathlib import Path

from quantd.clock import LoopClock
from quantd.testing.loop import run_virtual
from tests.contract.conformance import account_cases, failure_cases, market_cases, order_cases
from tests.contract.conformance.case import CASES, why_not
from tests.contract.conformance.rig import Rig
from tests.contract.conformance.venues import RIGS

PAGE = Path(__file__).parents[3] / "docs" / "venues" / "conformance.md"
assert all((market_cases, order_cases, account_cases, failure_cases)), "imported for the cases that they enter"


def reasons(make: type[Rig]) -> dict[str, str]:
    """Return for each case why it says nothing of a venue, or nothing."""

    async def ask(clock: LoopClock) -> dict[str, str]:
        rig = make(clock)
        await rig.start()
        return {number: why_not(one, rig) for number, one in CASES.items()}

    return run_virtual(ask)


def page() -> str:
    """Return the page."""
    told = {make.name: reasons(make) for make in RIGS}
    numbers = sorted(CASES, key=int)
    notes: dict[str, int] = {}
    lines = [
        "# Conformance of the connectors",
        "",
        "One suite of numbered cases runs over every connector against the simulated venue that stands for its",
        "documents: `tests/contract/conformance/`, in every `make test`. This page is generated from it",
        "(`python -m tests.contract.conformance.page`). **pass**: the case runs and holds. A number in brackets: the",
        "case says nothing of that venue, for the reason below.",
        "",
        "| # | case | " + " | ".join(told) + " |",
        "|---|---|" + "---|" * len(told),
    ]
    for number in numbers:
        cells = []
        for name in told:
            reason = told[name][number]
            cells.append(f"[{notes.setdefault(reason, len(notes) + 1)}]" if reason else "pass")
        lines.append(f"| {number} | {CASES[number].title} | " + " | ".join(cells) + " |")
    lines += ["", "## Not applicable, because", ""]
    lines += [f"{number}. {reason}" for reason, number in notes.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
