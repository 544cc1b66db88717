"""Serves a simulated venue over HTTP, with faults, and an admin route that answers this machine only.

Used by `quantd simulate` and by tests on loopback. Everything but ``/__admin/`` is the venue's. It knows no venue's
API: it turns sockets into `HttpRequest`s and executes what the fault script decides.
"""

import ipaddress

import msgspec
from aiohttp import web

from quantd.listening import Listener
from quantd.ports import HttpRequest, HttpResponse
from quantd.simulators.admin import Admin
from quantd.simulators.delivery import Delivered, deliver
from quantd.simulators.faults import FaultScript
from quantd.simulators.lines import LineServer
from quantd.simulators.sockets import Sockets
from quantd.simulators.venue import SimulatedVenue

BODY_MAX = 1024 * 1024
ADMIN = "/__admin/"
_LINGER_S = 0.5
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})


class SimulatorServer:
    """A `Service`: one venue on one port.

    Args:
        venue: Answers.
        faults: What goes wrong; the admin route changes it.
        host: Address to listen on.
        port: TCP port; 0 takes a free one, see `port`.
    """

    def __init__(self, venue: SimulatedVenue, faults: FaultScript, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._venue = venue
        self._faults = faults
        self._admin = Admin(venue, faults)
        self._lines = LineServer(venue, faults)
        self._sockets = Sockets(venue, faults)
        self._host = host
        app = web.Application(client_max_size=BODY_MAX)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._listener = Listener("simulator", app, host, port, lingering_s=_LINGER_S, bounds=None)

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The address of the venue, without a trailing slash."""
        return f"http://{self._host}:{self.port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address is taken or not ours.
        """
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening and let requests under way finish, for two seconds at most."""
        self._lines.close()
        await self._sockets.close()
        await self._listener.stop()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        peer = request.remote or ""
        body = await request.read()
        if request.raw_path.startswith(ADMIN):
            return self._administer(request, peer, body)
        if self._sockets.wants(request):
            return await self._sockets.carry(request)
        asked = HttpRequest(request.method, request.raw_path, dict(request.headers), body, peer)
        if self._lines.wants(asked):
            return await self._lines.carry(request, asked)
        delivered = await deliver(self._venue, asked, self._faults)
        if delivered is None:
            return _broken(request)
        if delivered.cut:
            return await _cut(request, delivered)
        return _whole(delivered.response)

    def _administer(self, request: web.Request, peer: str, body: bytes) -> web.StreamResponse:
        # A page in a browser on this machine must not reach it either: it would name its origin.
        if not _is_loopback(peer) or "Origin" in request.headers:
            return web.Response(status=403, text="the admin route answers programs on this machine only\n")
        status, answer = self._admin.handle(request.method, request.path.removeprefix(ADMIN), body)
        return web.Response(status=status, body=msgspec.json.encode(answer), content_type="application/json")


def _is_loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _whole(response: HttpResponse) -> web.Response:
    headers = {name: text for name, text in response.headers.items() if name not in _OWN_HEADERS}
    return web.Response(status=response.status, body=response.body, headers=headers)


def _broken(request: web.Request) -> web.Response:
    """Break the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # goes nowhere


async def _cut(request: web.Request, delivered: Delivered) -> web.StreamResponse:
    """Promise a whole body, send half of it, and break the connection."""
    source = delivered.response
    response = web.StreamResponse(status=source.status, headers=dict(source.headers))
    response.content_length = max(len(source.body), 2)
    await response.prepare(request)
    await response.write(source.body[: len(source.body) // 2] or b"{")
    if request.transport is not None:
        request.transport.close()
    return response
