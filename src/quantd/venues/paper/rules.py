"""The instruments and the account of a paper venue, from its settings. Opens nothing."""

from decimal import Decimal

import msgspec

from quantd.domain.capabilities import Capabilities, Echo, LotWrite, Support
from quantd.domain.cash import Account, AccountKind, PositionMode
from quantd.domain.instruments import FeeSchedule, Instrument, TickTier, instrument_id
from quantd.domain.numbers import BPS, ZERO
from quantd.domain.orders import OperationKind, TimeInForce
from quantd.exchange import AccountSetup, ExchangeRules
from quantd.venues.paper.settings import PaperSettings

ACCOUNT = "paper"
_MARGIN_RATE = Decimal("0.05")
"""Of instruments that tell none, recorded ones and those of a spot venue."""

CAPABILITIES = Capabilities(
    market=Support.NATIVE,
    limit=Support.NATIVE,
    stop=Support.NATIVE,
    stop_limit=Support.NATIVE,
    time_in_force={
        TimeInForce.GTC: Support.NATIVE,
        TimeInForce.IOC: Support.NATIVE,
        TimeInForce.FOK: Support.NATIVE,
        TimeInForce.DAY: Support.REFUSED,
        TimeInForce.GTD: Support.NATIVE,
    },
    post_only=Support.NATIVE,
    reduce_only=Support.EMULATED,
    amend=Support.NATIVE,
    trailing=Support.EMULATED,
    bracket=Support.EMULATED,
    identity=Echo(),
    quiet_period_s=0.0,
    repeat_safe=frozenset({OperationKind.CANCEL, OperationKind.AMEND}),
    cancel_all=Support.NATIVE,
)
"""Of a spot account, and of a netting one without lots."""


def fees_of(settings: PaperSettings) -> FeeSchedule:
    """Return the fees, taken in the quote currency."""
    return FeeSchedule(maker=settings.maker_fee_bps * BPS, taker=settings.taker_fee_bps * BPS)


def account_of(venue: str, settings: PaperSettings) -> Account:
    """Return what the account is; its home is the first currency of its balances."""
    kind = AccountKind.MARGIN if settings.account == "margin" else AccountKind.SPOT
    mode = PositionMode.HEDGING if settings.positions == "hedging" else PositionMode.NETTING
    return Account(venue, ACCOUNT, kind, mode, home_currency=next(iter(settings.balances)))


def setup_of(account: Account, balances: dict[str, Decimal], settings: PaperSettings) -> AccountSetup:
    """Return the account as the exchange opens it; exits that it holds hang on a lot for each trade."""
    return AccountSetup(
        kind=account.kind,
        mode=account.mode,
        home_currency=account.home_currency,
        balances=balances,
        lot_per_trade=settings.protection == "venue",
    )


def capabilities_of(settings: PaperSettings) -> Capabilities:
    """Return what the venue can do: on margin it closes lots, and holds their exits where the settings say so."""
    if settings.account != "margin" or (settings.positions == "netting" and settings.protection == "engine"):
        return CAPABILITIES
    writes = {LotWrite.CLOSE_WHOLE, LotWrite.CLOSE_PART}
    if settings.protection == "engine":
        return msgspec.structs.replace(
            CAPABILITIES, lot_writes=frozenset(writes), repeat_safe_lot_writes=frozenset({LotWrite.CLOSE_WHOLE})
        )
    return msgspec.structs.replace(
        CAPABILITIES,
        trailing=Support.NATIVE,
        bracket=Support.NATIVE,
        lot_writes=frozenset(writes | {LotWrite.PROTECT}),
        repeat_safe_lot_writes=frozenset({LotWrite.CLOSE_WHOLE, LotWrite.PROTECT}),
    )


def rules_of(settings: PaperSettings) -> ExchangeRules:
    """Return how the exchange behaves: with latency and spread, and with a short memory, for live runs are long."""
    recorded = settings.data.recorded
    return ExchangeRules(
        latency_ns=int(settings.latency_s * 1e9),
        spread_bps=0.0 if recorded is None else float(recorded.spread_bps),
        keep_history=False,
    )


def borrowed(venue: str, theirs: Instrument, settings: PaperSettings) -> Instrument:
    """Return another venue's instrument as the paper venue trades it: with paper's fees, and on margin never without a rate."""
    rate = theirs.margin_rate
    if rate is None and settings.account == "margin":
        rate = _MARGIN_RATE
    return msgspec.structs.replace(
        theirs, id=instrument_id(venue, theirs.symbol), fees=fees_of(settings), margin_rate=rate
    )


def instruments_of(venue: str, settings: PaperSettings) -> dict[str, Instrument]:
    """Return by symbol the instruments that the settings describe themselves (synthetic and recorded data)."""
    fees, margin = fees_of(settings), settings.account == "margin"
    found: dict[str, Instrument] = {}
    if settings.data.synthetic is not None:
        for one in settings.data.synthetic.instruments:
            base, quote = one.currencies
            found[one.symbol] = Instrument(
                instrument_id(venue, one.symbol),
                base=base,
                quote=quote,
                ticks=(TickTier(ZERO, one.tick),),
                lot=one.lot,
                min_quantity=one.lot,
                min_notional=one.min_notional,
                margin_rate=one.margin_rate if margin else None,
                fees=fees,
            )
    elif settings.data.recorded is not None:
        data = settings.data.recorded
        for symbol in data.files:
            base, quote = symbol.replace("_", "-").replace("/", "-").split("-")
            found[symbol] = Instrument(
                instrument_id(venue, symbol),
                base=base,
                quote=quote,
                ticks=(TickTier(ZERO, data.tick),),
                lot=data.lot,
                margin_rate=_MARGIN_RATE if margin else None,
                fees=fees,
            )
    return found
