"""Prompts of a trial: read from a user's own files, or the suite that is written here."""

from .files import read_prompts
from .suite import CATEGORIES, LANGUAGES, suite

__all__ = ["CATEGORIES", "LANGUAGES", "read_prompts", "suite"]
