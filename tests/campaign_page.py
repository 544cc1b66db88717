"""The campaign's page, `docs/campaign.md`: written from the rows of its stages, and read back into them.

The page is all that is kept, so a run of some stages in a fresh clone keeps what is told of the others.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tests.report import table

HEADER = ("stage", "result", "at commit", "seconds", "last line")
BELOW = "see below"
NOT_RUN = "not run"


class Row(NamedTuple):
    """What the last run of a stage came to."""

    ok: bool
    seconds: int
    last: str
    """The last line that it printed; empty when a section says more."""
    section: str
    """What it handed over by `tests.report`, Markdown without a heading; may be empty."""
    commit: str


def written(stages: Iterable[str], rows: Mapping[str, Row]) -> str:
    """Return the page for these stages, in their order; one without a row counts as not run."""
    summary: list[tuple[str, ...]] = []
    sections: list[str] = []
    for stage in stages:
        row = rows.get(stage)
        if row is None:
            summary.append((stage, NOT_RUN, "", "", ""))
            continue
        last = BELOW if row.ok and row.section else row.last
        summary.append((stage, "passed" if row.ok else "**failed**", f"`{row.commit}`", str(row.seconds), last))
        if row.section:
            sections += ["", f"## {_heading(stage)}", "", row.section.strip()]
    head = ["# The campaign", "", "Written by `make campaign`. Samples of each stage run with every `make test`.", ""]
    return "\n".join([*head, table(HEADER, summary), *sections]) + "\n"


def read(stages: Iterable[str], text: str) -> dict[str, Row]:
    """Return the rows that a page tells of these stages; those that it calls not run, or does not name, are left out."""
    summary, *parts = re.split(r"^## ", text, flags=re.MULTILINE)
    sections = {heading: body.strip() for heading, _, body in (part.partition("\n") for part in parts)}
    told = {}
    for line in summary.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(HEADER):
            told[cells[0]] = cells[1:]
    rows = {}
    for stage in stages:
        result, commit, seconds, last = told.get(stage, (NOT_RUN, "", "", ""))
        if result != NOT_RUN:
            section = sections.get(_heading(stage), "")
            last = "" if last == BELOW else last.replace("&lt;", "<")
            rows[stage] = Row(result == "passed", int(seconds), last, section, commit.strip("`"))
    return rows


def _heading(stage: str) -> str:
    return f"{stage[0].upper()}{stage[1:]}"
