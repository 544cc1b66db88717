"""The venue's words for its reasons, as far as they were seen; others are the reason itself, written out (assumed)."""

from quantd.simulators.oanda.answers import Answer, Failed
from quantd.simulators.oanda.records import Account
from quantd.simulators.venue import Json

_WORDS = {
    "ORDER_DOESNT_EXIST": "The Order specified does not exist",
    "TRADE_DOESNT_EXIST": "The Trade specified does not exist",
    "NO_SUCH_ORDER": "The order ID specified does not exist",
    "NO_SUCH_TRADE": "The trade ID specified does not exist",
    "NO_SUCH_TRANSACTION": "The transaction ID specified does not exist",
    "NO_SUCH_POSITION": "The position specified does not exist",
    "CLOSEOUT_POSITION_DOESNT_EXIST": "The Position requested to be closed out does not exist",
    "CLIENT_ORDER_ID_ALREADY_EXISTS": "The Client Order ID specified has already been assigned to another pending Order",
    "CLIENT_ORDER_ID_INVALID": "The Client Order ID specified is invalid",
    "TIME_IN_FORCE_INVALID": "The timeInForce specified is invalid",
    "UNITS_INVALID": "The units specified are invalid",
    "UNITS_LIMIT_EXCEEDED": "The units specified exceeds the maximum number of units allowed",
    "PRICE_PRECISION_EXCEEDED": "The price specified contains more precision than is allowed for the instrument",
}


def words_of(code: str) -> str:
    """Return what the venue says of a code."""
    return _WORDS.get(code, code.replace("_", " ").capitalize())


def done(account: Account, before: int, payload: Json, *, status: int = 200, location: str = "") -> Answer:
    """Return the answer to a write with the ids of all that it made since `before`."""
    ids: Json = {"relatedTransactionIDs": account.log.ids_since(before), "lastTransactionID": str(account.log.last_id)}
    return Answer({**payload, **ids}, status, {"location": location} if location else {})


def refused(account: Account, before: int, payload: Json, reason: str, *, status: int = 400) -> Failed:
    """Return the error for a write that the log records as rejected."""
    ids: Json = {"relatedTransactionIDs": account.log.ids_since(before), "lastTransactionID": str(account.log.last_id)}
    return Failed(status, words_of(reason), reason, {**payload, **ids})


def not_found(account: Account, code: str) -> Failed:
    """Return the error for a read of what there is not."""
    return Failed(404, words_of(code), code, {"lastTransactionID": str(account.log.last_id)})
