"""Whether what was found in a picture is what a prompt asks for, in the form of GenEval's files.

The rules follow GenEval's (Ghosh et al., arXiv 2310.11513); with another detector the result is
not GenEval's score, and must not be called so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
APART = 0.1
"""Share of two boxes' sizes by which their centres must differ to lie beside each other."""
_STEEP = 0.5
"""Share of the distance from which a direction counts as left, right, above or below."""
_OVERLAP = 0.5


@dataclass(frozen=True)
class Found:
    """An object. box: left, top, right, bottom in pixels; colour: None where nobody asked."""

    name: str
    colour: str | None
    score: float
    box: tuple[float, float, float, float]


def failures(
    found: Sequence[Found],
    expected: Sequence[Mapping[str, Any]],
    excluded: Sequence[Mapping[str, Any]] = (),
) -> list[str]:
    """What is wrong, of "object", "number", "colour", "position"; empty where all is as asked."""
    best = sorted(found, key=lambda each: -each.score)
    wrong: list[str] = []
    groups: list[list[Found]] = []
    for wanted in expected:
        count, colour = int(wanted.get("count", 1)), wanted.get("color")
        # The surest ones only, as many as are asked for.
        group = [each for each in best if each.name == wanted["class"]][:count]
        if len(group) < count:
            wrong.append("number" if group else "object")
            group = []
        elif colour and any(each.colour != colour for each in group):
            wrong.append("colour")
            group = []
        groups.append(group)
    for wanted, group in zip(expected, groups, strict=True):
        if group and "position" in wanted:
            relation, target = wanted["position"]
            if not _all_lie(group, relation, groups[int(target)]):
                wrong.append("position")
    for unwanted in excluded:
        there = [each for each in best if each.name == unwanted["class"]]
        if len(there) >= int(unwanted.get("count", 1)):
            wrong.append("number")
    return list(dict.fromkeys(wrong))


def _all_lie(group: Sequence[Found], relation: str, others: Sequence[Found]) -> bool:
    pairs = [(one, other) for one in group for other in others]
    return bool(pairs) and all(relation in relations(one, other) for one, other in pairs)


def relations(one: Found, other: Found) -> set[str]:
    """How the first lies to the second: of "left of", "right of", "above", "below"."""
    across, down = (_between(one.box, other.box, axis) for axis in (0, 1))
    distance = (across**2 + down**2) ** 0.5
    if distance < 1e-3:
        return set()
    across, down = (
        math.copysign(max(abs(between) - APART * _sizes(one.box, other.box, axis), 0.0), between)
        for axis, between in enumerate((across, down))
    )
    found = {"left of": -across, "right of": across, "above": -down, "below": down}
    return {relation for relation, share in found.items() if share / distance > _STEEP}


def _between(one: Sequence[float], other: Sequence[float], axis: int) -> float:
    """From the second's centre to the first's, along an axis."""
    return (one[axis] + one[axis + 2] - other[axis] - other[axis + 2]) / 2


def _sizes(one: Sequence[float], other: Sequence[float], axis: int) -> float:
    return sum(box[axis + 2] - box[axis] for box in (one, other))


def apart(found: Sequence[Found]) -> list[Found]:
    """The best of each pile: no two of one name overlap by more than half."""
    kept: list[Found] = []
    for each in sorted(found, key=lambda one: -one.score):
        same = (one for one in kept if one.name == each.name)
        if all(_overlap(one.box, each.box) <= _OVERLAP for one in same):
            kept.append(each)
    return kept


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return wide * high / (sum(areas) - wide * high)


def queries(
    expected: Sequence[Mapping[str, Any]], excluded: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[str, str | None]]:
    """What to look for: (name, colour). Where a colour is asked of a thing, all ten are offered."""
    names = list(dict.fromkeys(wanted["class"] for wanted in (*expected, *excluded)))
    coloured = {wanted["class"] for wanted in expected if wanted.get("color")}
    return [
        (name, colour) for name in names for colour in (COLOURS if name in coloured else (None,))
    ]
