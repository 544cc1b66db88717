"""The two streams of a simulated OANDA: prices in windows of 250 ms, and an account's transactions as they are made.

Used by the venue. Neither repeats what was missed: a new one begins with the present prices, or with nothing. Both say
that they are alive when they have nothing else to tell.
"""

from collections.abc import Callable, Sequence

from quantd.ports import Clock
from quantd.simulators.oanda.answers import NS_PER_S, At, encoded
from quantd.simulators.oanda.floor import Floor
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.records import Account
from quantd.simulators.venue import Json

WINDOW_NS = 250_000_000
STREAMS_MAX = 20
"""Of one address at a time."""


class Stream:
    """What both have in common: the client's format of time, heartbeats, and that the venue knows who listens."""

    def __init__(self, streams: "Streams", wake: Callable[[], None], *, is_unix: bool) -> None:
        self.wake = wake
        self._streams = streams
        self._is_unix = is_unix
        self._beat_ns = streams.now_ns()

    def take(self) -> list[bytes]:
        """Return the lines that are due."""
        now_ns = self._streams.now_ns()
        told = self._told(now_ns)
        if now_ns >= self._beat_ns + round(self._streams.floor.switches.heartbeat_s * NS_PER_S):
            self._beat_ns = now_ns
            told.append({"type": "HEARTBEAT", **self._alive(), "time": At(now_ns)})
        return [encoded(one, is_unix=self._is_unix) + b"\n" for one in told]

    def _told(self, now_ns: int) -> list[Json]:
        raise NotImplementedError

    def _alive(self) -> Json:
        return {}

    def close(self) -> None:
        """Nobody listens any more."""
        self._streams.leave(self)


class PriceStream(Stream):
    """Prices of some instruments: at most one in each window, the newest."""

    def __init__(
        self, streams: "Streams", wake: Callable[[], None], rules: Sequence[InstrumentRules], *, currency: str,
        is_unix: bool,
    ) -> None:  # fmt: skip
        super().__init__(streams, wake, is_unix=is_unix)
        self._rules = rules
        self._currency = currency
        self._sent_ns = dict.fromkeys((one.name for one in rules), 0)
        self._seen: dict[str, int] = {}

    def skip_present(self) -> None:
        """Begin with the next prices, not with the present ones."""
        self._seen = {one.name: self._time(one) for one in self._rules}

    def _time(self, rules: InstrumentRules) -> int:
        """Return when an instrument's present price came; 0 before the first."""
        found = self._streams.floor.exchange.last(rules.id)
        return 0 if found is None else found.received_at_ns

    def _told(self, now_ns: int) -> list[Json]:
        told = []
        for rules in self._rules:
            at_ns = self._time(rules)
            if at_ns == self._seen.get(rules.name, 0) or now_ns < self._sent_ns[rules.name] + WINDOW_NS:
                continue
            price = self._streams.floor.prices.price(rules, self._currency)
            if price is not None:
                self._seen[rules.name], self._sent_ns[rules.name] = at_ns, now_ns
                told.append(price)
        return told


class TransactionStream(Stream):
    """An account's transactions from now on."""

    def __init__(self, streams: "Streams", wake: Callable[[], None], account: Account, *, is_unix: bool) -> None:
        super().__init__(streams, wake, is_unix=is_unix)
        self._account = account
        self._told_id = account.log.last_id

    def _told(self, now_ns: int) -> list[Json]:
        told = self._account.log.since(self._told_id)
        self._told_id = self._account.log.last_id
        return told

    def _alive(self) -> Json:
        return {"lastTransactionID": str(self._account.log.last_id)}


class Streams:
    """All streams that are open."""

    def __init__(self, floor: Floor, clock: Clock) -> None:
        self.floor = floor
        self.now_ns = clock.now_ns
        self._open: set[Stream] = set()
        self.opened = 0

    @property
    def is_full(self) -> bool:
        """Whether there are as many as an address may have."""
        return len(self._open) >= STREAMS_MAX

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open)

    def join(self, stream: Stream) -> Stream:
        """Take in a new one."""
        self.opened += 1
        self._open.add(stream)
        return stream

    def leave(self, stream: Stream) -> None:
        """Let one go."""
        self._open.discard(stream)

    def wake(self) -> None:
        """Something has happened: let all of them look."""
        for stream in self._open:
            stream.wake()
