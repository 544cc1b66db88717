"""One connection to the streams: what it has subscribed to, and the frames that wait for it.

Made by the streams, which publish to it.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from quantd.ports import Clock
from quantd.simulators.ripio.answers import INVALID, NS_PER_S, UNAUTHORIZED, Problem, encoded
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.terms import decode
from quantd.simulators.venue import Json

PUBLIC_TOPICS = ("trade", "orderbook/level_2", "orderbook/level_3", "orderbook/level_2_delta", "ticker")
"""Each with ``@PAIR``."""
PRIVATE_TOPICS = ("order_status", "balance", "user_trades")
METHODS = ("subscribe", "unsubscribe", "ping")
_NO_SEQUENCE = -1


class Hall(Protocol):
    """Who keeps the connections."""

    def admit(self, topic: str, ticket: object) -> str:
        """Return the account of a private topic's ticket, nothing for a public topic.

        Raises:
            Problem: there is no such topic, or the ticket is none.
        """

    def welcome(self, connection: "Connection", topic: str) -> None:
        """Tell a new subscriber what a topic begins with."""

    def flush(self) -> None:
        """Publish what time or the market has brought."""

    def leave(self, connection: "Connection") -> None:
        """Forget a connection."""


class Connection:
    """A `VenueSocket`."""

    def __init__(self, hall: Hall, wake: Callable[[], None], *, clock: Clock, switches: Switches) -> None:
        self._hall = hall
        self._wake = wake
        self._clock = clock
        self._switches = switches
        self._outbox: list[str] = []
        self._heard_at_ns = clock.now_ns()
        self._ticket: object = None
        self.account = ""
        """Whose private topics it may have."""
        self.topics: set[str] = set()
        self.is_open = True

    def receive(self, text: str) -> None:
        """Subscribe, unsubscribe, or answer a ping."""
        self._heard_at_ns = self._clock.now_ns()
        try:
            asked = decode(text)
            method, topics = asked.get("method"), asked.get("topics", [])
            if method not in METHODS:
                raise Problem(INVALID, f"method must be one of {', '.join(METHODS)}")
            if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
                raise Problem(INVALID, "topics must be a list of text")
        except Problem as problem:
            self._answer({"error_code": problem.code, "message": problem.message})
            return
        if method == "ping":
            self._answer({"message": "pong"})
        for topic in topics:
            if method == "subscribe":
                self._subscribe(topic, asked.get("ticket"))
            else:
                self.topics.discard(topic)

    def _subscribe(self, topic: str, ticket: object) -> None:
        try:
            # A ticket admits one connection: shown once, it holds for all topics of that one.
            known = self.account if ticket in (None, self._ticket) and topic in PRIVATE_TOPICS else ""
            account = known or self._hall.admit(topic, ticket)
            if account and self.account not in ("", account):
                raise Problem(UNAUTHORIZED, "the connection is another user's")
        except Problem as problem:
            self._answer({"topic": topic, "error_code": problem.code, "message": problem.message})
            return
        if account:
            self.account = account
            self._ticket = ticket or self._ticket
        self._answer({"topic": topic, "message": "subscribed"})
        if topic not in self.topics:
            self.topics.add(topic)
            self._hall.welcome(self, topic)

    def _answer(self, parts: Json) -> None:
        """Send a frame outside of any sequence, without a body."""
        at_ms = (self._clock.now_ns() + round(self._switches.clock_skew_s * NS_PER_S)) // 1_000_000
        self.push(encoded({"id": _NO_SEQUENCE, "timestamp": at_ms, **parts}).decode())

    def push(self, text: str) -> None:
        """Have a frame sent."""
        if not self._switches.mute_streams:
            self._outbox.append(text)
            self._wake()

    def take(self) -> list[str]:
        """Hand out the frames; close when nothing was heard for long."""
        self._hall.flush()
        if self._clock.now_ns() - self._heard_at_ns > self._switches.stream_idle_s * NS_PER_S:
            self.close()
        frames, self._outbox = self._outbox, []
        return frames

    def close(self) -> None:
        """End it."""
        if self.is_open:
            self.is_open = False
            self._hall.leave(self)


def texts(tree: object) -> object:
    """Return a body with its decimals as text: an oddity that was seen."""
    return msgspec.to_builtins(tree)
