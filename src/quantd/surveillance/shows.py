"""Spoofing and layering: orders that were shown, and withdrawn as soon as we had traded against them.

A fill of ours opens an episode that lasts a few seconds. Whatever we showed on the other side in the last minute, hardly
filled, and take away within the episode counts, less what comes back as near to the market. A maker who moves both quotes
after a fill puts them back and shows about as much on either side; who shows five times what he wants to trade and takes
it away as soon as that has traded does neither.
"""

from collections.abc import Iterator
from decimal import Decimal

from quantd.domain.numbers import ZERO
from quantd.domain.orders import Side
from quantd.surveillance.findings import Pattern, Sighting, Thresholds
from quantd.surveillance.flow import Gone, Order, Shown, Traded, Withdrawn, worse

FILLED_SHARE_MAX = Decimal("0.1")
"""Of an order of which more has traded it cannot be said that it was not meant to."""


class Episode:
    """What happens on the other side within a few seconds of a fill."""

    def __init__(self, traded: Side, since_ns: int, until_ns: int) -> None:
        self.traded = traded
        self.since_ns = since_ns
        self.until_ns = until_ns
        self.opposing: dict[str, Decimal] = {}
        """What we showed or traded on the side of the fill, by order."""
        self.shown: dict[str, Order] = {}
        """Orders on the other side that stood when we traded."""
        self.withdrawn: list[Withdrawn] = []
        self.replaced: list[tuple[Decimal, Decimal]] = []
        """(price, quantity) of what we showed there since."""


class Shows:
    """Looks at one market."""

    def __init__(self, thresholds: Thresholds) -> None:
        self._thresholds = thresholds
        self._live: dict[str, Order] = {}
        self._episodes: dict[Side, Episode] = {}
        """By the side that traded; at most one each."""

    def over(self, now_ns: int) -> Iterator[Sighting]:
        """Close the episodes whose time is over, and yield what they were."""
        for side, episode in list(self._episodes.items()):
            if now_ns > episode.until_ns:
                del self._episodes[side]
                seen = self._judged(episode)
                if seen is not None:
                    yield seen

    def shown(self, move: Shown) -> None:
        """Take in what came into the book."""
        order = move.order
        self._live[order.id] = order
        episode = self._episodes.get(order.spec.side.opposite)
        if episode is not None and order.spec.price is not None:
            episode.replaced.append((order.spec.price, move.quantity))
        opposing = self._episodes.get(order.spec.side)
        if opposing is not None:
            opposing.opposing[order.id] = order.spec.quantity

    def withdrawn(self, move: Withdrawn) -> None:
        """Take in what we took out of it."""
        order = move.order
        episode = self._episodes.get(order.spec.side.opposite)
        if episode is not None and order.id in episode.shown:
            episode.withdrawn.append(move)

    def gone(self, move: Gone) -> None:
        """Take in that an order has ended."""
        self._live.pop(move.order.id, None)

    def traded(self, move: Traded) -> None:
        """Take in a fill of ours."""
        order = move.order
        if order.remaining <= 0:
            self._live.pop(order.id, None)
        side = order.spec.side
        episode = self._episodes.get(side)
        if episode is None:
            episode = Episode(side, move.at_ns, move.at_ns + round(self._thresholds.window_s * 1e9))
            for other in self._live.values():
                if other.spec.side is side:
                    episode.opposing[other.id] = other.spec.quantity
                elif self._is_show(other, move.at_ns):
                    episode.shown[other.id] = other
            if episode.shown:
                self._episodes[side] = episode
        episode.opposing[order.id] = order.spec.quantity

    def _is_show(self, order: Order, now_ns: int) -> bool:
        young = now_ns - order.placed_at_ns <= self._thresholds.lived_max_s * 1e9
        return young and order.filled <= order.spec.quantity * FILLED_SHARE_MAX

    def _judged(self, episode: Episode) -> Sighting | None:
        if not episode.withdrawn:
            return None
        hidden = episode.traded.opposite
        prices = [one.price for one in episode.withdrawn]
        furthest = worse(max(prices) if hidden is Side.SELL else min(prices), hidden, self._thresholds.near_bps)
        back = ZERO
        for price, quantity in episode.replaced:
            if price <= furthest if hidden is Side.SELL else price >= furthest:
                back += quantity
        taken = sum((one.quantity for one in episode.withdrawn), ZERO) - back
        traded = sum(episode.opposing.values(), ZERO)
        if taken < traded * Decimal(str(self._thresholds.size_ratio)):
            return None
        orders = dict.fromkeys(one.order.id for one in episode.withdrawn)
        strategies = dict.fromkeys(one.order.strategy for one in episode.withdrawn)
        pattern = Pattern.LAYERING if len(orders) >= self._thresholds.layers else Pattern.SPOOFING
        detail = (
            f"{taken} to {hidden.value} in {len(orders)} orders withdrawn within {self._thresholds.window_s:g} s of a fill to "
            f"{episode.traded.value}, where {traded} were shown"
        )
        return Sighting(pattern, episode.until_ns, (*orders, *episode.opposing), tuple(strategies), detail)
