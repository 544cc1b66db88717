"""The client commands of `quantd`, asking a real listener: tables for people, JSON for programs, exit codes for both."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from quantd.cli import app
from quantd.domain.events import TradingState
from quantd.domain.facts import OrderIntended
from quantd.domain.orders import Limit
from quantd.journal import retention
from quantd.journal.store import TakeSnapshot
from quantd.testing.builders import BTC
from tests.component.control.house import TOKENS, House

CONFIG = """
venues:
  paper:
    type: paper
    data: {{synthetic: {{instruments: [{{symbol: BTC-USD, price: 100, tick: 0.01, lot: 0.001}}]}}}}
    balances: {{USD: 1000}}
risk: {{base_currency: USD}}
control:
  port: {port}
  tokens:
    reader: {{token_file: {folder}/reader, scopes: [read]}}
    ann: {{token_file: {folder}/ann, scopes: [admin]}}
"""


@pytest.fixture
def files(house: House, tmp_path: Path) -> Path:
    """A configuration that leads to the house, and token files."""
    for name, (token, _) in TOKENS.items():
        path = tmp_path / name
        path.write_text(token)
        path.chmod(0o600)
    (tmp_path / "q.yaml").write_text(CONFIG.format(port=house.listener.port, folder=tmp_path))
    return tmp_path


async def run(*arguments: str, answer: str = "") -> Result:
    """Run a command in a thread, while the house goes on answering."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(app, list(arguments), input=answer))


async def test_what_a_venue_says_has_no_say_over_the_terminal(house: House, files: Path) -> None:
    house.reasons = ["venue paper: \x1b]52;c;ZXZpbA==\x07refused\nvenue paper: ready \u202e"]
    order = house.rig.do(lambda s: s.buy(BTC, 1, Limit(90), why="cheap\x1b[2J"))
    house.step()
    status = await run("status", str(files / "q.yaml"))
    assert r"venue paper: \x1b]52;c;ZXZpbA==\x07refused\nvenue paper: ready \u202e" in status.output
    shown = CliRunner().invoke(app, ["journal", "show", str(house.path), "--about", order.id], terminal_width=400)
    for told in (status, await run("orders", str(files / "q.yaml")), shown):
        assert told.exit_code == 0, told.output
        assert not [one for one in told.output if not one.isprintable() and one != "\n"], told.output


async def test_status_orders_fills_and_positions_are_tables(house: House, files: Path) -> None:
    house.rig.hold(2)
    house.rig.do(lambda s: s.buy(BTC, 1, Limit(90), why="cheap"))
    house.step()
    config = str(files / "q.yaml")
    status = await run("status", config)
    assert status.exit_code == 0, status.output
    assert "journal 0test: ready" in status.output
    house.rig.quote(90.1, 90.3)  # whose middle is 90.19999999999999 in binary fractions
    house.step()
    assert " 90.2 " in (await run("status", config)).output
    assert "cheap" in (await run("orders", config)).output
    assert "filled" in (await run("orders", config, "--all")).output
    assert BTC in (await run("fills", config)).output
    assert "s1" in (await run("positions", config)).output
    told = json.loads((await run("positions", config, "--json")).output.splitlines()[-1])
    assert told["positions"][0]["strategy"] == "s1"


async def test_an_order_whose_story_was_archived_says_where_it_lies(house: House, files: Path) -> None:
    order = house.rig.do(lambda s: s.buy(BTC, 1, Limit(90), why="cheap"))
    house.step()
    size = house.store.head.seq
    house.store.write([TakeSnapshot(b"")])
    house.rig.do(lambda s: s.buy(BTC, 1, Limit(91)))
    house.step()
    retention.move_all(house.store, 2**62, size=size)
    told = (await run("why", order.id, str(files / "q.yaml"))).output
    assert f"quantd journal show PATH --about {order.id} --tail 500" in told


async def test_an_order_is_sent_explained_and_cancelled(house: House, files: Path) -> None:
    config = str(files / "q.yaml")
    sent = await run("order", BTC, "buy", "1", config, "--limit", "90", "--post-only", "--why", "by hand")
    assert sent.exit_code == 0, sent.output
    fact = house.rig.of(OrderIntended)[-1]
    assert fact.client_order_id in sent.output
    assert (fact.spec.post_only, fact.why) == (True, "by ann: by hand")
    assert "by hand" in (await run("why", fact.client_order_id, config)).output
    assert "s2: active" in (await run("why", "s2", config)).output
    house.rig.accept(fact.client_order_id)
    assert "1 orders are being cancelled" in (await run("cancel-all", config)).output


async def test_a_denied_order_ends_with_the_reason_and_code_1(house: House, files: Path) -> None:
    house.latch.path.parent.mkdir(exist_ok=True)
    await house.ask("POST", "/v1/halt", {"why": "drill"})
    assert house.rig.state.latches["all"].state is TradingState.HALTED
    denied = await run("order", BTC, "buy", "1", str(files / "q.yaml"), "--why", "by hand")
    assert denied.exit_code == 1
    assert "trading_state" in denied.output


async def test_flattening_asks_first(house: House, files: Path) -> None:
    house.rig.hold(2)
    config, sent = str(files / "q.yaml"), len(house.rig.commands)
    refused = await run("flatten", config, "--why", "weekend", answer="n\n")
    assert refused.exit_code == 1
    assert len(house.rig.commands) == sent
    done = await run("flatten", config, "--why", "L\udce4rm in Latin-1", answer="y\n")
    assert done.exit_code == 0, done.output
    assert len(house.rig.commands) == sent + 1


async def test_flattening_what_is_halted_says_that_it_stays_open(house: House, files: Path) -> None:
    house.rig.hold(2)
    await house.ask("POST", "/v1/halt", {"why": "drill"})
    done = await run("flatten", str(files / "q.yaml"), "--why", "weekend", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "warning: halted: all." in done.output
    assert "positions there stay open" in done.output
    assert "what is halted is closed once it is resumed" in done.output


async def test_the_token_that_may_is_taken_and_another_one_is_refused(house: House, files: Path) -> None:
    config = str(files / "q.yaml")
    refused = await run("cancel-all", config, "--as", "reader")
    assert refused.exit_code == 1
    assert "scope" in refused.output
    reconciled = await run("reconcile", "paper", "--url", house.address, "--token-file", str(files / "trader"))
    assert reconciled.exit_code == 1
    assert "venue failing" in reconciled.output
    assert "planted" not in refused.output + reconciled.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["status"], "configuration files"),
        (["status", "--url", "http://127.0.0.1:1"], "needs --token-file"),
        (["status", "--url", "http://example.org", "--token-file", "{folder}/ann"], "http:// on this machine"),
        (["status", "--url", "http://u:p@127.0.0.1", "--token-file", "{folder}/ann"], "host and port only"),
        (["status", "--url", "http://127.0.0.1:1", "--token-file", "{folder}/nothing"], "--token-file"),
        (["cancel-all", "{folder}/q.yaml", "--as", "nobody"], "no token under control.tokens is called nobody"),
    ],
)
async def test_without_a_usable_address_or_token_nothing_is_sent(
    house: House, files: Path, arguments: list[str], says: str
) -> None:
    done = await run(*(one.format(folder=files) for one in arguments))
    assert done.exit_code == 2
    assert says in done.output


async def test_a_daemon_that_is_not_there_is_named(files: Path) -> None:
    done = await run("status", "--url", "http://127.0.0.1:1", "--token-file", str(files / "ann"))
    assert done.exit_code == 1
    assert "http://127.0.0.1:1" in done.output
