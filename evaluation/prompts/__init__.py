"""Prompts of a trial: read from a user's own files, or the suite that is written here."""

from .files import read_prompts
from .suite import CATEGORIES, LANGUAGES, suite
from .written import chosen_prompts

__all__ = ["CATEGORIES", "LANGUAGES", "chosen_prompts", "read_prompts", "suite"]
