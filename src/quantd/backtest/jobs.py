"""Slow work of strategies where time is virtual: it is done on the spot. Used by the loop and the testing kit."""

import msgspec

from quantd.domain.events import JobDone
from quantd.engine.views import Job


def do(job: Job, now_ns: int) -> JobDone:
    """Do a job and return what the strategy is to hear of it: the result as JSON, or what it raised."""
    try:
        result, error = msgspec.json.encode(job.function(*job.args)), ""
    except Exception as raised:  # noqa: BLE001 -- boundary: an author's code may raise anything
        result, error = b"", f"{type(raised).__name__}: {raised}"
    return JobDone(job.strategy, job.name, result, now_ns, error)
