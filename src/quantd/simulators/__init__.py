"""Each venue's API as request and response over the simulated exchange, with its limits and with faults on demand.

Served by `quantd simulate`, and used by tests behind the `Transport` port. It never imports a connector: what the two
have in common is the venue's documentation.
"""
