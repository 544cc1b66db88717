"""The shapes of TradeLocker's answers: an envelope under ``/trade``, none under ``/auth``, numbers as JSON numbers.

A refusal of business comes with status 200 and ``s`` other than ``ok``; what is malformed is a 400.
"""

from decimal import Decimal
from typing import Any

import msgspec

from quantd.ports import HttpResponse

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_JSON = {"content-type": "application/json"}
_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class RefusedByVenue(Exception):
    """Ends a request with a refusal: status 200, ``s`` is ``error``."""


class Failed(Exception):
    """Ends a request with a status of its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def ok(data: Any = None) -> HttpResponse:
    """Return a good answer, with ``d`` where there is something to tell."""
    return told({"s": "ok"} if data is None else {"s": "ok", "d": data})


def told(payload: Any, status: int = 200) -> HttpResponse:
    """Return a JSON answer as it stands."""
    return HttpResponse(status, _JSON, _encoder.encode(payload))


def no_content() -> HttpResponse:
    """Return the bare success of some writes."""
    return HttpResponse(204)


def refused(words: str) -> HttpResponse:
    """Return a refusal of business."""
    return told({"s": "error", "errmsg": words})


def failed(status: int, words: str) -> HttpResponse:
    """Return a failure; the shape of these bodies is assumed."""
    return told({"statusCode": status, "message": words}, status)


def edge(status: int) -> HttpResponse:
    """Return what the network's edge answers instead of the server."""
    code = "error code: 1015" if status == 429 else f"error code: {status}"
    return HttpResponse(status, {"content-type": "text/plain"}, code.encode())


def read_body(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object with exact numbers; what is null counts as absent.

    Raises:
        Failed: it is none (400).
    """
    try:
        found = _decoder.decode(body) if body else {}
    except msgspec.DecodeError as error:
        raise Failed(400, f"malformed JSON: {error}") from error
    if not isinstance(found, dict):
        raise Failed(400, "expected a JSON object")
    return found
