"""A simulated OANDA v20: margin accounts with one gapless transaction log each, over the simulated exchange.

`venue` is the whole of it, `options` what it is made of. What the venue's documents leave open is marked as assumed.
"""
