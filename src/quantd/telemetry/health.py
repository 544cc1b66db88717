"""The health listener: `/livez`, `/readyz` and `/metrics`, for probes and for Prometheus.

Used by the composition root as a `Service`. It may be bound to any address, so it holds no secrets, takes no actions
and reads no request bodies. Never answers for a loop that stands still: it turns on the same loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
from aiohttp import web

from quantd.listening import Listener
from quantd.telemetry.metrics import PrometheusObserver

_BODY_MAX: Final = 1024
"""Bytes; these routes need no body at all."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HealthListener:
    """Serves health and metrics over HTTP.

    `/livez` answers 200 while the event loop turns and asks nothing else: an outage of a venue must not restart the
    daemon. `/readyz` answers 200, or 503 with the reasons. Everything else is 404, every method but GET and HEAD 405.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        reasons: Callable[[], Sequence[str]],
        observer: PrometheusObserver,
        clean: Callable[[str], str] = str,
    ) -> None:
        """Take what to serve; nothing is opened yet.

        Args:
            host: Address to listen on.
            port: TCP port; 0 takes any free one, see `port`.
            reasons: Says why the daemon is not ready; empty when it is.
            observer: Whose metrics are served.
            clean: Takes secrets out of a reason, e.g. `Redactor.clean`.
        """
        self._reasons = reasons
        self._observer = observer
        self._clean = clean
        self._scraping = asyncio.Lock()
        app = web.Application(middlewares=[_guard], client_max_size=_BODY_MAX)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.on_response_prepare.append(_head)
        self._listener = Listener("health", app, host, port)

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for before `start`."""
        return self._listener.port

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address cannot be bound.
        """
        await self._listener.start()

    async def stop(self) -> None:
        """Close the port and the connections; does nothing when not started."""
        await self._listener.stop()

    async def _livez(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        try:
            reasons = [self._clean(reason) for reason in self._reasons()]
        except Exception as error:  # noqa: BLE001 # boundary: a fault in the question means "not ready", no 500
            reasons = [f"readiness cannot be told: {type(error).__name__}"]
        body = msgspec.json.encode({"ready": not reasons, "reasons": reasons})
        return web.Response(body=body + b"\n", status=503 if reasons else 200, content_type="application/json")

    async def _metrics(self, request: web.Request) -> web.Response:
        # Thousands of series take tens of milliseconds to write out: that is not the trading loop's work. One scrape
        # at a time, so that a crowd of scrapers costs one thread.
        accept = request.headers.get("Accept", "")
        async with self._scraping:
            body, content_type = await asyncio.to_thread(self._observer.exposition, accept)
        return web.Response(body=body, headers={"Content-Type": content_type})


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    if (request.content_length or 0) > _BODY_MAX or "Transfer-Encoding" in request.headers:
        raise web.HTTPRequestEntityTooLarge(_BODY_MAX, request.content_length or 0)
    return await handler(request)


async def _head(request: web.Request, response: web.StreamResponse) -> None:
    # The listener may face a network: it does not say which software it is, and nobody keeps its answers.
    response.headers["Server"] = "quantd"
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
