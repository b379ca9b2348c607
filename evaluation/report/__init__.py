"""The report of a trial: what was seen, in one sentence and in all its numbers."""

from .analysis import Analysis, Comparison, analyse
from .writing import write_report

__all__ = ["Analysis", "Comparison", "analyse", "write_report"]
