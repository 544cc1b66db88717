"""What a backtest on bars makes of the limits that count seconds, and what it tells: between two bars nobody hears a thing.

Used by `plan_backtest`. With data of quotes (a bar length of 0) everything stays as it is.
"""

from collections.abc import Iterable, Mapping

import msgspec

from quantd.domain.capabilities import Capabilities, LotWrite
from quantd.domain.orders import Protect
from quantd.engine.desk import Desk
from quantd.engine.risk.controls import DEFAULTS_WITHOUT_HOURS
from quantd.engine.risk.limits import Limits, RiskSettings

_CONFIRMED_WITHIN_S = 5.0
"""What the engine's look at the account after a fill may take, beyond the bars that it waits for."""


def older(limits: Limits, bar_s: float) -> Limits:
    """Return limits whose ages of references and rates admit the last bar's close until the next one comes."""
    ages = {name: getattr(limits, name) for name in ("max_quote_age_s", "max_rate_age_s")}
    short = {name: 2 * bar_s for name, age_s in ages.items() if age_s is not None and age_s < 2 * bar_s}
    return msgspec.structs.replace(limits, **short) if short else limits


def reference_age(risk: RiskSettings, bar_s: float, notes: list[str]) -> tuple[RiskSettings, Limits]:
    """Return the limits of all scopes and the defaults, with a reference age of two bars at least.

    Data tell nothing of hours: of a rate whose market is closed for a week-end nobody could know that. So only an age that is
    configured holds for rates.
    """
    if not bar_s:
        return risk, DEFAULTS_WITHOUT_HOURS
    notes.append(f"the data are bars of {bar_s:g} s: a price counts as fresh for two of them")
    changed = msgspec.structs.replace(
        risk,
        account=older(risk.account, bar_s),
        order=older(risk.order, bar_s),
        strategy=older(risk.strategy, bar_s),
        venues={name: older(one, bar_s) for name, one in risk.venues.items()},
        instruments={name: older(one, bar_s) for name, one in risk.instruments.items()},
    )
    return changed, older(DEFAULTS_WITHOUT_HOURS, bar_s)


def naked_after_s(configured_s: float, bar_s: float, notes: list[str]) -> float:
    """Return the seconds that a position may stand without its stop: at least until the bar after next.

    Exits that a venue holds are confirmed by a look at the account, and the next look comes with the next bar.
    """
    least_s = 2 * bar_s + _CONFIRMED_WITHIN_S
    if not bar_s or configured_s >= least_s:
        return configured_s
    notes.append(f"the data are bars of {bar_s:g} s: a position may stand {least_s:g} s without its stop")
    return least_s


def check_desks(
    desks: Iterable[Desk], capabilities: Mapping[str, Capabilities], bar_s: float, notes: list[str]
) -> None:
    """Note which strategies ask for what bars do not hold, and whose exits see no more of a bar than its close."""
    if not bar_s:
        return
    for desk in desks:
        if desk.quotes or desk.books:
            notes.append(f"strategy {desk.id} asks for quotes or books: data of bars hold none")
        held_here = sorted(
            venue
            for venue in {one.partition(":")[0] for one in desk.setup.instruments}
            if LotWrite.PROTECT not in capabilities[venue].lot_writes
        )
        if Protect in desk.strategy.needs and held_here:
            notes.append(
                f"strategy {desk.id}: the engine holds stops and targets for {', '.join(held_here)}; they see each bar's close "
                "alone and fill at the next open"
            )
