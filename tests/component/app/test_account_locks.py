"""One account, one daemon: the lock is named by what is reached, not by what a configuration calls it.

Method: the storage of two daemons with journals of their own and one state folder, as the documents advise.
"""

from pathlib import Path

import pytest

from quantd.app.storage import open_storage
from quantd.clock import ManualClock
from quantd.config import ConfigProblems, Settings, load
from quantd.errors import JournalLocked
from quantd.testing.builders import STARTED_AT_NS

ENTRIES = {
    "oanda": "{type: oanda, account: 101-001-1234567-001, token_file: key}",
    "ionloop": "{type: ionloop, api_key_file: key}",
    "tradelocker": "{type: tradelocker, email: a@b.c, server: S, account: '1', password_file: key}",
    "ripio": "{type: ripio, base_url: 'http://127.0.0.1:9104', api_token_file: key, api_secret_file: key}",
    "hummingbot": "{type: hummingbot, connector: binance, real_money: false, password_file: key}",
}
SITE = """
journal: {{path: {folder}/{name}.db, state_dir: {folder}/state}}
risk: {{base_currency: USD}}
venues: {venues}
"""


def site(folder: Path, name: str, venues: str) -> Settings:
    for key in ("key", "other"):
        (folder / key).write_text(f"planted-{key}")
        (folder / key).chmod(0o600)
    path = folder / f"{name}.yaml"
    path.write_text(
        SITE.format(
            folder=folder, name=name, venues=venues.replace("key}", f"{folder}/key}}").replace("key,", f"{folder}/key,")
        )
    )
    return load([path], {})


def opened(folder: Path, name: str, venues: str, account: str) -> None:
    """Start and end a daemon's storage while the caller's stands."""
    settings = site(folder, name, venues)
    open_storage(settings, dict.fromkeys(settings.venues, account), ManualClock(STARTED_AT_NS)).locks.close()


@pytest.mark.parametrize("kind", ENTRIES)
def test_two_daemons_that_call_one_account_differently_do_not_both_trade_it(tmp_path: Path, kind: str) -> None:
    first = site(tmp_path, "first", f"{{main: {ENTRIES[kind]}}}")
    storage = open_storage(first, {"main": "spot"}, ManualClock(STARTED_AT_NS))
    with pytest.raises(JournalLocked, match="held by process"):
        opened(tmp_path, "second", f"{{{kind}: {ENTRIES[kind]}}}", "spot")
    storage.locks.close()
    opened(tmp_path, "second", f"{{{kind}: {ENTRIES[kind]}}}", "spot")


def test_two_accounts_of_one_venue_are_traded_by_two_daemons_under_the_same_name(tmp_path: Path) -> None:
    """ionloop names no account: two keys are two of them, though both entries are called alike."""
    storage = open_storage(
        site(tmp_path, "first", "{spot: " + ENTRIES["ionloop"] + "}"), {"spot": "spot"}, ManualClock(0)
    )
    other = ENTRIES["ionloop"].replace("key}", "other}").replace("other}", f"{tmp_path}/other}}")
    opened(tmp_path, "second", f"{{spot: {other}}}", "spot")
    storage.locks.close()


@pytest.mark.parametrize("kind", ENTRIES)
def test_two_entries_that_reach_one_account_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigProblems, match=r"venues\.b: found the account of a, expected one entry for each account"):
        site(tmp_path, "twice", f"{{a: {ENTRIES[kind]}, b: {ENTRIES[kind]}}}")
