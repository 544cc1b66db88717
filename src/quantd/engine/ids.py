"""Client order ids: derived, never drawn, and never repeated, not even by a restored backup.

``q`` + journal id + ``-`` + epoch + ``-`` + counter, the numbers in base 32. Reconciliation knows our orders by the
prefix up to the journal id; a restored journal gets a new epoch.
"""

from quantd.domain.orders import ClientOrderId

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH_MAX = 31


def base32(number: int) -> str:
    """Return `number` (>= 0) in base 32 without letters that are mistaken for digits."""
    text = ""
    while True:
        number, digit = divmod(number, 32)
        text = _DIGITS[digit] + text
        if not number:
            return text


def from_base32(text: str) -> int:
    """Return the number that `text` writes.

    Raises:
        ValueError: when a character is no digit.
    """
    number = 0
    for character in text:
        number = number * 32 + _DIGITS.index(character)
    return number


class ClientOrderIds:
    """Counts out ids for one journal and epoch; `seen` keeps it ahead of what a fold brought back."""

    def __init__(self, journal_id: str, epoch: int) -> None:
        self._prefix = f"q{journal_id}-"
        self._epoch = f"{self._prefix}{base32(epoch)}-"
        if len(self._epoch) + 8 > LENGTH_MAX or not all(c in _DIGITS for c in journal_id):
            raise ValueError(f"journal id must be short, of base-32 digits, found {journal_id!r}")
        self._counter = 0

    def next(self) -> ClientOrderId:
        """Return the next id."""
        self._counter += 1
        return ClientOrderId(self._epoch + base32(self._counter))

    def seen(self, client_order_id: str) -> None:
        """Never count out `client_order_id` again."""
        if client_order_id.startswith(self._epoch):
            self._counter = max(self._counter, from_base32(client_order_id[len(self._epoch) :]))

    def is_current(self, client_order_id: str) -> bool:
        """Tell whether an id was counted out in this epoch, and not before a backup was restored."""
        return client_order_id.startswith(self._epoch)

    def is_ours(self, client_order_id: str) -> bool:
        """Tell whether an id comes from this journal, whatever its epoch."""
        return client_order_id.startswith(self._prefix)
