"""Values and arithmetic of trading: what the engine, the exchange and the connectors talk about.

Frozen structs and pure functions only; imports nothing but msgspec and the standard library's pure parts.
"""
