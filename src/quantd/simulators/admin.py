"""The admin route's answers: counters, exact state, faults, switches and commands of a simulated venue.

Used by the shell, which lets only this machine ask. ``GET counters | state | faults | switches``, ``POST faults`` (more
rules), ``PUT faults`` (these instead), ``DELETE faults``, ``POST switches`` (some of them), ``POST <command>``.
"""

import msgspec

from quantd.simulators.faults import FaultPlan, FaultRule, FaultScript
from quantd.simulators.venue import Json, SimulatedVenue


class Admin:
    """Reads and changes one venue."""

    def __init__(self, venue: SimulatedVenue, faults: FaultScript) -> None:
        self._venue = venue
        self._faults = faults

    def handle(self, method: str, what: str, body: bytes) -> tuple[int, Json]:
        """Return status and answer."""
        try:
            if method == "GET":
                return self._read(what)
            if what == "faults":
                return 200, self._change_faults(method, body)
            if method != "POST":
                return 405, {"error": f"{method} {what}: expected GET or POST"}
            arguments: Json = msgspec.json.decode(body or b"{}", type=dict[str, object])
            if what == "switches":
                self._venue.adjust(arguments)
                return 200, self._venue.switches()
            return 200, self._venue.command(what, arguments)
        except (ValueError, msgspec.MsgspecError) as error:
            return 400, {"error": str(error)}

    def _read(self, what: str) -> tuple[int, Json]:
        if what == "counters":
            return 200, {**self._venue.counters(), "faults": dict(sorted(self._faults.done.items()))}
        if what == "state":
            return 200, self._venue.state()
        if what == "switches":
            return 200, self._venue.switches()
        if what == "faults":
            return 200, self._shown_faults()
        return 404, {"error": f"nothing is called {what!r}; there are counters, state, switches, faults"}

    def _change_faults(self, method: str, body: bytes) -> Json:
        rules: tuple[FaultRule, ...] = ()
        if method in ("POST", "PUT"):
            tree = msgspec.json.decode(body)
            rules = msgspec.convert({"rules": tree} if isinstance(tree, list) else tree, FaultPlan).rules
        elif method != "DELETE":
            raise ValueError(f"{method} faults: expected GET, POST, PUT or DELETE")
        if method != "POST":
            self._faults.clear()
        self._faults.add(rules)
        return self._shown_faults()

    def _shown_faults(self) -> Json:
        return {"rules": msgspec.to_builtins(self._faults.rules), "done": dict(sorted(self._faults.done.items()))}
