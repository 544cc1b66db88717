"""The follower of an account: what the account is comes from the venue's own word, before strategies start.

Method: a paper connector whose account turns out to be another than the configuration expects, as at a venue that
tells its home currency, its mode and its margin rules at log-in only; the real follower and engine in virtual time.
"""

import asyncio
import contextlib
from decimal import Decimal

import msgspec
import pytest
from structlog.testing import capture_logs

from quantd.clock import LoopClock
from quantd.domain.cash import Balance, PositionMode
from quantd.domain.commands import Amend, Cancel, CloseLot, SetProtection, Submit
from quantd.domain.events import (
    ACCOUNT_CAUSE,
    CREDENTIALS_CAUSE,
    AccountOpened,
    ReconcileOrdered,
    TradingState,
    VenueChanged,
)
from quantd.domain.facts import AccountRecorded, PositionAdjusted
from quantd.domain.instruments import MarketStatus
from quantd.domain.lots import Lot, LotProtection
from quantd.domain.market import StatusChanged
from quantd.domain.orders import Limit, OrderState, Protect, Side
from quantd.domain.outcomes import Ambiguous, Resolution, StillUnknown, Unknown
from quantd.engine.risk.wish import Denial, Denied
from quantd.errors import AuthFailed, Refused, Unavailable, VenueError
from quantd.runtime.writes import write_of
from quantd.testing.builders import BTC, Puppet, Rig, make_instrument, make_lot_capabilities
from quantd.testing.loop import run_virtual

Resolvable = Submit | Amend | Cancel | CloseLot | SetProtection
from tests.unit.runtime.watched_account import Desk


def test_the_engine_learns_what_the_account_is_from_the_venue_and_before_anything_trades() -> None:
    """A start that failed is made again; nothing that the configuration guessed is ever told."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        assert desk.connector.account.mode is PositionMode.NETTING, "until the start: what is configured"
        await desk.follower.bring_up()
        [opened] = desk.opened()
        assert opened.account.mode is PositionMode.HEDGING
        assert opened.account.home_currency == "EUR"
        kinds = [type(one) for one in desk.told]
        assert kinds.index(AccountOpened) < kinds.index(ReconcileOrdered)
        ready = [one for one in desk.told if isinstance(one, VenueChanged) and one.state is TradingState.ACTIVE]
        assert desk.told.index(opened) < desk.told.index(ready[0]), "strategies start once the venue is ready"
        assert desk.rig.state.portfolio.account("paper").account == opened.account
        assert [one for one in desk.rig.facts if isinstance(one, AccountRecorded)][-1].account == opened.account

    run_virtual(scene)


def test_what_a_snapshot_shows_of_the_account_is_told_once_for_each_change() -> None:
    """A venue whose account changes while it is watched is believed; an unchanged one is not told again."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()

        async def watch() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(30):
                    await desk.follower.follow_account()

        await watch()
        assert len(desk.opened()) == 1
        changed = msgspec.structs.replace(desk.connector.account, first_in_first_out=True)
        desk.connector.later = lambda: setattr(desk.connector, "account", changed)
        await watch()
        assert [one.account for one in desk.opened()][1:] == [changed]

    run_virtual(scene)


@pytest.mark.parametrize("looks", [1, 2])
def test_a_start_books_only_what_a_second_look_shows_too(looks: int) -> None:
    """A venue's lists lag: what one look shows is no difference yet."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        stray = Lot("stray", BTC, Side.BUY, Decimal(2), Decimal(100))
        desk.connector.shown = [{"lots": (stray,)}] * looks
        await desk.follower.bring_up()
        adjusted = [one.quantity for one in desk.rig.facts if isinstance(one, PositionAdjusted)]
        assert adjusted == ([] if looks == 1 else [Decimal(2)])

    run_virtual(scene)


def test_a_start_names_each_balance_that_changed_while_nobody_looked() -> None:
    """As after a restore: on spot a purchase that the backup does not know shows in nothing else."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        with capture_logs() as first:
            await desk.follower.bring_up()
        other = Balance("BTC", Decimal("0.02"), Decimal("0.02"), Decimal(0))
        desk.connector.shown = [{"balances": (Balance("USD", Decimal(1_000), Decimal(1_000), Decimal(0)), other)}]
        with capture_logs() as second:
            await desk.follower.bring_up()
        told = [
            [
                (one["asset"], one["ours"], one["theirs"])
                for one in logged
                if one["event"] == "balance_changed_meanwhile"
            ]
            for logged in (first, second)
        ]
        assert told == [[("USD", "1000000", "1000")], [("BTC", "0", "0.02")]], "the rig begins with a million"

    run_virtual(scene)


