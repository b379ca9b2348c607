"""The one error that the adapter layer raises for what a user can mend."""


class AdapterError(ValueError):
    """An adapter file, or a choice made for it, is unusable; the message says what to do."""
