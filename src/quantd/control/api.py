"""The control API's listener: one port on this machine, for whoever shows a token that opens the route.

Used by the composition root as a `Service`. Every request passes the same checks in the same order: path, host,
origin, token, route, scope, body. What is answered leaves through one door that takes secrets out.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog
from aiohttp import web

from quantd.control.connections import Connections
from quantd.control.dead_man import DeadMan
from quantd.control.openapi import ID_PATTERN, document
from quantd.control.origin import API_MODES, FILE_MODES, PAGE_MODES, check_source
from quantd.control.refusal import Problem, Refusal
from quantd.control.routes import ROUTES, Call, Route, Services
from quantd.control.settings import ControlSettings
from quantd.control.streaming import EVERY_S, Streams
from quantd.control.tokens import Caller, Tokens
from quantd.control.web_page import HEADERS, ROOT, page_files
from quantd.errors import JournalError, VenueError
from quantd.listening import Ration

DOCUMENT = "/openapi.json"
"""Where the OpenAPI document lies; it and the web page's files are the only paths that take no token."""

_log = structlog.get_logger("quantd.control")
_PATH = re.compile(r"/(?:[A-Za-z0-9_:-][A-Za-z0-9._:-]*/)*[A-Za-z0-9_:-][A-Za-z0-9._:-]*")
_ID = re.compile(ID_PATTERN)
_PATH_MAX = 256
_CONNECTIONS_MAX = 64
_IDLE_S = 5.0
_SLACK_S = 2.0
_GUARDS = {
    "Server": "quantd",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of every answer."""


class ControlListener:
    """Serves the control API.

    Args:
        settings: Where to listen, and for whom.
        services: What the routes answer from.
        clean: Takes secrets out of a text, e.g. `Redactor.clean`.
        idle_s: Seconds that a connection may stay without a request, or with an answer unread.
        event_every_s: Seconds between two events of a stream.
    """

    def __init__(
        self,
        settings: ControlSettings,
        services: Services,
        *,
        clean: Callable[[str], str],
        idle_s: float = _IDLE_S,
        event_every_s: float = EVERY_S,
    ) -> None:
        self._settings = settings
        self._services = services
        self._clean = clean
        self._tokens = Tokens(settings.tokens)
        self._document = msgspec.json.encode(document(services.daemon.version))
        busy_s = settings.request_timeout_s + _SLACK_S
        self._connections = Connections(
            self._handle, self._unreadable, most=_CONNECTIONS_MAX, idle_s=idle_s, busy_s=busy_s
        )
        self._streams = Streams(lambda request: self._connections.busy(request.protocol), every_s=event_every_s)
        self._rations = {name: Ration() for name in settings.tokens}
        """Of refusals that stand in log and journal: a token that may only look must not fill the disk, or the inbox."""
        self._page = page_files()
        self._listening: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        if self._listening is not None and self._listening.sockets:
            return int(self._listening.sockets[0].getsockname()[1])
        return self._settings.port

    @property
    def dead_man(self) -> DeadMan | None:
        """The switch that has to run beside the listener; None where no heartbeat is expected."""
        return self._services.dead_man

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: when the address is taken.
        """
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._connections, self._settings.host, self._settings.port)
        self._connections.start()
        self._services.recent.start()

    async def stop(self) -> None:
        """Close the port, let requests under way finish for two seconds, and cut the rest off."""
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
            self._services.recent.stop()
            self._streams.end()
            await self._connections.stop()

    # -- one request ---------------------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self._connections.busy(request.protocol)
        began = asyncio.get_running_loop().time()
        caller: Caller | None = None
        route: Route | None = None
        try:
            async with asyncio.timeout(self._settings.request_timeout_s):
                path = _checked_path(request)
                check_source(request, PAGE_MODES if path == ROOT else FILE_MODES if path in self._page else API_MODES)
                if request.method == "GET" and (open_to_all := self._open_to_all(path)) is not None:
                    return open_to_all
                caller = self._caller(request)
                route, ident = _find(request.method, path)
                if not caller.may(*route.scopes):
                    raise Refusal(
                        403, "scope_missing", f"this takes a token with the scope {' or '.join(route.scopes)}"
                    )
                call = Call(caller, await self._given(request, route), ident)
                if not route.is_stream:
                    answer = await route.handle(self._services, call)
                    self._tell(request, caller, route, 200, "", began)
                    return self._answer(200, answer, "application/json")
            return await self._stream(request, route, call)
        except Refusal as refusal:
            problem, headers = refusal.problem, refusal.headers
        except TimeoutError:
            problem, headers = Problem(504, "too slow", "too_slow", "not done within the time of a request"), {}
        except VenueError as error:
            problem, headers = Problem(502, "venue failing", "venue_failing", str(error)), {}
        except JournalError as error:
            problem, headers = Problem(503, "journal failing", "journal_failing", str(error)), {}
        except Exception as error:  # noqa: BLE001 # boundary: a fault in an answer must not end the daemon
            _log.error("control_fault", path=request.path, error=f"{type(error).__name__}: {error}")
            problem, headers = Problem(500, "fault", "fault", "a fault of quantd's; its log says more"), {}
        finally:
            self._connections.idle(request.protocol)
        is_told = self._tell(request, caller, route, problem.status, problem.code, began)
        if is_told and caller is not None and route is not None and route.action and problem.code != "denied":
            self._services.actions.refused(caller, route.action, problem.code)
        response = self._answer(problem.status, problem, "application/problem+json", headers)
        response.force_close()  # what is left of a refused body is never read
        return response

    def _open_to_all(self, path: str) -> web.Response | None:
        """Return what takes no token: the document and the page's files, in which nothing of this daemon stands."""
        if path == DOCUMENT:
            return self._send(200, self._document)
        file = self._page.get(path)
        return None if file is None else self._send(200, file.body, file.media_type, HEADERS)

    async def _stream(self, request: web.BaseRequest, route: Route, call: Call) -> web.StreamResponse:
        async def event() -> bytes:
            return self._encoded(await route.handle(self._services, call))

        return await self._streams.serve(request, event, _GUARDS)

    def _caller(self, request: web.BaseRequest) -> Caller:
        shown = request.headers.getall("Authorization", [])
        caller = self._tokens.caller(shown[0]) if len(shown) == 1 else None
        if caller is None:
            detail = "send the header Authorization: Bearer TOKEN" if not shown else "this token opens nothing here"
            raise Refusal(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        return caller

    async def _given(self, request: web.BaseRequest, route: Route) -> Any:
        """Return the query parameters or the body as what the route takes."""
        query = request.query
        if route.method == "GET":
            if len(query) != len(set(query)):
                raise Refusal(400, "bad_parameters", "each parameter once")
            try:
                return msgspec.convert(dict(query), route.takes, strict=False)
            except msgspec.ValidationError as error:
                raise Refusal(400, "bad_parameters", str(error)) from None
        if query:
            raise Refusal(400, "bad_parameters", "this route takes a body, no parameters")
        body = await self._body(request)
        try:
            return msgspec.json.decode(body, type=route.takes)
        except msgspec.ValidationError as error:
            raise Refusal(422, "bad_body", str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refusal(400, "bad_json", "the body is no JSON") from None

    async def _body(self, request: web.BaseRequest) -> bytes:
        if request.content_type != "application/json" or "Content-Encoding" in request.headers:
            raise Refusal(415, "bad_media_type", "send application/json, not compressed")
        limit = self._settings.body_limit
        if (request.content_length or 0) > limit:
            raise Refusal(413, "too_large", f"a body of at most {limit} bytes")
        parts = bytearray()
        try:
            async with asyncio.timeout(self._settings.request_timeout_s / 2):
                async for part in request.content.iter_any():
                    parts += part
                    if len(parts) > limit:
                        raise Refusal(413, "too_large", f"a body of at most {limit} bytes")
        except TimeoutError:
            raise Refusal(408, "too_slow", "the body did not come in time") from None
        except (web.PayloadAccessError, web.RequestPayloadError, ConnectionError):
            raise Refusal(400, "bad_body", "the body broke off") from None
        return bytes(parts)

    # -- answers -------------------------------------------------------------------------------------------------

    def _answer(
        self, status: int, answer: msgspec.Struct, media_type: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        return self._send(status, self._encoded(answer), media_type, headers)

    def _encoded(self, answer: msgspec.Struct) -> bytes:
        """Return an answer as one line of JSON without secrets; everything that depends on the daemon passes here."""
        body = msgspec.json.encode(answer)
        text = body.decode()
        # Only what JSON did not have to escape stands there as it is: after a line break, written as \n, no word begins.
        if "\\" not in text and self._clean(text) == text:
            return body
        # Cleaned leaf by leaf, so that it is JSON still.
        return msgspec.json.encode(_cleaned(msgspec.json.decode(body), self._clean))

    def _unreadable(self, status: int) -> web.Response:
        detail = "this is no HTTP request" if status < 500 else ""
        problem = Problem(status, "unreadable", "unreadable", detail)
        return self._answer(status, problem, "application/problem+json")

    def _send(
        self,
        status: int,
        body: bytes,
        media_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        told = {**_GUARDS, **(headers or {})}
        charset = "utf-8" if media_type.startswith("text/") else None
        return web.Response(status=status, body=body + b"\n", content_type=media_type, charset=charset, headers=told)

    def _tell(  # noqa: PLR0913 -- the parts of one line of the audit log
        self,
        request: web.BaseRequest,
        caller: Caller | None,
        route: Route | None,
        status: int,
        code: str,
        began: float,
    ) -> bool:
        """Log a request and return True, unless there were too many refusals of the same caller's."""
        ration = self._connections.ration if caller is None else self._rations[caller.name]
        left_out = ration.take() if status >= 400 else 0
        if left_out is None:
            return False  # a web page that somebody has open may ask a thousand times a second, and is refused as often
        level = _log.warning if status >= 400 else _log.info if route is not None and route.action else _log.debug
        level(
            "control_request",
            by="" if caller is None else caller.name,
            method=request.method[:16],
            path=request.path[:_PATH_MAX] if _serving(request.path) else "none of ours",
            status=status,
            reason=code,
            duration_s=round(asyncio.get_running_loop().time() - began, 4),
            **({"left_out": left_out} if left_out else {}),
        )
        return True


def _checked_path(request: web.BaseRequest) -> str:
    """Return the path as it was sent; nothing is decoded, joined or climbed here, so odd ones lead nowhere."""
    path = request.raw_path.partition("?")[0]
    if len(request.raw_path) > 4 * _PATH_MAX:
        raise Refusal(414, "path_too_long", f"a path of at most {_PATH_MAX} characters")
    if len(path) > _PATH_MAX or (path != ROOT and not _PATH.fullmatch(path)):
        raise Refusal(404, "not_found", f"there is nothing here; {DOCUMENT} tells what there is")
    return path


def _find(method: str, path: str) -> tuple[Route, str]:
    """Return the route of a path, and what stands for its ``{id}``."""
    fitting = _serving(path)
    if not fitting:
        raise Refusal(404, "not_found", f"there is nothing here; {DOCUMENT} tells what there is")
    for route, ident in fitting:
        if route.method == method:
            return route, ident
    allowed = ", ".join(sorted({route.method for route, _ in fitting}))
    raise Refusal(405, "method_not_allowed", f"this takes {allowed}", headers={"Allow": allowed})


def _serving(path: str) -> list[tuple[Route, str]]:
    """Return the routes of a path, for all methods; the log repeats no other path, since a key can stand in one."""
    parent, _, last = path.rpartition("/")
    return [
        (route, last if route.path.endswith("{id}") else "")
        for route in ROUTES
        if route.path == path or (route.path == f"{parent}/{{id}}" and _ID.fullmatch(last))
    ]


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    match value:
        case str():
            return clean(value)
        case list():
            return [_cleaned(item, clean) for item in value]
        case dict():
            return {clean(key): _cleaned(item, clean) for key, item in value.items()}
    return value
