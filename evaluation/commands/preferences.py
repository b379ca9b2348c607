"""Write which pictures of a trial are better than which, for training by preference.

preferences.jsonl in the trial's folder, as `training/train.py --objective dpo --data TRIAL` reads
it: a pair where a scorer, or most of the voters, find one picture of a prompt better.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import EvaluationError
from ..pilot.report import read_votes
from ..report.analysis import VOTES
from ..report.analysis.scores import scorers
from ..trial import Cell, Trial
from ..trial.files import put, temporary
from ..votes.vote import Vote
from . import places

HELP = "write a trial's better and worse pictures, to train on by preference"
NAME = "preferences.jsonl"

Pair = tuple[Cell, Cell]
"""The better picture and the worse one, of one prompt."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("trial", help="a trial's folder, or its name in ComfyUI's output")
    parser.add_argument(
        "--by", required=True, metavar="MEASURE", help='who judges: a scorer\'s name or "votes"'
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="D",
        help="leave out pairs whose scores differ by less, or by nothing (default: 0)",
    )
    places.add_comfyui(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the list, and prints how many pairs it holds. Returns 0."""
    if not 0 <= arguments.margin < float("inf"):
        raise EvaluationError("--margin is a difference of scores: 0 or a number above it.")
    trial = places.named_trial(arguments.trial, arguments.comfyui)
    if arguments.by == VOTES:
        found = list(by_votes(trial, read_votes(trial)))
    else:
        found = list(by_score(trial, arguments.by, arguments.margin))
    if not found:
        raise EvaluationError(
            f"No picture of {trial.folder} is better than another of its prompt by "
            f"{arguments.by}: there is nothing to train on."
        )
    path = write(trial, found)
    prompts = len({better.prompt for better, _ in found})
    print(f"{len(found)} pairs of {prompts} of {len(trial.manifest.prompts)} prompts: {path}")
    return 0


def by_score(trial: Trial, scorer: str, margin: float = 0.0) -> Iterator[Pair]:
    """Of each prompt the best and the worst picture of all arms and seeds, where they differ by
    more than nothing and `margin` or more; the first of equals in painting order.

    Raises EvaluationError where the scorer has not scored these pictures.
    """
    scores, _ = trial.current_scores()
    names = scorers(scores)
    if scorer not in names:
        known = f"scored by {', '.join(names)}" if names else "not scored yet"
        raise EvaluationError(
            f"The pictures of {trial.folder} have no score by {scorer}: they are {known}. Name a "
            "scorer that has, or score them with `evaluate.py score`."
        )
    values = {Cell(s.arm, s.prompt, s.seed): s.value for s in scores if s.scorer == scorer}
    of_prompt: dict[str, list[Cell]] = {}
    for cell in trial.cells():
        if cell in values:
            of_prompt.setdefault(cell.prompt, []).append(cell)
    for cells in of_prompt.values():
        best, worst = max(cells, key=values.__getitem__), min(cells, key=values.__getitem__)
        if values[best] > values[worst] and values[best] - values[worst] >= margin:
            yield best, worst


def by_votes(trial: Trial, votes: Iterable[Vote]) -> Iterator[Pair]:
    """Of every two pictures that were voted on, the one that more voters preferred. A pair shown
    again to the same voter counts once."""
    net: Counter[tuple[str, int, str, str]] = Counter()
    prompts = {prompt.id for prompt in trial.manifest.prompts}
    arms = {arm.name for arm in trial.manifest.arms}
    for vote in votes:
        known = vote.prompt in prompts and {vote.left_arm, vote.right_arm} <= arms
        if vote.repeat or not known or vote.seed not in trial.manifest.seeds:
            continue
        one, other = sorted((vote.left_arm, vote.right_arm))
        preferred = {"left": vote.left_arm, "right": vote.right_arm}.get(vote.answer)
        net[vote.prompt, vote.seed, one, other] += (preferred == one) - (preferred == other)
    for (prompt, seed, one, other), more in net.items():
        pair = Cell(one, prompt, seed), Cell(other, prompt, seed)
        if more and all(map(trial.has, pair)):
            yield pair if more > 0 else pair[::-1]


def write(trial: Trial, pairs: list[Pair]) -> Path:
    """The list, in the trial's folder. Raises EvaluationError where one is there already."""
    path = trial.folder / NAME
    lines = []
    for better, worse in pairs:
        entry = {
            "better": _relative(trial, better),
            "worse": _relative(trial, worse),
            "text": trial.manifest.prompt(better.prompt).text,
        }
        lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    made = temporary(path, "".join(lines).encode())
    try:
        if not put(made, path):
            raise EvaluationError(f"{path} is there already: move it away first.")
    finally:
        made.unlink(missing_ok=True)
    return path


def _relative(trial: Trial, cell: Cell) -> str:
    return trial.path(cell).relative_to(trial.folder).as_posix()
