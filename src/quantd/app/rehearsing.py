"""Runs rehearsals in processes of their own, at once, within a time that they have together, and says how far they are.

Used by `determinism`. What a strategy was not done with in time is told as a failure of that strategy; the others count.
"""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from quantd.app.rehearsal import Part, Rehearsal, Told, result_of
from quantd.clock import SystemClock

_LOOK_EVERY_S = 0.1
_CHILD = "from quantd.app.rehearsal import main; main()"


class Patience(NamedTuple):
    """How long it may take, and how often it says how far it is."""

    limit_s: float = 120.0
    """For all strategies together; what still runs then is killed."""
    word_every_s: float = 5.0
    """Between two words; what is done sooner says nothing."""


PATIENCE: Final = Patience()


class _Run:
    """One rehearsal in its process."""

    def __init__(self, folder: Path, plan: Rehearsal, hash_seed: str) -> None:
        self._parts = plan.parts
        self._results, self._errors, given = folder / "results", folder / "errors", folder / "given"
        self._results.mkdir(parents=True)
        given.write_bytes(pickle.dumps(plan))
        with self._errors.open("wb") as errors:  # not a pipe: nobody reads while it runs, and a full one would stop it
            self._child = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(given), str(self._results)],
                env={**os.environ, "PYTHONHASHSEED": hash_seed},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )

    def is_done(self, wait_s: float) -> bool:
        """Wait so long for the end at most, and tell whether it has come."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(timeout=wait_s)
        return self._child.poll() is not None

    @property
    def at(self) -> int:
        """The number of the strategy that it is at, from 0."""
        missing = (number for number in range(len(self._parts)) if not result_of(self._results, number).exists())
        return next(missing, len(self._parts))

    def told(self, limit_s: float) -> tuple[Told, ...]:
        """Return what each strategy did; of one that did not come to its end, why."""
        return tuple(self._told(number, part, limit_s) for number, part in enumerate(self._parts))

    def _told(self, number: int, part: Part, limit_s: float) -> Told:
        result = result_of(self._results, number)
        if result.exists():
            return msgspec.msgpack.decode(result.read_bytes(), type=Told)
        code = self._child.poll()
        if code is None:
            at = self._parts[self.at].setup.id
            waited = "" if at == part.setup.id else f", {at} was still at work"
            return Told(part.setup.id, (), failure=f"not done within the {limit_s:g} s that all have{waited}")
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return Told(part.setup.id, (), failure=(lines or [f"exit code {code}"])[-1])

    def end(self) -> None:
        """Kill it where it still runs."""
        self._child.kill()
        self._child.wait()


def rehearsed(
    plans: Sequence[Rehearsal],
    hash_seeds: Sequence[str],
    *,
    say: Callable[[str], None],
    patience: Patience = PATIENCE,
) -> tuple[tuple[Told, ...], ...]:
    """Run each plan in its process, all at once, and return what the strategies of each did.

    Args:
        plans: The same strategies in all.
        hash_seeds: One for each plan.
        say: Told how far it is, from time to time.
        patience: With them.
    """
    now_ns = SystemClock().monotonic_ns
    began_ns, said_s, limit_s = now_ns(), 0.0, patience.limit_s
    with tempfile.TemporaryDirectory(prefix="quantd-check-") as folder:
        runs: list[_Run] = []
        try:
            for number, (plan, seed) in enumerate(zip(plans, hash_seeds, strict=True)):
                runs.append(_Run(Path(folder) / str(number), plan, seed))
            while not all(one.is_done(_LOOK_EVERY_S) for one in runs):
                took_s = (now_ns() - began_ns) / 1e9
                if took_s >= limit_s:
                    break
                if took_s - said_s >= patience.word_every_s:
                    said_s = took_s
                    say(_word(plans[0].parts, min(one.at for one in runs), took_s, limit_s))
            return tuple(one.told(limit_s) for one in runs)
        finally:
            for one in runs:
                one.end()


def _word(parts: Sequence[Part], at: int, took_s: float, limit_s: float) -> str:
    now = f"at {parts[at].setup.id}" if at < len(parts) else "almost done"
    return f"replaying strategies: {at} of {len(parts)} done, {now}, {took_s:.0f} s of {limit_s:g} s"