def test_a_look_at_the_account_that_fails_is_a_reconciliation_that_failed() -> None:
    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()

        def away() -> None:
            desk.connector.later = None
            raise Unavailable("paper", "snapshot", "down")

        desk.connector.later = away
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(8):
                await desk.follower.follow_account()
        assert desk.observer.counted("quantd_reconcile_runs_total", venue="paper", result="failed") == 1

    run_virtual(scene)


async def followed(desk: Desk, seconds: float) -> list[VenueChanged]:
    """Let both loops ask for a while; return what they said of the venue."""
    desk.told.clear()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            group.create_task(desk.follower.follow_account())
            group.create_task(desk.follower.follow_orders())
    return [one for one in desk.told if isinstance(one, VenueChanged)]


def test_a_venue_that_answers_nothing_is_not_ready_because_there_was_nothing_to_ask() -> None:
    """Without working orders the look at orders asks nothing; during a ban it must not open the venue each second."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()

        def banned() -> None:
            raise Unavailable("paper", "snapshot", "banned")

        desk.connector.later = banned
        assert [one.state for one in await followed(desk, 60)] == [TradingState.REDUCING]
        desk.connector.later = None
        assert [one.state for one in await followed(desk, 20)] == [TradingState.ACTIVE]

    run_virtual(scene)


@pytest.mark.parametrize("ends", [False, True])
def test_orders_that_cannot_be_read_keep_a_venue_from_ready_although_its_account_answers(ends: bool) -> None:
    """Until they can be read; or, where they have ended meanwhile, until the account was read once more."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()
        order = desk.rig.do(lambda s: s.buy(BTC, 1, Limit(50)))
        desk.rig.accept(order)
        desk.connector.reads_orders = False
        assert [one.state for one in await followed(desk, 30)] == [TradingState.REDUCING]
        if ends:
            desk.rig.report(order, state=OrderState.CANCELLED)
        desk.connector.reads_orders = not ends
        assert [one.state for one in await followed(desk, 20)] == [TradingState.ACTIVE]

    run_virtual(scene)


def test_a_margin_accounts_worth_and_its_nearness_to_closeout_are_metrics() -> None:
    """As the venue counts them; a snapshot without them leaves what was shown last."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()
        desk.connector.shown = [{"equity": Decimal("912.5"), "margin_closeout": Decimal("0.25")}]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(8):
                await desk.follower.follow_account()
        assert desk.observer.gauged("quantd_venue_equity", venue="paper", currency="EUR") == 912.5
        assert desk.observer.gauged("quantd_venue_margin_closeout_ratio", venue="paper") == 0.25

    run_virtual(scene)


def test_an_account_under_another_id_than_the_locked_one_is_a_fault() -> None:
    """The lock of the account was taken under the configured id: trading on would be trading unlocked."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        other = msgspec.structs.replace(desk.connector.account, id="another")
        desk.connector.later = lambda: setattr(desk.connector, "account", other)
        with pytest.raises(AssertionError, match="another"):
            await desk.follower.bring_up()

    run_virtual(scene)


def test_a_lost_entry_is_asked_for_with_the_exits_that_went_with_it() -> None:
    """A venue that takes an order again under the same key must be sent the same bytes."""
    rig = Rig(
        margin=True,
        hedging=True,
        instruments=[make_instrument(margin_rate=Decimal("0.1"))],
        capabilities=make_lot_capabilities(),
        strategies={"s1": Puppet()},
    )
    order = rig.do(lambda s: s.buy(BTC, 2, Limit(100), protect=Protect(stop=95, take=110)))
    (sent,) = rig.sent(Submit)
    rig.answer(order, Unknown("timeout"))
    again = write_of(rig.live(order), rig.engine)
    assert isinstance(again, Submit)
    assert (again.protection, again.spec) == (sent.protection, sent.spec)
    assert again.protection == LotProtection(stop=Decimal(95), take=Decimal(110))


