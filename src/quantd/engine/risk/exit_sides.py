"""Control 1, for the exits that stand with an entry: each on its side of the price at which the entry trades.

A stop that is reached as soon as its entry has filled closes what was just opened, and a strategy that still wants the
position buys it again: spread and fees are lost with every round. Such an entry is refused before it leaves.
"""

from collections.abc import Iterable
from decimal import Decimal

from quantd.domain.instruments import InstrumentId
from quantd.domain.numbers import Rounding
from quantd.domain.orders import Side
from quantd.engine.risk.gate import Control, Scoped, Stateless
from quantd.engine.risk.wish import Denial, Denied, Wish


class ExitSides(Stateless):
    """Control 1: an entry's stop lies on the losing side of its price, its target on the winning one.

    The entry's price is its limit or trigger while the market has not come to it, else the quote: the side that the entry
    takes, and for its stop also the side at which the exit would trade. What only shrinks a book is not asked.
    """

    number = 1

    def check(self, wish: Wish) -> Denied | None:
        """See the class."""
        protect = wish.protect
        if protect is None:
            return None
        exits = []
        for value in (protect.stop, protect.take, protect.trail):
            price = None if value is None else wish.instrument.price(value, Rounding.NEAREST)
            if price is not None and price <= 0:
                return wish.deny(Denial.MALFORMED, 1, "order", "an exit above 0", value)
            exits.append(price)
        stop, take, trail = exits
        entry, exit_at = prices_of(wish)
        if entry is None:
            return wish.deny(Denial.REFERENCE, 5, "order", "a price to hold exits against", "none")
        long = wish.spec.side is Side.BUY
        edge = entry if exit_at is None else min(entry, exit_at) if long else max(entry, exit_at)
        if stop is not None and (stop >= edge if long else stop <= edge):
            return wish.deny(Denial.WRONG_SIDE, 1, "order", f"stop {'<' if long else '>'} {edge}", stop)
        if take is not None and (take <= entry if long else take >= entry):
            return wish.deny(Denial.WRONG_SIDE, 1, "order", f"take {'>' if long else '<'} {entry}", take)
        if (
            trail is not None and exit_at is not None and trail <= abs(entry - exit_at)
        ):  # it begins where the entry trades
            return wish.deny(Denial.WRONG_SIDE, 1, "order", f"trail > {abs(entry - exit_at)}", trail)
        return None


def prices_of(wish: Wish) -> tuple[Decimal | None, Decimal | None]:
    """Return where an entry trades, and where its exit would at that moment: None while the entry waits for its price."""
    spec, mark = wish.spec, wish.mark
    buying = spec.side is Side.BUY
    touch = mark.touch(buying) if mark.bid > 0 and mark.ask > 0 else None
    named = spec.price if spec.trigger is None else spec.trigger
    if spec.trigger is None:
        waits = named is not None and (touch is None or (named < touch if buying else named > touch))
    else:
        waits = touch is None or (spec.trigger > touch if buying else spec.trigger < touch)
    if not waits:
        return touch, None if touch is None else mark.touch(not buying)
    if spec.price is not None and named is not None:  # a stop-limit: never worse than its limit
        named = min(named, spec.price) if buying else max(named, spec.price)
    return named, None


def exit_sides(instrument: InstrumentId, scoped: Scoped) -> Iterable[Control]:
    """Make the control; it holds for every entry, whatever is configured."""
    yield ExitSides()
