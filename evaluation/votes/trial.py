"""What voting needs of a trial's folder: arms, prompts, seeds, and which pictures are there.

The one place that reads `trial.json` for the votes. Nothing outside the folder is ever opened:
names that could lead out of it are refused, and links are not followed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import VotingError

MANIFEST = "trial.json"
FORMAT = 1
LARGEST_MANIFEST = 16 << 20
"""Bytes."""
_UNSAFE = re.compile(r"[\x00-\x1f\x7f/\\:*?\"<>|]")
_LONGEST_NAME = 120

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
    manifest = _manifest(folder / MANIFEST)
    try:
        if manifest["format"] != FORMAT:
            raise VotingError("This trial is of another version: update the pack.")
        arms = tuple(_safe(arm["name"]) for arm in manifest["arms"])
        prompts = {_safe(prompt["id"]): _text(prompt["text"]) for prompt in manifest["prompts"]}
        seeds = tuple(_seed(seed) for seed in manifest["seeds"])
        whole = len(set(arms)) == len(arms) > 1 and len(prompts) == len(manifest["prompts"])
        if not whole or not prompts or not seeds or len(set(seeds)) != len(seeds):
            raise ValueError
        return VotedTrial(folder.resolve(), _text(manifest["name"]), arms, prompts, seeds)
    except (KeyError, TypeError, ValueError):
        raise VotingError(f"{MANIFEST} is no trial's: there is nothing to vote on.") from None


def trials_in(folders: Iterable[Path]) -> dict[str, Path]:
    """The trials among these folders, under ids that tell neither a name nor a path."""
    return {
        hashlib.sha256(f"softrepa trial {folder.name}".encode()).hexdigest()[:16]: folder
        for folder in folders
        if (folder / MANIFEST).is_file()
    }


def _manifest(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_MANIFEST + 1)
    except OSError:
        raise VotingError(f"This folder has no {MANIFEST} that can be read.", 404) from None
    if len(text) > LARGEST_MANIFEST:
        raise VotingError(f"{MANIFEST} is larger than any trial's, so it is not read.")
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise VotingError(f"{MANIFEST} is damaged: there is nothing to vote on.")
    return manifest


def _safe(name: Any) -> str:
    """A name that is one part of a path and nothing else, on every system."""
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= _LONGEST_NAME
        or _UNSAFE.search(name)
        or name.strip(" .") != name
        or not name.isprintable()
    ):
        raise VotingError(f"{MANIFEST} has a name that is not safe as a file's name.")
    return name


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _seed(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError
    return value


def _files(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    except OSError:
        return set()
