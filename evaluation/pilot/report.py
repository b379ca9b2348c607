"""The report of any trial, with its pilot's answer above it where it is one."""

from __future__ import annotations

from pathlib import Path

from ..errors import EvaluationError, TrialError
from ..report import Analysis, analyse, write_report
from ..report.analysis.pilot import PilotAnswer
from ..statistics.verdict import NOT_YET
from ..trial import Trial
from ..votes import store
from ..votes.errors import VotingError
from ..votes.vote import Vote
from .begin import plan_of
from .looks import looked
from .plan import NAME, Plan
from .wording import pilot_answer

VOTES = "votes.sqlite"


def report(
    trial: Trial,
    folder: Path,
    language: str = "en",
    planned: int | None = None,
    primary: str | None = None,
) -> tuple[Analysis, PilotAnswer | None]:
    """Writes report.html, .json, .csv and .png into `folder`; gives what they say.

    planned, primary: see `analyse`; of a pilot, what is not given is the plan's. That somebody
    looked at a pilot's results is kept. Raises EvaluationError, OSError.
    """
    votes = read_votes(trial)
    plan, pilot = _pilot(trial, votes, language)
    if plan:
        planned = planned or (plan.planned if plan.by_votes else None)
        there = plan.by_votes or plan.measure in {score.scorer for score in trial.scores()}
        primary = primary or (plan.measure if there else None)
    analysis = analyse(trial, votes, planned, primary)
    write_report(analysis, trial, folder, language, pilot)
    if plan:
        looked(trial, len(votes), primary or "")
    return analysis, pilot


def _pilot(
    trial: Trial, votes: list[Vote], language: str
) -> tuple[Plan | None, PilotAnswer | None]:
    """A plan that cannot be used is told in the report: the pictures are there all the same."""
    try:
        return plan_of(trial), pilot_answer(trial, votes, language)
    except TrialError as error:
        values = {"called": NOT_YET, "answer": str(error)}
        return None, PilotAnswer(NAME, NOT_YET, str(error), (), values)


def read_votes(trial: Trial) -> list[Vote]:
    """The trial's votes, in the order given; none where nobody has voted. Raises EvaluationError
    where they cannot be read."""
    path = trial.folder / VOTES
    if not path.is_file():
        return []
    try:
        return store.read_votes(path)
    except VotingError as error:
        raise EvaluationError(f"{path}: {error}") from None
