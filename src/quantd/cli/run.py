"""`quantd run FILES`: the daemon, until a signal ends it in order."""

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import structlog
import typer

from quantd.app import Daemon
from quantd.app.identity import announce, environment, run_id
from quantd.app.systemd import ServiceManager
from quantd.app.venues import over_http
from quantd.clock import SystemClock
from quantd.config import ConfigProblems, Settings, load
from quantd.domain.numbers import use_exact_arithmetic
from quantd.errors import BarStoreFailed, ConfigError, JournalError, ListenFailed, first_of
from quantd.runtime.watchdog import hold_kill_signal
from quantd.telemetry.logs import configure_logging
from quantd.telemetry.metrics import PrometheusObserver
from quantd.telemetry.redaction import Redactor

Files = Annotated[list[Path], typer.Argument(help="Configuration files; later ones win.")]
_log = structlog.get_logger("quantd.cli")
_GC_THRESHOLDS = (20_000, 10, 20)


def run(files: Files) -> None:
    """Run the daemon until SIGINT, SIGTERM or SIGHUP; a second signal hurries the end."""
    hold_kill_signal()
    leave_no_core()
    use_exact_arithmetic()
    environ = dict(os.environ)  # with the secrets, which `load` takes out of the process's own
    try:
        settings = load(files, os.environ)
    except ConfigProblems as problems:
        typer.echo(str(problems), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(_run(settings, lambda: load(files, dict(environ))))


def _run(settings: Settings, read: Callable[[], Settings]) -> int:
    clock, redactor = SystemClock(), Redactor()
    redactor.register_all(*settings.venues.values(), settings.control, settings.notify)
    run = run_id(clock.now_ns())
    context = {"run_id": run, "mode": environment(settings)}
    configure_logging(settings.logging, redactor, clock=clock, context=context)
    for warning in settings.warnings:
        _log.warning("config_warning", reason=warning)
    observer = PrometheusObserver(clock=clock)
    announce(observer, settings, run, clock.now_ns())
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(_main(settings, read, clock, observer, redactor))
    except ConfigError as error:
        typer.echo(str(error), err=True)
        return 2
    except (BarStoreFailed, JournalError, ListenFailed) as error:
        typer.echo(f"quantd: {error}", err=True)
        return 1


def leave_no_core() -> None:
    """Have a crash write no core file, of this process or of its children: the keys are in memory."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def quiet_collector() -> None:
    """Keep the cyclic garbage collector from stopping the loop.

    Code, configuration and the folded state live as long as the process: walked by every full collection they stop it
    for 50 to 100 ms, measured with ten strategies on 200 instruments. They are set aside once. What comes after makes
    hardly any cycles (a few hundred objects a minute there), so it is looked through less often than the default has it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where the extra is installed, else the standard one."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _ends() -> list[signal.Signals]:
    """Return what ends the daemon in order: also the end of the terminal that it runs in, unless it was started to outlive it.

    Without a handler a hang-up kills at once: entries stay at the venue, and nobody looks after them.
    """
    outlives = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup
    return [signal.SIGINT, signal.SIGTERM, *([] if outlives else [signal.SIGHUP])]


async def _main(
    settings: Settings,
    read: Callable[[], Settings],
    clock: SystemClock,
    observer: PrometheusObserver,
    redactor: Redactor,
) -> int:
    daemon = Daemon(settings, clock=clock, observer=observer, transport=over_http, clean=redactor.clean, read=read)
    loop = asyncio.get_running_loop()
    for one in _ends():
        loop.add_signal_handler(one, daemon.stop, signal.Signals(one).name)
    with closing(ServiceManager.of(os.environ, redactor.clean)) as manager:
        manager.starting()
        daemon.build()
        quiet_collector()
        manager.follow(daemon)
        with daemon.safety.watched(settings):
            try:
                return await daemon.run()
            except BaseExceptionGroup as group:
                if isinstance(failed := first_of(group), ListenFailed):
                    raise failed from None
                raise
