"""The configuration: YAML with line numbers, environment and secret files, composed from the sections' own models.

Used by the app and the command line. It never starts anything and never hands out a secret in the clear.
"""
