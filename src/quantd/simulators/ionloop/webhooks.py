"""Webhooks: who wants to be told what, signed notices, and their retries for a day.

Used by the venue. It sends nothing: `due` hands out what is to be posted now, `settle` takes what came of it. A notice
that is not answered with 2xx is repeated after 1, 2, 4 ... seconds, at most an hour apart, under the same event id.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from heapq import heappop, heappush
from urllib.parse import urlsplit

import msgspec

from quantd.simulators.ionloop.envelope import NS_PER_S, Problem, instant
from quantd.simulators.ionloop.options import Setup, Switches, Webhook
from quantd.simulators.venue import Json, Notice

EVENTS = (
    "order.created", "order.updated", "order.filled", "order.cancelled", "trade.executed", "wallet.deposit.created",
    "wallet.withdrawal.created", "transaction.completed", "price.alert.triggered", "account.updated",
)  # fmt: skip
"""All that can be asked for; the last two never happen here."""

VERSION = "2026-05-01"
_GIVE_UP_NS = 24 * 3600 * NS_PER_S
_PAUSE_MAX_S = 3600
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _Delivery:
    """One notice on its way to one address."""

    __slots__ = ("attempts", "made_at_ns", "notice", "webhook")

    def __init__(self, notice: Notice, webhook: str, made_at_ns: int) -> None:
        self.notice = notice
        self.webhook = webhook
        self.made_at_ns = made_at_ns
        self.attempts = 0


class Webhooks:
    """All webhooks of a venue."""

    def __init__(self, setup: Setup, switches: Switches, *, tag: str) -> None:
        self._setup = setup
        self._switches = switches
        self._tag = tag
        self._hooks: list[Webhook] = list(setup.webhooks)
        self._registered = 0
        self._events = 0
        self._waiting: list[tuple[int, int, _Delivery]] = []
        self._posted: dict[str, _Delivery] = {}
        self._pushed = 0
        self.delivered = 0
        self.failed_attempts = 0
        self.given_up = 0
        self.made_again = 0
        """Registrations of an address that was registered already."""

    def register(self, account: str, body: Json) -> Json:
        """Answer route 12.

        Raises:
            Problem: address, events or secret will not do.
        """
        url, events, secret = body.get("url"), body.get("events"), body.get("secret")
        if not isinstance(url, str) or not self._is_allowed(url):
            raise Problem("VALIDATION_ERROR", "url must be https")
        if not isinstance(events, list) or not events or any(event not in EVENTS for event in events):
            raise Problem("VALIDATION_ERROR", "events must be a list of known events")
        if not isinstance(secret, str) or not secret:
            raise Problem("VALIDATION_ERROR", "secret must be a string")
        if self._setup.webhook_secret and secret != self._setup.webhook_secret:
            raise Problem("VALIDATION_ERROR", "secret is not the console's")
        before = [hook for hook in self._hooks if (hook.account, hook.url) == (account, url)]
        self.made_again += len(before)
        self._registered += 1
        # An address is told each thing once, however often it was registered.
        self._hooks = [hook for hook in self._hooks if hook not in before]
        self._hooks.append(Webhook(f"wh_{self._tag}{self._registered}", url, tuple(events), secret, account))
        return {"id": self._hooks[-1].id, "url": url, "status": "active"}

    def _is_allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            return False
        if not parts.hostname or parts.username is not None or port == 0:
            return False
        local = self._setup.webhook_http and parts.hostname in _LOOPBACK
        return parts.scheme == "https" or (parts.scheme == "http" and local)

    def emit(self, account: str, kind: str, data: Json, now_ns: int) -> None:
        """Tell those who asked for it."""
        hooks = [hook for hook in self._hooks if hook.account == account and kind in hook.events]
        if not hooks:
            return
        self._events += 1
        id_ = f"evt_{self._tag}{self._events}"
        created_at = instant(now_ns + round(self._switches.clock_skew_s * NS_PER_S))
        body = msgspec.json.encode(
            {"id": id_, "type": kind, "version": VERSION, "createdAt": created_at, "data": data}
        )  # fmt: skip
        at_ns = now_ns + round(self._switches.webhook_delay_s * NS_PER_S)
        for hook in hooks:
            headers = {
                "content-type": "application/json",
                "x-ionloop-signature": sign(hook.secret, body),
                "x-ionloop-event-id": id_,
            }
            for copy in range(2 if self._switches.webhook_twice else 1):
                notice = Notice(f"{id_}/{hook.id}/{copy}", hook.url, headers, body)
                self._push(_Delivery(notice, hook.id, now_ns), at_ns)

    def _push(self, delivery: _Delivery, at_ns: int) -> None:
        self._pushed += 1
        heappush(self._waiting, (at_ns, self._pushed, delivery))

    def due(self, now_ns: int) -> list[Notice]:
        """Return the notices to be posted now; each waits for its `settle`."""
        notices = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            delivery = heappop(self._waiting)[2]
            self._posted[delivery.notice.id] = delivery
            notices.append(delivery.notice)
        return notices

    def settle(self, notice: Notice, status: int | None, now_ns: int) -> None:
        """Take note of an answer; None for none within the time."""
        delivery = self._posted.pop(notice.id)
        if status is not None and 200 <= status < 300:
            self.delivered += 1
            return
        self.failed_attempts += 1
        pause_ns = min(2**delivery.attempts, _PAUSE_MAX_S) * NS_PER_S
        delivery.attempts += 1
        if now_ns + pause_ns - delivery.made_at_ns > _GIVE_UP_NS:
            self.given_up += 1
        else:
            self._push(delivery, now_ns + pause_ns)

    @property
    def pending(self) -> int:
        """Notices that are waiting or on their way."""
        return len(self._waiting) + len(self._posted)

    def hooks(self) -> Iterable[Webhook]:
        """Return all webhooks."""
        return tuple(self._hooks)

    def counters(self) -> Json:
        """Return what became of the notices."""
        return {
            "registered": len(self._hooks), "registered_again": self.made_again, "events": self._events,
            "delivered": self.delivered, "failed_attempts": self.failed_attempts, "given_up": self.given_up,
            "pending": self.pending,
        }  # fmt: skip


def sign(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of a body as hex."""
    return hmac.new(secret.encode(), body, sha256).hexdigest()
