"""Receivers on loopback for tests of notifications: an HTTP server and an SMTP server that keep what came and answer as told."""

import asyncio
import base64
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import NamedTuple

import pytest
from aiohttp import web


class Request(NamedTuple):
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = web.Response | float | None
"""A response, seconds to wait before a 200, or None for no answer at all: the connection is cut."""


class HttpReceiver:
    """Takes requests and answers each with the next answer, then 200."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.port = 0
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def wait(self, count: int, timeout_s: float = 10) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(timeout_s), self._came:
            await self._came.wait_for(lambda: len(self.requests) >= count)

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Keep a request and answer it."""
        body = await request.read()
        self.requests.append(Request(request.method, request.path_qs, dict(request.headers), body))
        async with self._came:
            self._came.notify_all()
        answer = self.answers.pop(0) if self.answers else web.Response(text="ok")
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            return web.Response(text="late")
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer


@contextlib.asynccontextmanager
async def http_receiver(tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpReceiver]:
    """Serve a receiver on a free port."""
    receiver = HttpReceiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


class SmtpReceiver:
    """A mail server as far as `smtplib` speaks to one (RFC 5321, AUTH PLAIN, STARTTLS); `answers` overrides what a verb gets."""

    def __init__(self, tls: ssl.SSLContext | None = None, *, offers_starttls: bool = False) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[str, str]] = []
        self.verbs: list[str] = []
        self.encrypted: list[bool] = []
        """Whether each mail came over TLS."""
        self.answers: dict[str, str | float] = {}
        """Verb -> what it is answered, or seconds of silence."""
        self.port = 0
        self._tls = tls
        self._offers_starttls = offers_starttls
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self, implicit: ssl.SSLContext | None = None) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=implicit)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more, and hang up on whoever is still connected."""
        assert self._server is not None
        self._server.close()
        for one in tuple(self._serving):
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            await self._converse(reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(line: str) -> None:
            writer.write(line.encode() + b"\r\n")

        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            if not await self._overridden("CONNECT", say):
                say("220 receiver")
            while line := (await reader.readline()).decode("latin-1").strip():
                verb = line.partition(" ")[0].upper()
                self.verbs.append(verb)
                if await self._overridden(verb, say):
                    continue
                if verb == "DATA":
                    say("354 go on")
                    self._keep(await reader.readuntil(b"\r\n.\r\n"), writer)
                    say("250 taken")
                elif verb == "STARTTLS":
                    say("220 go on")
                    await writer.drain()
                    assert self._tls is not None
                    await writer.start_tls(self._tls)
                else:
                    self._answer(verb, line, say)
                if verb == "QUIT":
                    break

    async def _overridden(self, verb: str, say: Callable[[str], None]) -> bool:
        answer = self.answers.get(verb)
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        elif answer is not None:
            say(answer)
        return answer is not None

    def _answer(self, verb: str, line: str, say: Callable[[str], None]) -> None:
        if verb == "EHLO":
            say("250-receiver")
            if self._offers_starttls:
                say("250-STARTTLS")
            say("250 AUTH PLAIN")
        elif verb == "AUTH":
            _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
            self.logins.append((user, password))
            say("235 welcome")
        else:
            if verb == "RCPT":
                self.recipients.append(line.partition("<")[2].partition(">")[0])
            say("221 bye" if verb == "QUIT" else "250 ok")

    def _keep(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        self.mails.append(message_from_bytes(content[:-5].replace(b"\r\n..", b"\r\n."), policy=default))
        self.encrypted.append(writer.get_extra_info("ssl_object") is not None)


class Certificate(NamedTuple):
    """A certificate for 127.0.0.1 that nobody signed but itself."""

    server: ssl.SSLContext
    trusting: ssl.SSLContext
    """For a client that trusts this certificate, and no other."""


def make_certificate(folder: Path) -> Certificate:
    """Make one with openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ("-subj", "/CN=receiver", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run(
        ["openssl", "req", "-x509", *curve, *subject, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return Certificate(server, ssl.create_default_context(cafile=certificate))
