"""The transaction log of one account: gapless ids, batches, and reads by id, range and type.

Everything that changes an account is in it, refusals too; orders and trades take their ids from it. Entries are JSON
objects that never change once they are told.
"""

from collections.abc import Collection, Iterator

from quantd.simulators.oanda.answers import At
from quantd.simulators.venue import Json

GROUPS = {
    "FUNDING": frozenset({"TRANSFER_FUNDS", "TRANSFER_FUNDS_REJECT"}),
    "ADMIN": frozenset({"CREATE", "CLOSE", "REOPEN", "CLIENT_CONFIGURE", "CLIENT_CONFIGURE_REJECT"}),
}
_KINDS = ("MARKET", "LIMIT", "STOP", "MARKET_IF_TOUCHED", "TAKE_PROFIT", "STOP_LOSS", "TRAILING_STOP_LOSS")
_ORDER = frozenset(
    {f"{kind}_ORDER" for kind in _KINDS} | {f"{kind}_ORDER_REJECT" for kind in _KINDS}
    | {"ORDER_FILL", "ORDER_CANCEL", "ORDER_CANCEL_REJECT", "ORDER_CLIENT_EXTENSIONS_MODIFY",
       "ORDER_CLIENT_EXTENSIONS_MODIFY_REJECT"}
)  # fmt: skip
_SINGLE = frozenset(
    {"TRADE_CLIENT_EXTENSIONS_MODIFY", "TRADE_CLIENT_EXTENSIONS_MODIFY_REJECT", "MARGIN_CALL_ENTER",
     "MARGIN_CALL_EXTEND", "MARGIN_CALL_EXIT", "DELAYED_TRADE_CLOSURE", "DAILY_FINANCING", "RESET_RESETTABLE_PL",
     "DIVIDEND_ADJUSTMENT", "FIXED_PRICE_ORDER"}
)  # fmt: skip
TYPES = _ORDER | _SINGLE | GROUPS["FUNDING"] | GROUPS["ADMIN"]
"""All types that a filter may name, beside the groups ORDER, FUNDING and ADMIN."""


def types_of(names: Collection[str]) -> frozenset[str] | None:
    """Return the types that a filter's words mean, None when a word is none of them."""
    found: set[str] = set()
    for name in names:
        if name in TYPES:
            found.add(name)
        elif name == "ORDER":
            found |= _ORDER
        elif name in GROUPS:
            found |= GROUPS[name]
        else:
            return None
    return frozenset(found)


class TransactionLog:
    """All transactions of one account, from id 1."""

    def __init__(self, account_id: str, user_id: int) -> None:
        self._account_id = account_id
        self._user_id = user_id
        self._entries: list[Json] = []
        self._times: list[int] = []
        self._batch = 0
        self._now_ns = 0
        self._request_id = ""

    @property
    def last_id(self) -> int:
        """Id of the newest transaction; 0 before the first."""
        return len(self._entries)

    @property
    def next_id(self) -> int:
        """Id that the next transaction will have."""
        return len(self._entries) + 1

    def begin(self, now_ns: int, request_id: str = "") -> int:
        """Begin a batch: what follows has one time, batch id and (asked for by a client) request id.

        Returns the newest id before it.
        """
        self._batch = self.next_id
        self._now_ns = now_ns
        self._request_id = request_id
        return self.last_id

    def append(self, kind: str, fields: Json) -> Json:
        """Add a transaction to the batch and return it."""
        entry: Json = {
            "id": str(self.next_id),
            "time": At(self._now_ns),
            "userID": self._user_id if self._request_id else 0,
            "accountID": self._account_id,
            "batchID": str(self._batch),
        }
        if self._request_id:
            entry["requestID"] = self._request_id
        entry["type"] = kind
        entry |= fields
        self._entries.append(entry)
        self._times.append(self._now_ns)
        return entry

    # --- reads ------------------------------------------------------------------------------------------------------

    def get(self, number: int) -> Json:
        """Return a transaction by its id, which must exist."""
        return self._entries[number - 1]

    def time_ns(self, number: int) -> int:
        """Return when a transaction was made."""
        return self._times[number - 1]

    def between(self, first: int, last: int) -> Iterator[Json]:
        """Yield transactions by id, both ends included."""
        return iter(self._entries[max(first, 1) - 1 : last])

    def since(self, number: int) -> list[Json]:
        """Return all transactions after an id."""
        return self._entries[number:]

    def ids_since(self, number: int) -> list[str]:
        """Return the ids of all transactions after an id."""
        return [str(one) for one in range(number + 1, self.last_id + 1)]

    def shown_last(self, now_ns: int, lag_ns: int) -> int:
        """Return the newest id that a read may show when reads lag behind."""
        last = self.last_id
        while lag_ns and last and self._times[last - 1] > now_ns - lag_ns:
            last -= 1
        return last
