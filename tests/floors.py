"""Floors of modules: each imports only from those below it, and a folder can be looked over."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

PACK = "comfyui_softrepa"
MOST = 10
"""Entries of a folder, beside what says how to read it."""
_BESIDE = {"__init__.py", "__pycache__", "README.md"}


@dataclass(frozen=True)
class Floors:
    """A package's modules from the ground up. A module belongs to the longest of these names that
    it begins with; modules of one floor and of different names are apart.

    root: the package's folder. package: its name below the pack's, "" for the pack. without:
    folders that are looked at nowhere.
    """

    root: Path
    package: str
    floors: Sequence[Sequence[str]]
    without: frozenset[str] = frozenset()

    def upward(self) -> Iterator[str]:
        """Each import that does not point down, in words."""
        for module, path in self.modules().items():
            for other in sorted(self.imported(path, module)):
                name, other_name = self._name(module), self._name(other)
                above = self.floor(other) > self.floor(module)
                if above or (self.floor(other) == self.floor(module) and name != other_name):
                    yield f"{module} imports {other}"

    def floor(self, module: str) -> int:
        """Which floor a module stands on. Raises LookupError for one that stands on none."""
        name = self._name(module)
        return next(at for at, names in enumerate(self.floors) if name in names)

    def _name(self, module: str) -> str:
        names = (name for names in self.floors for name in names)
        found = [name for name in names if f"{module}.".startswith(f"{name}.")]
        if not found:
            raise LookupError(f"{module} stands on no floor.")
        return max(found, key=len)

    def modules(self) -> dict[str, Path]:
        """The package's modules by their names in it, but for its own `__init__`."""
        found = {}
        for entry in sorted(self.root.iterdir()):
            if entry.stem in self.without or entry.name.startswith("."):
                continue
            for path in [entry] if entry.suffix == ".py" else sorted(entry.rglob("*.py")):
                parts = path.relative_to(self.root).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        found.pop("", None)
        return found

    def imported(self, path: Path, module: str) -> set[str]:
        """The modules of the package that a file imports, wherever in it."""
        folder = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom):
                continue
            target = self._target(node, folder)
            for alias in node.names if target is not None else ():
                whole = f"{target}.{alias.name}".strip(".")
                found.add(whole if self._is_module(whole) else target)
        return found - {""}

    def _target(self, node: ast.ImportFrom, folder: str) -> str | None:
        """Where an import in this folder takes from; None where that is outside the package."""
        if node.level == 0:
            inside = f"{PACK}.{self.package}".rstrip(".")
            name = node.module or ""
            return name[len(inside) + 1 :] if f"{name}.".startswith(f"{inside}.") else None
        parts = folder.split(".") if folder else []
        if node.level - 1 > len(parts):
            return None
        base = parts[: len(parts) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])

    def _is_module(self, name: str) -> bool:
        path = self.root.joinpath(*name.split("."))
        return path.is_dir() or path.with_suffix(".py").is_file()


def crowded(root: Path, apart: Sequence[str] = (), left: Path | None = None) -> Iterator[str]:
    """Folders below this one with more than MOST entries, in words. apart: paths below it that may
    have more. left: a folder that is not looked at, as what a command leaves."""
    for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]:
        if left in (folder, *folder.parents):
            continue
        place = folder.relative_to(root).as_posix()
        entries = {path.name for path in folder.iterdir() if path != left} - _BESIDE
        if folder.name != "__pycache__" and place not in apart and len(entries) > MOST:
            yield f"{folder.name} has {len(entries)} entries"
