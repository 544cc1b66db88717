"""A receiver of notifications in a thread of the test: keeps what comes and when, and answers 200, or never."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Came(NamedTuple):
    """One request."""

    at_ns: int
    """UTC."""
    path: str
    body: Any
    """JSON, None for a GET."""


class Receiver:
    """What came to one port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.came: list[Came] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def notices(self, since: int = 0) -> list[tuple[str, str]]:
        """Key and state of each notice, from that request on."""
        told = [one for came in self.came[since:] if came.body for one in came.body["notices"]]
        return [(one["key"], one["state"]) for one in told]

    def states(self, key: str) -> list[str]:
        """What was told of one key, in order."""
        return [state for known, state in self.notices() if known == key]

    def beats(self, since: int = 0) -> int:
        """How many heartbeats have come, from that request on."""
        return sum(one.path.startswith("/beat") for one in self.came[since:])


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Serve a receiver; requests to ``/hang`` are kept and never answered."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        """Keeps what comes."""

        def do_POST(self) -> None:
            """Take a message."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._take(body)

        def do_GET(self) -> None:
            """Take a heartbeat."""
            self._take(None)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

        def _take(self, body: Any) -> None:
            if self.path.startswith("/hang"):
                over.wait(60)
                return
            one.came.append(Came(time.time_ns(), self.path, body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    one = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, name="receiver", kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield one
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()
