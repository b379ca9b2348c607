"""The rows as tables: what is right, the gain over ordinary guidance, where, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...evaluation.statistics.rates import NORMAL_95, wilson
from .. import world
from ..judge import ATTRIBUTES
from ..sweep import grid
from . import length
from .methods import JOINED, METHODS, ORDINARY, PLUS

PAGE = Path(__file__).resolve().parents[1] / "RIVALS.md"
BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"
TITLES: Mapping[str, str] = {"sd3": "SD3 base", "unet": "U-Net base (SD1.x)"}
OBJECTS = ((2, 3), (4, 4), (5, 6))
"""Prompts by how many objects they ask for."""

Answers = NDArray[np.float64]


def tables(file: Path) -> str:
    """Of every base that has rows: what was judged, hybrids beside their parts, by objects and
    words, on longer prompts, how scales were chosen."""
    rows = grid.read(file)
    parts = []
    for base, title in TITLES.items():
        own = [row for row in rows if row["base"] == base]
        if any(row["part"] == "judged" for row in own):
            parts += [f"### {title}", _judged(own), _pairs(own), _by_prompt(own)]
            parts += [*_longer(own), _choosing(own)]
    return "\n\n".join(filter(None, parts))


def show(file: Path, page: Path = PAGE) -> None:
    """Puts the tables into demo/RIVALS.md, in the place of the earlier ones."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(file)}\n\n{END}{after}", encoding="utf-8")


def _groups(
    rows: Sequence[Mapping[str, Any]], part: str = "judged"
) -> dict[str, list[Mapping[str, Any]]]:
    """The judged rows of each method, a training seed each, in the order of `METHODS`; where there
    is one of more prompts, that one. part: "judged", or a kind of longer prompts."""
    longest: dict[tuple[str, int | None], Mapping[str, Any]] = {}
    for row in rows:
        if row["part"] == part:
            key = row["method"], row["seed"]
            longest[key] = max(longest.get(key, row), row, key=_prompts)
    groups = {
        one.name: [row for (name, _), row in longest.items() if name == one.name] for one in METHODS
    }
    return {name: group for name, group in groups.items() if group}


def _prompts(row: Mapping[str, Any]) -> int:
    return len(row["verdicts"]["all"])


