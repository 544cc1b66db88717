"""What guards a trade: take profit, stop loss, trailing stop, each an order of its own that can be set, changed and taken away.

Used by the booking, when a trade opens, and by the desks. The exchange keeps a guard's order while it only changes; the
venue gives each change a new id, and so do the records here.
"""

from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

import msgspec

from quantd.domain.lots import LotProtection
from quantd.exchange import LotView, Refused
from quantd.simulators.oanda.answers import At
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.records import MEMBERS, STOP_LOSS, TAKE_PROFIT, TRAILING, Account, OrderRecord, TradeRecord
from quantd.simulators.oanda.terms import Guard, Rejected, read_guard
from quantd.simulators.venue import Json

Changes = Mapping[str, Guard | None]
"""By type: what is to stand, or None to take it away. What is absent stays."""


class Guards:
    """Sets guards on the exchange and enters them in the log."""

    def __init__(self, floor: Floor) -> None:
        self._exchange = floor.exchange

    def set_on_fill(self, act: Act, record: OrderRecord, trade: TradeRecord) -> bool:
        """Set the guards that an order brought for the trade that it opened; tell whether there were any."""
        wanted: dict[str, Guard] = {}
        for kind, member in MEMBERS.items():
            raw = record.shown.get(f"{member}OnFill")
            if raw is None:
                continue
            # It was read once already: all that can be wrong now is that it has expired while the order stood.
            with suppress(Rejected):
                wanted[kind] = read_guard(kind, _plain(raw), record.rules, now_ns=act.now_ns, on_fill=False)
        if wanted:
            self.set(act, trade, wanted, reason="ON_FILL", fill_id=str(trade.id))
        return bool(wanted)

    def set(self, act: Act, trade: TradeRecord, changes: Changes, *, reason: str, fill_id: str = "") -> Json:
        """Set, change and take away guards; return the transactions by their members of an answer.

        Raises:
            Rejected: the exchange does not take one; nothing has changed then.
        """
        held = self._lot(act.account, trade)
        levels = {kind: self._level(trade, guard) for kind, guard in changes.items()}
        had = held.lot.protection
        protection = LotProtection(
            stop=levels.get(STOP_LOSS, had.stop), take=levels.get(TAKE_PROFIT, had.take), trail=levels.get(TRAILING, had.trail)
        )  # fmt: skip
        answer = self._exchange.set_protection(act.account.id, trade.lot, protection, act.now_ns)
        if isinstance(answer, Refused):
            raise Rejected("INSTRUMENT_PRICE_UNKNOWN" if answer.code == "no_price" else "PRICE_INVALID")
        if had.trail is not None and levels.get(TRAILING) == had.trail:
            # An object replaces what is there: at the same distance too it is a new order, from the present price on.
            for one in (msgspec.structs.replace(protection, trail=None), protection):
                self._exchange.set_protection(act.account.id, trade.lot, one, act.now_ns)
        told: Json = {}
        for kind in MEMBERS:
            if kind in changes:
                told |= self._enter(act, trade, kind, changes[kind], why=(reason, fill_id))
        return told

    def _level(self, trade: TradeRecord, guard: Guard | None) -> Decimal | None:
        """Return what the exchange is told: a price, or the distance of a trailing stop."""
        if guard is None or guard.type == TRAILING or guard.distance is None:
            return None if guard is None else guard.distance if guard.type == TRAILING else guard.price
        away = guard.distance
        found = trade.open_price - away if trade.is_long else trade.open_price + away
        return found.quantize(trade.rules.tick)

    def _enter(self, act: Act, trade: TradeRecord, kind: str, guard: Guard | None, *, why: tuple[str, str]) -> Json:
        """Enter the change of one guard."""
        account, (reason, fill_id) = act.account, why
        told: Json = {}
        member, before = MEMBERS[kind], trade.guards.get(kind)
        if before is not None:
            told[f"{member}OrderCancelTransaction"] = self._ended(
                act, before, "CLIENT_REQUEST" if guard is None else "CLIENT_REQUEST_REPLACED"
            )
        if guard is None:
            return told
        fields: Json = {"tradeID": str(trade.id)}
        if trade.client_id:
            fields["clientTradeID"] = trade.client_id
        fields |= guard.shown
        entry_fields = {**fields, "reason": reason if before is None else "REPLACEMENT"}
        if fill_id:
            entry_fields["orderFillTransactionID"] = fill_id
        if before is not None:
            fields["replacesOrderID"] = entry_fields["replacesOrderID"] = str(before.id)
            entry_fields["cancellingTransactionID"] = before.shown["cancellingTransactionID"]
        entry = account.log.append(f"{kind}_ORDER", entry_fields)
        shown: Json = {"id": entry["id"], "createTime": At(act.now_ns), "type": kind, **fields, "state": "PENDING"}
        held = self._lot(account, trade)
        exchange_id = {
            TAKE_PROFIT: held.take_order, STOP_LOSS: held.stop_order, TRAILING: held.trail_order
        }[kind]  # fmt: skip
        record = OrderRecord(int(entry["id"]), kind, trade.rules, shown, act.now_ns, exchange_id=exchange_id)
        record.trade, record.expires_ns = trade.id, guard.expires_ns
        trade.guards[kind] = account.add(record)
        told[f"{member}OrderTransaction"] = entry
        return told

    def _ended(self, act: Act, record: OrderRecord, reason: str) -> Json:
        account = act.account
        fields: Json = {"orderID": str(record.id)}
        if record.client_id:
            fields["clientOrderID"] = record.client_id
        fields["reason"] = reason
        ended: Json = {"cancelledTime": At(act.now_ns)}
        if reason == "CLIENT_REQUEST_REPLACED":
            fields["replacedByOrderID"] = ended["replacedByOrderID"] = str(account.log.next_id + 1)
        entry = account.log.append("ORDER_CANCEL", fields)
        account.end(record, "CANCELLED", {"cancellingTransactionID": entry["id"], **ended})
        return entry

    def remove(self, act: Act, record: OrderRecord) -> None:
        """Take a guard off the exchange; the caller enters why."""
        account = act.account
        trade = account.trades[record.trade]
        had = self._lot(account, trade).lot.protection
        left = LotProtection(
            stop=None if record.type == STOP_LOSS else had.stop,
            take=None if record.type == TAKE_PROFIT else had.take,
            trail=None if record.type == TRAILING else had.trail,
        )
        self._exchange.set_protection(account.id, trade.lot, left, act.now_ns)

    def _lot(self, account: Account, trade: TradeRecord) -> LotView:
        for view in self._exchange.lots(account.id, trade.rules.id):
            if view.lot.venue_id == trade.lot:
                return view
        raise AssertionError(f"trade {trade.id} is open and has no lot")


def _plain(raw: Json) -> Json:
    """Return a guard's members as a request would have them."""
    return {
        key: f"{value.ns // 10**9}.{value.ns % 10**9:09}" if isinstance(value, At) else value
        for key, value in raw.items()
    }
