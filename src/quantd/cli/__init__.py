"""The command `quantd`: options in, the app or a report out, and the exit codes.

Called by `__main__` only. It reads arguments and prints; what a command does is done by the layers below.
"""
