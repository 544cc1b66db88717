"""Five simulated venues in one process and one daemon that trades at all of them, for a look: `make demo-venues`.

Prices are recorded ones where `--data` names a folder of them, else made up. A table on the terminal shows each venue; at
the end the markets stand still, and what the daemon knows is held against what each simulated exchange holds: working
orders, lots and balances. Exit code 0 when all five agree, there were fills at each, and no request was one too many.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from quantd.clock import SystemClock
from quantd.domain.instruments import Instrument
from quantd.domain.market import Quote
from quantd.domain.numbers import use_exact_arithmetic
from quantd.feeds.replay import ReplayFeed
from quantd.feeds.synthetic import SyntheticFeed
from quantd.ports import Clock, Feed
from quantd.simulators import prices
from quantd.simulators.faults import FaultScript
from quantd.simulators.hummingbot import options as hummingbot
from quantd.simulators.hummingbot.venue import HummingbotVenue
from quantd.simulators.ionloop import options as ionloop
from quantd.simulators.ionloop.venue import IonloopVenue
from quantd.simulators.oanda import options as oanda
from quantd.simulators.oanda.venue import OandaVenue
from quantd.simulators.ripio import options as ripio
from quantd.simulators.ripio.venue import RipioVenue
from quantd.simulators.server import SimulatorServer
from quantd.simulators.session import Session
from quantd.simulators.tradelocker import options as tradelocker
from quantd.simulators.tradelocker.venue import TradeLockerVenue

ROOT = Path(__file__).parents[1]
TOKEN = "the-token-of-the-demo"
SECRETS = {
    "QUANTD__VENUES__IONLOOP__API_KEY": "sim-key",
    "QUANTD__VENUES__OANDA__TOKEN": "simulated-token",
    "QUANTD__VENUES__TRADELOCKER__PASSWORD": "simulated",
    "QUANTD__VENUES__RIPIO__API_TOKEN": "sim-token",
    "QUANTD__VENUES__RIPIO__API_SECRET": "sim-secret",
    "QUANTD__VENUES__HUMMINGBOT__PASSWORD": "admin",
    "QUANTD__CONTROL__TOKENS__DEMO__TOKEN": TOKEN,
}
"""The simulators' own: they guard nothing."""
BTC_FILE, EUR_FILE = "btc-usd-perp-1m-2022-01.csv.gz", "eur-usd-quotes-2020-01-01.csv.gz"
SPEED = {"btc": 60.0, "eur": 30.0}
"""How many times faster than recorded the markets move."""
PRINTED_EVERY_S = 30.0
QUIET_S = 90.0
"""How long the daemon may take to know all that happened before the markets stood still."""


class Site(NamedTuple):
    """One simulated venue."""

    port: int
    make: Callable[[Clock], Any]
    instrument: Instrument
    price: float
    account: str


def sites() -> dict[str, Site]:
    """Return the five venues, each with one market and money to trade."""
    dollars = Decimal(100_000)
    markets = ionloop.Setup(
        markets=(ionloop.MarketRules(symbol="BTC-USD"),),
        keys=(ionloop.ApiKey("sim-key"),),
        balances={"main": {"USD": dollars}},
    )
    forex = oanda.Setup(instruments=oanda.listed(["EUR-USD"], 1.1))
    lots = tradelocker.Setup(
        accounts=(tradelocker.AccountRules(currency="USD", balance=dollars),),
        instruments=tradelocker.numbered(["BTC-USD"]),
    )
    pairs = ripio.Setup(pairs=(ripio.PairRules("BTC_USD"),), balances={"main": {"USD": dollars}})
    spot = hummingbot.Setup(
        connector="binance", username="admin", password="admin", pairs=(hummingbot.PairRules(pair="BTC-USD"),),
        balances={"USD": dollars},
    )  # fmt: skip
    btc = 46_000.0
    return {
        "ionloop": Site(9201, lambda c: IonloopVenue(markets, clock=c), markets.markets[0].instrument(), btc, "main"),
        "oanda": Site(
            9202, lambda c: OandaVenue(forex, clock=c), forex.instruments[0].instrument(), 1.12, forex.accounts[0].id
        ),
        "tradelocker": Site(
            9203, lambda c: TradeLockerVenue(lots, clock=c), lots.instruments[0].instrument(), btc, lots.accounts[0].id
        ),
        "ripio": Site(9204, lambda c: RipioVenue(pairs, clock=c), pairs.pairs[0].instrument(), btc, "main"),
        "hummingbot": Site(9205, lambda c: HummingbotVenue(spot, clock=c), spot.pairs[0].instrument(), btc, "main"),
    }


