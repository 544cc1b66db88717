"""One version everywhere: the daemon does not start on a journal that a newer quantd wrote."""

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

import quantd
from quantd.app.storage import codec, fold
from quantd.domain.facts import Fact, RunStarted
from quantd.errors import JournalError
from quantd.journal.projections import projections
from quantd.journal.store import Append, JournalStore
from quantd.testing.builders import Rig


def journal(path: Path, run: RunStarted) -> JournalStore[Fact]:
    """Return a journal that one run has begun."""
    store: JournalStore[Fact] = JournalStore.create(
        path, codec(), journal_id="0test", epoch=1, projections=projections()
    )
    store.write([Append([store.codec.encode(run)], [run])])
    return store


def test_a_journal_of_a_newer_quantd_is_refused_and_one_of_this_version_is_folded(tmp_path: Path) -> None:
    run = RunStarted(quantd.__version__, "", {}, "0test", 1, 1)
    newer = msgspec.structs.replace(run, version="999.0")
    with (
        closing(journal(tmp_path / "newer.db", newer)) as store,
        pytest.raises(JournalError, match=r"written by quantd 999\.0, which is newer than this"),
    ):
        fold(store, Rig().engine, run)
    with closing(journal(tmp_path / "same.db", run)) as store:
        assert fold(store, Rig().engine, run).records == 1
