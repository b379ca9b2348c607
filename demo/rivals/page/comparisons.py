"""Tables that hold methods against each other, prompt by prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...sweep.page import points
from ..longer import length
from ..methods import JOINED, ORDINARY, PLUS
from .answers import answers_of, groups_of, of_seeds, prompts_of


def pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was trained against what costs nothing; hybrids against the better of their parts and
    the best of all single methods."""
    groups = groups_of(rows)
    whole = max(prompts_of(row) for group in groups.values() for row in group)
    found = {name: answers_of(group, "all") for name, group in groups.items()}
    found = {name: answers for name, answers in found.items() if len(answers) == whole}
    singles = {name: answers for name, answers in found.items() if JOINED not in name}
    best = max(singles, key=lambda name: singles[name].mean())
    lines = [
        f"| paired | all right | over {PLUS} | better part | over it "
        f"| over {best}, the best single |",
        "|---|---|---|---|---|---|",
    ]
    for name, answers in found.items():
        if groups[name][0]["seed"] is None:
            continue
        own = [part for part in name.split(JOINED) if part in singles and part != name]
        part = max(own, key=lambda one: singles[one].mean(), default=None)
        others = [PLUS, part, best if part else None]
        over = [_over(groups[name], groups[one]) if one in found else "" for one in others]
        cells = [name, f"{answers.mean():.1%}", over[0], part or "", *over[1:]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def longer(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """On longer prompts beside the captions of the same scenes, by the same trainings: shares
    right, gains over ordinary guidance, and how much more is gained on the longer ones."""
    short, *kinds = (groups_of(rows, part) for part in ("judged", *length.KINDS))
    if not all(ORDINARY in groups for groups in (short, *kinds)):
        return
    titles = " | ".join(f"{kind} | gained more than there" for kind in length.KINDS)
    yield f"| all right; gain over {ORDINARY} | seeds | prompts | the caption | {titles} |"
    yield "|" + "---|" * (4 + 2 * len(kinds))
    for name in kinds[0]:
        groups = [of_seeds(all_of.get(name, []), kinds[0][name]) for all_of in (short, *kinds)]
        count = min(prompts_of(row) for group in groups for row in group)
        cells, first = [], None
        for group, all_of in zip(groups, (short, *kinds), strict=True):
            if not group:
                cells += [""] * (1 if all_of is short else 2)
                continue
            answers = answers_of(group, "all")[:count]
            gain = answers - answers_of(all_of[ORDINARY], "all")[:count]
            told = "" if name == ORDINARY else f", {points(gain)}"
            cells.append(f"{answers.mean():.1%}{told}")
            if all_of is short:
                first = gain
            else:
                cells.append(points(gain - first) if told and first is not None else "")
        trained = kinds[0][name][0]["seed"] is not None
        seeds = str(len(kinds[0][name])) if trained else ""
        yield f"| {name} | {seeds} | {count} | {' | '.join(cells)} |"


def _over(group: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> str:
    """By the training seeds that both have, where both are trained."""
    mine, theirs = of_seeds(group, other) or group, of_seeds(other, group) or other
    return points(answers_of(mine, "all") - answers_of(theirs, "all"))
