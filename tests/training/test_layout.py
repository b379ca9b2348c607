"""The folders of training/ are floors: each imports only from those below it."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

TRAINING = Path(__file__).resolve().parents[2] / "training"
FLOORS = (
    ("errors",),
    ("data", "objectives"),
    ("cache", "settings"),
    ("model",),
    ("step",),
    ("run.output",),
    ("run.stopping",),
    ("run.measuring", "run.prepared"),
    ("run.guard", "run.previews"),
    ("run.loop",),
    ("run.dry_run",),
    ("run.start",),
    ("run.command", "run"),
    ("train",),
)
"""From the ground up. A module belongs to the longest of these names that it begins with."""


def _floor(module: str) -> int:
    found = {
        len(name): at
        for at, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    }
    return found[max(found)]


def _imported(path: Path, module: str) -> set[str]:
    """The modules of training/ that a file imports, wherever in it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level == 0:
            inside = (node.module or "").partition("comfyui_softrepa.training.")[2]
            found |= {inside} if inside else set()
            continue
        parts = package.split(".") if package else []
        if node.level - 1 > len(parts):
            continue  # softrepa/ or injection/
        base = parts[: len(parts) - node.level + 1]
        target = ".".join([*base, *([node.module] if node.module else [])])
        for alias in node.names:
            whole = f"{target}.{alias.name}".strip(".")
            found.add(whole if _is_module(whole) else target)
    return found - {""}


def _is_module(name: str) -> bool:
    path = TRAINING.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(TRAINING.rglob("*.py")):
        parts = path.relative_to(TRAINING).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and parts[0] != "moved":
            found[name] = path
    return found


def test_every_import_points_down() -> None:
    upward = [
        f"{module} imports {other}"
        for module, path in _modules().items()
        for other in _imported(path, module)
        if _floor(other) > _floor(module)
        or (_floor(other) == _floor(module) and _top(other) != _top(module))
    ]
    assert not upward


def _top(module: str) -> str:
    names = [name for name in FLOORS[_floor(module)] if f"{module}.".startswith(f"{name}.")]
    return max(names, key=len)


def test_an_upward_import_would_be_seen(tmp_path) -> None:
    file = tmp_path / "prepared.py"
    file.write_text("def f():\n    from . import dry_run\n    from ..step.engine import Engine\n")
    assert _imported(file, "run.prepared") == {"run.dry_run", "step.engine"}
    assert _floor("run.dry_run") > _floor("run.prepared") > _floor("step.engine")


def test_a_folder_can_be_looked_over() -> None:
    folders = [TRAINING, *(path for path in TRAINING.rglob("*") if path.is_dir())]
    for folder in folders:
        if folder.name != "__pycache__":
            entries = {path.name for path in folder.iterdir()}
            assert len(entries - {"__init__.py", "__pycache__", "README.md"}) <= 10, folder


@pytest.mark.parametrize(
    ("old", "names"),
    [
        ("batches", ("Batch", "Batches", "negatives")),
        ("cli", ("main", "read_settings", "_as_flags")),
        ("engine", ("Engine", "Outcome", "Task", "prepare")),
        ("errors", ("BadInput",)),
        ("files", ("write_whole", "remove_remains")),
        ("output", ("Output", "find_output", "metadata")),
        ("run", ("run", "default_cache")),
        ("cache.shards", ("write",)),
        ("data", ("find",)),
    ],
)
def test_what_scripts_import_is_where_it_was(old, names) -> None:
    module = importlib.import_module(f"comfyui_softrepa.training.{old}")
    assert all(hasattr(module, name) for name in names)


def test_an_old_name_gives_the_same_thing() -> None:
    """A script that replaces a method through it is heard."""
    from comfyui_softrepa.training import engine
    from comfyui_softrepa.training.step.engine import Engine

    assert engine.Engine is Engine
