"""What was traded: the user's own trades and the public ones, with cursors.

Filled by the order desk from the exchange's trades. A trade of the market itself with a user has a made-up order on the
market's side; a trade of two orders has one id for both sides, and is public once.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

import msgspec

from quantd.domain.fills import Liquidity
from quantd.domain.numbers import ZERO
from quantd.exchange import Trade
from quantd.simulators.ripio.answers import INVALID, NS_PER_MS, NS_PER_S, Problem, instant, number
from quantd.simulators.ripio.ids import uuid_of
from quantd.simulators.ripio.lists import cut, pagination, read_page, read_window
from quantd.simulators.ripio.options import Switches
from quantd.simulators.ripio.order import VenueOrder
from quantd.simulators.ripio.pairs import Pairs
from quantd.simulators.venue import Json

PAGE_SIZE = 200


class Traded(msgspec.Struct, frozen=True):
    """One execution of one user's order."""

    place: int
    """1, 2, ... over the whole venue."""
    id: str
    order: VenueOrder
    trade: Trade
    other_id: str
    """The order on the other side."""
    other_type: str
    is_public: bool
    """Whether everybody is told it; of two users' trade the taker's side is."""

    @property
    def is_maker(self) -> bool:
        """Whether the user's order rested."""
        return self.trade.liquidity is Liquidity.MAKER


class Tape:
    """All trades of a venue."""

    def __init__(self, pairs: Pairs, switches: Switches, tag: str) -> None:
        self._pairs = pairs
        self._switches = switches
        self._tag = tag
        self._own: dict[tuple[str, str], list[Traded]] = {}
        self._public: dict[str, list[Traded]] = {}
        self.count = 0

    def record(self, order: VenueOrder, trade: Trade, other: VenueOrder | None) -> Traded:
        """Take in an execution; `other` is the order on the other side, None for the market's."""
        self.count += 1
        other_id = uuid_of(self._tag, f"market/{trade.id}") if other is None else other.id
        traded = Traded(
            self.count, uuid_of(self._tag, f"trade/{_shared_id(trade)}"), order, trade, other_id,
            "limit" if other is None else other.terms.type, other is None or trade.liquidity is Liquidity.TAKER,
        )  # fmt: skip
        self._own.setdefault((order.account, order.symbol), []).append(traded)
        if traded.is_public:
            self._public.setdefault(order.symbol, []).append(traded)
            order.terms.pair.note_trade(trade.quantity, trade.price, trade.occurred_at_ns)
        return traded

    # --- routes -----------------------------------------------------------------------------------------------------

    def user_trades(self, account: str, query: Mapping[str, str], now_ns: int) -> Json:
        """Answer the user's trades.

        Raises:
            Problem: a filter or a page is none.
        """
        pair = self._pairs.find(query.get("pair"))
        window = read_window(query, ("start_date", "end_date"), now_ns)
        order_id, external_id = query.get("order_id"), query.get("external_id")

        def fits(traded: Traded) -> bool:
            order = traded.order
            return (order_id is None or order.id == order_id.upper()) and external_id in (
                None, order.terms.external_id,
            )  # fmt: skip

        rows = [one for one in self._between(self._own.get((account, pair.rules.symbol), []), window) if fits(one)]
        rows = self._told(rows, now_ns)
        return self._listed(rows, query, self.own)

    def order_trades(self, order: VenueOrder, query: Mapping[str, str], now_ns: int) -> Json:
        """Answer the trades of one order.

        Raises:
            Problem: the page is none.
        """
        rows = [one for one in reversed(self._own.get((order.account, order.symbol), [])) if one.order is order]
        return self._listed(self._told(rows, now_ns), query, self.own)

    def public_trades(self, query: Mapping[str, str], now_ns: int) -> Json:
        """Answer everybody's trades.

        Raises:
            Problem: a filter or a page is none.
        """
        pair = self._pairs.find(query.get("pair"))
        window = read_window(query, ("start_time", "end_time"), now_ns)
        rows = list(self._between(self._public.get(pair.rules.symbol, []), window))
        return self._listed(rows, query, self.public)

    def _told(self, rows: list[Traded], now_ns: int) -> list[Traded]:
        """Return the trades that lists know by the venue's time `now_ns`."""
        until_ns = now_ns - self._skew_ns - round(self._switches.trade_lag_s * NS_PER_S)
        return [one for one in rows if one.trade.occurred_at_ns <= until_ns]

    def _between(self, rows: list[Traded], window: tuple[int, int]) -> Iterator[Traded]:
        """Yield the trades of a window by the venue's clock, newest first."""
        skew_ns = self._skew_ns
        for one in reversed(rows):
            at_ns = one.trade.occurred_at_ns + skew_ns
            if at_ns < window[0]:
                return
            if at_ns <= window[1]:
                yield one

    def _listed(self, rows: list[Traded], query: Mapping[str, str], show: Callable[[Traded], Json]) -> Json:
        page = read_page(query, PAGE_SIZE)
        if not self._switches.trade_pagination and "current_page" in query:
            raise Problem(INVALID, "current_page is gone: use c")
        shown, cursors = cut(rows, page, lambda one: one.place)
        answer: Json = {"trades": [show(one) for one in shown], **cursors}
        if self._switches.trade_pagination:
            answer["pagination"] = pagination(page, rows)
        return answer

    # --- how they are shown -----------------------------------------------------------------------------------------

    @property
    def _skew_ns(self) -> int:
        return round(self._switches.clock_skew_s * NS_PER_S)

    def own(self, traded: Traded) -> Json:
        """Return a trade as its user sees it; which order is the user's follows from taker_or_maker."""
        order, trade = traded.order, traded.trade
        maker, taker = (order.id, traded.other_id) if traded.is_maker else (traded.other_id, order.id)
        fee: Decimal = sum((amount for _, amount in trade.fees), ZERO)
        at_ns = trade.occurred_at_ns + self._skew_ns
        return {
            "id": traded.id, "pair_code": order.symbol, "side": order.terms.side.value, "type": order.terms.type,
            "amount": number(trade.quantity), "price": number(trade.price),
            "total_value": number(trade.quantity * trade.price), "fee": number(fee),
            "fee_currency": trade.fees[0][0] if trade.fees else order.received,
            "taker_or_maker": "maker" if traded.is_maker else "taker", "maker_order_id": maker,
            "taker_order_id": taker, "date": instant(at_ns), "timestamp": at_ns // NS_PER_MS,
        }  # fmt: skip

    def public(self, traded: Traded) -> Json:
        """Return a trade as everybody sees it."""
        order, trade = traded.order, traded.trade
        at_ns = trade.occurred_at_ns + self._skew_ns
        own = (order.terms.side.value, order.terms.type, order.id)
        other = (order.terms.side.opposite.value, traded.other_type, traded.other_id)
        maker, taker = (own, other) if traded.is_maker else (other, own)
        return {
            "id": traded.id, "pair": order.symbol, "price": number(trade.price), "amount": number(trade.quantity),
            "total_value": number(trade.quantity * trade.price), "date": instant(at_ns),
            "timestamp": at_ns // NS_PER_MS,
            "maker_side": maker[0], "maker_type": maker[1], "maker_order_id": maker[2],
            "taker_side": taker[0], "taker_type": taker[1], "taker_order_id": taker[2],
        }  # fmt: skip


def _shared_id(trade: Trade) -> str:
    """Return the id of a trade's maker side; the exchange numbers a taker's side right after it."""
    if not trade.against or trade.liquidity is Liquidity.MAKER:
        return trade.id
    return f"{trade.id[:1]}{int(trade.id[1:]) - 1}"
