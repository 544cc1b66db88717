"""OANDA v20 as a venue: one margin account, netting or hedging, followed by its log of transactions.

Used by the composition root. What the documents say, what was seen and what is assumed: docs/venues/oanda.md.
"""
