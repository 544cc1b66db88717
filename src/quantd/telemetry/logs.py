"""Sets up logging: one pipeline for structlog and the standard library, JSON lines or a readable console.

Used by the composition root, once. Everywhere else a module says ``log = structlog.get_logger()`` and passes a constant
snake_case event with keys. Never raises into the caller: a line that cannot be written is counted and dropped.
"""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec
import structlog

from quantd.ports import Clock
from quantd.telemetry.redaction import Redactor
from quantd.telemetry.settings import LoggingSettings
from quantd.telemetry.terminal import visible

EventDict = MutableMapping[str, Any]

KEYS: Final = (
    "at", "level", "event", "run_id", "mode", "seq", "venue", "instrument", "strategy", "client_order_id",
    "venue_order_id", "side", "quantity", "price", "reason", "attempt", "duration_s", "error",
)  # fmt: skip
"""The usual keys, in the order in which a line shows them; others follow."""

_QUIET: Final = ("aiohttp.access", "asyncio", "apscheduler")
"""Libraries that talk at INFO about what our own lines say better."""


def configure_logging(
    settings: LoggingSettings,
    redactor: Redactor,
    *,
    clock: Clock,
    stream: TextIO | None = None,
    context: Mapping[str, str] | None = None,
) -> "LineSink":
    """Set up logging for the process; calling it again replaces the set-up.

    Args:
        settings: Format and least level.
        redactor: Takes the secrets out of every line.
        clock: Stamps the lines.
        stream: Where lines go; standard output by default.
        context: Keys that every line carries, e.g. ``run_id`` and ``mode``.

    Returns:
        The sink, which knows how many lines could not be written.
    """
    least = logging.getLevelNamesMapping()[settings.level.upper()]
    target = sys.stdout if stream is None else stream
    as_console = settings.format == "console" or (settings.format == "auto" and target.isatty())
    sink = LineSink(target)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _Stamp(clock, dict(context or {})),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _Redact(redactor),
            *([_visible, _console(target)] if as_console else [_as_json]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: sink,
        # Not cached: a logger made at import must follow a later call of this function.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(least)
    return sink


class LineSink:
    """Writes whole lines to a stream. A full disk or a closed pipe costs lines, never an order."""

    def __init__(self, stream: TextIO) -> None:
        """Take the stream; it is not closed here."""
        self._stream = stream
        self.dropped = 0
        """Lines that could not be written."""

    def msg(self, line: str) -> None:
        """Write one line."""
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.dropped += 1

    log = debug = info = warning = warn = error = critical = fatal = failure = err = exception = msg


class _Stamp:
    """Adds the time (ISO 8601, UTC, milliseconds) and the keys that every line carries."""

    def __init__(self, clock: Clock, context: dict[str, str]) -> None:
        self._clock = clock
        self._context = context

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        seconds, rest_ns = divmod(self._clock.now_ns(), 1_000_000_000)
        moment = datetime.fromtimestamp(seconds, UTC)
        event["at"] = f"{moment:%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"
        for key, value in self._context.items():
            event.setdefault(key, value)
        return event


class _Redact:
    """Takes secrets out, and brings the usual keys to the front. The last step before a line becomes text."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        clean = self._redactor.clean_items(event)
        return {key: clean[key] for key in KEYS if key in clean} | clean


def _as_json(logger: object, method: str, event: EventDict) -> str:
    try:
        return msgspec.json.encode(event).decode()
    except Exception:  # noqa: BLE001 # boundary: half a character or a giant number must not stop who logs it
        return json.dumps(event, default=repr)


def _visible(logger: object, method: str, event: EventDict) -> EventDict:
    return {visible(key): visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _console(stream: TextIO) -> structlog.dev.ConsoleRenderer:
    # Exceptions arrive here as cleaned text; the pretty formatters would print local variables, secrets among them.
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        timestamp_key="at",
        sort_keys=False,
        pad_event_to=28,
        exception_formatter=structlog.dev.plain_traceback,
    )


class _Bridge(logging.Handler):
    """Passes records of the standard library on as `library_log` events, with the library's words under `message`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 # boundary: a library's broken format string must not stop what it reports
            message = str(record.msg)
        # Not a level's name: structlog knows five, a library may use any number.
        level = next((known for known in (50, 40, 30, 20) if record.levelno >= known), 10)
        structlog.get_logger().log(
            level, "library_log", logger=record.name, message=message, exc_info=record.exc_info or None
        )


def _route_standard_library(least: int) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in (_Bridge, logging.StreamHandler):  # ours, or what basicConfig left; no one else's
            root.removeHandler(handler)
    root.addHandler(_Bridge())
    root.setLevel(least)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(least, logging.WARNING))
    logging.captureWarnings(True)
