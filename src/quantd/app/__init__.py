"""The composition root: from a loaded configuration to a running daemon, and to its end in order."""

from quantd.app.daemon import Daemon

__all__ = ["Daemon"]
