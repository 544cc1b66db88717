"""The systemd unit, read by systemd itself: every key is known, and the exposure stays under its limit."""

import re
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT, UNIT, run, tool

EXPOSURE_MAX = 15
"""Ten times the exposure that `systemd-analyze security` may find."""


def with_a_program(text: str, folder: Path, name: str = "quantd@.service") -> Path:
    """Write the unit with a program that is there: the real one is where operators install it."""
    path = folder / name
    path.write_text(text.replace("/opt/quantd/bin/quantd", "/bin/true"))
    return path


def verified(text: str, folder: Path) -> str:
    """What systemd has to say about a unit; it warns of unknown keys and still ends with 0."""
    unit = with_a_program(text, folder)
    return run(tool("systemd-analyze"), "verify", "--man=no", str(unit), expect=None)


def exposure(unit: Path) -> tuple[bool, str]:
    said = run(
        tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit), expect=None
    )
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found, said
    return float(found[1]) * 10 <= EXPOSURE_MAX, found[1]


def test_systemd_has_nothing_to_say_about_the_unit(tmp_path: Path) -> None:
    assert verified(UNIT.read_text(), tmp_path) == ""


@pytest.mark.parametrize(
    ("right", "wrong"), [("WatchdogSec=45s", "WatchDogSec=45s"), ("TimeoutStopSec=45s", "TimeoutStopSec=soon")]
)
def test_systemd_tells_of_a_planted_mistake(tmp_path: Path, right: str, wrong: str) -> None:
    text = UNIT.read_text()
    assert right in text
    assert verified(text.replace(right, wrong), tmp_path)


@pytest.mark.parametrize("example", sorted(p.name for p in UNIT.with_name("quantd@.service.d").glob("*.example")))
def test_systemd_has_nothing_to_say_about_the_examples_laid_over_it(tmp_path: Path, example: str) -> None:
    folder = tmp_path / "quantd@.service.d"
    folder.mkdir()
    source = UNIT.with_name("quantd@.service.d") / example
    (folder / example.removesuffix(".example")).write_text(source.read_text())
    assert verified(UNIT.read_text(), tmp_path) == ""


def test_the_exposure_stays_under_its_limit(tmp_path: Path) -> None:
    held, level = exposure(with_a_program(UNIT.read_text(), tmp_path))
    assert held, level


def test_a_unit_without_its_walls_is_over_the_limit(tmp_path: Path) -> None:
    text = "\n".join(line for line in UNIT.read_text().splitlines() if not line.startswith(("Protect", "SystemCall")))
    held, level = exposure(with_a_program(text, tmp_path))
    assert not held, level


def test_the_unit_gives_more_time_than_the_daemon_takes() -> None:
    """The end settles writes for `SETTLE_S` up to three times; the daemon's own watchdog acts before systemd's."""
    from quantd.app.ending import SETTLE_S
    from quantd.runtime.watchdog import STALLED_S

    text = UNIT.read_text()
    stop, watchdog = (re.search(rf"^{key}=(\d+)s$", text, re.MULTILINE) for key in ("TimeoutStopSec", "WatchdogSec"))
    assert stop
    assert watchdog
    assert int(stop[1]) >= 4 * SETTLE_S
    assert int(watchdog[1]) >= 2 * STALLED_S


def test_what_the_unit_starts_is_what_the_command_line_has() -> None:
    from typer.main import get_command

    from quantd.cli import app

    known = get_command(app).commands  # type: ignore[attr-defined]  # a group, which typer types as a command
    asked = re.findall(r"^Exec\w+=/opt/quantd/bin/quantd (\S+)", UNIT.read_text(), re.MULTILINE)
    assert asked == ["run"], "a check before it would be repeated though its exit code is 2"
    assert set(asked) <= set(known)
    assert (ROOT / "docs/operations/systemd.md").is_file()
