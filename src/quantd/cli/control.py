"""`quantd status | orders | fills | positions | cancel-all | flatten | order | reconcile | reload | resolve |
heartbeat | why`: a running daemon, asked through its control API.

Address and token come from the daemon's own configuration files, or from `--url` and `--token-file`. Prints tables, or
the API's own JSON with `--json`. Exit code 0, 1 when the daemon refused or was not reached, 2 without a usable address.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from quantd.cli.control_client import Client, Refused, Unreachable, Unusable
from quantd.config import ConfigProblems, load
from quantd.domain.numbers import decimal_from_text
from quantd.telemetry.terminal import visible, visible_tree

EXIT_FAILED, EXIT_CONFIG = 1, 2
_WIDE = 200
"""Columns of a table that nobody looks at in a terminal."""

Files = Annotated[list[Path] | None, typer.Argument(help="The configuration files that the daemon runs with.")]
Url = Annotated[str | None, typer.Option("--url", help="Address of the API instead: http://127.0.0.1:9466")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File with the token, for --url.")]
As = Annotated[str | None, typer.Option("--as", help="Which token of the configuration; the first that may, without.")]
Json = Annotated[bool, typer.Option("--json", help="Print the API's answer.")]
Scope = Annotated[str, typer.Option(help="all, venue:NAME, strategy:ID or instrument:VENUE:SYMBOL.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the record.")]


def status(
    files: Files = None, url: Url = None, token_file: TokenFile = None, as_: As = None, as_json: Json = False
) -> None:
    """Show the daemon at a glance."""
    told = _ask(_client(files, url, token_file, as_, ()), "GET", "/v1/status", as_json=as_json)
    if told is None:
        return
    ready = "ready" if told["ready"] else "not ready: " + "; ".join(told["reasons"])
    money = f"equity {_number(told['equity'])}, profit {_number(told['profit'])}, today {_number(told['profit_today'])}"
    typer.echo(f"quantd {told['version']}, journal {told['journal_id']}: {ready}")
    typer.echo(f"{money} {told['base_currency']}; {told['open_orders']} open orders")
    _table(told["venues"], "name", "kind", "ready", "reason", "trading_state", "equity")
    _table(told["strategies"], "id", "state", "open_orders", "profit", "fault")
    _table(told["latches"], "scope", "state", "by", "why", "at_ns")
    _table(told["feeds"], "instrument", "market", "last", "age_s")
    _table(told["budgets"], "venue", "limit", "left")


def orders(
    files: Files = None,
    all_: Annotated[bool, typer.Option("--all", help="Ended ones too, newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show the open orders."""
    query = {"all": str(all_).lower(), "limit": str(limit)}
    told = _ask(_client(files, url, token_file, as_, ()), "GET", "/v1/orders", query, as_json=as_json)
    if told is not None:
        columns = "client_order_id strategy instrument side kind quantity price trigger filled state operation why"
        _table(told["orders"], "created_at_ns", *columns.split(), empty="no orders")


