"""Scores of daily work: kept picture by picture, and drawn over time with what shifted."""

from .store import Entry, MonitorError, add, read

__all__ = ["Entry", "MonitorError", "add", "read"]
