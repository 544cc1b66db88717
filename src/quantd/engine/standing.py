"""What holds for every order before any limit is looked at, and no limit can loosen."""

from quantd.domain.events import TradingState
from quantd.engine.context import Context
from quantd.engine.risk.wish import Denial, Denied, Wish
from quantd.engine.state import State


def denied(context: Context, wish: Wish) -> Denied | None:
    """Return why an order may not leave: trading states, unknown outcomes, venue readiness, the clock."""
    state = context.state
    venue = wish.instrument.venue
    if venue not in context.capabilities:
        return wish.deny(Denial.UNSUPPORTED, 6, f"venue:{venue}", "a configured venue", "no longer configured")
    if state.latches and (latched := _latched(state, wish)) is not None:
        return latched
    if wish.exit:
        return None
    if context.is_stopping:
        return wish.deny(Denial.TRADING_STATE, 22, "all", "active", "stopping")
    if venue in context.venue_reasons:
        return wish.deny(
            Denial.VENUE_NOT_READY, 22, f"venue:{venue}", "ready", "; ".join(context.venue_reasons[venue].values())
        )
    if wish.net.unknown:
        return wish.deny(Denial.UNKNOWN_OUTCOME, 9, f"instrument:{wish.instrument.id}", 0, wish.net.unknown)
    if (lots := state.lots.get(venue)) is not None and lots.are_unknown(wish.instrument.id):
        return wish.deny(Denial.UNKNOWN_OUTCOME, 9, f"instrument:{wish.instrument.id}", 0, "exits of a lot")
    if (differing := _differing(context, wish)) is not None:
        return differing
    if context.now_ns < context.paused_until_ns:
        return wish.deny(Denial.CLOCK, 24, "account", "a steady clock", "jumped")
    return None


def _differing(context: Context, wish: Wish) -> Denied | None:
    """Return a denial where the venue does not agree with our books, or with itself."""
    if context.suspicions.blocks(wish.instrument.id):
        return wish.deny(Denial.RECONCILING, 9, f"instrument:{wish.instrument.id}", "agreed", "differs")
    if (asset := context.doubts.of(wish.instrument)) is not None:
        return wish.deny(Denial.RECONCILING, 9, f"venue:{wish.instrument.venue}", f"one balance of {asset}", "several")
    return None


def _latched(state: State, wish: Wish) -> Denied | None:
    """Return which latched trading state forbids an order."""
    scopes = ("all", f"venue:{wish.instrument.venue}", f"instrument:{wish.instrument.id}", f"strategy:{wish.strategy}")
    standing = state.trading_state(scopes)
    if standing is TradingState.HALTED or (standing is TradingState.REDUCING and not wish.exit):
        scope = next(one for one in scopes if one in state.latches and state.latches[one].state is standing)
        return wish.deny(Denial.TRADING_STATE, 22, scope, "active", standing.value)
    return None
