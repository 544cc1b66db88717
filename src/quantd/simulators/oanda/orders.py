"""The order desk of a simulated OANDA: creates, replaces, cancels and annotates orders.

Used by the venue. A 201 says that an order was created, not that it lives: the answer may hold its fill or its
cancel too. Orders that guard trades are the guards' (`dependents`), and come here by their own ids.
"""

from typing import Any

import msgspec

from quantd.domain.orders import OrderKind, OrderSpec, Side, TimeInForce
from quantd.exchange import NewOrder, Refused
from quantd.simulators.oanda.answers import Answer, Failed, malformed
from quantd.simulators.oanda.booking import Booking, new_record
from quantd.simulators.oanda.dependents import CANCELS_LOCKED, Dependents
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.records import STOP_LOSS, TAKE_PROFIT, Account, OrderRecord
from quantd.simulators.oanda.terms import (
    ENTRY_TYPES,
    GUARD_TYPES,
    Rejected,
    Wanted,
    read_extensions,
    read_order,
)
from quantd.simulators.oanda.words import done, refused
from quantd.simulators.venue import Json

_CANCELS = {
    "market_closed": "MARKET_HALTED", "market_halted": "MARKET_HALTED", "delisted": "MARKET_HALTED",
    "insufficient_margin": "INSUFFICIENT_MARGIN", "would_not_reduce": "INSUFFICIENT_LIQUIDITY",
    "fifo_violation": "FIFO_VIOLATION",
}  # fmt: skip
"""Reasons with which an order is cancelled as soon as it is created."""
_REJECTS = {
    "no_price": "INSTRUMENT_PRICE_UNKNOWN", "no_rate": "INSTRUMENT_PRICE_UNKNOWN", "bad_price": "PRICE_INVALID",
    "bad_trigger": "PRICE_INVALID", "bad_quantity": "UNITS_INVALID", "below_minimum": "UNITS_MIMIMUM_NOT_MET",
    "above_maximum": "UNITS_LIMIT_EXCEEDED", "bad_expiry": "TIME_IN_FORCE_GTD_TIMESTAMP_IN_PAST",
}  # fmt: skip
_COMMON = ("price", "timeInForce", "triggerCondition")
_ECHOED = {
    True: frozenset({*_COMMON, "tradeID", "clientTradeID", "distance"}),
    False: frozenset({*_COMMON, "instrument", "units", "priceBound", "positionFill"}),
}
"""Members that a rejection repeats as far as they are texts, by whether the order guards a trade."""


