"""Broken configurations: the message names the place, and nothing is started."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from quantd.cli.check import run_check
from quantd.config import Settings
from tests.component.config.broken_cases import CASES, GOOD, SECRET, STRATEGY, Broken


@pytest.mark.parametrize("broken", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_a_broken_configuration_says_where_and_what_and_starts_nothing(
    broken: Broken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "base.yaml"]
    files[0].write_text(broken.text)
    if broken.over:
        files.append(tmp_path / "site.yaml")
        files[1].write_text(broken.over)
    started: list[Settings] = []

    def deeper(settings: Settings) -> Iterable[str]:
        started.append(settings)
        return ()

    code = run_check(files, dict(broken.env), deeper)

    output = capsys.readouterr()
    lines = output.err.splitlines()
    assert code == 2
    assert not started
    assert any(all(part in line for part in broken.says) for line in lines), output.err
    assert SECRET not in output.err + output.out
    assert output.out == ""


def test_there_are_at_least_forty_broken_configurations() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 40


def test_all_problems_of_a_run_are_reported_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "base.yaml"
    file.write_text(
        GOOD
        + STRATEGY.replace("paper:", "papr:")
        + "    bars: 60\nlogging: {level: loud}\nhealth: {port: x, hots: y}\nfeedz: 1\n"
    )

    run_check([file], {"QUANTD__JOURNAL__PTH": "x"})

    errors = capsys.readouterr().err
    wanted = ("btc-cross.bars", "logging.level", "health.port", "health.hots", "feedz", "QUANTD__JOURNAL__PTH")
    assert [key for key in wanted if key not in errors] == []
    assert errors.splitlines()[-1] == "6 problems; nothing was started"


def test_a_file_that_is_missing_is_named_with_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_bytes(b"venues: \xff\n")

    assert run_check([tmp_path / "none.yaml", bad], {}) == 2

    errors = capsys.readouterr().err
    assert "none.yaml: found no such file or directory, expected a YAML file that can be read" in errors
    assert "bad.yaml:1: found byte 0xff, expected UTF-8 text" in errors
