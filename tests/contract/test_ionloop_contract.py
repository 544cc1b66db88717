"""The table of the ionloop contract, and the proof that it bites: no field can be renamed unnoticed."""

import pytest

from quantd.domain.outcomes import NotExecuted
from quantd.errors import VenueError
from quantd.simulators.ionloop.envelope import STATUS
from quantd.simulators.ionloop.routes import ROUTES as SIMULATED
from quantd.venues.ionloop.routes import ROUTES as CONNECTED
from tests.contract.ionloop_pair import Pair, Path, fields, run
from tests.contract.ionloop_rows import ERRORS, ROUTES, Row

ROWS = (*ROUTES, *ERRORS)


def conforms(pair: Pair, row: Row) -> None:
    """Assert that the venue answered the row's operation in the documented shape, and only in it."""
    wanted = fields(row.shape)
    seen: dict[Path, str] = {}
    for operation, _, tree in pair.watched.answers:
        if operation == row.operation and tree.get("success") == row.shape["success"]:
            found = fields(tree)
            assert found.items() <= wanted.items(), found.items() - wanted.items()
            seen |= found
    assert seen == wanted, f"{row.operation} never showed {wanted.keys() - seen.keys()}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_connector_and_the_venue_agree(row: Row) -> None:
    pair = run(row.act, **row.options)
    conforms(pair, row)
    known = {"wrong_tick", "wrong_step"} if "VALIDATION" in row.name else set()
    assert set(pair.venue.desk.violations) <= known


RENAMINGS = [(row, path) for row in ROWS for path in fields(row.shape)]


@pytest.mark.parametrize(("row", "path"), RENAMINGS, ids=lambda part: getattr(part, "name", None) or ".".join(part))
def test_renaming_a_field_in_the_simulator_fails_its_row(row: Row, path: Path) -> None:
    """The shape is missed in any case; what the connector reads is missed by the connector itself."""
    options = {**row.options, "rename": (row.operation, path)}
    if path in row.unread:
        pair = run(row.act, **options)
        with pytest.raises(AssertionError):
            conforms(pair, row)
    else:
        with pytest.raises((AssertionError, VenueError)):
            run(row.act, **options)


def test_the_table_has_every_route_and_every_error_code() -> None:
    assert {row.operation for row in ROUTES} == {route.operation for route in CONNECTED}
    assert all(any(code in row.name for row in ERRORS) for code in STATUS)


def test_the_simulator_and_the_connector_mean_the_same_routes() -> None:
    simulated = {(r.operation, r.method, r.path.replace("{part}", "*"), r.scope) for r in SIMULATED}
    connected = {
        (r.operation, r.method, r.path.replace("{symbol}", "*").replace("{id}", "*"), r.scope) for r in CONNECTED
    }
    assert simulated == connected


def test_a_banned_address_gets_418_and_the_connector_keeps_silent() -> None:
    async def act(pair: Pair) -> None:
        answers = [pair.raw("GET", "/v1/orders/ord_1")[0] for _ in range(50)]
        assert answers == [404] * 10 + [429] * 30 + [418] * 10
        outcome = await pair.connector.submit(pair.submit())
        assert isinstance(outcome, NotExecuted)
        assert (outcome.reason, outcome.retry_after_s) == ("banned", 120)
        asked = len(pair.watched.answers)
        again = await pair.connector.submit(pair.submit())
        assert isinstance(again, NotExecuted)
        assert len(pair.watched.answers) == asked, "nothing leaves during a ban"

    run(act)