def feed_of(site: Site, data: Path | None, clock: Clock, seed: int) -> Feed:
    """Return a market's prices: recorded ones from the folder, else a walk."""
    is_forex = site.price < 1_000
    if data is None:
        return SyntheticFeed(prices.synthetic(site.instrument, price=site.price, seed=seed, speed=100.0), clock)
    file = data / (EUR_FILE if is_forex else BTC_FILE)
    return ReplayFeed(prices.replayed(file, site.instrument), clock, speed=SPEED["eur" if is_forex else "btc"])


class Market:
    """One running venue; its prices can be stopped."""

    def __init__(self, name: str, site: Site, data: Path | None, seed: int) -> None:
        clock = SystemClock()
        self.name, self.site = name, site
        self.venue = site.make(clock)
        self.is_frozen = False
        server = SimulatorServer(self.venue, FaultScript((), clock=clock, rng=random.Random(seed)), port=site.port)
        self.session = Session(
            self.venue, server, clock=clock, feeds=[feed_of(site, data, clock, seed)], on_market=self._on_market
        )
        self._clock = clock
        self._last: Quote | None = None

    def _on_market(self, event: Any) -> None:
        if self.is_frozen and self._last is not None:
            now_ns = self._clock.now_ns()  # the last price goes on being told, so that it does not grow old
            event = Quote(self._last.instrument, self._last.bid, self._last.ask, now_ns, now_ns)
        elif isinstance(event, Quote):
            self._last = event
        self.venue.on_market(event)

    def truth(self) -> dict[str, Any]:
        """Return what the exchange itself holds of our account."""
        shown = self.venue.exchange.snapshot(self.site.account, self.name, self._clock.now_ns())
        return {
            "orders": len(shown.orders),
            "balances": {one.asset: one.total for one in shown.balances if one.total},
            "lots": sum((lot.quantity if lot.side.value == "buy" else -lot.quantity for lot in shown.lots), Decimal(0)),
        }


# -- what the daemon knows -----------------------------------------------------------------------------------------


def ask(path: str) -> Any:
    """Ask the daemon's control API."""
    request = urllib.request.Request(f"http://127.0.0.1:9466{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def known(name: str) -> dict[str, Any]:
    """Return what the daemon has in its books of a venue."""
    orders = [one for one in ask("/v1/orders")["orders"] if one["instrument"].startswith(f"{name}:")]
    positions = [one for one in ask("/v1/positions")["positions"] if one["instrument"].startswith(f"{name}:")]
    balances = [one for one in ask("/v1/balances")["balances"] if one["venue"] == name]
    return {
        "orders": len(orders),
        "balances": {one["asset"]: Decimal(one["total"]) for one in balances if Decimal(one["total"])},
        "lots": sum((Decimal(one["quantity"]) for one in positions), Decimal(0)),
    }


def differences(market: Market) -> list[str]:
    """Return in what the daemon and an exchange do not agree; a spot account's holdings are its balances."""
    ours, theirs = known(market.name), market.truth()
    told = []
    for what in ("orders", "balances", "lots"):
        if what == "lots" and market.name in ("ionloop", "ripio", "hummingbot"):
            continue
        if ours[what] != theirs[what]:
            told.append(f"{what}: {ours[what]} with us, {theirs[what]} there")
    return told


def table(markets: Sequence[Market], found: dict[str, list[str]] | None = None) -> Table:
    """Return the state of all venues."""
    shown = Table("venue", "price", "orders", "open", "fills", "requests", "429", "agreement", box=None, pad_edge=False)
    for market in markets:
        counters = market.venue.counters()
        quoted = ", ".join(f"{bid}/{ask_}" for bid, ask_ in counters.get("prices", {}).values())
        orders = counters["orders"]
        agreement = "" if found is None else "equal" if not found[market.name] else "; ".join(found[market.name])
        cells = (orders["created"], orders["open"], orders["fills"], counters["requests"]["total"])
        shown.add_row(
            market.name, quoted, *map(str, cells), str(counters["rate_limited"]["total"]), agreement
        )  # fmt: skip
    return shown


# -- running -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon in a folder; it is ended in order, and killed if that takes too long."""
    (folder / "strategies").symlink_to(ROOT / "strategies")
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "quantd", "run", str(ROOT / "demo/venues.yaml")],
            cwd=folder, env={**os.environ, **SECRETS}, stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


