"""The log pipeline: shape of the lines, redaction in every corner, the standard library's records, and bad streams."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from quantd.clock import ManualClock
from quantd.telemetry.logs import LineSink, configure_logging
from quantd.telemetry.redaction import Redactor
from quantd.telemetry.settings import LoggingSettings

SECRET = "s3cr3t-value"
Form = Literal["auto", "json", "console"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class FullDisk(io.StringIO):
    def write(self, text: str, /) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, show = root.handlers[:], root.level, warnings.showwarning
    yield
    root.handlers[:], warnings.showwarning = handlers, show
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def configure(
    stream: io.StringIO, form: Form = "json", level: Literal["debug", "info", "warning", "error"] = "info"
) -> LineSink:
    redactor = Redactor()
    redactor.register(SECRET)
    return configure_logging(
        LoggingSettings(format=form, level=level),
        redactor,
        clock=ManualClock(1_600_000_000_123_000_000),
        stream=stream,
        context={"run_id": "r1", "mode": "paper"},
    )


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_the_usual_keys_first_and_the_time_of_our_clock() -> None:
    stream = io.StringIO()
    configure(stream)
    structlog.get_logger().info("order_submitted", extra=1, price="1.5", venue="paper")
    (line,) = lines(stream)
    assert list(line) == ["at", "level", "event", "run_id", "mode", "venue", "price", "extra"]
    assert line["at"] == "2020-09-13T12:26:40.123Z"
    assert (line["level"], line["event"], line["run_id"]) == ("info", "order_submitted", "r1")


def test_a_logger_made_before_follows_the_configuration_and_lines_below_the_level_are_left_out() -> None:
    log = structlog.get_logger()
    stream = io.StringIO()
    configure(stream, level="warning")
    log.info("unseen")
    log.warning("seen")
    assert [line["event"] for line in lines(stream)] == ["seen"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_nowhere_in_the_line(form: Form) -> None:
    stream = io.StringIO()
    configure(stream, form)
    log = structlog.get_logger()
    try:
        try:
            raise ValueError(f"inner {SECRET}")
        except ValueError as error:
            raise RuntimeError(f"outer {SECRET}") from error
    except RuntimeError as error:
        local_variable = SECRET
        log.exception("failed", error=error, token="unregistered", headers={"Authorization": "x"}, **{SECRET: [SECRET]})
        assert local_variable
    log.error(f"event_{SECRET}", stack_info=True)
    logging.getLogger("aiohttp.client").warning("sent %s", SECRET)
    text = stream.getvalue()
    assert text.count("[redacted]") >= 8
    assert SECRET not in text
    assert "unregistered" not in text
    assert "RuntimeError: outer" in text


def test_the_standard_library_goes_through_the_same_pipeline() -> None:
    stream = io.StringIO()
    configure(stream)
    logging.getLogger("aiohttp.server").error("request of %s failed", "someone", exc_info=ValueError("cause"))
    logging.getLogger("some.library").info("hello")
    logging.getLogger("some.library").log(25, "between")
    logging.getLogger("some.library").debug("unseen")
    logging.getLogger("apscheduler.scheduler").info("chatter")
    root = logging.getLogger()
    # pytest's own handlers would raise for the broken record; the fixture brings them back.
    root.handlers[:] = [handler for handler in root.handlers if type(handler).__module__.startswith("quantd")]
    logging.getLogger("asyncio").warning("bad format %d", "text")
    first, second, third, fourth = lines(stream)
    assert (first["event"], first["level"], first["logger"]) == ("library_log", "error", "aiohttp.server")
    assert first["message"] == "request of someone failed"
    assert "ValueError: cause" in first["exception"]
    assert (second["message"], third["level"], fourth["message"]) == ("hello", "info", "bad format %d")


def test_warnings_become_lines() -> None:
    stream = io.StringIO()
    configure(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert "careful" in lines(stream)[0]["message"]


def test_configuring_twice_writes_each_line_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(first)
    configure(second)
    logging.getLogger("library").warning("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


def test_auto_is_readable_on_a_terminal_and_json_elsewhere() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configure(terminal, "auto")
    structlog.get_logger().info("started", venue="paper")
    configure(pipe, "auto")
    structlog.get_logger().info("started", venue="paper")
    assert "started" in terminal.getvalue()
    assert not terminal.getvalue().startswith("{")
    assert lines(pipe)[0]["event"] == "started"


@pytest.mark.parametrize("value", ["\ud800 half a character", 10**40, float("nan")])
def test_values_that_json_cannot_hold_do_not_raise(value: object) -> None:
    stream = io.StringIO()
    configure(stream)
    structlog.get_logger().info("odd", value=value)
    assert lines(stream)[0]["event"] == "odd"


def test_a_stream_that_fails_costs_lines_and_nothing_else() -> None:
    full = configure(FullDisk())
    structlog.get_logger().info("lost")
    logging.getLogger("library").error("lost too")
    assert full.dropped == 2
    closed = io.StringIO()
    sink = configure(closed)
    closed.close()
    structlog.get_logger().error("lost")
    assert sink.dropped == 1


def test_a_line_for_a_console_holds_no_escape_of_others() -> None:
    stream = io.StringIO()
    configure(stream, "console")
    escapes = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202eevil\u2066\r\x7f\u2028"
    structlog.get_logger().warning("venue_failing", reason=escapes, **{"key\x1b[2J": [escapes]})
    try:
        raise ValueError(f"lines\n{escapes}")
    except ValueError:
        structlog.get_logger().exception("task_failed")
    told = stream.getvalue()
    assert r"\x1b]52;c;" in told
    assert "Traceback" in told
    assert not [one for one in told if not one.isprintable() and one != "\n"]
