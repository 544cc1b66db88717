"""Ripio Trade, API v4: a spot exchange with signed requests, cursor paging and a websocket.

`connector` is the port's implementation, `stream` the websocket beside it, `settings` the configuration.
"""