async def watch(markets: Sequence[Market], process: subprocess.Popen[bytes], seconds: float, console: Console) -> None:
    """Show the venues for a while."""
    loop = asyncio.get_running_loop()
    ends_at, shown_at = loop.time() + seconds, 0.0
    with Live(table(markets), console=console, auto_refresh=False, transient=True) as live:
        while loop.time() < ends_at and process.poll() is None:
            await asyncio.sleep(0.5)
            if console.is_terminal:
                live.update(table(markets), refresh=True)
            elif loop.time() - shown_at > PRINTED_EVERY_S:
                shown_at = loop.time()
                console.print(table(markets))


async def settle(markets: Sequence[Market], process: subprocess.Popen[bytes]) -> dict[str, list[str]]:
    """Stop the markets, and return in what the daemon and each exchange differ once all is known, or time is over."""
    loop = asyncio.get_running_loop()
    for market in markets:
        market.is_frozen = True
    found: dict[str, list[str]] = {market.name: ["not compared yet"] for market in markets}
    ends_at = loop.time() + QUIET_S
    while any(found.values()) and loop.time() < ends_at and process.poll() is None:
        await asyncio.sleep(2)
        for market in markets:
            found[market.name] = await asyncio.to_thread(differences, market)
    return found


def problems(markets: Sequence[Market], found: dict[str, list[str]]) -> Iterator[str]:
    """Yield what is not as it should be."""
    for market in markets:
        counters = market.venue.counters()
        if found[market.name]:
            yield f"{market.name}: {'; '.join(found[market.name])}"
        if not counters["orders"]["fills"]:
            yield f"{market.name}: no fill"
        if counters["rate_limited"]["total"]:
            yield f"{market.name}: {counters['rate_limited']['total']} requests were one too many"


def series() -> int:
    """Return how many series about venues the daemon's one metrics page has."""
    with urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(line.startswith("quantd_") and 'venue="' in line for line in lines)


async def demo(seconds: float, data: Path | None, folder: Path, console: Console) -> bool:
    """Run it all; return whether everything was as it should be."""
    markets = [Market(name, site, data, seed) for seed, (name, site) in enumerate(sites().items())]
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(market.session.run(), name=market.name) for market in markets]
        for market in markets:
            await market.session.started.wait()
        with daemon(folder) as process:
            await watch(markets, process, seconds, console)
            found = await settle(markets, process)
            console.print(table(markets, found))
            told = list(problems(markets, found))
            if process.poll() is not None:
                told.append(f"the daemon ended with {process.returncode}; its log is {folder / 'daemon.log'}")
            else:
                count = await asyncio.to_thread(series)
                console.print(f"{count} series about venues on one page of metrics", highlight=False)
            for problem in told:
                console.print("[red]FAILED[/]", problem, highlight=False)
        for market in markets:
            market.session.stop()
        await asyncio.wait(running)
    return not told


def main() -> int:
    """Run the demo; 0 when all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--data", type=Path, default=None, help="folder of recorded prices; made-up ones without it")
    parser.add_argument("--folder", type=Path, default=None, help="where the journal and the log are kept")
    given = parser.parse_args()
    use_exact_arithmetic()
    console = Console()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        return 0 if asyncio.run(demo(given.minutes * 60, given.data, folder, console)) else 1


if __name__ == "__main__":
    sys.exit(main())
