"""What cannot be done, in one sentence for whoever asked."""

from __future__ import annotations


class VotingError(Exception):
    """One plain sentence on what is wrong; status is the HTTP status a page gets with it."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status
