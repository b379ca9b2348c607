"""`votes.sqlite`: every vote kept the moment it is given.

Rows are only ever added. A vote taken back stays, with a row in `undone` beside it; a ballot has at
most one standing vote.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .ballots import Ballot
from .database import change, read
from .errors import VotingError
from .vote import Vote

_SEED = re.compile(r"[0-9]{1,20}")
_VOTE = "voter, prompt, seed, left_arm, right_arm, answer, repeat, time"


@dataclass(frozen=True)
class History:
    """What one voter was shown, in order; of it, ballot -> standing vote's id; and the standing
    votes of everybody by prompt. last: the id of the voter's newest standing vote, or None."""

    shown: tuple[Ballot, ...]
    answered: Mapping[str, str]
    votes: Mapping[str, int]
    last: str | None


@dataclass(frozen=True)
class Store:
    """The votes of one trial. The file is made by the first call. Every call raises VotingError
    where the file cannot be used."""

    path: Path

    def secret(self) -> bytes:
        """32 bytes that were drawn when the file was made."""
        return change(self.path, _secret)

    def waiting(
        self,
        voter: str,
        ahead: int,
        draw: Callable[[bytes, History], Ballot | None],
        usable: Callable[[Ballot], bool],
    ) -> tuple[list[Ballot], History]:
        """The voter's next ballots, up to `ahead` of them, and what was before.

        Ballots without a standing vote come first, the oldest first, so that asking again never
        gives another pair; draw adds new ones. usable: whether a ballot's pictures are there.
        """

        def work(connection: sqlite3.Connection) -> tuple[list[Ballot], History]:
            history = _history(connection, voter)
            found = [one for one in history.shown if one.token not in history.answered]
            found = [one for one in found if usable(one)][:ahead]
            shown = list(history.shown)
            while len(found) < ahead:
                drawn = draw(
                    _secret(connection),
                    History(tuple(shown), history.answered, history.votes, history.last),
                )
                if drawn is None:
                    break
                _add_ballot(connection, drawn)
                shown.append(drawn)
                found.append(drawn)
            return found, history

        return change(self.path, work)

    def ballot(self, token: str) -> Ballot:
        """The ballot of this token. Raises VotingError (404) where there is none."""
        found = None
        if self.path.exists():
            found = read(self.path, lambda connection: _ballot(connection, token))
        if found is None:
            raise VotingError("There is no such pair.", 404)
        return found

    def give(self, identity: str, voter: str, token: str, answer: str) -> None:
        """Keeps a vote; again with the same identity, it is that same vote.

        Raises VotingError (409) where the ballot has another standing vote.
        """

        def work(connection: sqlite3.Connection) -> None:
            ballot = _own_ballot(connection, voter, token)
            before = connection.execute(
                "SELECT ballot, answer FROM votes WHERE id = ?", (identity,)
            ).fetchone()
            if before == (token, answer):
                return
            taken = connection.execute("SELECT 1 FROM standing WHERE ballot = ?", (token,))
            if before is not None or taken.fetchone():
                raise VotingError("This pair has been voted on already.", 409)
            connection.execute(
                f"INSERT INTO votes (id, ballot, {_VOTE}) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (identity, token, voter, ballot.prompt, str(ballot.seed), ballot.left_arm,
                 ballot.right_arm, answer, ballot.repeats is not None, time.time()),
            )  # fmt: skip

        change(self.path, work)

    def undo(self, voter: str, identity: str) -> None:
        """Takes the voter's vote of this identity back; doing so again changes nothing.

        Raises VotingError (404) where the voter has given no such vote.
        """

        def work(connection: sqlite3.Connection) -> None:
            found = connection.execute(
                "SELECT 1 FROM votes WHERE id = ? AND voter = ?", (identity, voter)
            )
            if not found.fetchone():
                raise VotingError("There is no such vote of yours.", 404)
            connection.execute(
                "INSERT OR IGNORE INTO undone (vote, time) VALUES (?, ?)", (identity, time.time())
            )

        change(self.path, work)


def read_votes(path: Path) -> list[Vote]:
    """The standing votes, in the order they were given; none where there is no file.

    Raises VotingError where it cannot be read.
    """
    if not path.exists():
        return []
    rows = read(
        path,
        lambda connection: connection.execute(
            f"SELECT {_VOTE} FROM standing ORDER BY row"
        ).fetchall(),
    )
    return [_as_vote(*row) for row in rows or ()]


def _as_vote(
    voter: object, prompt: object, seed: object, left: object, right: object, answer: object,
    repeat: object, when: object,
) -> Vote:  # fmt: skip
    """SQLite holds any type in any column, so a file from elsewhere may hold anything."""
    texts = (voter, prompt, seed, left, right, answer)
    if not all(isinstance(text, str) for text in texts) or not _SEED.fullmatch(seed):
        raise VotingError("votes.sqlite is damaged: move it out of the trial.", 500)
    when = when if isinstance(when, float) and math.isfinite(when) else 0.0
    return Vote(voter, prompt, int(seed), left, right, answer, bool(repeat), when)


def _secret(connection: sqlite3.Connection) -> bytes:
    return connection.execute("SELECT value FROM secret").fetchone()[0]


def _history(connection: sqlite3.Connection, voter: str) -> History:
    rows = connection.execute(
        "SELECT token, voter, number, prompt, seed, left_arm, right_arm, repeats FROM ballots"
        " WHERE voter = ? ORDER BY number",
        (voter,),
    )
    answered = dict(
        connection.execute("SELECT ballot, id FROM standing WHERE voter = ? ORDER BY row", (voter,))
    )
    votes = Counter(
        dict(connection.execute("SELECT prompt, count(*) FROM standing GROUP BY prompt"))
    )
    last = list(answered.values())[-1] if answered else None
    return History(tuple(_as_ballot(row) for row in rows), answered, votes, last)


def _ballot(connection: sqlite3.Connection, token: str) -> Ballot:
    row = connection.execute(
        "SELECT token, voter, number, prompt, seed, left_arm, right_arm, repeats FROM ballots"
        " WHERE token = ?",
        (token,),
    ).fetchone()
    if row is None:
        raise VotingError("There is no such pair.", 404)
    return _as_ballot(row)


def _own_ballot(connection: sqlite3.Connection, voter: str, token: str) -> Ballot:
    ballot = _ballot(connection, token)
    if ballot.voter != voter:
        raise VotingError("There is no such pair.", 404)
    return ballot


def _as_ballot(row: Sequence) -> Ballot:
    token, voter, number, prompt, seed, left_arm, right_arm, repeats = row
    return Ballot(token, voter, number, prompt, int(seed), left_arm, right_arm, repeats)


def _add_ballot(connection: sqlite3.Connection, ballot: Ballot) -> None:
    connection.execute(
        "INSERT INTO ballots VALUES (?,?,?,?,?,?,?,?)",
        (ballot.token, ballot.voter, ballot.number, ballot.prompt, str(ballot.seed),
         ballot.left_arm, ballot.right_arm, ballot.repeats),
    )  # fmt: skip
