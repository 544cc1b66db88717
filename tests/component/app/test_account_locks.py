"""One account, one daemon: the lock is named by what is reached, not by what a configuration calls it.

Method: the storage of two daemons with journals of their own and one state folder, as the documents advise.
"""

import re
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
CUSTOM = {
    "oanda": "{type: oanda, environment: custom, base_url: 'AT', account: 101-001-1234567-001, token_file: key}",
    "ionloop": "{type: ionloop, environment: custom, base_url: 'AT', api_key_file: key}",
    "tradelocker": "{type: tradelocker, environment: custom, base_url: 'AT', email: a@b.c, server: S, account: '1', "
    "password_file: key}",
    "ripio": "{type: ripio, base_url: 'AT', api_token_file: key, api_secret_file: key}",
    "hummingbot": "{type: hummingbot, connector: binance, real_money: false, base_url: 'AT', password_file: key}",
}
HERE = ["http://localhost:9001", "http://[::1]:9001", "http://LocalHost:9001/", "https://127.0.0.1:9001"]
AWAY = ["https://venue.example/", "https://venue.example:443", "https://VENUE.example", "https://venue.example.:443/"]
ADDRESSES = [
    *((kind, "http://127.0.0.1:9001", same) for kind in CUSTOM for same in HERE),
    *((kind, "https://venue.example", same) for kind in CUSTOM for same in AWAY),
]
SITE = """
journal: {{path: {folder}/{name}.db, state_dir: {folder}/state}}
risk: {{base_currency: USD, account: {{max_gross_notional: 50000, max_daily_loss: 500, max_open_orders: 20}}}}
venues: {venues}
"""


def site(folder: Path, name: str, venues: str) -> Settings:
    for key in ("key", "other"):
        (folder / key).write_text(f"planted-{key}")
        (folder / key).chmod(0o600)
    path = folder / f"{name}.yaml"
    venues = re.sub(r"_file: key\b", f"_file: {folder}/key", venues)
    path.write_text(SITE.format(folder=folder, name=name, venues=venues))
    return load([path], {})


def at_address(kind: str, address: str) -> str:
    armed = ", armed: live}" if "venue.example" in address.lower() else "}"
    return CUSTOM[kind].replace("AT", address).replace("}", armed)


def opened(folder: Path, name: str, venues: str, account: str) -> None:
    """Start and end a daemon's storage while the caller's stands."""
    settings = site(folder, name, venues)
    open_storage(settings, dict.fromkeys(settings.venues, account), ManualClock(STARTED_AT_NS)).close()


@pytest.mark.parametrize("kind", ENTRIES)
def test_two_daemons_that_call_one_account_differently_do_not_both_trade_it(tmp_path: Path, kind: str) -> None:
    first = site(tmp_path, "first", f"{{main: {ENTRIES[kind]}}}")
    storage = open_storage(first, {"main": "spot"}, ManualClock(STARTED_AT_NS))
    with pytest.raises(JournalLocked, match="held by process"):
        opened(tmp_path, "second", f"{{{kind}: {ENTRIES[kind]}}}", "spot")
    storage.close()
    opened(tmp_path, "second", f"{{{kind}: {ENTRIES[kind]}}}", "spot")


def test_two_accounts_of_one_venue_are_traded_by_two_daemons_under_the_same_name(tmp_path: Path) -> None:
    """ionloop names no account: two keys are two of them, though both entries are called alike."""
    storage = open_storage(
        site(tmp_path, "first", "{spot: " + ENTRIES["ionloop"] + "}"), {"spot": "spot"}, ManualClock(0)
    )
    other = ENTRIES["ionloop"].replace("key}", "other}").replace("other}", f"{tmp_path}/other}}")
    opened(tmp_path, "second", f"{{spot: {other}}}", "spot")
    storage.close()


@pytest.mark.parametrize(("kind", "address", "same"), ADDRESSES)
def test_an_address_that_is_written_otherwise_is_the_same_account(
    tmp_path: Path, kind: str, address: str, same: str
) -> None:
    first, second = (f"{{main: {at_address(kind, one)}}}" for one in (address, same))
    storage = open_storage(site(tmp_path, "first", first), {"main": "spot"}, ManualClock(STARTED_AT_NS))
    with pytest.raises(JournalLocked, match="held by process"):
        opened(tmp_path, "second", second, "spot")
    storage.close()
    with pytest.raises(ConfigProblems, match=r"venues\.b: found the account of a, expected one entry for each account"):
        site(tmp_path, "twice", f"{{a: {at_address(kind, address)}, b: {at_address(kind, same)}}}")


@pytest.mark.parametrize("kind", CUSTOM)
@pytest.mark.parametrize("other", ["http://127.0.0.1:9002", "https://127.0.0.1", "https://venue.example:9001"])
def test_another_port_or_host_is_another_account(tmp_path: Path, kind: str, other: str) -> None:
    first, second = (f"{{main: {at_address(kind, one)}}}" for one in ("http://127.0.0.1:9001", other))
    storage = open_storage(site(tmp_path, "first", first), {"main": "spot"}, ManualClock(STARTED_AT_NS))
    opened(tmp_path, "second", second, "spot")
    storage.close()


@pytest.mark.parametrize("kind", ENTRIES)
def test_two_entries_that_reach_one_account_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigProblems, match=r"venues\.b: found the account of a, expected one entry for each account"):
        site(tmp_path, "twice", f"{{a: {ENTRIES[kind]}, b: {ENTRIES[kind]}}}")
