"""The ionloop.trade spot exchange: REST with a bearer key, one envelope for every answer, webhooks.

`connector` is the port's implementation, `webhooks` the receiver for the listener, `settings` the configuration.
"""
