"""The operator's guide: commands that it names exist, with their options; files that it names are there."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main

from quantd.cli import app
from tests.deploy.tools import ROOT

GUIDE = [*sorted((ROOT / "docs/operations").rglob("*.md")), ROOT / "helm/quantd/README.md"]
_CALL = re.compile(r"(?<![\w/.:@-])(?:/opt/quantd/bin/)?quantd ((?:[a-z]+(?:-[a-z]+)?)(?: [^`\n|)]*)?)")


def calls(text: str) -> Iterator[str]:
    """What follows `quantd ` in code of a page."""
    for code in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL):
        for line in "".join(code).splitlines():
            if re.match(r"\s*(?:sudo|cd|docker|kubectl|quantd|/opt|python)", line):
                yield from (found[1] for found in _CALL.finditer(line.partition("  #")[0]))


def problem(call: str) -> str | None:
    """Return what is wrong with a call, None when the command line has it."""
    command: Any = typer.main.get_command(app)
    words = call.split()
    while words and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return f"no command {words[0]!r}"
        command = command.commands[words.pop(0)]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word not in known]
    return f"no option {unknown}" if unknown else None


def test_every_command_of_the_guide_exists_with_its_options() -> None:
    found = [(page, call) for page in GUIDE for call in calls(page.read_text())]
    assert len(found) > 25
    wrong = [f"{page.relative_to(ROOT)}: quantd {call}: {problem(call)}" for page, call in found if problem(call)]
    assert not wrong, "\n".join(wrong)


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert problem("explode FILES")
    assert problem("halt FILES --because x")
    assert problem("journal backup a b") is None


def test_files_and_tests_that_the_guide_names_are_there() -> None:
    for page in GUIDE:
        for name in re.findall(r"`((?:tests|deploy|scripts|helm|config)/[\w./@-]+)`", page.read_text()):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs/operations/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs/operations").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"({name})" not in index] == []
