"""Images with captions: finding them, reading them, and making captions that are nearly right."""

from .buckets import Plan, plan
from .comparisons import TrainingSet, alone, compared
from .folders import find, find_all
from .pairs import Pair
from .pictures.framing import Framing
from .report import Report

__all__ = [
    "Framing",
    "Pair",
    "Plan",
    "Report",
    "TrainingSet",
    "alone",
    "compared",
    "find",
    "find_all",
    "plan",
]
