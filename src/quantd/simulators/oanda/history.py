"""Reads of a transaction log: pages by time, ranges and single ones by id, all since an id.

Used by the venue. Reads may lag behind the writes (a switch); then they end where what may be shown ends.
"""

from urllib.parse import urlencode

from quantd.simulators.oanda.answers import NS_PER_S, Answer, At, Failed, malformed, moment_of
from quantd.simulators.oanda.log import types_of
from quantd.simulators.oanda.options import Switches
from quantd.simulators.oanda.records import Account
from quantd.simulators.oanda.routes import Asked
from quantd.simulators.oanda.words import not_found
from quantd.simulators.venue import Json

PAGE, PAGE_MAX = 100, 1000
_YEAR_NS = 365 * 86_400 * NS_PER_S


class HistoryDesk:
    """Transactions of all accounts."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches

    def last(self, account: Account, now_ns: int) -> int:
        """Return the newest id that reads show."""
        return account.log.shown_last(now_ns, round(self._switches.list_lag_s * NS_PER_S))

    def pages(self, asked: Asked, account: Account, now_ns: int) -> Answer:
        """Return the addresses of the pages of a range of time.

        Raises:
            Failed: a parameter is malformed or the range too long (400).
        """
        since = moment_of(asked.query["from"], "from") if "from" in asked.query else account.created_ns
        until = moment_of(asked.query["to"], "to") if "to" in asked.query else now_ns
        if until < since or until - since > _YEAR_NS:
            raise Failed(400, "The time range specified is invalid", "INVALID_TIME_RANGE")
        size = asked.query.get("pageSize", str(PAGE))
        if not size.isascii() or not size.isdigit() or not 1 <= int(size) <= PAGE_MAX:
            raise Failed(400, "The specified page size is invalid", "INVALID_PAGESIZE")
        types = self._types(asked)
        found = [
            int(one["id"]) for one in account.log.between(1, self.last(account, now_ns))
            if since <= account.log.time_ns(int(one["id"])) <= until and (types is None or one["type"] in types)
        ]  # fmt: skip
        told: Json = {"from": At(since), "to": At(until), "pageSize": int(size), "count": len(found)}
        if types is not None:
            told["type"] = asked.query["type"].split(",")
        told["pages"] = []
        for start in range(0, len(found), int(size)):
            part = found[start : start + int(size)]
            query = {"from": str(part[0]), "to": str(part[-1])}
            if types is not None:
                query["type"] = asked.query["type"]
            told["pages"].append(f"{asked.host}/v3/accounts/{account.id}/transactions/idrange?{urlencode(query)}")
        return Answer(told)

    def one(self, account: Account, specifier: str, now_ns: int) -> Answer:
        """Return a transaction.

        Raises:
            Failed: there is none (404).
        """
        if not specifier.isascii() or not specifier.isdigit():
            raise malformed("transactionID")
        if not 1 <= int(specifier) <= self.last(account, now_ns):
            raise not_found(account, "NO_SUCH_TRANSACTION")
        return Answer({"transaction": account.log.get(int(specifier))})

    def between(self, asked: Asked, account: Account, now_ns: int) -> Answer:
        """Return the transactions from one id to another, both included.

        Raises:
            Failed: an id is malformed (400), or the range is none of the log (416).
        """
        last = self.last(account, now_ns)
        since, until = self._number(asked, "from"), self._number(asked, "to")
        if since > until or since < 1 or since > last:
            raise Failed(416, "The transaction range specified is invalid", "INVALID_TRANSACTION_RANGE")
        types = self._types(asked)
        told = [one for one in account.log.between(since, min(until, last)) if types is None or one["type"] in types]
        return Answer({"transactions": told})

    def since(self, asked: Asked, account: Account, now_ns: int) -> Answer:
        """Return the transactions after an id, oldest first, as many as one answer holds.

        Raises:
            Failed: the id is malformed (400), or newer than the log (416).
        """
        number, last = self._number(asked, "id"), self.last(account, now_ns)
        if number > account.log.last_id:
            raise Failed(416, "The transaction range specified is invalid", "INVALID_TRANSACTION_RANGE")
        types = self._types(asked)
        until = min(last, number + self._switches.since_id_max)
        told = [one for one in account.log.between(number + 1, until) if types is None or one["type"] in types]
        return Answer({"transactions": told})

    def _number(self, asked: Asked, name: str) -> int:
        text = asked.query.get(name, "")
        if not text.isascii() or not text.isdigit():
            raise malformed(name)
        return int(text)

    def _types(self, asked: Asked) -> frozenset[str] | None:
        if not asked.query.get("type"):
            return None
        found = types_of(asked.query["type"].split(","))
        if found is None:
            raise malformed("type")
        return found
