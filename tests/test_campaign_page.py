"""The campaign's page keeps what it tells of stages that are not run again."""

from tests.campaign import STAGES
from tests.campaign_page import Row, read, written
from tests.report import PAGE

NAMES = [stage.name for stage in STAGES]


def test_the_page_is_read_back_as_it_was_written() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert read(NAMES, text)
    assert written(NAMES, read(NAMES, text)) == text


def test_a_stage_that_is_not_run_keeps_its_row() -> None:
    kills = Row(True, 349, "", "100 kills\n\n| write | times |\n| --- | --- |\n| cancel | 2 |", "c529aa274738")
    fell = Row(False, 12, "1 failed in <12 s", "seed 7\n\n### Found\n\nnothing", "edd55a3fce11-dirty")
    page = written(["soak", "SIGKILL", "new"], {"SIGKILL": kills, "soak": fell})
    assert "| new | not run |" in page
    assert read(["SIGKILL", "soak", "new", "renamed"], page) == {"SIGKILL": kills, "soak": fell}
