"""What the demo's adapter is trained on and how, and its training in a process of its own."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...host.pack import ROOT, flags
from ...training.settings.command_line import read_settings
from .. import world
from . import cache

COMMON = {
    "resolution": 64,
    "batch_size": 8,
    "micro_batch": 64,
    "tokens": 8,
    "hard_share": 0.5,
    "normalise": True,
}
"""The recommended recipe of training/README.md, in the size of this world."""
RECIPES: dict[str, dict[str, Any]] = {
    "softrepa": {**COMMON, "objective": "softrepa", "steps": 200},
    "agsm": {**COMMON, "objective": "agsm", "steps": 400},
}


@dataclass(frozen=True)
class Use:
    """How strongly an adapter is used: these inputs of Apply SoftREPA."""

    strength: float
    negative_share: float = 1.0


USES = {"softrepa": Use(0.8, 0.6), "agsm": Use(1.0)}
"""At which each is best here: see RESULTS.md."""


@dataclass(frozen=True)
class Lesson:
    """One training: where all of it lies. use: of the adapter, once it is trained."""

    checkpoint: Path
    pairs: Path
    count: int
    recipe: dict[str, Any]
    adapter: Path
    output: Path
    use: Use

    @classmethod
    def of(cls, arguments: argparse.Namespace, checkpoint: Path, adapter: Path) -> Lesson:
        """As `demo/run.py`'s flags ask for it."""
        recipe = dict(RECIPES[arguments.objective])
        if arguments.steps:
            recipe["steps"] = arguments.steps
        output, strength = arguments.output.resolve(), arguments.strength
        return cls(
            checkpoint,
            output / "comfyui" / "input" / f"softrepa_demo_{arguments.pairs}",
            arguments.pairs,
            recipe,
            adapter,
            output,
            USES[arguments.objective] if strength is None else Use(strength),
        )

    def prepare(self) -> set[str]:
        """Pictures, captions and the trainer's cache of them; returns the captions."""
        whole = self.pairs / ".whole"
        if not whole.is_file():
            world.write_folder(self.pairs, self.count, seed=7)
            whole.touch()
        if not self._finished():
            self._config.write_text(self._text)
            cache.fill(self.checkpoint, read_settings(self._flags))
        return {file.read_text(encoding="utf-8").strip() for file in self.pairs.glob("*.txt")}

    @contextmanager
    def training(self) -> Iterator[str]:
        """Trains while the block runs, as a user would, and waits at its end; gives what to say.

        An adapter of the same recipe is kept. Raises CalledProcessError.
        """
        if self._finished():
            yield f"{self.adapter.name} is trained already"
            return
        self._mark.unlink(missing_ok=True)
        self._clear_another_recipe()
        command = [sys.executable, str(ROOT / "training" / "train.py"), *self._flags, "--resume"]
        process = subprocess.Popen(command)
        try:
            yield f"training {self.recipe['steps']} steps, and painting without an adapter"
        except BaseException:
            process.terminate()  # it saves its state; the next run goes on from it
            process.wait()
            raise
        if process.wait():
            raise subprocess.CalledProcessError(process.returncode, command)
        self._mark.write_text(self._text)

    def _clear_another_recipe(self) -> None:
        """The trainer goes on with a run of the same settings only, and replaces none unasked."""
        begun, told = self.output / f"{self.adapter.stem}.begun", f"{self.count}\n{self._text}"
        if begun.is_file() and begun.read_text() == told:
            return
        for path in self.adapter.parent.glob(f"{self.adapter.stem}.*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        begun.write_text(told)

    @property
    def _text(self) -> str:
        lines = [f"{key.replace('_', '-')} = {_toml(value)}" for key, value in self.recipe.items()]
        return "\n".join(lines) + "\n"

    @property
    def _config(self) -> Path:
        return self.output / f"{self.adapter.stem}.{self.count}.toml"

    @property
    def _mark(self) -> Path:
        return self.output / f"{self._config.name}.finished"

    @property
    def _flags(self) -> list[str]:
        named = {
            "config": self._config,
            "checkpoint": self.checkpoint,
            "data": self.pairs,
            "output": self.adapter,
            "cache": cache.beside(self.adapter, self.checkpoint),
        }
        cpu = ["--cpu"] if "--cpu" in flags() else []
        return [*(f"--{name}={value}" for name, value in named.items()), *cpu]

    def _finished(self) -> bool:
        whole = self.adapter.is_file() and self._mark.is_file()
        return whole and self._mark.read_text() == self._text


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
