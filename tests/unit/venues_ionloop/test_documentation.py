"""The venue's page says what the code does."""

import re
from pathlib import Path

from quantd.venues.ionloop.alerts import KINDS
from quantd.venues.ionloop.routes import ROUTES

PAGE = (Path(__file__).parents[3] / "docs" / "venues" / "ionloop.md").read_text()


def test_the_table_of_routes_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) `(\S+)` \| (\w+) \| (\w+)[^|]*\| ([^|]+) \|$", PAGE, re.MULTILINE)
    expected = [
        (r.operation, r.method, r.path, r.path_name, r.evidence.value, r.scope or "none (public)") for r in ROUTES
    ]
    assert rows == expected


def test_every_anomaly_is_named() -> None:
    assert all(f"`{kind}`" in PAGE for kind in KINDS)
