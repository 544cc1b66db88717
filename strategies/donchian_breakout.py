"""The channel breakout: goes with a close beyond the highest high, behind a stop at a distance of average ranges."""

from decimal import Decimal

from quantd import ATR, Bar, Donchian, Market, Protect, Strategy, param


class DonchianBreakout(Strategy):
    """Enters when a bar closes beyond the channel of the bars before it, and leaves beyond a shorter channel.

    The stop stands with the entry from its first fill on, `stop_atr` average true ranges from the close that gave the
    signal; it is held by the engine where the venue cannot hold it. A stopped-out position is entered again by the next
    breakout only, never by the same bar.
    """

    entry: int = param(20, ge=2, doc="bars of the channel whose break is the entry")
    exit: int = param(10, ge=1, doc="bars of the channel whose break is the exit")
    atr: int = param(14, ge=1, doc="bars that the average true range smooths")
    stop_atr: float = param(2.0, gt=0, doc="distance of the stop, in average true ranges")
    quantity: Decimal = param(Decimal("0.01"), gt=0)
    short: bool = param(False, doc="whether falls are sold too; needs a margin account")
    needs = {Market, Protect}

    def setup(self) -> None:
        bars = self.bars()
        # One bar more than the channels span: what is broken is the channel as it stood before the bar.
        self.entry_channel = bars.track(Donchian(self.entry))
        self.exit_channel = bars.track(Donchian(self.exit))
        self.range = bars.track(ATR(self.atr))

    def on_bar(self, bar: Bar) -> None:
        held = self.position(bar.instrument).quantity
        if held:
            fell = bar.close < self.exit_channel.previous_lower
            rose = bar.close > self.exit_channel.previous_upper
            if (held > 0 and fell) or (held < 0 and rose):
                self.close(bar.instrument, why="exit channel")
            return
        distance = self.stop_atr * self.range.value
        if bar.close > self.entry_channel.previous_upper:
            stop = Protect(stop=bar.close - distance)
            self.target(bar.instrument, self.quantity, protect=stop, why="breakout up")
        elif self.short and bar.close < self.entry_channel.previous_lower:
            stop = Protect(stop=bar.close + distance)
            self.target(bar.instrument, -self.quantity, protect=stop, why="breakout down")
