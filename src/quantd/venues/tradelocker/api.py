"""One account's requests: log-in, renewal of the tokens, the account's header, typed payloads over `VenueHttp`.

Used by whatever reads and writes. A session is renewed before its token's own end and once on a 401; both tokens change
then. Nobody renews twice for the same token, and no write is repeated unless the server refused it with a 401, which is
assumed to come before anything is done.
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from quantd.domain.outcomes import NotExecuted, Outcome, Rejected
from quantd.errors import AuthFailed, Refused, Temporary, Unavailable, Unreadable, VenueError
from quantd.ports import HttpRequest, HttpResponse
from quantd.venues.budget import Lane
from quantd.venues.http import VenueHttp
from quantd.venues.parsing import CANNOT_READ
from quantd.venues.tradelocker.classify import UNAUTHORIZED, Envelope, classify, classify_read, envelope
from quantd.venues.tradelocker.wire import AccountItem, AccountItems

BASE = "/backend-api"
RENEW_BEFORE_S = 300.0
"""A token is renewed when this is left of it, or a fifth of its life where that is less."""
_RENEWED_FOR_S = 30.0
"""A fresh token is used this long whatever its end says: a clock of ours that is ahead must not renew at each request."""
_RENEW_AGAIN_S = 30.0
"""After a renewal that failed while the token is good still; few enough to leave the budget of log-ins for what must be."""
_SECOND_NS = 1_000_000_000
_T = TypeVar("_T")


class Credentials(msgspec.Struct, frozen=True):
    """What is typed in at log-in, and the account that is traded."""

    email: str
    password: str
    server: str
    account_id: str
    developer_key: str = ""
    """Of the venue's developer programme; sent where there is one."""

    def __repr__(self) -> str:
        """Leave the password out."""
        return f"Credentials(server={self.server!r}, account_id={self.account_id!r})"


class Write(msgspec.Struct, frozen=True):
    """A request that changes something."""

    method: str
    path: str
    """Under the base, percent-encoded, with its query."""
    body: Mapping[str, Any] | None = None


class _Tokens(msgspec.Struct, frozen=True, rename="camel"):
    access_token: str
    refresh_token: str


class _Claims(msgspec.Struct, frozen=True):
    exp: int


encode = msgspec.json.Encoder(decimal_format="number").encode
"""Return a body's bytes; a Decimal goes out as a number with its own digits."""
_DECODERS: dict[Any, msgspec.json.Decoder[Any]] = {}


def decode(kind: type[_T], body: bytes) -> _T:
    """Return a payload; numbers that no type claims keep their digits.

    Raises:
        msgspec.DecodeError: when it is none of this kind; names the field.
    """
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind, float_hook=Decimal)
    value: _T = decoder.decode(body)
    return value


