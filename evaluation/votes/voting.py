"""One voter at one trial: what they see next, their votes, their pictures."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from .ballots import Ballot, count_pairs, next_ballot
from .errors import VotingError
from .pictures import bare_png, is_whole
from .store import History, Store
from .trial import Painted, VotedTrial
from .vote import ANSWERS

AHEAD = 3
"""Ballots that a page gets at once, so that the next pictures are there before they are needed."""
SIDES = ("left", "right")
_LONGEST_NAME = 60
_IDENTITY = re.compile(r"[0-9a-f-]{16,64}")
_TOKEN = re.compile(r"[0-9a-f]{32}")

State = dict[str, Any]


def state(trial: VotedTrial, voter: Any, goal: int | None = None) -> State:
    """What the page of this voter shows. Nothing in it tells an arm, a seed or a result.

    ballots: the next pairs, each a token and its prompt; none where all were seen. answered: the
    voter's votes. goal: how many are asked of each voter, at first. last: the id of the vote that
    undo would take back.
    """
    voter = voter_name(voter)
    painted = trial.painted()

    def draw(secret: bytes, history: History) -> Ballot | None:
        there = painted
        while True:
            ballot = next_ballot(
                secret, voter, history.shown, history.answered, history.votes, there
            )
            broken = _broken(trial, ballot) if ballot else []
            if not ballot or not broken:
                return ballot
            there = _without(there, ballot, broken)

    ballots, history = Store(trial.votes).waiting(
        voter, AHEAD, draw, lambda ballot: _is_there(trial, painted, ballot)
    )
    return {
        "voter": voter,
        "answered": len(history.answered),
        "goal": min(goal or len(painted), count_pairs(painted)),
        "last": history.last,
        "ballots": [{"ballot": one.token, "prompt": trial.prompts[one.prompt]} for one in ballots],
    }


def give(trial: VotedTrial, voter: Any, identity: Any, token: Any, answer: Any) -> None:
    """Keeps one vote. Raises VotingError for what is none on a pair that this voter was shown."""
    if not isinstance(answer, str) or answer not in ANSWERS:
        raise VotingError(f"The answer must be one of {', '.join(ANSWERS)}.")
    Store(trial.votes).give(_identity(identity), voter_name(voter), _token(token), answer)


def undo(trial: VotedTrial, voter: Any, identity: Any) -> None:
    """Takes one vote back; its pair is then shown again."""
    Store(trial.votes).undo(voter_name(voter), _identity(identity))


def picture(trial: VotedTrial, token: Any, side: Any) -> bytes:
    """A PNG of one side of a ballot."""
    if side not in SIDES:
        raise VotingError("The side must be left or right.")
    ballot = Store(trial.votes).ballot(_token(token))
    arm = ballot.left_arm if side == "left" else ballot.right_arm
    return bare_png(trial.picture(arm, ballot.prompt, ballot.seed))


def voter_name(name: Any) -> str:
    """The name in one form however it was typed. Raises VotingError for what is none."""
    text = unicodedata.normalize("NFC", name) if isinstance(name, str) else ""
    text = " ".join(text[: 10 * _LONGEST_NAME].split())
    joiners = "\u200c\u200d"
    if (
        not 0 < len(text) <= _LONGEST_NAME
        or any(unicodedata.category(one)[0] == "C" and one not in joiners for one in text)
        or any(one in text for one in '<>"\\/')
    ):
        raise VotingError(
            f"A voter's name has 1 to {_LONGEST_NAME} letters, figures, spaces or marks, and none "
            'of < > " \\ /.'
        )
    return text


def _identity(value: Any) -> str:
    if not isinstance(value, str) or not _IDENTITY.fullmatch(value):
        raise VotingError("A vote's id must be a UUID.")
    return value


def _token(value: Any) -> str:
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise VotingError("There is no such pair.", 404)
    return value


def _is_there(trial: VotedTrial, painted: Painted, ballot: Ballot) -> bool:
    arms = painted.get(ballot.prompt, {}).get(ballot.seed, ())
    return {ballot.left_arm, ballot.right_arm} <= set(arms) and not _broken(trial, ballot)


def _broken(trial: VotedTrial, ballot: Ballot) -> list[str]:
    """The arms of the ballot whose picture is no whole file."""
    return [
        arm
        for arm in (ballot.left_arm, ballot.right_arm)
        if not is_whole(trial.picture(arm, ballot.prompt, ballot.seed))
    ]


def _without(painted: Painted, ballot: Ballot, broken: list[str]) -> Painted:
    seeds = dict(painted[ballot.prompt])
    arms = tuple(arm for arm in seeds.pop(ballot.seed) if arm not in broken)
    if len(arms) > 1:
        seeds[ballot.seed] = arms
    rest = {prompt: of_prompt for prompt, of_prompt in painted.items() if prompt != ballot.prompt}
    return {**rest, ballot.prompt: seeds} if seeds else rest
