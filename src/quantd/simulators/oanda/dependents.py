"""Changes of what guards a trade, as clients ask for them: several at once by the trade, or one by an order of its own.

Used by the desks for orders and trades. Per guard: absent leaves it, null takes it away, an object sets or replaces it, and
what the object leaves out is inherited from the order that it replaces.
"""

from collections.abc import Mapping
from typing import Any

from quantd.simulators.oanda.answers import Answer, At, decimal_of, malformed
from quantd.simulators.oanda.booking import Booking
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.records import MEMBERS, STOP_LOSS, Account, OrderRecord, TradeRecord
from quantd.simulators.oanda.terms import Guard, Rejected, read_guard
from quantd.simulators.oanda.words import done, refused
from quantd.simulators.venue import Json

CANCELS_LOCKED = "ACCOUNT_ORDER_CANCEL_LOCKED"


class Dependents:
    """Guards of all accounts' trades."""

    def __init__(self, floor: Floor, booking: Booking) -> None:
        self._switches = floor.switches
        self._booking = booking

    def trade_of(self, account: Account, raw: Json) -> TradeRecord:
        """Return the open trade that an order names.

        Raises:
            Failed: its id is no text (400), as was observed.
            Rejected: there is none.
        """
        by_id, by_client = raw.get("tradeID"), raw.get("clientTradeID")
        if by_id is None and by_client is None:
            raise Rejected("TRADE_ID_UNSPECIFIED")
        if by_id is not None and not isinstance(by_id, str):
            raise malformed("order.tradeID")
        found = account.find_trade(by_id if by_id is not None else f"@{by_client}")
        if found is None or not found.is_open:
            raise Rejected("TRADE_DOESNT_EXIST")
        if by_id is not None and by_client is not None and found.client_id != by_client:
            raise Rejected("TRADE_IDENTIFIER_INCONSISTENCY")
        return found

    def set_one(self, act: Act, trade: TradeRecord, kind: str, raw: Json) -> Json:
        """Set or replace one guard for an order endpoint; return the transactions by its members."""
        if kind == STOP_LOSS and raw.get("price") is None and raw.get("distance") is not None:
            raw = self._from_present_price(trade, raw)
        guard = read_guard(kind, raw, trade.rules, now_ns=act.now_ns, on_fill=False)
        member = MEMBERS[kind]
        made = self._booking.guards.set(act, trade, {kind: guard}, reason="CLIENT_ORDER")
        self._meet(act, trade)
        created = made[f"{member}OrderTransaction"]
        told: Json = {"orderCreateTransaction": created}
        if f"{member}OrderCancelTransaction" in made:
            told["orderCancelTransaction"] = made[f"{member}OrderCancelTransaction"]
        record = act.account.orders[int(created["id"])]
        if record.state == "FILLED":
            told["orderFillTransaction"] = act.account.log.get(int(record.shown["fillingTransactionID"]))
        return told

    def _from_present_price(self, trade: TradeRecord, raw: Json) -> Json:
        """Turn an order's distance, which counts from the present price, into one from the trade's."""
        distance = decimal_of(raw["distance"], "order.distance")
        closing = self._booking.closing(trade)
        if closing is None:
            raise Rejected("INSTRUMENT_PRICE_UNKNOWN")
        price = closing - distance if trade.is_long else closing + distance
        rest = {key: value for key, value in raw.items() if key != "distance"}
        return {**rest, "price": str(price)}

    def _meet(self, act: Act, trade: TradeRecord) -> None:
        self._booking.take(self._booking.requote(trade.rules.name, act.now_ns), act.now_ns, act.request_id)

    # --- by the trade -----------------------------------------------------------------------------------------------

    def change(self, act: Act, trade: TradeRecord, body: Json) -> Answer:
        """Set, replace and take away guards of a trade, all of them or none.

        Raises:
            Failed: a member is malformed, or one is rejected (400).
        """
        account, before = act.account, act.begin()
        changes: dict[str, Guard | None] = {}
        kind = ""
        try:
            for kind, member in MEMBERS.items():
                if member not in body:
                    continue
                raw = body[member]
                if raw is not None:
                    merged = _inherited(raw, trade.guards.get(kind), member)
                    changes[kind] = read_guard(kind, merged, trade.rules, now_ns=act.now_ns, on_fill=False)
                elif kind in trade.guards:
                    changes[kind] = None
            locked = self._locked(act, trade, changes)
            if locked:
                raise refused(account, before, locked, CANCELS_LOCKED)
            made = self._booking.guards.set(act, trade, changes, reason="CLIENT_ORDER")
        except Rejected as rejection:
            raw = body.get(MEMBERS[kind])
            fields: Json = {"tradeID": str(trade.id)}
            if isinstance(raw, dict):
                fields |= {
                    key: raw[key] for key in ("price", "distance", "timeInForce") if isinstance(raw.get(key), str)
                }
            entry = account.log.append(
                f"{kind}_ORDER_REJECT", {**fields, "reason": "CLIENT_ORDER", "rejectReason": rejection.reason}
            )
            payload = {f"{MEMBERS[kind]}OrderRejectTransaction": entry}
            raise refused(account, before, payload, rejection.reason) from rejection
        self._meet(act, trade)
        for kind, guard in changes.items():
            if guard is not None:
                made |= self._ended(account, kind, made)
        return done(account, before, made)

    def _locked(self, act: Act, trade: TradeRecord, changes: Mapping[str, Guard | None]) -> Json:
        """Enter the refused cancels of a locked account's guards; nothing where it is not locked."""
        told: Json = {}
        for kind in changes:
            record = trade.guards.get(kind)
            if self._switches.cancels_locked and record is not None:
                fields: Json = {"orderID": str(record.id)}
                if record.client_id:
                    fields["clientOrderID"] = record.client_id
                entry = act.account.log.append("ORDER_CANCEL_REJECT", {**fields, "rejectReason": CANCELS_LOCKED})
                told[f"{MEMBERS[kind]}OrderCancelRejectTransaction"] = entry
        return told

    def _ended(self, account: Account, kind: str, made: Json) -> Json:
        """Return what has already become of a guard that was just set."""
        member = MEMBERS[kind]
        record = account.orders[int(made[f"{member}OrderTransaction"]["id"])]
        if kind not in ("TAKE_PROFIT", "STOP_LOSS"):
            return {}
        if record.state == "FILLED":
            return {f"{member}OrderFillTransaction": account.log.get(int(record.shown["fillingTransactionID"]))}
        if record.state == "CANCELLED":
            ended = account.log.get(int(record.shown["cancellingTransactionID"]))
            return {f"{member}OrderCreatedCancelTransaction": ended}
        return {}


def _inherited(raw: Any, before: OrderRecord | None, member: str) -> Json:
    """Return a guard's members with those of the order that it replaces where it leaves them out."""
    if not isinstance(raw, dict):
        raise malformed(member)
    if before is None:
        return raw
    merged = dict(raw)
    has_level = raw.get("price") is not None or raw.get("distance") is not None
    for name in ("price", "distance", "timeInForce", "gtdTime", "clientExtensions"):
        if name in merged or name not in before.shown or (has_level and name in ("price", "distance")):
            continue
        value = before.shown[name]
        merged[name] = f"{value.ns // 10**9}.{value.ns % 10**9:09}" if isinstance(value, At) else value
    if merged.get("timeInForce") != "GTD":
        merged.pop("gtdTime", None)
    return merged