class Api:
    """Sends requests within one session.

    Args:
        http: Budget, transport and timing; its read classification is set here.
        credentials: Kept here and shown nowhere.
        auth_failed: Called with the reason when a write shows that we are not let in any more.
    """

    def __init__(
        self, http: VenueHttp, credentials: Credentials, *, auth_failed: Callable[[str], None] | None = None
    ) -> None:
        http.classify_read = classify_read
        self.http = http
        self.venue = http.venue
        self._credentials = credentials
        self._auth_failed = auth_failed
        self._tokens: _Tokens | None = None
        self._renew_at_ns = 0
        self._good_until_ns = 0
        """Until when the token is accepted if it cannot be renewed, by its own end; 0 once it was refused."""
        self._acc_num = ""
        self._renewing = asyncio.Lock()

    async def start(self) -> AccountItem:
        """Log in, unless a session is open, and find the account's number, which every other request names.

        Raises:
            AuthFailed: the credentials are not accepted, or the user has no such account.
            VenueError: the server could not be asked.
        """
        answer = await self._send_read("all_accounts", "GET", "/auth/jwt/all-accounts", Lane.ACCOUNT)
        found = self._decoded("all_accounts", answer.body, AccountItems)
        accounts = {str(one.id): one for one in found.accounts}
        mine = accounts.get(self._credentials.account_id)
        if mine is None:
            words = f"no account {self._credentials.account_id!r}; there are {', '.join(accounts) or 'none'}"
            raise AuthFailed(self.venue, "all_accounts", words)
        self._acc_num = str(mine.acc_num)
        return mine

    def session(self) -> tuple[str, str]:
        """Return the access token and the account's number as they are now, empty before the start; for any thread."""
        tokens = self._tokens
        return ("" if tokens is None else tokens.access_token), self._acc_num

    # --- requests ---------------------------------------------------------------------------------------------------

    async def read(
        self, operation: str, path: str, kind: type[_T], lane: Lane, query: Mapping[str, str] | None = None
    ) -> _T | None:
        """Return ``d`` of a read, None where the server says that there is no data.

        Raises:
            VenueError: as `VenueHttp.read` does; AuthFailed for a refused log-in or a 403, Unavailable where a fresh token is refused.
        """
        told = await self.ask(operation, path, lane, query)
        return None if told.s == "no_data" else self._decoded(operation, bytes(told.d), kind)

    async def ask(self, operation: str, path: str, lane: Lane, query: Mapping[str, str] | None = None) -> Envelope:
        """Return the envelope of a read's good answer, whether or not it holds data; nothing is asked before the start.

        Raises:
            VenueError: as `read` does.
        """
        if not self._acc_num:
            raise Unavailable(self.venue, operation, "the session has no account yet", retry_after_s=1.0)
        target = f"{path}?{urlencode(query)}" if query else path
        response = await self._send_read(operation, "GET", target, lane)
        told = envelope(response.body)
        if told is None:
            raise Unavailable(self.venue, operation, "the answer has no envelope")
        return told

    def payload(self, operation: str, told: Envelope, kind: type[_T]) -> _T:
        """Return what an envelope holds.

        Raises:
            Unavailable: it holds something else.
        """
        return self._decoded(operation, bytes(told.d), kind)

    async def write(self, operation: str, wanted: Write, *, lane: Lane, deadline_at_ns: int) -> tuple[Outcome, bytes]:
        """Write once, or a second time with fresh tokens after a 401; return the outcome and the answer's body."""
        outcome, body = await self._write_once(operation, wanted, lane, deadline_at_ns)
        if _is_unauthorized(outcome):
            outcome, body = await self._write_once(operation, wanted, lane, deadline_at_ns)
            if _is_unauthorized(outcome) and self._auth_failed is not None:
                self._auth_failed(f"{operation}: refused with a fresh token")
        return outcome, body

    async def _write_once(
        self, operation: str, wanted: Write, lane: Lane, deadline_at_ns: int
    ) -> tuple[Outcome, bytes]:
        if not self._acc_num:
            return NotExecuted("no_session"), b""
        try:
            token = await self._token()
        except VenueError as error:
            if isinstance(error, AuthFailed) and self._auth_failed is not None:
                self._auth_failed(f"{operation}: {error}")
            return NotExecuted("no_session"), b""
        seen: list[bytes] = []

        def judge(operation: str, status: int, headers: Mapping[str, str], answer: bytes) -> Outcome:
            seen.append(answer)
            return classify(operation, status, headers, answer)

        request = self._request(wanted.method, wanted.path, token, wanted.body)
        outcome = await self.http.write(operation, request, lane, deadline_at_ns, judge)
        if _is_unauthorized(outcome):
            self._spend(token)
        return outcome, seen[-1] if seen else b""

    async def _send_read(self, operation: str, method: str, path: str, lane: Lane) -> HttpResponse:
        token = await self._token()
        try:
            return await self.http.read(operation, self._request(method, path, token, None), lane)
        except AuthFailed as error:
            if not error.detail.startswith("(401)"):
                raise  # what may not be asked is not allowed with fresh tokens either
            self._spend(token)
        fresh = await self._token()
        try:
            return await self.http.read(operation, self._request(method, path, fresh, None), lane)
        except AuthFailed as error:
            if not error.detail.startswith("(401)"):
                raise
            # The log-in was good a moment ago: another session, or the server's own trouble. A person need not look.
            self._spend(fresh)
            raise Unavailable(self.venue, operation, f"a fresh token is refused: {error.detail}") from error

    def _request(self, method: str, path: str, token: str, body: Mapping[str, Any] | None) -> HttpRequest:
        headers = headers_of(token, self._acc_num, self._credentials.developer_key)
        if body is None:
            return HttpRequest(method, BASE + path, headers)
        headers["Content-Type"] = "application/json"
        return HttpRequest(method, BASE + path, headers, encode(body))

    def _decoded(self, operation: str, body: bytes, kind: type[_T]) -> _T:
        try:
            return decode(kind, body)
        except CANNOT_READ as error:
            raise Unreadable(self.venue, operation, f"the answer cannot be read: {error}") from error

    # --- session ----------------------------------------------------------------------------------------------------

    def _spend(self, token: str) -> None:
        """Take it that a token is not good any more, unless another has replaced it meanwhile."""
        if self._tokens is not None and self._tokens.access_token == token:
            self._renew_at_ns = self._good_until_ns = 0

    async def _token(self) -> str:
        """Return an access token that has a while to live, or is good still where it cannot be renewed."""
        if self._tokens is None or self.http.clock.now_ns() >= self._renew_at_ns:
            if self._tokens is not None and self._is_good() and self._renewing.locked():
                return self._tokens.access_token  # an order does not wait for the renewal that another has begun
            async with self._renewing:
                if self._tokens is None:
                    await self._log_in()
                elif self.http.clock.now_ns() >= self._renew_at_ns:
                    await self._renew_in_time(self._tokens)
        assert self._tokens is not None, "a session without tokens"
        return self._tokens.access_token

    def _is_good(self) -> bool:
        return self.http.clock.now_ns() < self._good_until_ns

    async def _renew_in_time(self, tokens: _Tokens) -> None:
        """Renew; what fails for a while is tried again later, as long as the token lives."""
        try:
            await self._renew(tokens)
        except Temporary:
            if not self._is_good():
                raise
            self._renew_at_ns = self.http.clock.now_ns() + round(_RENEW_AGAIN_S * _SECOND_NS)

    async def _renew(self, tokens: _Tokens) -> None:
        """Take a new pair, by log-in where the refresh token is refused."""
        try:
            await self._take("refresh", "/auth/jwt/refresh", {"refreshToken": tokens.refresh_token})
        except (AuthFailed, Refused):
            await self._log_in()

    async def _log_in(self) -> None:
        await self._take("log_in", "/auth/jwt/token", log_in_body(self._credentials))

    async def _take(self, operation: str, path: str, body: Mapping[str, str]) -> None:
        headers = headers_of("", "", self._credentials.developer_key)
        headers["Content-Type"] = "application/json"
        request = HttpRequest("POST", BASE + path, headers, encode(body))
        answer = await self.http.read(operation, request, Lane.RECONCILE)
        self._tokens = self._decoded(operation, answer.body, _Tokens)
        now_ns = self.http.clock.now_ns()
        life_ns = self._ends_at_s(operation, self._tokens.access_token) * _SECOND_NS - now_ns
        good_for_ns = max(life_ns - round(RENEW_BEFORE_S * _SECOND_NS), life_ns * 4 // 5)
        self._renew_at_ns = now_ns + max(good_for_ns, round(_RENEWED_FOR_S * _SECOND_NS))
        self._good_until_ns = now_ns + life_ns

    def _ends_at_s(self, operation: str, token: str) -> int:
        """Return the end that a token itself tells, in seconds since 1970, unverified."""
        parts = token.split(".")
        try:
            claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
            return msgspec.json.decode(claims, type=_Claims).exp
        except (IndexError, ValueError, msgspec.DecodeError) as error:
            raise Unavailable(self.venue, operation, "the access token does not tell its end") from error


def headers_of(token: str, acc_num: str, developer_key: str) -> dict[str, str]:
    """Return the headers of a request; what is empty is left out."""
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if acc_num:
        headers["accNum"] = acc_num
    if developer_key:
        headers["developer-api-key"] = developer_key
    return headers


def log_in_body(mine: Credentials) -> dict[str, str]:
    """Return what a log-in says."""
    return {"email": mine.email, "password": mine.password, "server": mine.server}


def _is_unauthorized(outcome: Outcome) -> bool:
    return isinstance(outcome, Rejected) and outcome.code == UNAUTHORIZED
