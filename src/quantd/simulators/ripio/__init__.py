"""Ripio Trade as its documents have it: signed REST, cursor paging, limits by user, and the streams.

`venue.RipioVenue` is the whole of it. What the documents leave open follows stated assumptions, and is a switch where
the connector must survive either way.
"""
