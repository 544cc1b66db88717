"""Loads and checks the configuration of the daemon.

The composition root and the command line call `load`, `load_journal` or `load_names`; everything else in here serves these. Nothing
is opened besides the files that were named, and the environment is the mapping that was handed in.
"""

from quantd.config.loader import load, load_journal, load_names
from quantd.config.problems import ConfigProblems, Problem
from quantd.config.settings import Settings

__all__ = ["ConfigProblems", "Problem", "Settings", "load", "load_journal", "load_names"]
