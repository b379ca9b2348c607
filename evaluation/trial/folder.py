"""A trial's folder: started once, filled picture by picture, read by everyone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import TrialError
from . import records
from .files import is_whole, is_whole_png, locked, put, remove_remains, temporary, write_whole
from .manifest import Manifest, changed_files, decode, differences, read_bytes
from .records import Score

MANIFEST, PICTURES, SCORES, LOCK = "trial.json", "pictures", "scores.jsonl", ".lock"
PAINTED = "painted.jsonl"
"""What each picture cost, an object a picture."""


@dataclass(frozen=True)
class Cell:
    """One picture of a trial."""

    arm: str
    prompt: str
    seed: int


@dataclass(frozen=True)
class Trial:
    """An open trial. `digest` is the SHA-256 of trial.json's bytes as they were opened."""

    folder: Path
    manifest: Manifest
    digest: str

    def cells(self) -> Iterator[Cell]:
        """Every picture in painting order: all arms of one prompt and seed follow each other."""
        for prompt in self.manifest.prompts:
            for seed in self.manifest.seeds:
                for arm in self.manifest.arms:
                    yield Cell(arm.name, prompt.id, seed)

    def missing(self, rank: int = 0, of: int = 1) -> list[Cell]:
        """The pictures not there yet, in painting order; deleted and cut ones are among them.

        Of `of` painters, number `rank` gets its own share: every `of`-th prompt and seed, with
        all its arms, whatever is there already.
        """
        arms = len(self.manifest.arms)
        mine = (cell for at, cell in enumerate(self.cells()) if at // arms % of == rank)
        return [cell for cell in mine if not self.has(cell)]

    def path(self, cell: Cell) -> Path:
        """Where a picture lies, or will. Raises TrialError for one that is not of this trial."""
        manifest = self.manifest
        if (
            cell.arm not in {arm.name for arm in manifest.arms}
            or cell.prompt not in {prompt.id for prompt in manifest.prompts}
            or cell.seed not in manifest.seeds
        ):
            raise TrialError(f"{cell} is no picture of this trial.")
        return self._path(cell)

    def _path_inside(self, cell: Cell) -> Path:
        path = self.path(cell)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise TrialError(
                f"{path} is a link to outside the trial: put the files themselves there."
            )
        return path

    def _path(self, cell: Cell) -> Path:
        return self.folder / PICTURES / cell.arm / f"{cell.prompt}-{cell.seed}.png"

    def has(self, cell: Cell) -> bool:
        """Whether the picture is there and whole."""
        return is_whole_png(self._path(cell))

    def read(self, cell: Cell) -> bytes:
        """A picture's file. Raises TrialError where it is missing, cut or lies elsewhere."""
        path = self._path_inside(cell)
        if not is_whole_png(path):
            raise TrialError(
                f"{path} is missing or damaged: paint the trial again, only what is missing will "
                "be painted."
            )
        return path.read_bytes()

    def write(self, cell: Cell, png: bytes) -> bool:
        """Puts a picture in its place, whole; False where one is there, which then stays.

        Raises TrialError where the manifest was changed meanwhile, or these are no PNG file's
        bytes; OSError where the disk is full.
        """
        if not is_whole(png):
            raise TrialError(f"What was painted for {cell} is no PNG file.")
        path = self._path_inside(cell)
        path.parent.mkdir(parents=True, exist_ok=True)
        made = temporary(path, png)
        try:
            with locked(self.folder / LOCK):
                self._check_unchanged()
                if is_whole_png(path):
                    return False
                if path.is_symlink() or path.exists():
                    os.replace(made, path)  # What is there was cut.
                    return True
                return put(made, path)
        finally:
            made.unlink(missing_ok=True)
            if is_whole_png(path):
                # A writer that is still at it finds its own gone, and the picture there.
                remove_remains(path)

    def _check_unchanged(self) -> None:
        if _digest(self.folder / MANIFEST) != self.digest:
            raise TrialError(
                f"{self.folder / MANIFEST} was changed while this trial was painted: name another "
                "folder."
            )

    def add_scores(self, scores: Iterable[Score]) -> None:
        """Appends scores; all of them are there when this returns. Raises OSError."""
        entries = [score.entry() for score in scores]
        records.append(self.folder / SCORES, self.folder / LOCK, entries)

    def scores(self) -> list[Score]:
        """The last score of each picture and scorer, for pictures of this trial only."""
        arms = {arm.name for arm in self.manifest.arms}
        prompts = {prompt.id for prompt in self.manifest.prompts}
        seeds = set(self.manifest.seeds)
        found: dict[tuple[str, str, int, str], Score] = {}
        for entry in records.read(self.folder / SCORES):
            score = records.as_score(entry)
            if score and score.arm in arms and score.prompt in prompts and score.seed in seeds:
                found[score.key] = score
        return list(found.values())

    def current_scores(self) -> tuple[list[Score], int]:
        """The scores whose picture is there as it was scored, and how many others there are.

        Every picture is read once, whole.
        """
        hashes: dict[Cell, str] = {}
        current, scores = [], self.scores()
        for score in scores:
            cell = Cell(score.arm, score.prompt, score.seed)
            if cell not in hashes:
                path = self._path(cell)
                hashes[cell] = _digest(path) if is_whole_png(path) else ""
            if hashes[cell] == score.picture:
                current.append(score)
        return current, len(scores) - len(current)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def open_trial(folder: Path) -> Trial:
    """The trial in a folder, to read or to go on with. Raises TrialError."""
    path = Path(folder) / MANIFEST
    data = read_bytes(path)
    return Trial(Path(folder), decode(data, str(path)), hashlib.sha256(data).hexdigest())


def start(folder: Path, manifest: Manifest) -> Trial:
    """Begins a trial, or goes on with it where the folder holds the same one.

    While there is no picture, the manifest may be replaced; from the first one on it never is.
    Raises TrialError where it differs then, naming in what, or is not sound.
    """
    folder = Path(folder)
    data = manifest.encode()
    manifest = decode(data)  # Never one that cannot be read back.
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK):
        if _has_picture(folder):
            there = open_trial(folder)
            if differ := differences(there.manifest, manifest):
                raise TrialError(_changed(folder, there.manifest, manifest, differ))
            return there
        if there := _same(folder, manifest):
            return there  # Another painter of this trial began a moment ago.
        write_whole(folder / MANIFEST, data)
    return Trial(folder, manifest, hashlib.sha256(data).hexdigest())


def _has_picture(folder: Path) -> bool:
    return next((folder / PICTURES).glob("*/*.png"), None) is not None


def _same(folder: Path, manifest: Manifest) -> Trial | None:
    try:
        there = open_trial(folder)
    except TrialError:
        return None
    return None if differences(there.manifest, manifest) else there


def _changed(folder: Path, before: Manifest, now: Manifest, differ: list[str]) -> str:
    files = changed_files(before, now)
    if files:
        return (
            f"{' and '.join(files[:4])} changed since {folder} was begun: put the former file "
            "back, or name another folder."
        )
    more = f" and {len(differ) - 4} more" if len(differ) > 4 else ""
    return (
        f"{folder} holds pictures of a trial that differs in {', '.join(differ[:4])}{more}: name "
        "another folder, or set this back."
    )
