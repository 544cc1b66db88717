"""A simulated Hummingbot API server over the simulated exchange, with the habits that were seen on the real one.

Used by `quantd simulate hummingbot` and by tests. Shares nothing with the connector that is tested against it.
"""
