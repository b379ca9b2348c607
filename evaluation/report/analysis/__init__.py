"""What is computed of a trial: arms held against each other, by scorers, voters and cost."""

from .trial import VOTES, Analysis, Comparison, Warned, analyse, pictures_of

__all__ = ["VOTES", "Analysis", "Comparison", "Warned", "analyse", "pictures_of"]
