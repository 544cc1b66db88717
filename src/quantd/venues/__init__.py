"""Connectors: how quantd talks to each venue, and the HTTP layer and rate budgets that they share.

Composed by the app through the registry. One package for each venue; no venue imports another.
"""
