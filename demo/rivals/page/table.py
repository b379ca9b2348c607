"""The rows as tables: what is right, the gain over ordinary guidance, where, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import world
from ...sweep import grid
from ...sweep.page import numbers, points
from ...world.judge import ATTRIBUTES
from ..methods import METHODS, ORDINARY
from .answers import Answers, answers_of, groups_of, prompts_of, share
from .comparisons import longer, pairs
from .sections import PAGE

BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"
TITLES: Mapping[str, str] = {
    "sd3": "SD3 base",
    "unet": "U-Net base (SD1.x)",
    "sd3-long": "SD3 base that has read longer prompts",
}
OBJECTS = ((2, 3), (4, 4), (5, 6))
"""Prompts by how many objects they ask for."""


def tables(file: Path) -> str:
    """Of every base that has rows: what was judged, hybrids beside their parts, by attribute, by
    objects and words, on longer prompts, how scales were chosen."""
    rows = grid.read(file)
    parts = []
    for base, title in TITLES.items():
        own = [row for row in rows if row["base"] == base]
        if any(row["part"] == "judged" for row in own):
            parts += [f"### {title}", _judged(own), pairs(own), _by_attribute(own)]
            parts += [_by_prompt(own), "\n".join(longer(own)), _choosing(own)]
    return "\n\n".join(filter(None, parts))


def show(file: Path, page: Path = PAGE) -> None:
    """Puts the tables into demo/RIVALS.md, in the place of the earlier ones."""
    text = page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{tables(file)}\n\n{END}{after}", encoding="utf-8")


def _judged(rows: Sequence[Mapping[str, Any]]) -> str:
    groups = groups_of(rows)
    lines = [
        f"| method | scale | seeds | prompts | all right | gain over {ORDINARY} "
        "| evaluations | with gradient | s | training |",
        "|" + "---|" * 10,
    ]
    base = groups.get(ORDINARY)
    for name, group in groups.items():
        found = answers_of(group, "all")
        cells = [
            name,
            _scale(group[0]),
            "" if group[0]["seed"] is None else str(len(group)),
            str(len(found)),
            share([row["verdicts"]["all"] for row in group]),
            "" if base is None or name == ORDINARY else _gain(found, answers_of(base, "all")),
            str(group[0]["evaluations"]),
            f"{gradients:.0f}" if (gradients := _mean(group, "gradients")) else "",
            f"{_mean(group, 'seconds'):.3f}",
            "; ".join(filter(None, (_cost(group[0].get(of)) for of in ("training", "preference")))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _by_attribute(rows: Sequence[Mapping[str, Any]]) -> str:
    """Shares of pictures right in one attribute, with the gains."""
    groups, others = groups_of(rows), [name for name in ATTRIBUTES if name != "all"]
    lines = [f"| right in | {' | '.join(others)} |", "|" + "---|" * (1 + len(others))]
    base = groups.get(ORDINARY)
    for name, group in groups.items():
        cells = []
        for each in others:
            found = answers_of(group, each)
            gained = base is not None and name != ORDINARY
            gain = f", {_gain(found, answers_of(base, each))}" if gained else ""
            cells.append(f"{found.mean():.1%}{gain}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _scale(row: Mapping[str, Any]) -> str:
    """Where it is no guidance scale, with the guidance beneath."""
    beneath = row.get("beneath")
    return f"{row['scale']:g}" + ("" if beneath is None else f", CFG {beneath:g}")


def _mean(group: Sequence[Mapping[str, Any]], key: str) -> float:
    """Of what older rows may lack."""
    return float(np.mean([row.get(key, 0.0) for row in group]))


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
    groups = groups_of(rows)
    count = min(prompts_of(row) for group in groups.values() for row in group)
    scenes = world.unswept_scenes(count)
    objects = np.array([sum(group.number for group in scene.groups) for scene in scenes])
    words = np.array([len(world.caption(scene).split()) for scene in scenes])
    parts = [(f"{low} to {high} objects" if low != high else f"{low} objects",
              (objects >= low) & (objects <= high)) for low, high in OBJECTS]  # fmt: skip
    parts += [(f"{length} words", words == length) for length in sorted(set(words))]
    parts = [(name, chosen) for name, chosen in parts if chosen.any()]
    head = " | ".join(f"{name} ({chosen.sum()})" for name, chosen in parts)
    lines = [f"| all right | {head} |", "|" + "---|" * (1 + len(parts))]
    base = answers_of(groups[ORDINARY], "all")[:count] if ORDINARY in groups else None
    for name, group in groups.items():
        found, cells = answers_of(group, "all")[:count], []
        for _, chosen in parts:
            cell = f"{found[chosen].mean():.1%}"
            if base is not None and name != ORDINARY and chosen.sum() > 1:
                cell += f", {points((found - base)[chosen])}"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _choosing(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| tried on the prompts for choosing | all right, by scale |", "|---|---|"]
    for method in METHODS:
        tried = {
            row["scale"]: row["verdicts"]["all"]
            for row in rows
            if row["part"] == "choosing" and row["method"] == method.name
        }
        if tried:
            told = (f"{scale:g}: {numbers(tried[scale]).mean():.1%}" for scale in sorted(tried))
            lines.append(
                f"| {method.name} ({len(next(iter(tried.values())))}) | {', '.join(told)} |"
            )
    return "\n".join(lines)


def _gain(found: Answers, base: Answers) -> str:
    """On the prompts that both have."""
    count = min(len(found), len(base))
    return points(found[:count] - base[:count])
