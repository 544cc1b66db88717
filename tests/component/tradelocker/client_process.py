"""TradeLocker's own client as a process that is spoken to in lines of JSON: a call comes in, what it gave goes out.

Run by the interpreter of the client's environment, so that it imports nothing of quantd and nothing of the tests. The
client is used as it is; `official.py` has the other end.
"""

import json
import sys
from typing import Any

from tradelocker import TLAPI


def plain(value: Any) -> Any:
    """Return a table as its rows, and a number of numpy's as Python's."""
    return value.to_dict("records") if hasattr(value, "to_dict") else value.item()


def main() -> None:
    """Answer each line ``[method, arguments]``; the method ``TLAPI`` logs in anew."""
    client: Any = None
    for line in sys.stdin:
        method, arguments = json.loads(line)
        answer: dict[str, Any]
        try:
            if method == "TLAPI":
                client = TLAPI(**arguments)
                answer = {"returned": {"account_id": client.account_id, "acc_num": client.acc_num}}
            else:
                answer = {"returned": getattr(client, method)(**arguments)}
        except Exception as error:  # noqa: BLE001 - handed on by name, for the test to judge
            answer = {"raised": type(error).__name__, "words": str(error)}
        print(json.dumps(answer, default=plain), flush=True)


main()
