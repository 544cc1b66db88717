"""A capacity test: `python -m tests.capacity --seconds 60`; a busy daemon is recorded, then its peak replayed at twice its pace.

Twenty grid makers and twenty crossings on forty instruments, with limits so tight that controls act all the time: at the
pace of the run and above, each of their denials must be the same; at twice the pace 99 of 100 inputs are done within 50 ms. Used by the
campaign.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.process.harness import ROOT, SIGTERM, Process, quantd, until
from tests.report import write_section

INSTRUMENTS = 40
PACES = (1.0, 2.0, 2.0, 2.0, 4.0)
MUST = 2.0
"""The pace that must be borne, once in three attempts, as what else the machine does is not ours; what lies above tells how
far it goes."""
P99_MS = 50.0
CONFIG = """
journal: {{path: var/q.db, state_dir: var/state, record: true}}
venues:
  paper:
    type: paper
    balances: {{USDT: 100000000}}
    latency_s: 0.005
    data: {{synthetic: {{seed: 7, speed: 30, instruments: [
{instruments}]}}}}
risk:
  base_currency: USDT
  account: {{max_gross_notional: 60000, max_daily_loss: 5000000, max_open_orders: 150}}
  order: {{passive_collar_bps: 1000, self_match: cancel_oldest, duplicate_window_s: 0.001}}
  strategy: {{submit_rate: {{count: 20, per_s: 1}}, max_fires: 100000}}
strategies:
{strategies}
strategies_dir: {folder}
feeds: {{bar_store: var/bars.db}}
health: {{port: 0}}
logging: {{format: json}}
"""
INSTRUMENT = (
    "      {{symbol: S{number}-USDT, price: {price}, tick: 0.01, lot: 0.0001, min_notional: 10, volatility: 0.9}}"
)
GRID = """  - {{id: grid-{number}, use: grid_maker.GridMaker, instruments: ["paper:S{number}-USDT"],
     params: {{levels: 3, step_bps: 2, requote_bps: 1, quantity: 1, rest_s: 0.1}}, risk: {{max_position: 5}}}}"""
CROSS = """  - {{id: cross-{number}, use: sma_cross.SmaCross, instruments: ["paper:S{number}-USDT"], bars: 1s,
     params: {{fast: 2, slow: 3, quantity: 2}}, risk: {{max_position: 3}}}}"""


def site(folder: Path) -> None:
    """Write the configuration."""
    numbers = range(INSTRUMENTS)
    strategies = [(GRID if number % 2 else CROSS).format(number=number) for number in numbers]
    text = CONFIG.format(
        instruments=",\n".join(INSTRUMENT.format(number=number, price=100 + number) for number in numbers),
        strategies="\n".join(strategies),
        folder=ROOT / "strategies",
    )
    (folder / "q.yaml").write_text(text)


def record(folder: Path, seconds: float) -> Path:
    """Run the daemon and return what it recorded."""
    with quantd(["run", "q.yaml"], folder) as daemon:
        until(lambda: daemon.metric("quantd_fills_total") > 0, 60, "a fill")
        time.sleep(seconds)
        code = daemon.signal(SIGTERM, 60)
        assert code == 0, daemon.text()[-3000:]
    (inputs,) = folder.glob("var/q.db.inputs-*")
    return inputs


def hurry(folder: Path, inputs: Path, window_s: float) -> tuple[list[dict[str, float | str | bool]], Process]:
    """Replay the peak at each pace; the rows, and the process that made them."""
    paces = [word for pace in PACES for word in ("--factor", str(pace))]
    command = ["stress", "q.yaml", "--inputs", str(inputs), "--window-s", str(window_s), "--p99-ms", str(P99_MS)]
    with quantd([*command, "--json", *paces], folder) as stress:
        stress.popen.wait(window_s * len(PACES) + 300)
        return stress.lines(), stress


def main() -> int:
    """Run it; 0 when twice the load was borne."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0, help="how long the daemon is recorded")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="capacity-") as name:
        folder = Path(name)
        site(folder)
        rows, stress = hurry(folder, record(folder, chosen.seconds), chosen.seconds / 2)
        told = stress.text()
    if len(rows) != len(PACES):
        print(told)
        return 1
    shown = [
        (
            f"{row['factor']:g}x", f"{float(row['inputs']) / float(row['took_s']):.0f}", f"{row['busiest_second']:.0f}",
            str(row["commands"]), str(row["denials"]), f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}",
            f"{row['max_ms']:.1f}", str(row["waiting_max"]), f"{float(row['cpu_share']):.0%}",
            "differ" if row["difference"] else "the same",
        )
        for row in rows
    ]  # fmt: skip
    header = ("pace", "inputs/s", "busiest second", "commands", "denials", "p50 ms", "p99 ms", "max ms", "most waiting", "CPU", "decisions")  # fmt: skip
    words = (
        f"{INSTRUMENTS} strategies on {INSTRUMENTS} instruments, recorded for {chosen.seconds:.0f} s; the busiest "
        f"{chosen.seconds / 2:.0f} s replayed through engine and journal (`quantd stress`), each input when it was due."
    )
    write_section(words, header, shown)
    print(json.dumps(rows, indent=1))
    borne = any(row["is_borne"] for row in rows if row["factor"] == MUST) and not any(row["difference"] for row in rows)
    acted = all(float(row["denials"]) > 0 and float(row["commands"]) > 0 for row in rows)
    print(f"{'borne' if borne else 'NOT BORNE'} at {MUST:g}x{'' if acted else ', but no control acted'}")
    return 0 if borne and acted else 1


if __name__ == "__main__":
    sys.exit(main())
