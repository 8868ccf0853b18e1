"""The rules that rows must keep. A check looks at a record and yields findings; it changes nothing."""

from groundprep.checks.base import Check, Rule, Subject, Watch
from groundprep.checks.registry import CHECKS, RULES

__all__ = ["CHECKS", "RULES", "Check", "Rule", "Subject", "Watch"]
