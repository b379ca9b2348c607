"""What is known of files from earlier starts, in one SQLite file that only saves time."""

from .files import Known

__all__ = ["Known"]
