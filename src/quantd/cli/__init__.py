"""The command line: one module a command, composed here. Exit codes: 0 done, 1 failed, 2 unusable configuration."""

import typer

from quantd import __version__
from quantd.cli.backtest import backtest
from quantd.cli.check import check
from quantd.cli.config import config_app
from quantd.cli.control import (
    cancel_all,
    fills,
    flatten,
    heartbeat,
    order,
    orders,
    positions,
    reconcile,
    reload,
    resolve,
    status,
    why,
)
from quantd.cli.halt import halt, resume
from quantd.cli.journal import app as journal_app
from quantd.cli.metrics import metrics
from quantd.cli.new_strategy import new_strategy
from quantd.cli.notify import notify
from quantd.cli.replay import replay
from quantd.cli.run import run
from quantd.cli.simulate import simulate_app
from quantd.cli.stress import stress_command
from quantd.cli.surveil import surveil
from quantd.domain.numbers import use_exact_arithmetic

app = typer.Typer(
    name="quantd",
    help="An algorithmic-trading daemon: strategies from YAML, one risk gate, a journal, honest health.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("run")(run)
app.command("check")(check)
app.command("backtest")(backtest)
app.command("replay")(replay)
app.command("stress")(stress_command)
app.command("surveil")(surveil)
app.command("halt")(halt)
app.command("resume")(resume)
app.command("status")(status)
app.command("orders")(orders)
app.command("fills")(fills)
app.command("positions")(positions)
app.command("cancel-all")(cancel_all)
app.command("flatten")(flatten)
app.command("order")(order)
app.command("reconcile")(reconcile)
app.command("reload")(reload)
app.command("resolve")(resolve)
app.command("heartbeat")(heartbeat)
app.command("why")(why)
app.command("new-strategy")(new_strategy)
app.command("metrics")(metrics)
app.command("notify")(notify)
app.add_typer(config_app, name="config")
app.add_typer(journal_app, name="journal")
app.add_typer(simulate_app, name="simulate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"quantd {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    """Prepare what all commands share."""
    use_exact_arithmetic()
