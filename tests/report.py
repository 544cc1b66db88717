"""What a stage of the campaign hands to its page: a sentence and a table, as Markdown, in the file that it names, and the
commit that it ran at.

Without a campaign (no `QUANTD_CAMPAIGN_SECTION` in the environment) nothing is written.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "campaign.md"
VARIABLE = "QUANTD_CAMPAIGN_SECTION"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(one) for one in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").replace("<", "&lt;").split())


def write_section(words: str, header: Sequence[str] = (), rows: Iterable[Sequence[str]] = ()) -> None:
    """Add a sentence and a table to the page of the campaign, if one is running."""
    target = os.environ.get(VARIABLE)
    if target is None:
        return
    text = f"{words}\n\n{table(header, rows)}\n\n" if header else f"{words}\n\n"
    with Path(target).open("a", encoding="utf-8") as file:
        file.write(text)


def commit() -> str:
    """Return the commit that is checked out, marked when files have changed; the campaign's own page is none of them."""
    told = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", f":!{PAGE.relative_to(ROOT)}")
    return f"{told or 'unknown'}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return told.stdout.strip()
