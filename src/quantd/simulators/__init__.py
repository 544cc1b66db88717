"""Each venue's API as request and response over the simulated exchange, with its limits and with faults on demand.

Served by `quantd simulate`, and used by tests behind the `Transport` port. It never imports a connector: what the two
have in common is the venue's documentation.
"""

from quantd.simulators.faults import Action, FaultPlan, FaultRule, FaultScript, load_plan
from quantd.simulators.memory import MemoryTransport
from quantd.simulators.venue import Notice, SimulatedVenue

__all__ = [
    "Action",
    "FaultPlan",
    "FaultRule",
    "FaultScript",
    "MemoryTransport",
    "Notice",
    "SimulatedVenue",
    "load_plan",
]
