"""The folders of training/ are floors: each imports only from those below it."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from comfyui_softrepa.tests.floors import Floors, crowded

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
LAYOUT = Floors(TRAINING, "training", FLOORS, frozenset({"moved"}))


def test_every_import_points_down() -> None:
    assert not [*LAYOUT.upward()]


def test_an_upward_import_would_be_seen(tmp_path) -> None:
    file = tmp_path / "prepared.py"
    file.write_text("def f():\n    from . import dry_run\n    from ..step.engine import Engine\n")
    assert LAYOUT.imported(file, "run.prepared") == {"run.dry_run", "step.engine"}
    floors = [LAYOUT.floor(name) for name in ("run.dry_run", "run.prepared", "step.engine")]
    assert floors == sorted(set(floors), reverse=True)


def test_a_folder_can_be_looked_over() -> None:
    assert not [*crowded(TRAINING)]


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
