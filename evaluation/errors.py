"""What evaluation tells a user whose files or choices it cannot work with."""


class EvaluationError(ValueError):
    """One plain sentence on what is wrong and what to do; `evaluate.py` prints it, exits with 2."""


class TrialError(EvaluationError):
    """A trial's folder, manifest or picture is unusable."""


class PromptsError(EvaluationError):
    """A file of prompts is unusable."""
