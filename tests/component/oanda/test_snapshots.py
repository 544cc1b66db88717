"""What a snapshot of an OANDA account shows, and what it proves."""

from decimal import Decimal

from quantd.domain.orders import OrderKind
from tests.component.oanda.rig import EUR_USD, Rig, run

D = Decimal


def test_trades_that_are_not_the_whole_position_prove_nothing_by_their_absence() -> None:
    async def body(rig: Rig) -> None:
        rig.venue.fills_at_once = True
        await rig.connector.submit(rig.submit())
        assert (await rig.connector.snapshot()).lots_complete
        shown = {"account": rig.venue.account()}
        del shown["account"]["trades"][0]
        rig.venue.answers["account"] = [rig.venue.ok(shown)]
        assert not (await rig.connector.snapshot()).lots_complete
        assert rig.anomalies("trades_are_not_the_position") == 1

    run(body)


def test_our_own_orders_stand_under_their_ids_in_a_snapshot() -> None:
    async def body(rig: Rig) -> None:
        await rig.connector.submit(rig.submit())
        for reader in (rig, rig.restarted()):
            (shown,) = (await reader.connector.snapshot()).orders
            assert (shown.client_order_id, shown.venue_order_id, shown.quantity) == ("q1-1", "2", D(1000))
            assert (shown.price, shown.kind, shown.instrument) == (D("1.09"), OrderKind.LIMIT, EUR_USD)

    run(body)
