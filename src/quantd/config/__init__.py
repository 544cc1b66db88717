"""Loads and checks the configuration of the daemon.

The composition root and the command line call `load` or `load_journal`; everything else in here serves it. Nothing is opened besides the
files that were named, and the environment is the mapping that was handed in.
"""

from quantd.config.loader import load, load_journal
from quantd.config.problems import ConfigProblems, Problem
from quantd.config.settings import Settings

__all__ = ["ConfigProblems", "Problem", "Settings", "load", "load_journal"]
