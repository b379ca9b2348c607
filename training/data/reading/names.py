"""Which picture a name in a list means, however its slashes, accents and capitals are written."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

Parts = tuple[str, ...]


def folded(name: str) -> str:
    """A name as all its spellings have it: macOS decomposes accents, Windows ignores capitals."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).casefold()


def parts(name: str) -> Parts:
    """The folded folders and file of a path with slashes of either kind, without its root."""
    named = folded(name).replace("\\", "/").split("/")
    return tuple(part for part in named if part not in ("", ".", "..") and part[1:] != ":")


class Pictures:
    """The pictures of a data folder, to be found by name."""

    def __init__(self, root: Path, images: Sequence[Path]) -> None:
        self.root = root
        self._exact = {str(image): image for image in images}
        self._by_file: dict[str, list[tuple[Parts, Path]]] | None = None
        self._by_stem: dict[str, list[tuple[Parts, Path]]] | None = None

    def below(self, folder: Path, name: str) -> Path | None:
        """The picture of exactly this name below a folder."""
        return self._exact.get(os.path.normpath(os.path.join(folder, name)))

    def resolve(
        self, names: Iterable[str], folders: Sequence[Path], by_file: bool = False
    ) -> tuple[dict[str, Path], set[str]]:
        """(picture by name, the names that are spelt otherwise than their pictures).

        A list's names are told apart as a whole: where two mean the same picture, only one that
        is written exactly so does. `folders` are where the names may begin, best first. Names
        from another root are found by their ending; with `by_file` by the file alone, where only
        one picture has it. Names may lack the suffix.
        """
        found: dict[str, Path] = {}
        unknown: dict[Parts, list[str]] = {}
        for name in dict.fromkeys(names):
            exact = (self.below(folder, name) for folder in folders)
            image = next((each for each in exact if each is not None), None)
            if image is not None:
                found[name] = image
            elif parts(name):
                unknown.setdefault(parts(name), []).append(name)
        taken = set(found.values())
        claims: dict[Path, list[Parts]] = {}
        for wanted in unknown:
            image = self._alike(wanted, folders, by_file)
            if image is not None and image not in taken:
                claims.setdefault(image, []).append(wanted)
        loose = {
            name: image
            for image, wanted in claims.items()
            if len(wanted) == 1
            for name in unknown[wanted[0]]
        }
        return found | loose, set(loose)

    def _alike(self, wanted: Parts, folders: Sequence[Path], by_file: bool) -> Path | None:
        if self._by_file is None or self._by_stem is None:
            self._by_file, self._by_stem = self._indices()
        for index in (self._by_file, self._by_stem):
            near = index.get(wanted[-1], [])
            for folder in folders:
                start = parts(os.path.relpath(folder, self.root))
                same = [image for own, image in near if own == start + wanted]
                if same:
                    return same[0] if len(same) == 1 else None
            ends = [(own, image) for own, image in near if _ends_alike(own, wanted)]
            longest = max((min(len(own), len(wanted)) for own, _ in ends), default=0)
            best = [image for own, image in ends if min(len(own), len(wanted)) == longest]
            if best:
                return best[0] if len(best) == 1 else None
            if by_file and len(near) == 1:
                return near[0][1]
        return None

    def _indices(self) -> tuple[dict, dict]:
        by_file: dict[str, list[tuple[Parts, Path]]] = {}
        by_stem: dict[str, list[tuple[Parts, Path]]] = {}
        for image in self._exact.values():
            own = parts(os.path.relpath(image, self.root))
            by_file.setdefault(own[-1], []).append((own, image))
            bare = (*own[:-1], os.path.splitext(own[-1])[0])
            by_stem.setdefault(bare[-1], []).append((bare, image))
        return by_file, by_stem


def _ends_alike(own: Parts, wanted: Parts) -> bool:
    """Whether one of the two paths is the other's ending."""
    shorter = min(len(own), len(wanted))
    return own[-shorter:] == wanted[-shorter:]
