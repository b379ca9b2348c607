"""How strongly on the prompt, and how strongly on the empty one that guidance leads away from?

An Apply node gives both branches of guidance the same; two Apply to Conditioning nodes need not.
Strengths are chosen on the sweep's prompts, a part of them a training seed; the chosen ones are
asked of other seeds on prompts that chose nothing. Trainings of the SD3 base take as many pair
evaluations as what was recommended before `--negatives`, `economy.CHOSEN`'s first, or with one
negative an eighth of them; the U-Net base's is what is best there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ...softrepa import files
from .. import world
from ..evaluation.table import gain
from ..models.unet_base.short import Unet
from . import economy, grid, page, train_weight
from .short.forward import Short
from .short.sd3 import Model

RESULTS = grid.FINDINGS / "branches.jsonl"
Use = tuple[float, float, str]
"""Strength on the prompt, on the empty one, and what the strength is."""
BEFORE: Use = (1.0, 1.0, "blend")
HALF: Use = (0.5, 0.5, "blend")
APART: Use = (0.8, 0.5, "blend")
AS_THE_DEMO: Use = (0.8, 0.48, "blend")
"""`negative_share` 0.6."""


@dataclass(frozen=True)
class Setting:
    """A way to train on one of the bases, and the uses that are tried and confirmed of it."""

    load: Callable[[], Short]
    flags: Mapping[str, Any]
    steps: int
    tried: tuple[Use, ...]
    chosen: tuple[Use, ...]


_SD3 = {**economy.PLAIN, "time_offsets": True, "objective": "softrepa"}
_PUBLISHED = {
    **{name: economy.PLAIN[name] for name in ("batch_size", "tokens", "learning_rate")},
    "objective": "softrepa",
    "layers": "input",
}
_WIDE = (
    BEFORE,
    HALF,
    (0.7, 0.7, "blend"),
    (0.5, 0.7, "blend"),
    (0.7, 0.5, "blend"),
    (0.6, 0.4, "blend"),
    (0.7, 0.4, "blend"),
    (0.7, 0.3, "blend"),
    APART,
    (1.0, 0.7, "blend"),
    (0.5, 0.0, "blend"),
    (0.5, 0.5, "attention"),
    (0.7, 0.4, "attention"),
)
NARROW: tuple[Use, ...] = (
    BEFORE,
    HALF,
    (0.7, 0.7, "blend"),
    APART,
    (1.0, 0.7, "blend"),
    (1.0, 0.5, "blend"),
)
_CHOSEN = (BEFORE, HALF, APART, (0.7, 0.4, "attention"))
Settings = Mapping[str, Setting]
SETTINGS: Settings = MappingProxyType(
    {
        "SD3, 8 tokens": Setting(Model.load, _SD3, 400, _WIDE, _CHOSEN),
        "SD3, 32 tokens": Setting(Model.load, {**_SD3, "tokens": 32}, 400, _WIDE, _CHOSEN),
        "SD3, 8 tokens, 1 negative": Setting(
            Model.load, {**_SD3, "negatives": 1}, 200, NARROW, _CHOSEN[:3]
        ),
        "SD3, 32 tokens, 1 negative": Setting(
            Model.load, {**_SD3, "negatives": 1, "tokens": 32}, 200, NARROW, _CHOSEN[:3]
        ),
        "U-Net, published": Setting(
            Unet.load, _PUBLISHED, 400, NARROW, (BEFORE, (1.0, 0.5, "blend"))
        ),
    }
)


KEPT = Path(__file__).resolve().parents[1] / "models" / "kept" / "softrepa.safetensors"
"""What the demo trains, on 500 prompts that chose nothing: one training."""


@dataclass(frozen=True)
class Apart(grid.Trial):
    """A training whose tokens are used in several ways after its last step."""

    uses: tuple[Use, ...] = ()

    def findings(self) -> list[dict[str, Any]]:
        (steps,) = self.at
        return [{"flags": dict(self.flags), "steps": steps, **_named(use)} for use in self.uses]


def _named(use: Use) -> dict[str, Any]:
    return dict(zip(("strength", "negative_strength", "strength_as"), use, strict=True))


def flags_of(setting: Setting, seed: int) -> dict[str, Any]:
    return {**setting.flags, "seed": seed}


def run(
    parts: Sequence[str] = economy.PARTS,
    settings: Settings = SETTINGS,
    minutes: float | None = None,
    file: Path = RESULTS,
) -> None:
    """Does what the file does not hold yet, as far as `minutes` reach."""
    asked = world.unswept_scenes(economy.PROMPTS)
    for one in settings.values():
        for seed in economy.CHOOSING if "choosing" in parts else ():
            trials = [_trial(one, seed, one.tried)]
            minutes = grid.run(file, trials, economy.scenes_of(seed), one.load, minutes)
        if "confirming" in parts:
            trials = [_trial(one, seed, one.chosen) for seed in economy.CONFIRMING]
            minutes = grid.run(file, trials, asked, one.load, minutes)
    if "confirming" in parts and file == RESULTS and (minutes is None or minutes > 0):
        run_kept()


def run_kept(file: Path = RESULTS) -> None:
    """The same of the kept adapter."""
    uses = (*_CHOSEN, AS_THE_DEMO)
    entries = [{"flags": {"kept": KEPT.name}, "steps": 200, **_named(use)} for use in uses]
    done = {grid.key(entry) for entry in grid.read(file)}
    missing = [entry for entry in entries if grid.key(entry) not in done]
    if missing:
        bench = grid.Bench.prepared(world.unswept_scenes(train_weight.PROMPTS))
        bench.look(files.read(KEPT), missing, file)


def _trial(setting: Setting, seed: int, uses: tuple[Use, ...]) -> Apart:
    return Apart(flags_of(setting, seed), (setting.steps,), uses=uses)


def found(
    seeds: Sequence[int], settings: Settings = SETTINGS, file: Path = RESULTS
) -> dict[tuple[str, Use], page.Verdicts]:
    """The findings of these seeds, by setting and use."""
    names = {
        economy.told(flags_of(one, seed)): name for name, one in settings.items() for seed in seeds
    }
    made: dict[tuple[str, Use], dict[int, Any]] = {}
    for entry in grid.read(file):
        name = names.get(economy.told(entry["flags"]))
        if name is not None:
            use = tuple(entry[key] for key in _named(BEFORE))
            both = page.numbers(entry["after"]), page.numbers(entry["before"])
            made.setdefault((name, use), {})[entry["flags"]["seed"]] = both
    return made


def show() -> str:
    """Puts the tables into demo/RESULTS.md."""
    tables = (chosen_from(), confirmation(), kept())
    return "\n\n".join(page.put(table) for table in tables)


def chosen_from(settings: Settings = SETTINGS, file: Path = RESULTS) -> str:
    """A row a use: the gain of each setting, over seeds and prompts."""
    made = found(economy.CHOOSING, settings, file)
    lines = [
        f"| on the prompt | on the empty one | {' | '.join(settings)} |",
        "|---|---|" + "---|" * len(settings),
    ]
    uses = dict.fromkeys(use for one in settings.values() for use in one.tried)
    for use in uses:
        gains = [made.get((name, use), {}) for name in settings]
        cells = [page.points(economy.gains_of(each)) if each else "" for each in gains]
        lines.append(f"| {' | '.join([*_said(use), *cells])} |")
    return "\n".join(lines)


def _said(use: Use) -> tuple[str, str]:
    how = " in attention" * (use[2] == "attention")
    return f"{use[0]:g}{how}", f"{use[1]:g}{how}"


def confirmation(settings: Settings = SETTINGS, file: Path = RESULTS) -> str:
    """A row a setting and use, on prompts and seeds that chose nothing; "over full" and "over half"
    are over the same tokens at strength 1 and 0.5 on both."""
    made = found(economy.CONFIRMING, settings, file)
    lines = [
        "| tokens | on the prompt | on the empty one | right, by seed | gain | over full "
        "| over half |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, setting in settings.items():
        full, half = (made.get((name, use), {}) for use in (BEFORE, HALF))
        for use in setting.chosen:
            seeds = made.get((name, use), {})
            if seeds:
                cells = [
                    name,
                    *_said(use),
                    ", ".join(f"{share:.1f}" for share in page.shares(seeds)),
                    page.gain(seeds),
                    page.over(seeds, full),
                    page.over(seeds, half),
                ]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def kept(file: Path = RESULTS) -> str:
    """A row a use of the kept adapter."""
    lines = [
        "| kept adapter, on the prompt | on the empty one | right | gain | gained, lost | p |",
        "|---|---|---|---|---|---|",
    ]
    for entry in grid.read(file):
        if entry["flags"] == {"kept": KEPT.name}:
            change = grid.change_of(entry)
            cells = [
                *_said(tuple(entry[key] for key in _named(BEFORE))),
                f"{page.numbers(entry['after']).mean():.1%}",
                gain(change),
                f"{change.gained}, {change.lost}",
                f"{change.p:.2g}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