def fills(
    files: Files = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show the newest fills."""
    client = _client(files, url, token_file, as_, ())
    told = _ask(client, "GET", "/v1/fills", {"limit": str(limit)}, as_json=as_json)
    if told is not None:
        columns = "client_order_id strategy instrument side quantity price fees quality"
        _table(told["fills"], "at_ns", *columns.split(), empty="no fills")


def positions(
    files: Files = None, url: Url = None, token_file: TokenFile = None, as_: As = None, as_json: Json = False
) -> None:
    """Show what each strategy holds."""
    told = _ask(_client(files, url, token_file, as_, ()), "GET", "/v1/positions", as_json=as_json)
    if told is not None:
        columns = "strategy instrument quantity average_price price value unrealised realised currency target"
        _table(told["positions"], *columns.split(), empty="no positions")


def cancel_all(
    files: Files = None,
    scope: Scope = "all",
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Cancel every open order of a scope."""
    client = _client(files, url, token_file, as_, ("trade", "halt"))
    told = _ask(client, "POST", "/v1/cancel", {"scope": scope}, as_json=as_json)
    if told is not None:
        typer.echo(f"{scope}: {len(told['orders'])} orders are being cancelled" + _unless(told["done"]))


def flatten(
    why: Why,
    files: Files = None,
    scope: Scope = "all",
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Cancel a scope's orders and close its positions: shows the plan, and asks."""
    client = _client(files, url, token_file, as_, ("trade",))
    plan = _ask(client, "POST", "/v1/flatten", {"scope": scope, "why": why}, as_json=as_json and not yes)
    if plan is None:
        return
    if not as_json:
        typer.echo(f"{scope}: cancels {len(plan['orders'])} orders and closes:")
        _table(plan["positions"], "strategy", "instrument", "quantity", "value", empty="no positions")
    if plan["halted"]:
        told = (
            f"halted: {', '.join(plan['halted'])}. Orders are cancelled, but no exit leaves: positions there stay open"
        )
        typer.echo(f"warning: {told} until these are resumed, or reducing (runbook QuantdHalted)", err=True)
    if not yes:
        typer.confirm("Do it?", abort=True)
    body = {"scope": scope, "why": why, "confirm": plan["confirm"]}
    told = _ask(client, "POST", "/v1/flatten", body, as_json=as_json)
    if told is not None:
        waits = "; what is halted is closed once it is resumed" if told["halted"] else ""
        typer.echo(f"{scope}: under way" + waits + _unless(told["done"]))


def order(
    instrument: Annotated[str, typer.Argument(help="VENUE:SYMBOL")],
    side: Annotated[str, typer.Argument(help="buy or sell")],
    quantity: Annotated[str, typer.Argument(help="In the instrument's unit.")],
    why: Why,
    files: Files = None,
    limit: Annotated[str | None, typer.Option("--limit", help="Limit price.")] = None,
    stop: Annotated[str | None, typer.Option("--stop", help="Trigger price.")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only")] = False,
    post_only: Annotated[bool, typer.Option("--post-only")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Send an order by hand, through the risk gate."""
    kinds = {(True, True): "stop_limit", (True, False): "limit", (False, True): "stop", (False, False): "market"}
    body = {"instrument": instrument, "side": side, "quantity": quantity, "why": why, "reduce_only": reduce_only}
    terms: dict[str, Any] = {"kind": kinds[limit is not None, stop is not None], "price": limit, "trigger": stop}
    terms |= {"post_only": True} if post_only else {}
    client = _client(files, url, token_file, as_, ("trade",))
    told = _ask(
        client,
        "POST",
        "/v1/orders",
        body | {key: one for key, one in terms.items() if one is not None},
        as_json=as_json,
    )
    if told is not None:
        typer.echo(f"order {told['client_order_id'] or 'on its way'}" + _unless(told["done"]))


def reconcile(
    venue: Annotated[str, typer.Argument(help="Name of the venue in the configuration.")],
    files: Files = None,
    apply: Annotated[str | None, typer.Option(help="Carry it out: adopt, close, ignore or refuse.")] = None,
    plan: Annotated[str | None, typer.Option(help="Digest of the plan that was shown, for --apply.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Compare our books with a venue's: shows the plan; applies it in a second step, by its digest and a policy."""
    client = _client(files, url, token_file, as_, ("admin",) if apply else ("trade",))
    body = {"venue": venue} | ({} if apply is None else {"apply": apply}) | ({} if plan is None else {"plan": plan})
    told = _ask(client, "POST", "/v1/reconcile", body, as_json=as_json)
    if told is not None:
        _table(told["differences"], "kind", "subject", "ours", "theirs", "action", empty=f"{venue}: no differences")
        if told["applied"]:
            typer.echo(f"applied: {told['applied']}" + _unless(told["done"]))
            if told["left"]:
                names = ", ".join(f"{one['kind']} {one['subject']}" for one in told["left"])
                typer.echo(f"not applied, since something happened there meanwhile: {names}; look at the plan again")
        elif told["differences"]:
            typer.echo(f"to apply it: --apply adopt|close|ignore|refuse --plan {told['plan']}")


def reload(
    files: Files = None,
    plan: Annotated[str | None, typer.Option(help="Digest of the plan that was shown: carry it out.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Take over strategies that changed in the files: shows the plan; carries it out in a second step, by its digest."""
    client = _client(files, url, token_file, as_, ("admin",))
    told = _ask(client, "POST", "/v1/reload", {} if plan is None else {"plan": plan}, as_json=as_json)
    if told is not None:
        _table(told["changes"], "scope", "what", "action", "needs", empty="nothing changed")
        if plan is not None:
            typer.echo(f"began anew: {', '.join(told['applied'])}" + _unless(told["done"]))
        elif told["changes"] and all(one["action"] == "restart" for one in told["changes"]):
            typer.echo(f"to carry it out: --plan {told['plan']}")
        elif told["changes"]:
            typer.echo("this takes a restart of the daemon, or files that can be loaded")


def resolve(
    order: Annotated[str, typer.Argument(help="Client order id of the order whose write has an unknown outcome.")],
    outcome: Annotated[str, typer.Option("--as", help="not-executed or accepted.")],
    why_: Why,
    files: Files = None,
    by: Annotated[str | None, typer.Option(help="Who decided, where it is not the token's owner.")] = None,
    venue_order_id: Annotated[str | None, typer.Option(help="The venue's id of a submit that was accepted.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: Json = False,
) -> None:
    """Say what became of a write whose outcome is unknown. Look at the venue first: a wrong word trades twice."""
    client = _client(files, url, token_file, None, ("admin",))
    named = {"by": by, "venue_order_id": venue_order_id}
    body = {"order": order, "outcome": outcome.replace("-", "_"), "why": why_}
    body |= {key: one for key, one in named.items() if one is not None}
    told = _ask(client, "POST", "/v1/resolve", body, as_json=as_json)
    if told is not None:
        typer.echo(f"{order}: {outcome}, decided by {told['by']}" + _unless(told["done"]))


def heartbeat(
    files: Files = None,
    every: Annotated[float | None, typer.Option(min=1, max=3600, help="Seconds between two, for ever.")] = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
) -> None:
    """Tell the daemon that somebody watches it: its dead-man's switch waits for that. Once, or for ever with --every."""
    client, told_state = _client(files, url, token_file, as_, ("trade", "halt")), "active"
    while True:
        try:
            state = str(msgspec.json.decode(client.ask("POST", "/v1/heartbeat", {}))["state"])
        except (Refused, Unreachable) as error:
            typer.echo(f"quantd: {error}", err=True)
            if every is None or isinstance(error, Refused):
                raise typer.Exit(EXIT_FAILED) from None
        else:
            if state != told_state:
                typer.echo(f"the scope all is {state}")
            told_state = state
        if every is None:
            return
        time.sleep(every)


def why(
    id_: Annotated[str, typer.Argument(metavar="ORDER|STRATEGY", help="Client order id, or id of a strategy.")],
    files: Files = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    url: Url = None,
    token_file: TokenFile = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show the chain behind an order, or what keeps a strategy from trading and what it did."""
    client, query = _client(files, url, token_file, as_, ()), {"limit": str(limit)}
    try:
        told = _ask(client, "GET", f"/v1/why/strategy/{id_}", query, as_json=as_json, quiet=True)
    except Refused:
        told = _ask(client, "GET", f"/v1/why/order/{id_}", query, as_json=as_json)
    if told is None:
        return
    if "strategy" in told:
        typer.echo(f"{told['strategy']}: {told['state']}")
        for blocker in told["blockers"]:
            typer.echo(f"  {blocker}")
    elif told["run"] is not None:
        typer.echo(f"quantd {told['run']['version']}, configuration {told['run']['config_hash'][:12]}")
    _table(told["steps"], "seq", "at_ns", "summary", empty="nothing in the journal")
    if told.get("archived"):
        typer.echo(f"earlier steps may lie in the journal's archive: quantd journal show PATH --about {id_} --tail 500")


# -- parts -------------------------------------------------------------------------------------------------------------


def _client(files: list[Path] | None, url: str | None, token_file: Path | None, as_: str | None, scopes: Any) -> Client:
    """Return a client for the address and token that were named, one way or the other."""
    try:
        if url is not None:
            return Client.at(url, token_file)
        if not files:
            raise Unusable("name the daemon's configuration files, or --url and --token-file")
        return Client.of(load(files, dict(os.environ)), as_, scopes)
    except (ConfigProblems, Unusable) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_CONFIG) from None


def _ask(
    client: Client,
    method: str,
    path: str,
    given: dict[str, Any] | None = None,
    *,
    as_json: bool,
    quiet: bool = False,
) -> Any:
    """Return the answer, None when it was printed as it came; end the command when there is none."""
    try:
        body = client.ask(method, path, given or {})
    except Refused as refused:
        if quiet and refused.status == 404:
            raise
        typer.echo(f"quantd: {visible(str(refused))}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    except Unreachable as error:
        typer.echo(f"quantd: {error}", err=True)
        raise typer.Exit(EXIT_FAILED) from None
    if as_json:
        typer.echo(body.decode().rstrip("\n"))
        return None
    return visible_tree(msgspec.json.decode(body))


def _unless(done: bool) -> str:
    return "" if done else "; the engine has not confirmed it yet"


def _table(rows: list[dict[str, Any]], *columns: str, empty: str = "") -> None:
    if not rows:
        if empty:
            typer.echo(empty)
        return
    shown = [column for column in columns if any(row[column] not in (None, "", []) for row in rows)]
    table = Table(*(column.removesuffix("_ns").replace("_", " ") for column in shown), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(_cell(column, row[column])) for column in shown))
    console = Console()
    (console if console.is_terminal else Console(width=_WIDE)).print(table)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    if column == "strategy":
        return str(value) or "external"
    if column.endswith("_at_ns") or column == "at_ns":
        return _time(int(value))
    if column == "fees":
        return ", ".join(f"{_number(amount)} {asset}" for asset, amount in value)
    return _number(str(value)) if isinstance(value, str | float) else str(value)


def _number(text: str | None) -> str:
    """Return a decimal to twelve places, without trailing zeros or an exponent; other texts as they are.

    An average or a price made of binary fractions has more digits than anybody reads; `--json` has them all.
    """
    if text is None:
        return "unknown"
    try:
        value = decimal_from_text(text)
    except ValueError:
        return text
    shown = f"{value:.12f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def _time(at_ns: int) -> str:
    seconds, nanoseconds = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%m-%d %H:%M:%S}.{nanoseconds // 1_000_000:03d}"