@pytest.mark.parametrize("finds", [StillUnknown("not_seen"), Ambiguous(("1", "2"))])
def test_a_write_that_stays_unknown_keeps_its_instrument_from_trading_and_not_its_venue(finds: Resolution) -> None:
    """Without a venue that is up nothing there has prices, and no stop that the engine holds is looked after."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        order = desk.rig.do(lambda s: s.buy(BTC, 2, Limit(100)))
        desk.rig.answer(order, Unknown("timeout"))
        desk.connector.finds = finds
        async with asyncio.TaskGroup() as tasks:
            writes = tasks.create_task(desk.write())
            async with asyncio.timeout(20):
                await desk.follower.bring_up()
            writes.cancel()
        assert desk.follower.is_ready
        assert desk.rig.live(order).is_unknown
        denied = desk.rig.do(lambda s: s.buy(BTC, 1, Limit(99)))
        assert isinstance(denied, Denied)
        assert denied.code in (Denial.UNKNOWN_OUTCOME, Denial.TRADING_STATE)

    run_virtual(scene)


def test_what_is_held_and_no_longer_listed_keeps_no_venue_down() -> None:
    """A dust of a coin that was delisted; what a strategy trades is another matter, and named."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock, held=("GONE-USD",))
        async with asyncio.timeout(10):
            await desk.follower.bring_up()
        assert [one.symbol for one in desk.follower.instruments] == ["BTC-USD"]
        other = Desk(clock, symbols=("BTC-USD", "GONE-USD"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await other.follower.bring_up()
        assert not other.follower.is_ready
        assert "GONE-USD" in other.follower.reason

    run_virtual(scene)


def test_a_start_that_fails_by_the_connector_s_own_fault_is_tried_again_and_ends_nothing() -> None:
    """The other venues go on meanwhile; only engine and journal end the daemon."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)

        def fail() -> None:
            desk.connector.later = None
            raise KeyError("of the connector")

        desk.connector.later = fail
        await desk.follower.bring_up()
        assert desk.follower.is_ready
        told = [one.reason for one in desk.told if isinstance(one, VenueChanged) and one.reason]
        assert "start paper: KeyError: 'of the connector'" in told

    run_virtual(scene)


def test_a_start_whose_credentials_are_refused_is_tried_again_after_minutes() -> None:
    """A venue in maintenance refuses good ones too; it was never asked again, and its positions stood without prices."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        began_ns = clock.monotonic_ns()

        def refuse() -> None:
            desk.connector.later = None
            raise AuthFailed("paper", "snapshot", "401")

        desk.connector.later = refuse
        await desk.follower.bring_up()
        assert desk.follower.is_ready
        assert (clock.monotonic_ns() - began_ns) / 1e9 > 300
        told = [(one.state, one.reason) for one in desk.told if isinstance(one, VenueChanged)]
        assert (TradingState.HALTED, "credentials refused: 401") in told

    run_virtual(scene)


@pytest.mark.parametrize("error", [AuthFailed("paper", "snapshot", "401"), Unavailable("paper", "snapshot", "503")])
def test_reads_that_were_refused_too_and_are_answered_again_show_that_credentials_are_accepted(
    error: VenueError,
) -> None:
    """An outage that ends proves nothing of them: a key may read what it may not trade."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()
        desk.emit(VenueChanged("paper", TradingState.HALTED, "refused", clock.now_ns(), CREDENTIALS_CAUSE))

        def fail() -> None:
            desk.connector.later = None
            raise error

        desk.connector.later = fail
        told = await followed(desk, 30)
        assert [(one.state, one.cause) for one in told][:2] == [
            (TradingState.REDUCING, ACCOUNT_CAUSE),
            (TradingState.ACTIVE, ACCOUNT_CAUSE),
        ]
        left = {"paper": {CREDENTIALS_CAUSE: "refused"}} if isinstance(error, Unavailable) else {}
        assert desk.rig.engine.context.venue_reasons == left

    run_virtual(scene)


def test_trading_rules_that_change_while_it_runs_hold_from_the_next_look_at_them() -> None:
    """Venues move ticks, lots and margins; by the old ones every order would be refused, exits too, until a restart."""

    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()
        known = desk.rules()

        async def watch() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2_000):
                    await desk.follower.follow_rules()

        await watch()
        assert desk.rules() == known, "what is as it was is not told again"
        before = desk.follower.instruments[0]
        after = msgspec.structs.replace(before, lot=Decimal("0.5"), version=before.version + 1)
        down = Unavailable("paper", "instruments", "down")
        desk.connector.relisted = [down, Refused("paper", "instruments", "not_found", "another is gone"), (after,)]
        await watch()
        assert desk.rules() == [*known, Decimal("0.5")]
        assert desk.rig.state.portfolio.instruments[before.id] == after

    run_virtual(scene)


def test_a_look_at_the_rules_leaves_a_paper_market_in_its_state() -> None:
    async def scene(clock: LoopClock) -> None:
        desk = Desk(clock)
        await desk.follower.bring_up()
        instrument = desk.follower.instruments[0]
        desk.connector.on_market(StatusChanged(instrument.id, MarketStatus.HALTED, clock.now_ns()), desk.emit)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2_000):
                await desk.follower.follow_rules()
        assert desk.connector.exchange.status(instrument.id) is MarketStatus.HALTED
        desk.connector._own["BTC-USD"] = msgspec.structs.replace(instrument, lot=Decimal("0.5"), version=2)
        await desk.connector.instruments(["BTC-USD"])
        assert desk.connector.exchange.status(instrument.id) is MarketStatus.HALTED

    run_virtual(scene)
