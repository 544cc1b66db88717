"""A halt needs the `journal` section and nothing else of the configuration: no secret, and no sound limit."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from quantd.cli import app
from quantd.domain.events import TradingState
from quantd.journal.latch import HaltLatch

BROKEN = """
journal: {path: q.db, state_dir: STATE}
venues:
  main: {type: ionloop, api_key_file: /nowhere/key, api_secret_file: /nowhere/secret}
risk: {base_currency: USD, order: {max_notional: minus one}}
strategies: [{id: a, class: nothing:AtAll}]
"""


def run(tmp_path: Path, text: str, *arguments: str) -> tuple[int, str]:
    (tmp_path / "q.yaml").write_text(text.replace("STATE", str(tmp_path / "state")))
    command, *rest = arguments
    result = CliRunner().invoke(app, [command, str(tmp_path / "q.yaml"), "--by", "ann", "--why", "drill", *rest])
    return result.exit_code, result.output


def test_a_halt_and_its_end_need_no_secret_and_no_sound_limit(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["check", str(tmp_path / "q.yaml")]).exit_code == 2
    assert run(tmp_path, BROKEN, "halt")[0] == 0
    latch = HaltLatch(tmp_path / "state" / "halt.json")
    assert latch.read().state is TradingState.HALTED
    assert run(tmp_path, BROKEN, "resume")[0] == 0
    assert latch.read().state is TradingState.ACTIVE


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("jornal: {state_dir: STATE}\n", "jornal: found an unknown key"),
        ("journal: {state_dri: STATE}\n", "journal.state_dri: found an unknown key"),
        ("journal: {state_dir: [1]}\n", "journal.state_dir: found"),
        ("journal: {state_dir: STATE\n", "expected"),
    ],
)
def test_a_halt_goes_nowhere_else_for_a_slip_of_the_pen(tmp_path: Path, text: str, told: str) -> None:
    code, output = run(tmp_path, text, "halt")
    assert code == 2
    assert told in output
    assert not list(tmp_path.rglob("halt.json"))


def test_a_variable_for_a_misspelt_section_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTD__JORNAL__STATE_DIR", str(tmp_path / "other"))
    code, output = run(tmp_path, BROKEN, "halt")
    assert code == 2
    assert "QUANTD__JORNAL__STATE_DIR" in output


def test_a_variable_says_where_the_latch_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTD__JOURNAL__STATE_DIR", str(tmp_path / "other"))
    assert run(tmp_path, BROKEN, "halt")[0] == 0
    assert (tmp_path / "other" / "halt.json").exists()


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("venue:mian", "venues of these files (main)"),
        ("strategy:b", "strategies of these files (a)"),
        ("instrument:mian:BTC-USDT", "venues of these files (main)"),
        ("instrument:main", "instrument:VENUE:SYMBOL"),
        ("venu:main", "venue:NAME"),
        ("everything", "all"),
        ("strategy:", "strategy:ID"),
    ],
)
def test_a_scope_that_names_nothing_is_refused_since_it_would_halt_nothing(
    tmp_path: Path, scope: str, told: str
) -> None:
    code, output = run(tmp_path, BROKEN, "halt", "--scope", scope)
    assert code == 2
    assert repr(scope) in output
    assert told in output
    assert "nothing was halted" in output
    assert not list(tmp_path.rglob("halt.json"))


@pytest.mark.parametrize("scope", ["all", "venue:main", "strategy:a", "instrument:main:BTC-USDT"])
def test_a_scope_that_names_something_is_halted_and_resumed(tmp_path: Path, scope: str) -> None:
    assert run(tmp_path, BROKEN, "halt", "--scope", scope)[0] == 0
    assert [halt.scope for halt in HaltLatch(tmp_path / "state" / "halt.json").read().halts] == [scope]
    assert run(tmp_path, BROKEN, "resume", "--scope", scope)[0] == 0


def test_a_halt_from_another_folder_than_the_daemons_says_that_no_daemon_was_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BROKEN.replace("STATE", "state")
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "q.db").touch()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    code, output = run(tmp_path, text, "halt")
    assert code == 0, "the first start may be a halted one"
    assert f"no journal {tmp_path / 'home' / 'q.db'}" in output.replace("\n", "")
    monkeypatch.chdir(tmp_path / "daemon")
    code, output = run(tmp_path, text, "halt")
    assert "no journal" not in output
    assert str(tmp_path / "daemon" / "state" / "halt.json") in output
