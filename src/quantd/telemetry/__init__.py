"""What the daemon tells about itself: logs, metrics, the health listener and the loop's lag.

Used by the composition root, which hands the `Observer` down to everything else. Only observes: nothing here changes
what is traded, and nothing here holds a secret but the redactor.
"""
