"""Rate budgets towards the server. It has none of its own: ours keep the queue inside its exchange connector short.

Orders that wait there are sent late, at prices that nobody wants any more (dossier, section 5). All figures are assumed.
"""

from quantd.venues.budget import Bucket, Limit

ORDERS = Limit("orders", Bucket(8.0, 8), {"place_order": 1, "cancel_order": 1})
"""Binance lets 100 orders pass in 10 s, looks and cancels included; a steady 8 a second never makes a queue there."""
READS = Limit("reads", Bucket(20.0, 20))
"""One process serves everybody: 20 requests a second leave it room."""

LIMITS = (ORDERS, READS)
