"""What systemd is told, and what is read from its environment."""

import os

import pytest

from quantd.app.systemd import ServiceManager


def test_its_variables_are_taken_out_of_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    ServiceManager.of(environ).close()
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_it_names_this_process(
    variables: dict[str, str], watchdog_s: float | None
) -> None:
    assert ServiceManager.of(variables)._watchdog_s == watchdog_s


def test_without_a_service_manager_nothing_is_said_and_nothing_fails() -> None:
    manager = ServiceManager.of({})
    manager.starting()
    manager.close()


def test_a_manager_that_is_gone_stops_nothing() -> None:
    manager = ServiceManager.of({"NOTIFY_SOCKET": "/nowhere/notify"})
    manager.starting()
    manager.starting()
    manager.close()
