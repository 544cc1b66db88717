"""Positions of a simulated OANDA: an instrument's trades by side, and their close.

Used by the venue. A close names what is to go of each side; ``NONE`` is the word for a side that is not held.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from quantd.domain.numbers import ZERO
from quantd.simulators.oanda.answers import Answer, Failed, decimal_of, malformed, money, units_text
from quantd.simulators.oanda.floor import Act, Floor
from quantd.simulators.oanda.options import InstrumentRules
from quantd.simulators.oanda.orders import OrderDesk
from quantd.simulators.oanda.records import Account, PositionSums, SideSums, TradeRecord
from quantd.simulators.oanda.terms import Rejected, check_units, read_extensions
from quantd.simulators.oanda.trades import closing_order
from quantd.simulators.oanda.words import done, not_found, refused
from quantd.simulators.venue import Json

_SIDES = ("long", "short")


class Closeout(msgspec.Struct):
    """A close of a position by side: long, short."""

    rules: InstrumentRules
    wishes: list[Any]
    held: list[Decimal]
    units: list[Decimal] = msgspec.field(default_factory=lambda: [ZERO, ZERO])
    """To be closed."""
    reasons: list[str] = msgspec.field(default_factory=lambda: ["", ""])
    """Why a side cannot be."""


class PositionDesk:
    """Positions of all accounts."""

    def __init__(self, floor: Floor, orders: OrderDesk) -> None:
        self._orders = orders
        self._instruments = floor.instruments
        self._prices = floor.prices
        self._switches = floor.switches

    # --- reads ------------------------------------------------------------------------------------------------------

    def listed(self, account: Account, *, only_open: bool = False) -> list[Json]:
        """Return the positions of all instruments that were ever traded, or of those with open trades."""
        open_ones = {trade.rules.name for trade in account.open_trades.values()}
        return [
            self.shown(account, sums)
            for name, sums in sorted(account.positions.items())
            if not only_open or name in open_ones
        ]

    def one(self, account: Account, name: str) -> Answer:
        """Return an instrument's position.

        Raises:
            Failed: there is no such instrument (400), or it was never traded (404).
        """
        if name not in self._instruments:
            raise malformed("instrument")
        if name not in account.positions:
            raise not_found(account, "NO_SUCH_POSITION")
        return Answer({"position": self.shown(account, account.positions[name])})

    def trades(self, account: Account, rules: InstrumentRules) -> tuple[list[TradeRecord], list[TradeRecord]]:
        """Return an instrument's open trades: long and short, oldest first."""
        mine = [trade for trade in account.open_trades.values() if trade.rules is rules]
        return [one for one in mine if one.is_long], [one for one in mine if not one.is_long]

    def margin(self, account: Account, rules: InstrumentRules) -> Decimal:
        """Return the margin that a position uses: of a hedged one the larger side counts."""
        sides = self.trades(account, rules)
        larger = max(abs(sum((one.units for one in side), ZERO)) for side in sides)
        return self._prices.margin(rules, larger, account.rules)

    def profit(self, account: Account, trades: Iterable[TradeRecord], *, mid: bool = False) -> Decimal:
        """Return the unrealised profit of trades."""
        currency = account.rules.currency
        return sum(
            (self._prices.profit(one.rules, one.units, one.open_price, currency, mid=mid) for one in trades), ZERO
        )

    def shown(self, account: Account, sums: PositionSums) -> Json:
        """Return a position at the present price."""
        sides = self.trades(account, sums.rules)
        pl = sums.long.pl + sums.short.pl
        told: Json = {"instrument": sums.rules.name}
        for name, one, trades in zip(_SIDES, (sums.long, sums.short), sides, strict=True):
            told[name] = self._side(account, one, trades)
        told |= {
            "pl": money(pl), "resettablePL": money(pl), "financing": money(sums.long.financing + sums.short.financing),
            "commission": money(sums.commission), "guaranteedExecutionFees": "0.0000",
            "unrealizedPL": money(self.profit(account, [*sides[0], *sides[1]])),
        }  # fmt: skip
        if self._switches.later_fields:
            told["dividendAdjustment"] = "0.0000"
        if any(sides):
            told["marginUsed"] = money(self.margin(account, sums.rules))
        return told

    def _side(self, account: Account, sums: SideSums, trades: list[TradeRecord]) -> Json:
        units = sum((one.units for one in trades), ZERO)
        told: Json = {"units": units_text(units)}
        if trades:
            worth = sum((one.units * one.open_price for one in trades), ZERO)
            told["averagePrice"] = self._prices.text(trades[0].rules, worth / units)
            told["tradeIDs"] = [str(one.id) for one in trades]
        told |= {
            "pl": money(sums.pl), "resettablePL": money(sums.pl), "financing": money(sums.financing),
            "guaranteedExecutionFees": "0.0000", "unrealizedPL": money(self.profit(account, trades)),
        }  # fmt: skip
        if self._switches.later_fields:
            told["dividendAdjustment"] = "0.0000"
        return told

    # --- close ------------------------------------------------------------------------------------------------------

    def close(self, act: Act, name: str, body: Json) -> Answer:
        """Close sides of a position.

        Raises:
            Failed: a member is malformed or rejected (400), or nothing is open (404).
        """
        rules = self._instruments.get(name)
        if rules is None:
            raise malformed("instrument")
        account = act.account
        held = [abs(sum((one.units for one in side), ZERO)) for side in self.trades(account, rules)]
        closeout = self._checked(Closeout(rules, self._wishes(body), held))
        before = act.begin()
        if any(closeout.reasons):
            raise self._refused(act, before, closeout)
        payload: Json = {}
        for side, amount, wish in zip(_SIDES, closeout.units, closeout.wishes, strict=True):
            if not amount:
                continue
            fields: Json = self._fields(rules, side, wish, signed=-amount if side == "long" else amount)
            extensions = read_extensions(body.get(f"{side}ClientExtensions"), f"{side}ClientExtensions", "CLIENT_ORDER")
            if extensions:
                fields["clientExtensions"] = extensions
            wanted = closing_order(rules, -amount if side == "long" else amount, fields)
            made = self._orders.place(act, wanted, {"reason": "POSITION_CLOSEOUT"})
            payload |= {f"{side}{member[:1].upper()}{member[1:]}": entry for member, entry in made.items()}
        location = f"/v3/accounts/{account.id}/transactions/{account.log.last_id}"
        return done(account, before, payload, location=location)

    def _wishes(self, body: Json) -> list[Any]:
        """Return what is wished of long and short; a side that is not named is left alone where the other is."""
        named = [body.get(f"{side}Units") for side in _SIDES]
        if named == [None, None]:
            return ["ALL", "ALL"]
        return ["NONE" if one is None else one for one in named]

    def _checked(self, closeout: Closeout) -> Closeout:
        """Find the units to close of each side, and why a side cannot be."""
        reasons = closeout.reasons
        if closeout.wishes == ["NONE", "NONE"]:
            reasons[:] = ["CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"] * 2
            return closeout
        for number, wish in enumerate(closeout.wishes):
            if wish == "NONE":
                continue
            try:
                closeout.units[number] = self._units(wish, closeout.held[number], closeout.rules, _SIDES[number])
            except Rejected as rejection:
                reasons[number] = rejection.reason
        if not self._switches.strict_closeout and any(closeout.units):
            reasons[:] = ["" if one == "CLOSEOUT_POSITION_DOESNT_EXIST" else one for one in reasons]
        return closeout

    def _units(self, wish: Any, held: Decimal, rules: InstrumentRules, side: str) -> Decimal:
        if not held:
            raise Rejected("CLOSEOUT_POSITION_DOESNT_EXIST")
        if wish == "ALL":
            return held
        if wish == "":
            raise Rejected("CLOSEOUT_POSITION_PARTIAL_UNITS_MISSING")
        amount = decimal_of(wish, f"{side}Units")
        check_units(amount, rules)
        if amount > held:
            raise Rejected("CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE")
        return amount

    def _fields(self, rules: InstrumentRules, side: str, wish: Any, *, signed: Decimal) -> Json:
        return {
            "instrument": rules.name, "units": units_text(signed), "timeInForce": "FOK", "positionFill": "REDUCE_ONLY",
            f"{side}PositionCloseout": {"instrument": rules.name, "units": str(wish)},
        }  # fmt: skip

    def _refused(self, act: Act, before: int, closeout: Closeout) -> Failed:
        """Enter the rejections: a side that could have gone is refused with the other, as was observed."""
        payload: Json = {}
        for side, wish, reason in zip(_SIDES, closeout.wishes, closeout.reasons, strict=True):
            if wish == "NONE" and not reason:
                continue
            fields = self._fields(closeout.rules, side, wish, signed=ZERO)
            told = {**fields, "reason": "POSITION_CLOSEOUT", "rejectReason": reason or "CLOSEOUT_POSITION_REJECT"}
            payload[f"{side}OrderRejectTransaction"] = act.account.log.append("MARKET_ORDER_REJECT", told)
        code = next(reason for reason in closeout.reasons if reason)
        return refused(act.account, before, payload, code, status=400 if any(closeout.held) else 404)
