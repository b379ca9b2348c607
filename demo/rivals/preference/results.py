"""What tokens trained by preference do, alone and beside SoftREPA's: measured, and as a table."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file, save_file

from ....evaluation.statistics.rates import paired
from ....host.pack import ROOT
from ....softrepa import files
from ....softrepa.adapter import Adapter
from ... import world
from ...evaluation.evaluate import verdicts
from ...evaluation.table import gain
from ...sweep import grid
from ...sweep.page import numbers, points
from ...sweep.short.forward import Short
from ...sweep.short.sd3 import Model
from ...world.judge import ATTRIBUTES
from . import pairs
from .lesson import FLAGS, train, train_lora
from .lora import Lora
from .uses import IN_ROWS, Use, tried, uses

RESULTS = Path(__file__).with_name("results.jsonl")
ROWS = Path(__file__).parents[1] / "rows.jsonl"
SECTION = "preference"
KEPT = ROOT / "demo" / "models" / "kept" / "softrepa.safetensors"
ADAPTERS = ROOT / "build" / "preference"
"""Where pairs and trained adapters are kept between runs."""
PROMPTS, CHOOSING = 500, 125


@dataclass
class Bench:
    """The base, the prompts that chose nothing, and what is made once.

    folder: for pairs and adapters. asked: prompts whose pictures are compared. loaded: the base,
    where it is there already.
    """

    prompts: int = PROMPTS
    folder: Path = ADAPTERS
    asked: int = pairs.PROMPTS
    loaded: Short | None = None

    @cached_property
    def model(self) -> Short:
        return self.loaded or Model.load()

    def scenes(self, part: str) -> list[world.Scene]:
        if part == "choosing":
            return world.held_out_scenes(world.SWEPT, world.SWEPT_SEED)[:CHOOSING]
        return world.unswept_scenes(self.prompts)

    @cached_property
    def compared(self) -> pairs.Compared:
        found = pairs.kept(self.model, self.folder / "pairs.npz", self.asked)
        print(f"{found.count} pairs of {self.asked} prompts", flush=True)
        return found

    def adapter(self, use: Use) -> Adapter | None:
        if use.method in ("bare", "lora"):
            return None
        return files.read(KEPT if use.method == "softrepa" else self._trained(use))

    def on(self, use: Use) -> AbstractContextManager[None]:
        """Puts a LoRA on the model, where the use has one."""
        if use.method != "lora":
            return nullcontext()
        return Lora.of(self.model, load_file(self._trained(use))).on(self.model, use.strength)

    def cost(self, use: Use) -> dict[str, Any]:
        """Of the training of what is used: steps, predictions (the bare model's too), processor
        seconds, and pictures that were painted to be compared."""
        return json.loads(self._trained(use).with_suffix(".json").read_text())

    def _trained(self, use: Use) -> Path:
        """The file of tokens, or of a LoRA; made with its cost beside it where one is missing."""
        kind = "lora_" if use.method == "lora" else ""
        stem = f"{kind}beta{use.beta:g}_steps{use.steps}_seed{use.seed}"
        file, record = (self.folder / f"{stem}{ending}" for ending in (".safetensors", ".json"))
        if file.is_file() and record.is_file():
            return file
        compared, start = self.compared, time.process_time()
        learn = train_lora if use.method == "lora" else train
        made = learn(self.model, compared, use.beta, use.steps, use.seed)
        cost = {"steps": use.steps, "seconds": time.process_time() - start}
        # Of better and worse pictures, by the bare model and by what is trained.
        cost["predictions"] = 4 * FLAGS["batch_size"] * use.steps
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        if use.method == "lora":
            save_file(made.state, file)
        else:
            files.write(file, made)
        record.write_text(json.dumps({**cost, "painted": self.asked * pairs.SEEDS}))
        return file

    def measure(self, use: Use) -> dict[str, Any]:
        """Each prompt's verdict, 1 or 0, attribute by attribute."""
        scenes = self.scenes(use.part)
        prompts, seeds = [world.caption(scene) for scene in scenes], range(len(scenes))
        adapter = self.adapter(use)
        with self.on(use):
            pictures = self.model.paint(prompts, seeds, adapter, strength=use.strength)
        found = verdicts(list(pictures), scenes)
        return {name: "".join("01"[v.as_dict()[name]] for v in found) for name in ATTRIBUTES}


def read(file: Path = RESULTS, rows: Path = ROWS) -> dict[Use, Mapping[str, str]]:
    """What was found so far, here or in the rivals' rows, in the order of `uses`."""
    lines = file.read_text().splitlines() if file.is_file() else []
    found = {Use(**entry["use"]): entry["right"] for entry in map(json.loads, lines)}
    judged = {
        (row["method"], row["seed"] or 0): row["verdicts"]
        for row in grid.read(rows)
        if (row["base"], row["part"], row["scale"]) == ("sd3", "judged", Model.GUIDANCE)
        and len(row["verdicts"]["all"]) == PROMPTS
    }
    for use in uses():
        if use.part == "choosing":
            continue
        name = IN_ROWS.get((use.method, use.strength, use.beta))
        if use not in found and (name, use.seed) in judged:
            found[use] = judged[name, use.seed]
    return {use: found[use] for use in uses() if use in found}


def run(file: Path = RESULTS, minutes: float | None = None) -> None:
    """Measures what neither file holds yet; begins nothing after so many minutes."""
    began, known, bench = time.monotonic(), read(file), Bench()
    for use in uses():
        if use in known:
            continue
        if minutes is not None and time.monotonic() - began > 60 * minutes:
            return
        right = bench.measure(use)
        with file.open("a") as lines:
            lines.write(json.dumps({"use": asdict(use), "right": right}) + "\n")
        print(use, right["all"].count("1") / len(right["all"]), flush=True)


def table(file: Path = RESULTS, rows: Path = ROWS) -> str:
    """A row a way, its training seeds together: the share right by seed, and the gain over the bare
    base with its 95 % interval over prompts, a prompt's mean over the seeds."""
    found = read(file, rows)
    groups: dict[tuple[str, float, float, int], list[Mapping[str, str]]] = {}
    for use, right in found.items():
        if use.part == "choosing":
            continue
        groups.setdefault((use.method, use.strength, use.beta, use.steps), []).append(right)
    lines = [
        "| tokens | strength | beta | right, by training seed | mean | gain | colour | shape "
        "| number | relation |",
        "|" + "---|" * 10,
    ]
    bare = found.get(Use("bare"))
    for (method, strength, beta, _), some in groups.items():
        shares = [100 * numbers(right["all"]).mean() for right in some]
        cells = [
            method,
            f"{strength:g}" if method != "bare" else "",
            f"{beta:g}" if beta else "",
            ", ".join(f"{share:.1f}" for share in shares),
            f"{np.mean(shares):.1f} %",
            _gain(bare, some) if method != "bare" else "",
            *(
                f"{100 * np.mean([numbers(right[name]).mean() for right in some]):.1f} %"
                for name in ("colour", "shape", "number", "relation")
            ),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    chose = [
        f"{use.method} {use.beta:g}: {numbers(found[use]['all']).mean():.1%}"
        for use in tried()
        if use in found
    ]
    if chose:
        lines += ["", f"All right on {CHOOSING} prompts for choosing, by beta: {', '.join(chose)}."]
    return "\n".join([*lines, "", f"{len(found)} of {len(list(uses()))} are measured."])


def _gain(bare: Mapping[str, str], some: list[Mapping[str, str]]) -> str:
    if len(some) == 1:
        before, after = ([bit == "1" for bit in one["all"]] for one in (bare, some[0]))
        return gain(paired(before, after))
    changes = [numbers(right["all"]) - numbers(bare["all"]) for right in some]
    return points(np.mean(changes, axis=0))
