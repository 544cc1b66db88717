"""The grid market maker: limit orders at even steps around the middle, moved when the middle has moved."""

from decimal import Decimal

from quantd import Denied, Fill, Limit, Order, Quote, Side, Strategy, param


class GridMaker(Strategy):
    """Earns the steps between its buys below the middle and its sells above it.

    The grid stands around an anchor. Once the middle is `requote_bps` away from that, all orders are cancelled, and when
    the last one is gone a new grid is laid around the new middle. A level that traded stays empty until then, so that a
    falling market is not bought again and again at one price.

    It sells only what its own book holds (on spot accounts nothing else can be sold), and stops buying at
    `max_inventory`, open orders counted.
    """

    levels: int = param(3, ge=1, le=50, doc="orders on each side")
    step_bps: float = param(
        10.0, gt=0, lt=5_000, doc="basis points from level to level, and from the middle to the first"
    )
    quantity: Decimal = param(Decimal("0.01"), gt=0, doc="of each order")
    max_inventory: Decimal = param(Decimal(0), ge=0, doc="most that it holds; 0 stands for levels x quantity")
    requote_bps: float = param(
        0.0,
        ge=0,
        doc="basis points that the middle may move; 0 stands for half a step beyond the last level. Below a step, only "
        "jumps trade: where the market creeps, the grid is gone before the first level is reached",
    )
    rest_s: float = param(
        1.0, ge=0, doc="seconds that a grid stands at least, so that a fast market is no flood of orders"
    )
    short: bool = param(False, doc="whether it also sells what it does not hold; needs a margin account")
    needs = {Limit}

    def setup(self) -> None:
        self.quotes()
        self.anchor = 0.0
        self.placed: dict[tuple[Side, int], str] = {}
        """Levels that were used since the grid was laid -> the order's id."""
        self.laid_at = 0.0
        """When the grid was anchored, in seconds since 1970."""
        self.is_refused = False
        """Whether this grid met a refusal that will not pass by itself: no more orders until the next one."""
        self.is_waiting = False
        """Whether it met one that may pass: no more orders until the next price."""

    def on_start(self) -> None:
        # Orders of an earlier run stand around an anchor that nobody remembers.
        self.cancel_all(self.instrument)

    def on_quote(self, quote: Quote) -> None:
        moved_bps = abs(quote.mid / self.anchor - 1) * 10_000 if self.anchor else float("inf")
        now = self.now.timestamp()
        self.is_waiting = False
        if moved_bps >= (self.requote_bps or (self.levels + 0.5) * self.step_bps) and now - self.laid_at >= self.rest_s:
            self.cancel_all(self.instrument)
            self.anchor, self.laid_at = quote.mid, now
            self.placed.clear()
            self.is_refused = False
        self.lay()

    def on_fill(self, order: Order, fill: Fill) -> None:
        # What was bought can be sold at once; what was sold makes room for buys.
        self.lay()

    def on_order(self, order: Order) -> None:
        # The last order of the old grid is gone: do not wait for the next price.
        if not order.is_open:
            self.lay()

    def lay(self) -> None:
        """Place what is missing from the grid."""
        ours = set(self.placed.values())
        working = self.orders(self.instrument)
        if not self.anchor or any(order.id not in ours for order in working):
            return  # the old grid is still being cancelled: two at once would trade with each other
        most = self.max_inventory or self.levels * self.quantity
        held = self.position(self.instrument).quantity
        buys = sum((order.quantity - order.filled for order in working if order.side is Side.BUY), Decimal(0))
        sells = sum((order.quantity - order.filled for order in working if order.side is Side.SELL), Decimal(0))
        room_to_buy = most - held - buys
        room_to_sell = held - sells + (most if self.short else 0)
        for level in range(1, self.levels + 1):
            distance = level * self.step_bps / 10_000
            room_to_buy -= self.place(Side.BUY, level, self.anchor * (1 - distance), room_to_buy)
            room_to_sell -= self.place(Side.SELL, level, self.anchor * (1 + distance), room_to_sell)

    def place(self, side: Side, level: int, price: float, room: Decimal) -> Decimal:
        """Place one order of the grid and return its quantity; 0 when the level is used, or there is no room."""
        quantity = min(self.quantity, room)
        # Fees leave a little less than was bought: sell that, but do not send crumbs.
        if (side, level) in self.placed or quantity * 2 < self.quantity or self.is_refused or self.is_waiting:
            return Decimal(0)
        send = self.buy if side is Side.BUY else self.sell
        answer = send(self.instrument, quantity, Limit(price), why=f"level {level}")
        if isinstance(answer, Denied):
            self.is_waiting = answer.is_transient
            self.is_refused = not answer.is_transient
            return Decimal(0)
        self.placed[side, level] = answer.id
        return quantity
