"""Control 31: looks in our own flow for patterns that supervisors call market abuse.

Facts in, findings out; the same facts give the same findings. Reads the journal's facts and nothing else, stands beside the
engine and never in the way of an order. It flags for people: what is abuse, people decide.
"""
