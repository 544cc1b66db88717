"""Prices of a simulated OANDA: what a quote means in units, money and margin, and how it is told.

Used by all desks. Conversion to the home currency goes by mid, for gains and losses alike (the real one differs by a
small mark-up that is not documented).
"""

from decimal import ROUND_HALF_EVEN, Decimal

from quantd.domain.instruments import MarketStatus
from quantd.domain.market import Bar, Quote
from quantd.domain.numbers import ONE, ZERO, plain
from quantd.exchange import Exchange
from quantd.simulators.oanda.answers import At
from quantd.simulators.oanda.options import AccountRules, InstrumentRules
from quantd.simulators.venue import Json

_TWO = Decimal(2)
_FACTOR = Decimal("0.00000001")


class PriceDesk:
    """Reads the exchange's prices; changes nothing."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def quote(self, rules: InstrumentRules) -> tuple[Decimal, Decimal] | None:
        """Return (bid, ask) of the market itself, None before the first price."""
        found = self._exchange.last(rules.id)
        if isinstance(found, Quote):
            return self._snapped(rules, found.bid), self._snapped(rules, found.ask)
        if found is None or isinstance(found, Bar) or not found.bids or not found.asks:
            return None
        return self._snapped(rules, found.bids[0][0]), self._snapped(rules, found.asks[0][0])

    def _snapped(self, rules: InstrumentRules, value: float) -> Decimal:
        return Decimal(repr(value)).quantize(rules.tick, ROUND_HALF_EVEN)

    def text(self, rules: InstrumentRules, price: Decimal) -> str:
        """Return a price with all its digits."""
        return f"{price:.{rules.precision}f}"

    def mid(self, rules: InstrumentRules) -> Decimal | None:
        """Return the middle of bid and ask."""
        quote = self.quote(rules)
        return None if quote is None else (quote[0] + quote[1]) / _TWO

    def closing(self, rules: InstrumentRules, *, is_long: bool) -> Decimal | None:
        """Return the price at which a side would be closed."""
        quote = self.quote(rules)
        return None if quote is None else quote[0] if is_long else quote[1]

    def rate(self, source: str, target: str) -> Decimal | None:
        """Return what one unit of a currency is worth in another at mid."""
        return self._exchange.rate(source, target)

    def margin_rate(self, rules: InstrumentRules, account: AccountRules) -> Decimal:
        """Return the stricter of the instrument's and the account's own rate (assumed)."""
        return max(rules.margin_rate, account.margin_rate or ZERO)

    def margin(self, rules: InstrumentRules, units: Decimal, account: AccountRules) -> Decimal:
        """Return the margin that units use at mid, in the home currency; 0 without a price."""
        return self.worth(rules, units, account.currency) * self.margin_rate(rules, account)

    def worth(self, rules: InstrumentRules, units: Decimal, currency: str) -> Decimal:
        """Return what units are worth at mid, unsigned; 0 without a price or a rate."""
        mid, rate = self.mid(rules), self.rate(rules.quote, currency)
        return ZERO if mid is None or rate is None else abs(units) * mid * rate

    def profit(self, rules: InstrumentRules, units: Decimal, cost: Decimal, currency: str, *, mid: bool) -> Decimal:
        """Return the unrealised profit of signed units opened at `cost`, at the closing side or at mid."""
        price = self.mid(rules) if mid else self.closing(rules, is_long=units > 0)
        rate = self.rate(rules.quote, currency)
        return ZERO if price is None or rate is None else (price - cost) * units * rate

    def half_spread(self, rules: InstrumentRules, units: Decimal, currency: str) -> Decimal:
        """Return what half of the spread costs for units, in the home currency."""
        quote, rate = self.quote(rules), self.rate(rules.quote, currency)
        return ZERO if quote is None or rate is None else (quote[1] - quote[0]) / _TWO * abs(units) * rate

    def factor(self, source: str, currency: str) -> str:
        """Return a conversion factor as text."""
        rate = self.rate(source, currency)
        return "1" if rate is None or rate == ONE else plain(rate.quantize(_FACTOR))

    # --- answers ----------------------------------------------------------------------------------------------------

    def buckets(self, rules: InstrumentRules) -> tuple[list[Json], list[Json]]:
        """Return the ladder, bids and asks, best first; the client's own orders are not in it."""
        quote = self.quote(rules)
        if quote is None:
            return [], []
        book = self._exchange.book(rules.id, 10, resting=False)
        sides = [book.bids or ((float(quote[0]), 0.0),), book.asks or ((float(quote[1]), 0.0),)]
        shown = [
            [{"price": self.text(rules, Decimal(repr(price))), "liquidity": int(size) or 10_000_000}
             for price, size in side]
            for side in sides
        ]  # fmt: skip
        return shown[0], shown[1]

    def is_tradeable(self, rules: InstrumentRules) -> bool:
        """Tell whether the market is open."""
        return self._exchange.status(rules.id) is MarketStatus.OPEN

    def price(self, rules: InstrumentRules, currency: str) -> Json | None:
        """Return a price as it is polled and streamed, None before the first."""
        quote, found = self.quote(rules), self._exchange.last(rules.id)
        if quote is None or found is None:
            return None
        bids, asks = self.buckets(rules)
        tradeable = self.is_tradeable(rules)
        told: Json = {
            "type": "PRICE", "time": At(found.received_at_ns), "bids": bids, "asks": asks,
            "closeoutBid": bids[-1]["price"], "closeoutAsk": asks[-1]["price"],
            "status": "tradeable" if tradeable else "non-tradeable", "tradeable": tradeable,
            "instrument": rules.name,
        }  # fmt: skip
        factor = self.factor(rules.quote, currency)
        told["quoteHomeConversionFactors"] = {"positiveUnits": factor, "negativeUnits": factor}
        return told

    def fill_fields(self, currency: str, rules: InstrumentRules, *, later: bool) -> Json:
        """Return the members of a fill that tell the market of the moment."""
        bids, asks = self.buckets(rules)
        found = self._exchange.last(rules.id)
        gain = self.factor(rules.quote, currency)
        told: Json = {"gainQuoteHomeConversionFactor": gain, "lossQuoteHomeConversionFactor": gain}
        if later:
            base = self.factor(rules.base, currency)
            told["homeConversionFactors"] = {
                "gainQuoteHome": {"factor": gain}, "lossQuoteHome": {"factor": gain},
                "gainBaseHome": {"factor": base}, "lossBaseHome": {"factor": base},
            }  # fmt: skip
        if found is not None and bids and asks:
            told["fullPrice"] = {
                "closeoutBid": bids[-1]["price"], "closeoutAsk": asks[-1]["price"],
                "timestamp": At(found.received_at_ns), "bids": bids, "asks": asks,
            }  # fmt: skip
        return told
