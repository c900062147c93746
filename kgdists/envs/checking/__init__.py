"""Check an environment before training: one idea a file, and in `table.py` the table of all findings."""

from kgdists.envs.checking.check import check
from kgdists.envs.checking.report import Finding, Report

__all__ = ["Finding", "Report", "check"]
