"""What voting needs of a trial's folder: arms, prompts, seeds, and which pictures are there.

Nothing outside the folder is ever opened: names that could lead out of it are refused with the
manifest, and links are not followed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import TrialError
from ..trial import read_manifest
from ..trial.folder import MANIFEST
from .errors import VotingError

Painted = Mapping[str, Mapping[int, tuple[str, ...]]]
"""Prompt id -> seed -> the arms that have its picture, in the trial's order."""


@dataclass(frozen=True)
class VotedTrial:
    """A trial as the votes see it. prompts: id -> text, in order. folder: with no link in it."""

    folder: Path
    name: str
    arms: tuple[str, ...]
    prompts: Mapping[str, str]
    seeds: tuple[int, ...]

    @property
    def votes(self) -> Path:
        return self.folder / "votes.sqlite"

    def picture(self, arm: str, prompt: str, seed: int) -> Path:
        """Where a picture lies. Raises VotingError for what does not lie in this trial."""
        folder = self.folder / "pictures" / arm
        known = arm in self.arms and prompt in self.prompts and seed in self.seeds
        if not known or not self._holds(folder):
            raise VotingError("There is no such picture in this trial.", 404)
        return folder / f"{prompt}-{seed}.png"

    def painted(self) -> Painted:
        """The pictures that are there now; only files that lie in the trial's own folders."""
        folders = {arm: self.folder / "pictures" / arm for arm in self.arms}
        there = {
            arm: _files(folder) if self._holds(folder) else set() for arm, folder in folders.items()
        }
        found: dict[str, dict[int, tuple[str, ...]]] = {}
        for prompt in self.prompts:
            for seed in self.seeds:
                name = f"{prompt}-{seed}.png"
                arms = tuple(arm for arm in self.arms if name in there[arm])
                if len(arms) > 1:
                    found.setdefault(prompt, {})[seed] = arms
        return found

    def _holds(self, folder: Path) -> bool:
        """Not so where a link leads elsewhere."""
        try:
            return folder.resolve().is_relative_to(self.folder)
        except (OSError, RuntimeError):  # links in a circle
            return False


def read_trial(folder: Path) -> VotedTrial:
    """The trial in this folder. Raises VotingError, in a sentence that names no path."""
    path = folder / MANIFEST
    if not path.is_file():
        raise VotingError(f"This folder has no {MANIFEST} that can be read.", 404)
    try:
        manifest = read_manifest(path)
    except TrialError as error:
        raise VotingError(str(error).replace(str(path), MANIFEST)) from None
    return VotedTrial(
        folder.resolve(),
        manifest.name,
        tuple(arm.name for arm in manifest.arms),
        {prompt.id: prompt.text for prompt in manifest.prompts},
        manifest.seeds,
    )


def trials_in(folders: Iterable[Path]) -> dict[str, Path]:
    """The trials among these folders, under ids that tell neither a name nor a path."""
    return {
        hashlib.sha256(f"softrepa trial {folder.name}".encode()).hexdigest()[:16]: folder
        for folder in folders
        if (folder / MANIFEST).is_file()
    }


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    except OSError:
        return set()
