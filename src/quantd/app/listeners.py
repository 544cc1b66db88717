"""What others reach one daemon by: health, webhooks, control. Started in that order, stopped in reverse."""

import errno

import structlog

from quantd.control.api import ControlListener
from quantd.control.dead_man import DeadMan
from quantd.control.webhooks import WebhookListener
from quantd.errors import ListenFailed
from quantd.telemetry.health import HealthListener

_log = structlog.get_logger("quantd.app")
_WANTED = {
    errno.EADDRINUSE: ("port", "a free port of this machine: another daemon may hold it"),
    errno.EACCES: ("port", "a port that this user may open, above 1023 as a rule"),
}
"""Which key of a section is wrong and what it should be, by the system's error; any other is about the host."""


class Listeners:
    """The listeners of one daemon.

    Args:
        health: There in every daemon.
        webhooks: None where the configuration has none.
        control: None where the configuration has none.
    """

    def __init__(
        self, health: HealthListener, webhooks: WebhookListener | None, control: ControlListener | None
    ) -> None:
        self.health = health
        self._webhooks = webhooks
        self._control = control
        self._started: list[HealthListener | WebhookListener | ControlListener] = []

    @property
    def dead_man(self) -> DeadMan | None:
        """What must keep running where an operator has to say now and then that he is there."""
        return None if self._control is None else self._control.dead_man

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenFailed: an address is taken or not ours; `stop` ends those that listen already.
        """
        named = (
            ("health", "health_listens", self.health),
            ("webhooks", "webhooks_listen", self._webhooks),
            ("control", "control_listens", self._control),
        )
        for section, told, listener in named:
            if listener is not None:
                try:
                    await listener.start()
                except OSError as error:
                    key, expected = _WANTED.get(error.errno or 0, ("host", "a name or address of this machine"))
                    why = f"{section}.{key}: cannot listen on port {listener.port}: {error.strerror or error}"
                    raise ListenFailed(f"{why}; expected {expected}") from error
                self._started.append(listener)
                _log.info(told, port=listener.port)

    async def stop(self) -> None:
        """Stop those that listen, the last one first."""
        while self._started:
            await self._started.pop().stop()
