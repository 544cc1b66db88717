"""The public kit for authors' tests: a virtual clock, builders, a hostile venue, fixtures for pytest.

Imported by tests only; the daemon never needs it. No sockets, no threads, no reading of system time.
"""
