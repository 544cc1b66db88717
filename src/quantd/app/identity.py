"""Who this run is, as metrics and logs tell it: version, configuration, environment, id; and the series that exist at zero.

Used by `quantd run` before anything happens. Reads settings only.
"""

import platform

import quantd
from quantd.config import Settings
from quantd.engine.ids import base32
from quantd.engine.risk.limits import Limits
from quantd.engine.risk.soft import soft_names
from quantd.runtime.gauges import strategy_label
from quantd.telemetry.metrics import PrometheusObserver
from quantd.venues.paper.settings import PaperSettings

_FINGERPRINT_DIGITS = 12
HOOKS = ("on_start", "on_bar", "on_bars", "on_quote", "on_book", "on_order", "on_fill", "on_denied", "on_status",
         "on_timer", "on_job", "load")  # fmt: skip
"""What the engine calls on a strategy while it runs."""


EXTERNAL = strategy_label("")
"""How labels name what no strategy did."""


def run_id(now_ns: int) -> str:
    """Return the id of a run that starts now: short, and later ones sort later."""
    return base32(now_ns // 1_000_000)


def environment(settings: Settings) -> str:
    """Return the strictest of all venues: ``live`` with real money, ``practice`` at a real venue, else ``paper``."""
    if any(venue.is_production for venue in settings.venues.values()):
        return "live"
    paper = all(isinstance(venue, PaperSettings) for venue in settings.venues.values())
    return "paper" if paper else "practice"


def announce(observer: PrometheusObserver, settings: Settings, run: str, now_ns: int) -> None:
    """Set what stays the same for a run, and let every series whose labels are known exist at zero."""
    observer.gauge("quantd_build_info", 1, version=quantd.__version__, python=platform.python_version())
    observer.gauge(
        "quantd_config_info",
        1,
        fingerprint=settings.hash[:_FINGERPRINT_DIGITS],
        environment=environment(settings),
        run_id=run,
    )
    observer.gauge("quantd_started_timestamp_seconds", now_ns / 1e9)
    observer.gauge("quantd_ready", 0)
    _declare(observer, settings)


def _declare(observer: PrometheusObserver, settings: Settings) -> None:
    for scope, limits in _scopes(settings).items():
        observer.declare_known(scope=scope)
        for name in soft_names(limits):
            observer.declare_known(scope=scope, limit=name)
    currency = settings.risk.base_currency
    for venue in settings.venues:
        observer.declare_known(venue=venue)
        observer.declare_known(venue=venue, strategy=EXTERNAL)
        observer.declare_known(venue=venue, strategy=EXTERNAL, currency=currency)
    observer.declare_known(strategy=EXTERNAL)
    for channel in () if settings.notify is None else settings.notify.channel_names:
        observer.declare_known(channel=channel)
    for one in settings.strategies:
        if not one.enabled:
            continue
        observer.declare_known(strategy=one.id)
        for hook in HOOKS:
            observer.declare_known(strategy=one.id, hook=hook)
        for venue in dict.fromkeys(name.partition(":")[0] for name in one.instrument_ids):
            observer.declare_known(venue=venue, strategy=one.id)
            observer.declare_known(venue=venue, strategy=one.id, currency=currency)


def _scopes(settings: Settings) -> dict[str, Limits]:
    """Return every scope that may have limits, as labels name it, with those that are configured."""
    risk, enabled = settings.risk, [one for one in settings.strategies if one.enabled]
    instruments = dict.fromkeys(
        (*risk.instruments, *(name for one in enabled for name in one.instrument_ids)), Limits()
    )
    return {
        "account": risk.account,
        **{f"venue:{name}": risk.venues.get(name, Limits()) for name in settings.venues},
        **{f"strategy:{one.id}": one.risk for one in enabled},
        **{f"instrument:{name}": risk.instruments.get(name, Limits()) for name in instruments},
    }
