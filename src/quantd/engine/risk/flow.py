"""Control 11: how many messages may leave in time. One counter for each scope, shared by all who send there."""

from collections import deque
from collections.abc import Iterable

from quantd.domain.instruments import InstrumentId
from quantd.domain.orders import OperationKind
from quantd.engine.orders import LiveOrder
from quantd.engine.risk.gate import CancelWindow, Control, Scoped
from quantd.engine.risk.limits import RateLimit
from quantd.engine.risk.wish import Denial, Denied, Wish


class Window:
    """Counts messages in a sliding window."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._window_ns = int(limit.per_s * 1e9)
        self._sent: deque[int] = deque()

    def go_on(self, before: "Window") -> None:
        """Count what `before` counts: the same messages under another limit."""
        self._sent.extend(before._sent)

    def count(self, now_ns: int) -> int:
        """Return how many left in the window that ends now."""
        sent = self._sent
        while sent and sent[0] + self._window_ns <= now_ns:
            sent.popleft()
        return len(sent)

    def has_room(self, now_ns: int) -> bool:
        """Whether one more may leave."""
        return self.count(now_ns) < self.limit.count

    def add(self, now_ns: int) -> None:
        """Count one."""
        self._sent.append(now_ns)


class MessageRate:
    """Limits submits and amendments. Exits are counted and never stopped; cancels above their limit wait."""

    number = 11
    guards_exits = False

    def __init__(self, scope: str, kind: OperationKind, window: Window) -> None:
        self._scope = scope
        self._kind = kind
        self._window = window
        self.cancels: CancelWindow | None = window if kind is OperationKind.CANCEL else None

    def check(self, wish: Wish) -> Denied | None:
        """Deny above the limit."""
        if wish.operation is not self._kind or self._window.has_room(wish.now_ns):
            return None
        limit = self._window.limit
        return Denied(
            Denial.MESSAGE_RATE,
            11,
            self._scope,
            f"{limit.count} in {limit.per_s} s",
            str(self._window.count(wish.now_ns) + 1),
            wait_s=limit.max_wait_s if limit.policy == "queue" else 0.0,
        )

    def passed(self, wish: Wish) -> None:
        """Count one that left."""
        if wish.operation is self._kind:
            self._window.add(wish.now_ns)

    def restored(self, order: LiveOrder) -> None:
        """Count the submit of an order that a fold brought back."""
        if self._kind is OperationKind.SUBMIT:
            self._window.add(order.intended_at_ns)


_KINDS = (
    ("submit_rate", OperationKind.SUBMIT),
    ("amend_rate", OperationKind.AMEND),
    ("cancel_rate", OperationKind.CANCEL),
)


class Flow:
    """Makes the rate controls; one window for each scope, whoever sends there.

    Args:
        before: What limited until the limits changed. Its amendments and cancels are counted on; submits are told anew, by
            the orders. After a restart there is none: amendments and cancels from before are not counted.
    """

    def __init__(self, before: "Flow | None" = None) -> None:
        self._windows: dict[tuple[str, str], Window] = {}
        self._before: dict[tuple[str, str], Window] = {} if before is None else before._before | before._windows

    def _window(self, scope: str, name: str, limit: RateLimit) -> Window:
        window = self._windows.get((scope, name))
        if window is None:
            window = self._windows[scope, name] = Window(limit)
            before = self._before.get((scope, name))
            if before is not None and name != "submit_rate":
                window.go_on(before)
        return window

    def controls(self, instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
        """Make the rate controls for one (strategy, instrument)."""
        for name, kind in _KINDS:
            for scope, limits in scoped(name):
                limit = getattr(limits, name)
                yield MessageRate(scope, kind, self._window(scope, name, limit))