class OrderDesk:
    """Orders of all accounts."""

    def __init__(self, floor: Floor, booking: Booking) -> None:
        self._exchange = floor.exchange
        self._booking = booking
        self._instruments = floor.instruments
        self._prices = floor.prices
        self._switches = floor.switches
        self.dependents = Dependents(floor, booking)
        self.counts: dict[str, int] = {"created": 0, "cancels": 0, "cancelled_too_late": 0, "rejected": 0}
        self.client_ids: dict[tuple[str, str], int] = {}
        """How often each client id came with a create."""

    # --- create -----------------------------------------------------------------------------------------------------

    def create(self, act: Act, body: Json) -> Answer:
        """Create an order.

        Raises:
            Failed: it is malformed (400), rejected (400), or its trade does not exist (404).
        """
        raw = _order_of(body)
        account, before = act.account, act.begin()
        try:
            if raw["type"] in GUARD_TYPES:
                payload = self._create_guard(act, raw)
            else:
                payload = self.place(act, self._read(act, raw), {"reason": "CLIENT_ORDER"})
        except Rejected as rejection:
            raise self._rejected(act, before, raw, rejection.reason, {"reason": "CLIENT_ORDER"}) from rejection
        self.counts["created"] += 1
        created = payload["orderCreateTransaction"]
        client_id = created.get("clientExtensions", {}).get("id")
        if client_id:
            key = (account.id, client_id)
            self.client_ids[key] = self.client_ids.get(key, 0) + 1
        return done(account, before, payload, status=201, location=f"/v3/accounts/{account.id}/orders/{created['id']}")

    def _read(self, act: Act, raw: Json, replaced: OrderRecord | None = None) -> Wanted:
        """Return what is wanted, held against the account's other orders."""
        account = act.account
        wanted = read_order(raw, self._instruments, hedging=account.rules.hedging, now_ns=act.now_ns)
        client_id = wanted.shown.get("clientExtensions", {}).get("id")
        others = (one for one in account.pending.values() if one is not replaced)
        is_unique = self._switches.pending_client_ids_unique
        if client_id and is_unique and any(one.client_id == client_id for one in others):
            raise Rejected("CLIENT_ORDER_ID_ALREADY_EXISTS")
        stop, quote = wanted.guards.get(STOP_LOSS), self._prices.quote(wanted.rules)
        opens_at = wanted.spec.trigger or wanted.spec.price or (None if quote is None else quote[0])
        if stop is not None and stop.distance is not None and opens_at is not None and stop.distance >= opens_at:
            raise Rejected("STOP_LOSS_ON_FILL_DISTANCE_INVALID")
        trade_id = wanted.shown.get("tradeClientExtensions", {}).get("id")
        if trade_id and any(one.client_id == trade_id for one in account.open_trades.values()):
            raise Rejected("CLIENT_TRADE_ID_ALREADY_EXISTS")
        return wanted

    def _create_guard(self, act: Act, raw: Json) -> Json:
        kind = str(raw["type"])
        trade = self.dependents.trade_of(act.account, raw)
        if kind in trade.guards:
            raise Rejected(f"{kind}_ORDER_ALREADY_EXISTS")
        return self.dependents.set_one(act, trade, kind, raw)

    def place(self, act: Act, wanted: Wanted, about: Json, *, lot: str = "") -> Json:
        """Create an order that was read, let it meet the market, and return the transactions by member.

        Raises:
            Rejected: the exchange refuses what the venue would have rejected.
        """
        account, now_ns = act.account, act.now_ns
        lossy = self._lossy(wanted)
        if lossy:
            return self.cancelled_at_once(act, wanted, about, lossy)
        spec, shown = self._touched(wanted), {**wanted.shown}
        client_id = str(shown.get("clientExtensions", {}).get("id", ""))
        answer = self._exchange.submit(account.id, NewOrder(client_id, spec, lot=lot), now_ns)
        if isinstance(answer, Refused):
            is_dry = (
                answer.code == "no_price" and wanted.type == "MARKET" and self._prices.quote(wanted.rules) is not None
            )
            reason = "INSUFFICIENT_LIQUIDITY" if is_dry else _cancel_reason(answer, wanted)
            return self.cancelled_at_once(act, wanted, about, reason)
        entry = account.log.append(f"{wanted.type}_ORDER", {**shown, **about})
        if wanted.type == "MARKET_IF_TOUCHED":
            quote = self._prices.quote(wanted.rules)
            assert quote is not None, "the exchange takes nothing that opens without a price"
            shown["initialMarketPrice"] = self._prices.text(wanted.rules, quote[1 if wanted.units > 0 else 0])
        if "replacesOrderID" in about:
            shown["replacesOrderID"] = about["replacesOrderID"]
        record = new_record(entry, shown, wanted.rules, units=wanted.units, exchange_id=answer.venue_order_id)
        account.add(record)
        told: Json = {"orderCreateTransaction": entry}
        self._booking.take(self._booking.requote(wanted.rules.name, now_ns), now_ns, act.request_id)
        told |= self.outcome(account, record)
        return told

    def _touched(self, wanted: Wanted) -> OrderSpec:
        """Return the exchange's order for what is wanted: one that the better side triggers is a limit there."""
        spec, quote = wanted.spec, self._prices.quote(wanted.rules)
        if wanted.type != "MARKET_IF_TOUCHED" or quote is None or spec.trigger is None:
            return spec
        if spec.trigger >= quote[1] if spec.side is Side.BUY else spec.trigger <= quote[0]:
            return spec
        time = TimeInForce.GTC if spec.expires_at_ns is None else TimeInForce.GTD
        return msgspec.structs.replace(
            spec, kind=OrderKind.LIMIT, price=spec.trigger, trigger=None, time_in_force=time
        )  # fmt: skip

    def cancelled_at_once(self, act: Act, wanted: Wanted, about: Json, reason: str) -> Json:
        """Enter an order that is cancelled as soon as it is created; the exchange never has it."""
        entry = act.account.log.append(f"{wanted.type}_ORDER", {**wanted.shown, **about})
        fields = {**wanted.shown, **{key: value for key, value in about.items() if key.startswith("replaces")}}
        record = new_record(entry, fields, wanted.rules, units=wanted.units, exchange_id="")
        act.account.add(record)
        cancelled = self._booking.cancel(act, record, reason)
        return {"orderCreateTransaction": entry, "orderCancelTransaction": cancelled}

    def outcome(self, account: Account, record: OrderRecord) -> Json:
        """Return how an order has ended already, by members of an answer."""
        told: Json = {}
        if record.state == "FILLED":
            told["orderFillTransaction"] = account.log.get(int(record.shown["fillingTransactionID"]))
        if record.state == "CANCELLED":
            told["orderCancelTransaction"] = account.log.get(int(record.shown["cancellingTransactionID"]))
        again = record.shown.get("replacedByOrderID")
        if again is not None:
            told["orderReissueTransaction"] = account.log.get(int(again))
        return told

    def _lossy(self, wanted: Wanted) -> str:
        """Return why a market order's guards would end its trade at once with a loss, nothing where they would not."""
        quote = self._prices.quote(wanted.rules)
        if wanted.type != "MARKET" or quote is None:
            return ""
        is_long = wanted.spec.side is Side.BUY
        closes_at, opens_at = (quote[0], quote[1]) if is_long else (quote[1], quote[0])
        for kind, price in ((STOP_LOSS, closes_at), (TAKE_PROFIT, opens_at)):
            guard = wanted.guards.get(kind)
            if guard is None or guard.price is None:
                continue
            above = guard.price >= price if is_long is (kind == STOP_LOSS) else guard.price <= price
            if above:
                return f"{kind}_ON_FILL_LOSS"
        return ""

    def _rejected(self, act: Act, before: int, raw: Json, reason: str, about: Json) -> Failed:
        """Enter a rejection and return the error."""
        echoed = _ECHOED[raw["type"] in GUARD_TYPES] - ({"triggerCondition"} if raw["type"] == "MARKET" else set())
        fields: Json = {key: value for key, value in raw.items() if key in echoed and isinstance(value, str)}
        extensions = raw.get("clientExtensions")
        if isinstance(extensions, dict):
            fields["clientExtensions"] = extensions
        entry = act.account.log.append(f"{raw['type']}_ORDER_REJECT", {**fields, **about, "rejectReason": reason})
        self.counts["rejected"] += 1
        status = 404 if reason == "TRADE_DOESNT_EXIST" else 400
        return refused(act.account, before, {"orderRejectTransaction": entry}, reason, status=status)

    # --- changes ----------------------------------------------------------------------------------------------------

    def _gone(self, account: Account, before: int, specifier: str, members: tuple[str, str]) -> Failed:
        """Enter that an order to be changed is not pending, and return the error."""
        kind, member = members
        fields: Json = {}
        if specifier.startswith("@"):
            fields["clientOrderID"] = specifier[1:]
        else:
            fields["orderID"] = specifier
        entry = account.log.append(kind, {**fields, "rejectReason": "ORDER_DOESNT_EXIST"})
        self.counts["cancelled_too_late"] += kind == "ORDER_CANCEL_REJECT"
        return refused(account, before, {member: entry}, "ORDER_DOESNT_EXIST", status=404)

    def cancel(self, act: Act, specifier: str) -> Answer:
        """Cancel a pending order.

        Raises:
            Failed: it is not pending (404), which takes an id all the same.
        """
        account, before = act.account, act.begin()
        record = account.find_order(specifier)
        if record is None or record.state != "PENDING":
            raise self._gone(account, before, specifier, ("ORDER_CANCEL_REJECT", "orderCancelRejectTransaction"))
        if self._switches.cancels_locked:
            fields = {"orderID": str(record.id), "rejectReason": CANCELS_LOCKED}
            rejection = account.log.append("ORDER_CANCEL_REJECT", fields)
            raise refused(account, before, {"orderCancelRejectTransaction": rejection}, CANCELS_LOCKED)
        self._withdraw(act, record)
        entry = self._booking.cancel(act, record, "CLIENT_REQUEST")
        self.counts["cancels"] += 1
        return done(account, before, {"orderCancelTransaction": entry})

    def _withdraw(self, act: Act, record: OrderRecord) -> None:
        """Take an order off the exchange."""
        if record.trade:
            self._booking.guards.remove(act, record)
        else:
            answer = self._exchange.cancel(act.account.id, record.exchange_id, act.now_ns)
            assert not isinstance(answer, Refused), f"order {record.id} is pending here and ended there"

    def replace(self, act: Act, specifier: str, body: Json) -> Answer:
        """Cancel an order and create another of its type in one step.

        Raises:
            Failed: it is malformed or rejected (400; the old order stays), or there is no such order (404).
        """
        raw = _order_of(body)
        account, before = act.account, act.begin()
        record = account.find_order(specifier)
        if record is None or record.state != "PENDING":
            raise self._gone(account, before, specifier, ("ORDER_CANCEL_REJECT", "orderCancelRejectTransaction"))
        if "clientExtensions" not in raw and "clientExtensions" in record.shown:
            raw = {**raw, "clientExtensions": record.shown["clientExtensions"]}
        about: Json = {"reason": "REPLACEMENT"}
        try:
            if raw["type"] != record.type:
                raise Rejected("REPLACING_ORDER_INVALID")
            if record.trade:
                trade = account.trades[record.trade]
                if self.dependents.trade_of(account, raw) is not trade:
                    raise Rejected("REPLACING_TRADE_ID_INVALID")
                payload = self.dependents.set_one(act, trade, record.type, raw)
            else:
                payload = self._replace(act, record, raw)
        except Rejected as rejection:
            about["intendedReplacesOrderID"] = str(record.id)
            raise self._rejected(act, before, raw, rejection.reason, about) from rejection
        created = payload["orderCreateTransaction"]
        return done(account, before, payload, status=201, location=f"/v3/accounts/{account.id}/orders/{created['id']}")

    def _replace(self, act: Act, record: OrderRecord, raw: Json) -> Json:
        wanted = self._read(act, raw, record)
        self._check(act, wanted)
        self._withdraw(act, record)
        cancelled = self._booking.cancel(
            act, record, "CLIENT_REQUEST_REPLACED", replacedByOrderID=str(act.account.log.next_id + 1)
        )
        about = {
            "reason": "REPLACEMENT", "replacesOrderID": str(record.id), "cancellingTransactionID": cancelled["id"],
        }  # fmt: skip
        payload = self.place(act, wanted, about)
        told: Json = {"orderCancelTransaction": cancelled}
        if "orderCancelTransaction" in payload:
            told["replacingOrderCancelTransaction"] = payload.pop("orderCancelTransaction")
        return {**payload, **told}

    def _check(self, act: Act, wanted: Wanted) -> None:
        """See that the exchange takes the new order before the old one is withdrawn."""
        trial = self._exchange.submit(act.account.id, NewOrder("", self._touched(wanted)), act.now_ns)
        if isinstance(trial, Refused):
            raise Rejected(_CANCELS.get(trial.code) or _REJECTS.get(trial.code, "INSTRUMENT_NOT_TRADEABLE"))
        self._exchange.cancel(act.account.id, trial.venue_order_id, act.now_ns)

    def annotate(self, act: Act, specifier: str, body: Json) -> Answer:
        """Change what a client has attached to a pending order.

        Raises:
            Failed: it is malformed or rejected (400), or there is no such order (404).
        """
        account, before = act.account, act.begin()
        kind, member = "ORDER_CLIENT_EXTENSIONS_MODIFY", "orderClientExtensionsModify"
        record = account.find_order(specifier)
        if record is None or record.state != "PENDING":
            raise self._gone(account, before, specifier, (f"{kind}_REJECT", f"{member}RejectTransaction"))
        fields: Json = {"orderID": str(record.id)}
        if record.client_id:
            fields["clientOrderID"] = record.client_id
        try:
            changes = {
                name: read_extensions(body.get(name), name, prefix)
                for name, prefix in (("clientExtensions", "CLIENT_ORDER"), ("tradeClientExtensions", "CLIENT_TRADE"))
            }
            if not any(changes.values()):
                raise Rejected("CLIENT_EXTENSIONS_DATA_MISSING")
        except Rejected as rejection:
            entry = account.log.append(f"{kind}_REJECT", {**fields, "rejectReason": rejection.reason})
            raise refused(account, before, {f"{member}RejectTransaction": entry}, rejection.reason) from rejection
        for name, change in changes.items():
            if change:
                record.shown[name] = {**record.shown.get(name, {}), **change}
                fields[f"{name}Modify"] = change
        entry = account.log.append(kind, fields)
        return done(account, before, {f"{member}Transaction": entry})

    # --- reads ------------------------------------------------------------------------------------------------------

    def shown(self, account: Account, record: OrderRecord) -> Json:
        """Return an order as it stands; a trailing stop with its present price."""
        told = dict(record.shown)
        if record.type == "TRAILING_STOP_LOSS" and record.state == "PENDING":
            view = self._exchange.order(account.id, record.exchange_id)
            if view is not None and view.spec.trigger is not None:
                told["trailingStopValue"] = self._prices.text(record.rules, view.spec.trigger)
        if self._switches.extra_fields and record.type in ENTRY_TYPES - {"MARKET"}:
            told |= {"partialFill": "DEFAULT_FILL", "triggerMode": "TOP_OF_BOOK"}
        return told


def _cancel_reason(answer: Refused, wanted: Wanted) -> str:
    """Return why the venue cancels at once what the exchange has refused.

    Raises:
        Rejected: the venue would not even have created it. Assumed of a pending order without margin.
    """
    reason = _CANCELS.get(answer.code, "")
    if not reason or (answer.code == "insufficient_margin" and wanted.type != "MARKET"):
        raise Rejected(reason or _REJECTS.get(answer.code, "INSTRUMENT_NOT_TRADEABLE"))
    return reason


def _order_of(body: Json) -> dict[str, Any]:
    """Return the member ``order`` with a type that there is."""
    raw = body.get("order")
    if not isinstance(raw, dict):
        raise Failed(400, "The request was missing required data")
    kind = raw.get("type")
    if kind == "GUARANTEED_STOP_LOSS":
        raise Failed(400, "guaranteed stop losses are not simulated: guaranteedStopLossOrderMode is DISABLED")
    if kind not in ENTRY_TYPES and kind not in GUARD_TYPES:
        raise malformed("order.type")
    return raw
