"""The control API and page, and the webhook listener: each a listener of its own.

Composed by the app. It puts operator commands and signed webhooks into the inbox; it never touches the engine's state.
"""
