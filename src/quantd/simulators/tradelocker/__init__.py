"""A simulated TradeLocker: sessions with tokens, column maps, margin accounts with positions, over the simulated exchange.

`venue` is the whole of it, `options` what it is made of. What the venue's documents leave open is marked as assumed.
"""
