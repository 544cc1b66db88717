"""A hunt goes on where the last one ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.sim import hunting
from tests.sim.many import Ran, Task
from tests.sim.scenes.venues import SCENES


@pytest.fixture
def hunted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Task]:
    """What a hunt of three blocks ran; the last seed tells a reason."""
    tasks: list[Task] = []
    now_s = iter([0.0, *[1.0] * 1_000])

    def run(given: list[Task], processes: int) -> Iterator[Ran]:
        tasks.extend(given)
        for scenario, seed, _ in given:
            yield Ran(scenario, seed, 0.1, None, "the reason" if len(tasks) == 300 and seed == 99 else "")

    def clock() -> float:
        return 100.0 if len(tasks) >= 300 else next(now_s)

    monkeypatch.setattr(hunting, "run_many", run)
    monkeypatch.setattr(hunting, "perf_counter", clock)
    (tmp_path / "hunted.txt").write_text("# a line of words\nionloop 7000\n")
    return tasks


def test_each_venue_goes_on_from_its_own_seed_and_the_page_says_so(
    hunted: list[Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hunted.txt"
    summary = hunting.hunt(1.5, Console(width=200), path=path)
    venues = sorted(SCENES)[:3]
    assert [venue for _, _, venue in hunted[:: hunting.BLOCK]] == venues
    assert [seed for _, seed, _ in hunted[: hunting.BLOCK]] == list(range(hunting.BLOCK))
    assert hunting.read_ends(path) == {"hummingbot": 100, "ionloop": 7_100, "oanda": 100, "ripio": 0, "tradelocker": 0}
    assert len(summary.times) == 300
    assert "FAILED" in (told := capsys.readouterr().out)
    assert "@oanda 99:  the reason" in told


@pytest.mark.parametrize("line", ["ionlop 5", "ionloop five", "ionloop"])
def test_a_line_that_tells_no_seed_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "hunted.txt").write_text(f"# words\n{line}\n")
    with pytest.raises(ValueError, match=r"hunted\.txt:2: expected a venue of .* and a seed, found '" + line):
        hunting.read_ends(tmp_path / "hunted.txt")


def test_the_project_s_own_page_can_be_read() -> None:
    assert set(hunting.read_ends()) == set(SCENES)
