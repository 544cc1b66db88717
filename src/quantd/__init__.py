"""All that the author of a strategy imports: `from quantd import Strategy, SMA, Market, param`.

Names that are not exported here are not public to strategies and may change in any release.
"""

__version__ = "0.1.0"
