"""Calling the author's code: which hook runs, what a fault in it means, and how one that overruns is cut short.

A live interruption comes from outside, at any instruction. What makes it repeatable is that the engine only notices the
calls that act (orders, targets, cancels, jobs): their number decides where a replay cuts the same callback. What an
interrupted callback had ordered stands; what it did to the strategy's own attributes is not repeatable, so the object
is not called again.
"""

import functools
from collections import deque
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from quantd.domain.events import StrategyInterrupted
from quantd.engine import authored
from quantd.engine.context import Context, Meter, StrategySetup

SAMPLE = 16
"""One callback in so many is timed: timing costs more than calling."""


class CallbackOverrun(BaseException):
    """A hook took longer than its deadline. Not an `Exception`, so that an author's `except Exception` lets it pass."""


class Callbacks:
    """The callbacks of one strategy. Other threads may read `callbacks`, and `Context.running`."""

    def __init__(self, setup: StrategySetup, context: Context) -> None:
        self.id = setup.id
        self.setup = setup
        self.callbacks = 0
        """Callbacks begun in this process."""
        self.acts = 0
        """Acting calls that the present callback has finished."""
        self.is_quarantined = False
        self.is_broken = False
        """It was cut short in this process: only a new object may be called."""
        self._context = context
        self._errors: deque[int] = deque(maxlen=max(setup.max_errors, 1))
        """Times of the last errors, as many as the budget has."""
        self._stop_after = -1
        """Acting calls after which the callback is cut; -1 while it is not."""
        self._cut_reason = ""
        self._cuts: dict[int, StrategyInterrupted] = {}
        """Interruptions of the recorded run, by the callback's number."""

    def call(self, hook: Callable[..., None], *args: Any) -> None:
        """Call a hook; what it raises, or a deadline that it overruns, quarantines this strategy and no other."""
        if self.is_quarantined:
            return
        self.callbacks += 1
        self.acts = 0
        if self._cuts and self._is_left_out(hook):
            return
        context = self._context
        meter = context.meter
        if meter is not None:
            meter = self._timed(meter)
        try:
            context.running = self
            hook(*args)
            context.running = None
        except (Exception, CallbackOverrun, SystemExit) as error:  # noqa: BLE001 -- boundary: an author's code
            context.running = None
            self._failed(hook, error)
            return
        if self._stop_after >= 0:
            self._failed(hook, None)
        elif meter is not None:
            meter.ended(self.id, hook_name(hook))

    def cut_short(self, reason: str) -> None:
        """Interrupt the author's code that runs now; for the watchdog's signal handler, in the engine's thread.

        Raises:
            CallbackOverrun: always.
        """
        self._stop_after = self.acts
        self._cut_reason = reason
        raise CallbackOverrun(reason)

    def cut_after_act(self, reason: str) -> None:
        """Cut the author's code short when the acting call that it is in has returned."""
        if self._stop_after < 0:
            self._stop_after = self.acts + 1
            self._cut_reason = reason

    def expect(self, event: StrategyInterrupted) -> None:
        """Replay: cut that callback where it was cut in the recorded run."""
        self._cuts[event.callback] = event

    def quarantine(self, hook: str, error: str) -> None:
        """Stop calling the strategy."""
        raise NotImplementedError

    def _timed(self, meter: Meter) -> Meter | None:
        """Begin to time the callback if it is one of the sample."""
        if self.callbacks % SAMPLE:
            return None
        meter.began()
        return meter

    def _is_left_out(self, hook: Callable[..., object]) -> bool:
        """Tell whether a replay leaves the callback out, as it was cut before it had any effect."""
        event = self._cuts.pop(self.callbacks, None)
        if event is None:
            return False
        self._stop_after, self._cut_reason = event.acts, event.reason
        if event.acts:
            return False
        self._failed(hook, None, event.hook)
        return True

    def _failed(self, hook: Callable[..., object], error: BaseException | None, name: str = "") -> None:
        """Quarantine for what a callback raised, or for its overrun, whatever the author's code made of it."""
        name = name or hook_name(hook)
        if self._stop_after >= 0:
            context = self._context
            context.interruptions.append(
                StrategyInterrupted(
                    self.id, self._cut_reason, context.now_ns, name, callback=self.callbacks, acts=self._stop_after
                )
            )
            self.is_broken = True
            self._stop_after = -1
            text = self._cut_reason
        else:
            text = authored.fault(error)
            if not self.is_quarantined and self._tolerates():
                self._context.tolerated.append((self.id, name, text))
                return
        if self.is_quarantined:
            self.is_broken = True  # its own indicators raise: nothing of it is called any more
        else:
            self.quarantine(name, text)

    def _tolerates(self) -> bool:
        """Count an error; tell whether the budget still has room after it."""
        now_ns = self._context.now_ns
        self._errors.append(now_ns)
        is_full = len(self._errors) >= self.setup.max_errors
        return not is_full or now_ns - self._errors[0] > self.setup.errors_within_s * 1e9


_Owner = TypeVar("_Owner", bound=Callbacks)
_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")


def acting(method: Callable[Concatenate[_Owner, _Args], _Result]) -> Callable[Concatenate[_Owner, _Args], _Result]:
    """Count a call by which a strategy acts, and refuse it to a callback that was cut short already."""

    @functools.wraps(method)
    def act(self: _Owner, *args: _Args.args, **named: _Args.kwargs) -> _Result:
        if self.acts == self._stop_after:
            raise CallbackOverrun(self._cut_reason)
        try:
            return method(self, *args, **named)
        finally:
            self.acts += 1
            if self.acts == self._stop_after:
                raise CallbackOverrun(self._cut_reason)

    return cast(Callable[Concatenate[_Owner, _Args], _Result], act)


ACT = cast(Any, acting(Callbacks.quarantine)).__code__
"""The code of every acting call; a watchdog that reads the stack looks for it."""


def hook_name(hook: Callable[..., object]) -> str:
    """Return the name of a hook, also of one whose arguments are bound."""
    return str(getattr(getattr(hook, "func", hook), "__name__", "hook"))
