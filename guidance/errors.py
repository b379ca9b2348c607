"""The one error that guidance raises for what a user can mend."""


class GuidanceError(ValueError):
    """A model, prompt or choice of words is of no use here; the message says what to do."""
