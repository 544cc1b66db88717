"""ionloop.trade as its documents have it: REST with a bearer key, one envelope, limits, webhooks.

`venue.IonloopVenue` is the whole of it. What the documents leave open follows stated assumptions, and is a switch
where the connector must survive either way.
"""
