"""The journal: facts on disk before anything leaves, and the state back from them after a restart.

The composition root opens it, the runner appends, the command line reads. `store` and `writer` are the durable one,
`memory` the one of backtests; `latch`, `locks` and `inputlog` are files of their own beside it.
"""
