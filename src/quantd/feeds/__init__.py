"""Market data on its way to the inbox: pollers, quality, bar building, recorded and synthetic data, the bar store.

Composed by the app and by the backtest. Knows venues only through the `Connector` port; never sends an order.
"""
