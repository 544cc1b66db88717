"""Takes ionloop's webhooks: signed, fresh, each once; then hands them on to be made into events.

Used by the webhook listener, which owns the socket, through `receive`. The signature covers the body and nothing
else, so everything is read from the body: an id in a header could be anybody's. Never waits.
"""

from collections.abc import Callable, Mapping
from zlib import crc32

import msgspec

from quantd.ports import Clock, Observer
from quantd.venues.ionloop import wire
from quantd.venues.ionloop.verify import MAX_AGE_NS, EventIds, is_signed
from quantd.venues.parsing import CANNOT_READ, instant_ns

SIGNATURE_HEADER = "x-ionloop-signature"
EVENT_ID_HEADER = "x-ionloop-event-id"

EVENT_TYPES = frozenset({
    "order.created", "order.updated", "order.filled", "order.cancelled", "trade.executed", "wallet.deposit.created",
    "wallet.withdrawal.created", "transaction.completed", "price.alert.triggered", "account.updated",
})  # fmt: skip
"""All that the venue documents."""
USED_TYPES = ("order.filled", "order.cancelled", "order.updated")
"""What the venue is asked to tell: all that the connector makes use of."""
_PARTS = 1024
"""Into how many parts the ids are divided. Each event rewrites its own part in the journal: with all in one, a busy account
would write them all, a day's worth, for every event."""


class WebhookReceiver:
    """Checks what arrives for one account and hands on what is genuine and new.

    Args:
        venue: The venue's key in the configuration.
        secret: The webhook secret from the venue's console.
        clock: For the age of events.
        observer: Counts what arrived, by result.
        deliver: Called with the body of each event that is taken; must not block. If it raises, the event is not
            taken and the venue will send it again.
    """

    def __init__(
        self, venue: str, secret: str, *, clock: Clock, observer: Observer, deliver: Callable[[bytes], None]
    ) -> None:
        self.venue = venue
        self._secret = secret
        self._clock = clock
        self._observer = observer
        self._deliver = deliver
        self._parts: dict[str, EventIds] = {}
        self._changed = ""
        """The part that was changed last."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        """Return the HTTP status to answer with and the bounded name of why; `headers` are in lower case."""
        status, result = self._receive(headers, body)
        self._observer.count("quantd_webhook_events_total", venue=self.venue, result=result)
        return status, result

    def _receive(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        if not is_signed(self._secret, body, headers.get(SIGNATURE_HEADER, "")):
            return 401, "bad_signature"
        try:
            event = wire.decode(wire.WebhookEvent, body)
        except CANNOT_READ:
            return 400, "malformed"
        created_at_ns = instant_ns(event.created_at)
        if created_at_ns is None or not event.id or headers.get(EVENT_ID_HEADER, event.id) != event.id:
            return 400, "malformed"
        now_ns = self._clock.now_ns()
        if created_at_ns <= now_ns - MAX_AGE_NS:
            return 400, "too_old"
        ids = self._part_of(event.id)
        if ids.is_taken(event.id, created_at_ns):
            return 200, "duplicate"
        known = event.type in EVENT_TYPES
        ids.take(event.id, created_at_ns, now_ns)  # first: what hands it on keeps the ids, this one among them
        self._changed = _part_name(event.id)
        if known:
            try:
                self._deliver(body)
            except BaseException:
                ids.forget(event.id)
                raise
        return 200, "taken" if known else "unknown_type"

    def _part_of(self, event_id: str) -> EventIds:
        return self._parts.setdefault(_part_name(event_id), EventIds())

    def export(self) -> tuple[str, str]:
        """Return name and text of the part of the ids that the last event changed, for the journal."""
        ids = self._parts.get(self._changed, EventIds())
        return self._changed, msgspec.json.encode(ids.export(self._clock.now_ns())).decode()

    def restore(self, exported: str) -> None:
        """Take over a part that `export` returned in an earlier process; empty text is nothing.

        Raises:
            ValueError: when the text is not from `export`.
        """
        told = msgspec.json.decode(exported, type=dict[str, int]) if exported else {}
        floor_ns = told.pop("", 0)
        for event_id, created_at_ns in told.items():
            self._part_of(event_id).restore({"": floor_ns, event_id: created_at_ns})


def _part_name(event_id: str) -> str:
    return f"{crc32(event_id.encode()) % _PARTS:03x}"
