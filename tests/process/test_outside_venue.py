"""docs/venues/adding.md, followed to the letter: a venue from an outside package, found by its entry point, that trades."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.process.harness import ROOT, SIGTERM, quantd, until

PAGE = ROOT / "docs/venues/adding.md"
KEY = "planted-gold-key"

CONFIG = """
journal: {{path: var/q.db, state_dir: var/state}}
{venue}
risk:
  base_currency: USD
  account: {{max_gross_notional: 5000, max_daily_loss: 500, max_open_orders: 5}}
strategies: [{{id: saver, use: saver.Saver, instruments: [gold:GOLD-USD]}}]
strategies_dir: strategies
feeds: {{bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""

SAVER = '''
from typing import ClassVar

from quantd import Market, Quote, Strategy


class Saver(Strategy):
    """Holds two ounces."""

    needs: ClassVar = {Market}

    def on_quote(self, quote: Quote) -> None:
        self.target(quote.instrument, 2, Market())
'''


class Shop(BaseHTTPRequestHandler):
    """The shop as the page describes it. The first order's reply is lost after it was filled."""

    orders: dict[str, dict[str, str]]
    held: dict[str, Decimal]

    def do_GET(self) -> None:
        if self.headers["Authorization"] != KEY:
            self._send(401, {})
        elif self.path == "/account":
            self._send(200, {name: str(amount) for name, amount in self.held.items()})
        elif self.path == "/price":
            self._send(200, {"bid": "99.9", "ask": "100.1"})
        else:
            order = self.orders.get(self.path.removeprefix("/orders/"))
            self._send(404 if order is None else 200, order or {})

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_first = not self.orders
        if wanted["id"] not in self.orders:
            quantity, price = Decimal(wanted["quantity"]), Decimal("100.1" if wanted["side"] == "buy" else "99.9")
            sign = 1 if wanted["side"] == "buy" else -1
            self.held["gold"] += sign * quantity
            self.held["usd"] -= sign * quantity * price
            self.orders[wanted["id"]] = wanted | {"filled": wanted["quantity"], "price": str(price)}
        if is_first:
            self.close_connection = True
            self.connection.close()
        else:
            self._send(200, self.orders[wanted["id"]])

    def _send(self, status: int, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def shop() -> Iterator[ThreadingHTTPServer]:
    Shop.orders, Shop.held = {}, {"usd": Decimal(1_000), "gold": Decimal(0)}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def files_of_the_page() -> dict[str, str]:
    """Return each file that the page gives, by its name; the last block is the configuration."""
    text = PAGE.read_text()
    named = re.findall(r"^`([\w/]+\.(?:py|toml))`.*?^```(?:python|toml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return dict(named) | {"venue.yaml": re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[-1]}


@pytest.mark.timeout(120)
def test_a_venue_made_from_the_page_is_found_trades_and_resolves_a_lost_reply(
    tmp_path: Path, shop: ThreadingHTTPServer
) -> None:
    package, site, folder = tmp_path / "package", tmp_path / "site", tmp_path / "run"
    given = files_of_the_page()
    assert {"pyproject.toml", "goldshop/__init__.py", "goldshop/connector.py", "goldshop/classify.py"} <= given.keys()
    for name, text in given.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), "."]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *install], check=False, cwd=package, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "strategies").mkdir(parents=True)
    (folder / "strategies/saver.py").write_text(SAVER)
    venue = given["venue.yaml"].replace("9999", str(shop.server_address[1]))
    (folder / "q.yaml").write_text(CONFIG.format(venue=venue))
    environ = {"PYTHONPATH": f"{site}:{ROOT / 'src'}", "QUANTD__VENUES__GOLD__KEY": KEY}
    with quantd(["check", "q.yaml", "--fast"], folder, **environ) as check:
        assert check.popen.wait(30) == 0, check.text()
    with quantd(["run", "q.yaml"], folder, **environ) as daemon:
        until(lambda: daemon.metric("quantd_position_quantity", strategy="saver") == 2, 60, "two ounces")
        assert daemon.lines("outcome_unknown"), "the first reply was lost"
        assert daemon.signal(SIGTERM) == 0
    assert len(Shop.orders) == 1, "a lost reply is not sent again"
    assert Shop.held == {"usd": Decimal("799.8"), "gold": Decimal(2)}
    with quantd(["check", "q.yaml"], folder, PYTHONPATH=environ["PYTHONPATH"]) as check:
        assert check.popen.wait(30) == 2
        assert "QUANTD__VENUES__GOLD__KEY, or key_file" in check.text()
