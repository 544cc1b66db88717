"""The long campaigns, by `make campaign`: the stated counts of runs, kills, simulated seeds and inverted controls.

Each stage is a command with its counts in the environment. A stage that passed at this commit is not run again; the
table goes to `docs/campaign.md`, and so does what a stage hands over by `tests.report`. Words after the
command run only the stages that have one of them in their name: `python -m tests.campaign planted soak`. Each row says at
which commit it was run; rows of stages that are not run stay as the page tells them.
"""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from tests.campaign_page import Row, read, written
from tests.report import PAGE, ROOT, VARIABLE, commit

SECTION = ROOT / ".campaign.section.md"
"""Where a running stage puts what the page shall show of it."""


class Stage(NamedTuple):
    """One part of the campaign."""

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str]


ELSEWHERE = ("hummingbot", "ripio", "tradelocker", "oanda")
"""Venues of the simulations and of the kills beside ionloop; a test holds them against the scenes."""
RECORDED = Path(os.environ.get("QUANTD_MARKET_DATA", "no-market-data")) / "btc-usd-perp-1m-2022-01.csv.gz"
PRICES = {"QUANTD_PRICES": str(RECORDED)} if RECORDED.exists() else {}
"""A recorded month where there is one; else the tests make prices up."""
PYTEST = ("-m", "pytest", "-q", "-p", "no:randomly", "--timeout=3600")
PROCESS = "tests/process/test_ionloop_process.py"
STAGES = (
    Stage(
        "two minutes against the simulated venue, without and with webhooks: agreement to the last digit",
        (*PYTEST, PROCESS, "-k", "agrees or webhooks_confirm"),
        {"QUANTD_RUN_S": "120", **PRICES},
    ),
    Stage(
        "SIGKILL at random moments, 20 times with keys and 5 times by search",
        (*PYTEST, PROCESS, "-k", "killed"),
        {"QUANTD_KILLS": "20", **PRICES},
    ),
    Stage(
        "SIGKILL from within the venue's handler, before and after each kind of write",
        ("-m", "tests.process.killing", "--kills", "200"),
        {},
    ),
    Stage(
        "a kill of 1,000 working orders on two venues, one of them dead",
        (*PYTEST, "tests/process/test_watchdog_process.py", "-k", "thousand"),
        {},
    ),
    Stage(
        "1,000 odd values in each venue's answers",
        (*PYTEST, "tests/contract/test_odd_answers.py"),
        {"QUANTD_ODD": "1000", "QUANTD_SEED": "2"},
    ),
    Stage("every control inverted or disabled: some test must fail", ("-m", "tests.mutation.invert_controls"), {}),
    Stage("faults planted on purpose: the simulation must find each", ("-m", "tests.sim", "--planted"), {}),
    Stage(
        "simulated days with faults, all scenarios in turn",
        ("-m", "tests.sim", "--seeds", f"0:{os.environ.get('QUANTD_CAMPAIGN_SEEDS', '10000')}"),
        {},
    ),
    *(
        Stage(f"the same at {venue}, 2,000 seeds", ("-m", "tests.sim", "--venue", venue, "--seeds", "0:2000"), {})
        for venue in ELSEWHERE
    ),
    *(
        Stage(
            f"SIGKILL from within the handler of {venue}, 100 times",
            ("-m", "tests.process.killing", "--venue", venue, "--kills", "100"),
            {},
        )
        for venue in ELSEWHERE
    ),
    Stage(
        "SIGKILL at random moments at Ripio, 100 times",
        (*PYTEST, "tests/process/test_ripio_process.py", "-k", "killed"),
        {"QUANTD_KILLS": "100"},
    ),
    Stage(
        "all that TradeLocker's own client can do, at the simulated server",
        (
            *PYTEST,
            "tests/component/tradelocker/test_official_client.py",
            "tests/component/tradelocker/test_official_client_whole.py",
        ),
        {"QUANTD_WHOLE_CLIENT": "1"},
    ),
    Stage("the state machine of the engine, long", (*PYTEST, "tests/property"), {"HYPOTHESIS_PROFILE": "nightly"}),
    Stage("stress: a recorded peak at twice its pace", ("-m", "tests.capacity", "--seconds", "60"), {}),
    Stage("soak: thirty minutes with faults", ("-m", "tests.soak", "--minutes", "30"), {}),
)


def run(stage: Stage, at: str, console: Console) -> Row:
    """Run one stage at a commit with its output on the terminal; return its row."""
    console.rule(stage.name)
    began = time.monotonic()
    SECTION.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, *stage.arguments],
        cwd=ROOT,
        env={**os.environ, **stage.environ, VARIABLE: str(SECTION)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    last = ""
    assert process.stdout is not None, "a pipe was asked for"
    try:
        for line in process.stdout:
            sys.stdout.write(line)
            if line.strip():
                last = line.strip()
        code = process.wait()
    finally:  # also when this is told to end: a stage's own processes would work on for nobody
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    words = re.sub(r"\x1b\[[0-9;]*m", "", last).strip("= ")
    section = SECTION.read_text(encoding="utf-8") if SECTION.exists() else ""
    SECTION.unlink(missing_ok=True)
    return Row(code == 0, round(time.monotonic() - began), words, section, at)


def main() -> int:
    """Run what has not passed at this commit yet, and write the page; return 1 when a stage failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console, at, wanted = Console(), commit(), sys.argv[1:]
    chosen = [stage for stage in STAGES if not wanted or any(word in stage.name for word in wanted)]
    names = [stage.name for stage in STAGES]
    rows = read(names, PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    for number, stage in enumerate(chosen, 1):
        known = rows.get(stage.name)
        if known is not None and known.ok and known.commit == at:
            console.print(f"{number}/{len(chosen)} {stage.name}: passed at this commit already")
            continue
        rows[stage.name] = run(stage, at, console)
        PAGE.write_text(written(names, rows), encoding="utf-8")
    console.print(f"written: {PAGE.relative_to(ROOT)}")
    return 0 if all(rows[stage.name].ok for stage in chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
