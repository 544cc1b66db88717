"""`quantd new-strategy`: what it writes works as it is, and nothing is written over."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from quantd.cli.new_strategy import new_strategy
from quantd.plugins.loader import Loaded, StrategyLoader
from quantd.plugins.scaffold import Names, draft, names_of
from quantd.plugins.settings import StrategySettings

app = typer.Typer()
app.command("new-strategy")(new_strategy)


def test_the_draft_passes_its_own_test_and_the_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["TrendFollower"])
    assert result.exit_code == 0, result.output
    assert "wrote strategies/trend_follower.py and tests/test_trend_follower.py" in result.output
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "2 passed" in run.stdout
    root = Path(__file__).parents[3]
    files = ["strategies/trend_follower.py", "tests/test_trend_follower.py"]
    ruff = [sys.executable, "-m", "ruff", "--config", str(root / "pyproject.toml")]
    for arguments in (["check", "-q"], ["format", "--check", "-q"]):
        checked = subprocess.run(
            [*ruff[:3], *arguments, *ruff[3:], *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("makefile", "command"),
    [("", "try: pytest tests/"), ("test:\n\tpytest $(PYTEST_ARGS)\n", "try: make test PYTEST_ARGS=tests/")],
)
def test_it_says_how_to_run_the_test_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, makefile: str, command: str
) -> None:
    """In a checkout only make has pytest."""
    monkeypatch.chdir(tmp_path)
    if makefile:
        (tmp_path / "Makefile").write_text(makefile)
    assert command in CliRunner().invoke(app, ["TrendFollower"]).output


def test_the_entry_that_it_prints_can_be_loaded(tmp_path: Path) -> None:
    written = draft("my-idea", tmp_path / "strategies", tmp_path / "tests")
    (entry,) = yaml.load(written.config, yaml.BaseLoader)
    result = StrategyLoader(tmp_path / "strategies").load(StrategySettings.model_validate(entry))
    assert isinstance(result, Loaded), str(result)
    assert entry["id"] == "my-idea"


@pytest.mark.parametrize("taken", ["strategies/x_y.py", "strategies/x_y/__init__.py", "tests/test_x_y.py"])
def test_nothing_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / taken
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    result = CliRunner().invoke(app, ["x_y"])
    assert result.exit_code == 1
    assert "is there already: nothing was written" in result.output
    assert path.read_text() == "mine"
    assert [one for one in tmp_path.rglob("*.py") if one != path] == []


@pytest.mark.parametrize("name", ["TrendFollower", "trend_follower", "trend-follower"])
def test_every_way_to_write_a_name_means_the_same(name: str) -> None:
    assert names_of(name) == Names("trend_follower", "TrendFollower")
    assert names_of(name).id == "trend-follower"


@pytest.mark.parametrize(
    "name", ["", "1st", "a b", "../up", "a.b", "class", "market", "Strategy", "x" * 33, "_x", "a__b", "é"]
)
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected"):
        draft(name, tmp_path / "s", tmp_path / "t")
    assert list(tmp_path.iterdir()) == []
    result = CliRunner().invoke(app, ["--", name])
    assert result.exit_code == 1
