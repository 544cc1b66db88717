"""The webhook listener: a port of its own on which venues deliver their notices, signed or not at all.

Used by the composition root, which gives it one receiver for each venue that has a webhook secret. It serves
``POST /webhooks/<venue>`` and nothing else, checks nothing itself, and answers as soon as the receiver has spoken. It
never holds a secret.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from quantd.listening import Listener

Receive = Callable[[Mapping[str, str], bytes], tuple[int, str]]
"""Takes lower-case headers and the raw body; returns status and a bounded reason. Verifies, and must not block."""

READ_TIMEOUT_S = 5.0
"""Time to send a body; venues give up on us after 10 s, and a slow sender must not hold a connection."""

_LINGER_S = 0.5
"""Time in which the rest of a refused body is swallowed, so that its sender reads the answer and not a reset."""


class WebhookListener:
    """A `Service` that serves the signed routes.

    Args:
        host: Address to listen on.
        port: TCP port; 0 takes a free one, see `port`.
        receivers: By the venue's key in the configuration.
        body_limit: Bytes above which a body is refused.
        read_timeout_s: Seconds a sender has for its body.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        receivers: Mapping[str, Receive],
        body_limit: int,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._receivers = dict(receivers)
        self._body_limit = body_limit
        self._read_timeout_s = read_timeout_s
        app = web.Application(client_max_size=self._body_limit)
        app.router.add_post("/webhooks/{venue}", self._handle)
        app.on_response_prepare.append(_head)
        self._listener = Listener("webhooks", app, host, port, lingering_s=_LINGER_S)

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._listener.port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address is taken or not ours.
        """
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening and let requests under way finish, for two seconds at most."""
        await self._listener.stop()

    async def _handle(self, request: web.Request) -> web.Response:
        receive = self._receivers.get(request.match_info["venue"])
        if receive is None:
            return web.Response(status=404)
        if "Content-Encoding" in request.headers:
            return _refuse(415, "compressed")  # signed is what was sent, not what is made of it
        if request.content_length is not None and request.content_length > self._body_limit:
            return _refuse(413, "too_large")
        try:
            async with asyncio.timeout(self._read_timeout_s):
                body = await request.read()
        except TimeoutError:
            return _refuse(408, "too_slow")
        except web.HTTPRequestEntityTooLarge:
            return _refuse(413, "too_large")
        except (web.RequestPayloadError, ConnectionError):
            return _refuse(400, "broken_off")
        headers = {name.lower(): value for name, value in request.headers.items()}
        status, reason = receive(headers, body)
        return web.Response(status=status, text=reason)


async def _head(request: web.Request, response: web.StreamResponse) -> None:
    # The port faces a network: it does not say which software it is.
    response.headers["Server"] = "quantd"


def _refuse(status: int, reason: str) -> web.Response:
    # The rest of the body is never read, so the connection cannot serve another request.
    response = web.Response(status=status, text=reason)
    response.force_close()
    return response
