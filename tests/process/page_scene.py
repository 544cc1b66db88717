"""What the web page is shown with: a daemon that trades on the paper venue and at a simulated one, and a way to enter."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.process.chromium import Page
from tests.process.harness import ROOT, Process, free_port, quantd, until

TOKEN = "a-token-for-the-web-page-only"


@contextmanager
def daemon_with_a_page(folder: Path) -> Iterator[tuple[Process, str]]:
    """Start the sample daemon with one more venue, which has rate limits, and a strategy that the gate denies often.

    Yields:
        The daemon, and the address of its control listener.
    """
    with quantd(["simulate", "ionloop", "--port", "0"], folder) as simulator:
        _configure(folder, until(lambda: _address(simulator.text()), 20, "the simulator's address"))
        with quantd(["run", "q.yaml"], folder) as daemon:
            yield daemon, f"http://127.0.0.1:{daemon.wait_line('control_listens', 30)['port']}"


def _address(text: str) -> str:
    found = re.search(r"ionloop on (http://127\.0\.0\.1:\d+)", text)
    return found[1] if found else ""


def _configure(folder: Path, simulator: str) -> None:
    sample = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    for name, text in (("token", TOKEN), ("key", (ROOT / "config/ionloop-sim.key").read_text())):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    venue = {"type": "ionloop", "environment": "custom", "base_url": simulator, "api_key_file": "key"}
    sample["venues"]["ionloop"] = venue | {"reconcile": "adopt", "idempotency": True}
    grid = {"id": "far-grid", "use": "grid_maker.GridMaker", "instruments": ["ionloop:BTC-USDT"]}
    steps = {"levels": 3, "step_bps": 300, "quantity": 0.01}
    sample["strategies"].append(grid | {"params": steps, "risk": {"max_position": 0.02}})
    sample["strategies"][0]["params"] |= {"fast": 2, "slow": 4}  # crosses often
    sample["risk"]["account"]["max_gross_notional"] = 100_000
    sample["control"] = {"port": free_port(), "tokens": {"ann": {"token_file": "token", "scopes": ["trade", "halt"]}}}
    sample["health"] = {"port": 0}
    (folder / "q.yaml").write_text(yaml.safe_dump(sample))
    (folder / "strategies").symlink_to(ROOT / "strategies")


async def enter(page: Page, token: str) -> None:
    """Type a token in, as a person does."""
    await page.run("document.getElementById('token').focus()")
    await page.type(token)
    await page.press("Enter", 13, "\r")


def a_fill_of(strategy: str) -> str:
    """Code for the page: the row of the latest fill of a strategy."""
    return f"[...document.querySelectorAll('#fills tbody tr')].find((one) => one.innerText.includes('{strategy}'))"
