"""Lists of orders: walked back by time without a gap, and never taken for whole where they are not."""

from datetime import UTC, datetime, timedelta

from quantd.venues.budget import Lane
from tests.component.hummingbot.bench import Bench, Json, on_bench

DAY = datetime(2026, 11, 1, tzinfo=UTC)


def row(name: str, at: datetime) -> Json:
    return {
        "order_id": name, "trading_pair": "BTC-USDT", "trade_type": "BUY", "order_type": "LIMIT", "amount": 0.001,
        "price": 60000.0, "status": "FILLED", "filled_amount": 0.001, "created_at": at.isoformat(timespec="microseconds"),
    }  # fmt: skip


def serve(b: Bench, rows: list[Json]) -> None:
    """Let the database hold these rows, newest first."""

    def page(told: Json, asked: Json) -> Json:
        until = asked.get("end_time")
        latest = datetime.max.replace(tzinfo=UTC) if until is None else DAY.fromtimestamp(until / 1_000, UTC)
        shown = [one for one in rows if datetime.fromisoformat(one["created_at"]) <= latest]
        return {**told, "data": shown[: asked["limit"]]}

    b.tampers.append(("/trading/orders/search", page))


def test_a_row_of_the_millisecond_in_which_a_page_ends_is_read_with_the_next() -> None:
    async def act(b: Bench) -> None:
        rows = [row(f"o{number}", DAY + timedelta(seconds=2_000 - number)) for number in range(999)]
        rows.append(row("last", DAY + timedelta(seconds=1_000, microseconds=123_900)))
        rows.append(row("same", DAY + timedelta(seconds=1_000, microseconds=123_400)))
        rows.append(row("older", DAY))
        serve(b, rows)
        look = await b.connector._orders.look(Lane.ACCOUNT, wanted=["same"], since_ns=0)
        assert set(look.recorded) == {one["order_id"] for one in rows}
        assert look.complete

    on_bench(act)


def test_a_walk_that_does_not_reach_what_is_wanted_is_not_complete() -> None:
    async def act(b: Bench) -> None:
        serve(b, [row(f"o{number}", DAY) for number in range(1_500)])  # all within one millisecond
        look = await b.connector._orders.look(Lane.ACCOUNT, wanted=["o1400"], since_ns=0)
        assert "o1400" not in look.recorded
        assert not look.complete

    on_bench(act)
