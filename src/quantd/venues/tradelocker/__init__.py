"""TradeLocker: margin accounts with positions, REST with tokens, lists whose columns the server names at start.

`connector` is the port's implementation, `settings` the configuration. `api` keeps the session, `columns` and `limits` read
what the server says of itself, `classify` says what answers mean, `search` finds what was lost.
"""
