"""The errors of quantd, grouped by what the caller must do about them.

::

    QuantdError
      ConfigError            stop before anything starts, exit code 2; names file, line and key
      StrategyError          a strategy's code or parameters are at fault; only that strategy stops
      VenueError             a *read* from a venue failed (writes never raise: their outcome is a value)
        Temporary            retry the read after `retry_after_s`
          RateLimited        the venue said so (429); our budget was wrong
          Unavailable        no connection, time-out, 5xx, unreadable answer
        Refused              a definite no to a read: do not repeat it
        AuthFailed           credentials are wrong or expired: stop trading on that venue
      JournalError
        JournalCorrupt       refuse to start; names the record
        JournalLocked        another process holds the journal or the account
        JournalFailed        an append failed: latch the halt and end the process

Every message says what, which, what was found and what was expected.
"""


class QuantdError(Exception):
    """Base of all errors that quantd raises on purpose."""


class ConfigError(QuantdError):
    """Configuration is unusable; the process ends with exit code 2 before anything starts."""


class StrategyError(QuantdError):
    """A strategy's own code or parameters are at fault; other strategies are not touched."""


class VenueError(QuantdError):
    """A read from a venue failed.

    Args:
        venue: The venue's name in the configuration.
        operation: What was asked, e.g. ``"ticker"``.
        detail: What was found, free of secrets.
    """

    def __init__(self, venue: str, operation: str, detail: str) -> None:
        super().__init__(f"{venue}: {operation}: {detail}")
        self.venue = venue
        self.operation = operation
        self.detail = detail


class Temporary(VenueError):
    """The read may be repeated, after `retry_after_s` seconds where the venue named them."""

    def __init__(self, venue: str, operation: str, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(venue, operation, detail)
        self.retry_after_s = retry_after_s


class RateLimited(Temporary):
    """The venue refused for too many requests."""


class Unavailable(Temporary):
    """The venue could not be reached, took too long, failed, or answered what cannot be read."""


class Unreadable(Unavailable):
    """A good answer without the fields we need; another question may have a better one."""


class Unsound(Unavailable):
    """The venue answered what cannot be; asked again, it may answer what can."""


class Refused(VenueError):
    """The venue gave a definite no; `code` is its own error code."""

    def __init__(self, venue: str, operation: str, code: str, detail: str) -> None:
        super().__init__(venue, operation, f"{code}: {detail}")
        self.code = code


class Contradicts(Refused):
    """The venue lists one thing in several ways: it cannot be used until the venue agrees with itself, all others can."""

    def __init__(self, venue: str, operation: str, detail: str) -> None:
        super().__init__(venue, operation, "contradicts", detail)


class AuthFailed(VenueError):
    """The venue does not accept our credentials."""


class ListenFailed(QuantdError):
    """A port of ours cannot be had; names the key of the configuration and why."""


class BarStoreFailed(QuantdError):
    """The file of kept bars can be neither opened nor made; names the key of the configuration, the file, and why."""


class JournalError(QuantdError):
    """The journal cannot be used."""


class JournalCorrupt(JournalError):
    """A record is torn, changed or missing; the message names it."""


class SnapshotOutdated(JournalError):
    """A snapshot was written by a quantd whose state had another shape: the records say the same."""


class JournalLocked(JournalError):
    """Another process holds the lock of the journal or of a (venue, account)."""


class JournalFailed(JournalError):
    """An append did not reach the disk; memory is ahead of the journal."""


def first_of(error: BaseException) -> BaseException:
    """Return what a group of errors began with, without the groups around it; another error as it is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
