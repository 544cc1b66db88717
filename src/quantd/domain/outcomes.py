"""What became of a write, as a value. A venue's `classify` decides; what it does not recognise is Unknown."""

import msgspec

from quantd.domain.reports import OrderReport


class Accepted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The venue did it. The reports may already say filled or cancelled."""

    reports: tuple[OrderReport, ...] = ()


class Scheduled(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The venue has it in hand and will tell later. `ref` is its name for the task; for a submit, the order's id there."""

    ref: str = ""


class Rejected(msgspec.Struct, frozen=True, gc=False, tag=True):
    """A definite no. `code` is a bounded name fit for a metric, `detail` the venue's words."""

    code: str
    detail: str = ""


class NotExecuted(msgspec.Struct, frozen=True, gc=False, tag=True):
    """It never left, or was refused before any processing; nothing happened at the venue."""

    reason: str
    """A bounded name: ``rate_limited``, ``not_connected``, ``deadline``, ``halted``, ``stale``..."""
    retry_after_s: float | None = None


class Unknown(msgspec.Struct, frozen=True, gc=False, tag=True):
    """It may or may not have happened. Never assumed rejected, never blindly repeated."""

    cause: str


Outcome = Accepted | Scheduled | Rejected | NotExecuted | Unknown


class Found(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Evidence that the write happened, or of what the order is now."""

    report: OrderReport


class NotFound(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Looked, after the quiet period and often enough: it did not happen."""


class StillUnknown(msgspec.Struct, frozen=True, gc=False, tag=True):
    """No evidence yet; ask again after `retry_after_s` seconds."""

    cause: str
    retry_after_s: float | None = None


class Ambiguous(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Several orders match, or none is seen and its absence cannot be proven: a person decides, the instrument is halted."""

    venue_order_ids: tuple[str, ...]

    def words(self, client_order_id: str) -> str:
        """Return what is to be decided about one of our orders."""
        if not self.venue_order_ids:
            return f"no order is seen for {client_order_id}, and nothing proves that there is none"
        return f"several orders match {client_order_id}: {', '.join(self.venue_order_ids)}"


Resolution = Found | NotFound | StillUnknown | Ambiguous
