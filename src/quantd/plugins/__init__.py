"""Finds and loads strategies and venues: from a folder, a dotted path or an entry point.

Used by the app and by `quantd check`. A plugin that fails to load is a value with file and line, never a dead daemon.
"""