def _judged(rows: Sequence[Mapping[str, Any]]) -> str:
    groups = _groups(rows)
    others = [name for name in ATTRIBUTES if name != "all"]
    lines = [
        f"| method | scale | seeds | prompts | all right | gain over {ORDINARY} "
        f"| {' | '.join(others)} | evaluations | with gradient | s | training |",
        "|" + "---|" * (10 + len(others)),
    ]
    base = groups.get(ORDINARY)
    for name, group in groups.items():
        found = _answers(group, "all")
        cells = [
            name,
            _scale(group[0]),
            "" if group[0]["seed"] is None else str(len(group)),
            str(len(found)),
            _share(group),
            "" if base is None or name == ORDINARY else _gain(found, _answers(base, "all")),
            *(f"{_answers(group, each).mean():.1%}" for each in others),
            str(group[0]["evaluations"]),
            f"{gradients:.0f}" if (gradients := _mean(group, "gradients")) else "",
            f"{_mean(group, 'seconds'):.3f}",
            "; ".join(filter(None, (_cost(group[0].get(of)) for of in ("training", "preference")))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _scale(row: Mapping[str, Any]) -> str:
    """Where it is no guidance scale, with the guidance beneath."""
    beneath = row.get("beneath")
    return f"{row['scale']:g}" + ("" if beneath is None else f", CFG {beneath:g}")


def _mean(group: Sequence[Mapping[str, Any]], key: str) -> float:
    """Of what older rows may lack."""
    return float(np.mean([row.get(key, 0.0) for row in group]))


def _share(group: Sequence[Mapping[str, Any]]) -> str:
    """With Wilson's interval over prompts; with several trainings their mean and each."""
    bits = [row["verdicts"]["all"] for row in group]
    if len(bits) == 1:
        return str(wilson(bits[0].count("1"), len(bits[0])))
    each = ", ".join(f"{one.count('1') / len(one):.1%}" for one in bits)
    return f"{_answers(group, 'all').mean():.1%} ({each})"


def _cost(training: Mapping[str, Any] | None) -> str:
    if training is None:
        return ""
    if "kept" in training:
        return f"kept/{training['kept']}"
    painted = f", {training['painted']} pictures compared" if "painted" in training else ""
    return (
        f"{training['steps']} steps, {training['predictions']:,} predictions, "
        f"{training['seconds']:.0f} s{painted}"
    )


def _by_prompt(rows: Sequence[Mapping[str, Any]]) -> str:
    """Shares right by how many objects and how many words the prompt has, with the gains."""
    groups = _groups(rows)
    count = min(_prompts(row) for group in groups.values() for row in group)
    scenes = world.unswept_scenes(count)
    objects = np.array([sum(group.number for group in scene.groups) for scene in scenes])
    words = np.array([len(world.caption(scene).split()) for scene in scenes])
    parts = [(f"{low} to {high} objects" if low != high else f"{low} objects",
              (objects >= low) & (objects <= high)) for low, high in OBJECTS]  # fmt: skip
    parts += [(f"{length} words", words == length) for length in sorted(set(words))]
    parts = [(name, chosen) for name, chosen in parts if chosen.any()]
    head = " | ".join(f"{name} ({chosen.sum()})" for name, chosen in parts)
    lines = [f"| all right | {head} |", "|" + "---|" * (1 + len(parts))]
    base = _answers(groups[ORDINARY], "all")[:count] if ORDINARY in groups else None
    for name, group in groups.items():
        found, cells = _answers(group, "all")[:count], []
        for _, chosen in parts:
            cell = f"{found[chosen].mean():.1%}"
            if base is not None and name != ORDINARY and chosen.sum() > 1:
                cell += f", {points((found - base)[chosen])}"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    """What was trained against what costs nothing; hybrids against the better of their parts and
    the best of all single methods."""
    groups = _groups(rows)
    whole = max(_prompts(row) for group in groups.values() for row in group)
    found = {name: _answers(group, "all") for name, group in groups.items()}
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
        over = [points(answers - found[one]) if one in found else "" for one in others]
        cells = [name, f"{answers.mean():.1%}", over[0], part or "", *over[1:]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def _longer(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """On longer prompts beside the short ones for the same scenes: shares right, the gains over
    ordinary guidance at each length, and how much more is gained on the longer ones."""
    by_kind = {kind: _groups(rows, kind) for kind in length.KINDS}
    short = _groups(rows)
    if not all(ORDINARY in groups for groups in (short, *by_kind.values())):
        return
    lines = [
        f"| all right; gain over {ORDINARY} | prompts | the caption "
        f"| {' | '.join(f'{kind} | gained more than there' for kind in by_kind)} |",
        "|" + "---|" * (3 + 2 * len(by_kind)),
    ]
    for name in by_kind[next(iter(by_kind))]:
        groups = [short.get(name), *(groups.get(name) for groups in by_kind.values())]
        if None in groups:
            continue
        count = min(_prompts(row) for one in groups for row in one)
        bare = [_answers(one[ORDINARY], "all")[:count] for one in (short, *by_kind.values())]
        found = [_answers(one, "all")[:count] for one in groups]
        gains = [one - under for one, under in zip(found, bare, strict=True)]
        cells = [name, str(count)]
        for answers, gain in zip(found, gains, strict=True):
            told = "" if name == ORDINARY else f", {points(gain)}"
            cells.append(f"{answers.mean():.1%}{told}")
            if gain is not gains[0]:
                cells.append("" if name == ORDINARY else points(gain - gains[0]))
        lines.append(f"| {' | '.join(cells)} |")
    yield "\n".join(lines)


def _choosing(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| tried on the prompts for choosing | all right, by scale |", "|---|---|"]
    for method in METHODS:
        tried = {
            row["scale"]: row["verdicts"]["all"]
            for row in rows
            if row["part"] == "choosing" and row["method"] == method.name
        }
        if tried:
            told = (f"{scale:g}: {_answer(tried[scale]).mean():.1%}" for scale in sorted(tried))
            lines.append(
                f"| {method.name} ({len(next(iter(tried.values())))}) | {', '.join(told)} |"
            )
    return "\n".join(lines)


def _gain(found: Answers, base: Answers) -> str:
    """On the prompts that both have."""
    count = min(len(found), len(base))
    return points(found[:count] - base[:count])


def points(changes: Answers) -> str:
    """The mean change in percentage points, with its 95 % interval over prompts."""
    by_prompt = 100 * changes
    mean, half = by_prompt.mean(), NORMAL_95 * by_prompt.std(ddof=1) / len(by_prompt) ** 0.5
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def _answers(group: Sequence[Mapping[str, Any]], attribute: str) -> Answers:
    """Each prompt's share of right pictures over the training seeds."""
    count = min(map(_prompts, group))
    return np.mean([_answer(row["verdicts"][attribute])[:count] for row in group], axis=0)


def _answer(bits: str) -> Answers:
    return np.array([float(bit) for bit in bits])
