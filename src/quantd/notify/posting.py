"""Channels over HTTP: a webhook of one's own, Telegram, Slack; and the request of the heartbeat.

Used by the composition root. Never follows a redirect, never quotes an address (it may hold a secret), never repeats a
message by itself: the outbox does. What Telegram and Slack document: https://core.telegram.org/bots/api#making-requests and
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import msgspec

from quantd.notify.delivery import Undelivered
from quantd.notify.notice import Message
from quantd.notify.settings import SlackChannel, TelegramChannel, WebhookChannel
from quantd.notify.templates import instant, text

_ANSWER_MAX: Final = 4096
"""Bytes of an answer that are read."""
_TELEGRAM_MAX: Final = 4096
"""Characters of a text, documented."""
_SLACK_MAX: Final = 4000
"""Characters of a text, documented as what should not be exceeded."""
_AGAIN: Final = frozenset({408, 425, 429})
"""Refusals that are worth another attempt."""


class Web:
    """One pool of connections, opened with the first request and closed by its owner."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send, and return if the answer is a 2xx; the caller bounds the time.

        Raises:
            Undelivered: no answer, or another one.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "quantd"}, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                content = await answer.content.read(_ANSWER_MAX)
                if not 200 <= answer.status < 300:
                    raise _refusal(answer.status, answer.headers.get("Retry-After", ""), content)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Undelivered(f"{type(error).__name__}: no answer") from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _refusal(status: int, retry_after: str, content: bytes) -> Undelivered:
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdigit() else 0.0
    try:
        told = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = None
    if isinstance(told, dict) and isinstance(told.get("parameters"), dict):
        given = told["parameters"].get("retry_after")  # Telegram says it in the body
        seconds = float(given) if isinstance(given, int) and given >= 0 else seconds
    is_final = 300 <= status < 500 and status not in _AGAIN
    return Undelivered(f"the receiver answered {status}", is_final=is_final, retry_after_s=seconds)


class Webhook:
    """POSTs a message as JSON; see docs/operations/notifications.md for its fields."""

    def __init__(self, settings: WebhookChannel) -> None:
        self._settings = settings
        self._web = Web()

    async def send(self, message: Message) -> None:
        """Deliver a message.

        Raises:
            Undelivered: it is not known to have arrived.
        """
        body = msgspec.json.encode(payload(message, self._settings.template))
        headers = {"Content-Type": "application/json"}
        token, key = self._settings.token, self._settings.signing_secret
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        if key is not None:
            digest = hmac.new(key.get_secret_value().encode(), body, hashlib.sha256).hexdigest()
            headers["X-Quantd-Signature"] = f"sha256={digest}"
        await self._web.request("POST", self._settings.address, body=body, headers=headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()


def payload(message: Message, template: str = "") -> dict[str, Any]:
    """Return a message as the object that webhooks get."""
    notices = [
        {
            "key": one.key,
            "state": one.state,
            "weight": one.weight.word,
            "what": one.what,
            "where": one.where,
            "why": one.why,
            "since": instant(one.since_ns),
            "since_ns": one.since_ns,
            "do": one.do,
            "runbook": one.runbook,
        }
        for one in message.notices
    ]
    return {
        "version": 1,
        "id": message.id,
        "source": message.source,
        "weight": message.weight.word,
        "text": text(message, template),
        "notices": notices,
    }


class Telegram:
    """Sends a message by a bot, as plain text."""

    def __init__(self, settings: TelegramChannel) -> None:
        self._settings = settings
        self._web = Web()

    async def send(self, message: Message) -> None:
        """Deliver a message.

        Raises:
            Undelivered: it is not known to have arrived.
        """
        assert self._settings.token is not None  # the settings' own check
        url = f"{self._settings.base_url}/bot{self._settings.token.get_secret_value()}/sendMessage"
        told = text(message, self._settings.template)[:_TELEGRAM_MAX]
        body = msgspec.json.encode({"chat_id": self._settings.chat_id, "text": told})
        await self._web.request("POST", url, body=body, headers={"Content-Type": "application/json"})

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()


class Slack:
    """Posts a message by an incoming webhook."""

    def __init__(self, settings: SlackChannel) -> None:
        self._settings = settings
        self._web = Web()

    async def send(self, message: Message) -> None:
        """Deliver a message.

        Raises:
            Undelivered: it is not known to have arrived.
        """
        assert self._settings.url is not None  # the settings' own check
        told = text(message, self._settings.template)[:_SLACK_MAX]
        # Slack documents these three as what must be escaped: a text must not call `<!channel>` by accident.
        escaped = told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        body = msgspec.json.encode({"text": escaped})
        url = self._settings.url.get_secret_value()
        await self._web.request("POST", url, body=body, headers={"Content-Type": "application/json"})

    async def close(self) -> None:
        """Close the connections."""
        await self._web.close()
