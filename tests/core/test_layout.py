"""The pack's folders are floors: each imports only from those below it."""

from __future__ import annotations

import importlib
import os
import re
from pathlib import Path

import comfyui_softrepa
import pytest
from comfyui_softrepa.tests.floors import Floors, crowded

ROOT = Path(comfyui_softrepa.__file__).parent
FLOORS = (
    ("host",),
    ("softrepa.errors", "softrepa.families", "softrepa.hashing"),
    ("softrepa.adapter",),
    ("softrepa.files.importers",),
    ("softrepa.files",),
    ("softrepa",),
    ("injection.blocks", "injection.backward"),
    ("injection.application",),
    ("injection.architectures",),
    ("injection",),
    ("guidance.errors",),
    ("guidance.prompt",),
    ("guidance.maps", "guidance.losses"),
    ("editing", "guidance"),
    ("training",),
    ("demo.world",),
    ("evaluation.errors", "evaluation.pictures", "evaluation.sqlite", "evaluation.statistics"),
    ("evaluation.trial",),
    ("evaluation.prompts", "evaluation.scorers", "evaluation.votes"),
    ("evaluation.votes.serving",),
    ("evaluation.votes.command",),
    ("evaluation.report.analysis", "evaluation.report.texts"),
    ("evaluation.report.wording",),
    ("evaluation.report.page",),
    ("evaluation.report",),
    ("evaluation.monitoring", "evaluation.pilot"),
    ("evaluation.painting",),
    ("evaluation.commands",),
    ("evaluation",),
    ("nodes.types",),
    ("nodes.adapters", "nodes.evaluation", "nodes.guidance", "nodes.training"),
    ("nodes.routes",),
    ("nodes",),
    ("demo.models.base", "demo.models.small_clip"),
    ("demo.evaluation", "demo.training"),
    ("demo.sweep.short",),
    ("demo.models.unet_base",),
    ("demo.sweep",),
    ("demo.models.flux_base", "demo.rivals"),
    ("demo.workflows.node_types", "demo.workflows.models"),
    ("demo.workflows.graph",),
    ("demo.workflows.layouts",),
    ("demo.workflows",),
    ("demo.models", "demo"),
)
"""From the ground up; `training` has floors of its own, in tests/training/test_layout.py. A scorer
uses the demo's world and judge, where the demo is there."""
FOLDERS = {
    "softrepa": (),
    "injection": ("architectures",),
    "editing": (),
    "guidance": (),
    "nodes": (),
    "evaluation": (".", "pilot"),
    "web": ("docs",),
    "demo": (),
    "benchmarks": (),
}
"""Folders that can be looked over, and below them those that hold more: a file or folder each of
equal things."""
LEFT = ROOT / "demo" / "output"
"""What the demo leaves; none of the project's."""
EXTENSION = ("texts.js", "notation", "facts", "elements", "views", "softrepa.js")
"""The front-end extension's modules, from the ground up."""
APART = frozenset({"benchmarks", "build", "docs", "examples", "noxfile", "tests"})


def test_every_import_points_down() -> None:
    assert not [*Floors(ROOT, "", FLOORS, APART).upward()]


def test_an_upward_import_would_be_seen(tmp_path) -> None:
    floors = Floors(ROOT, "", FLOORS)
    file = tmp_path / "adapter.py"
    file.write_text("def f():\n    from . import files\n    from ..injection import apply\n")
    assert floors.imported(file, "softrepa.adapter") == {"softrepa.files", "injection"}
    assert floors.floor("softrepa.adapter") < floors.floor("softrepa.files.reading")
    assert floors.floor("softrepa.files.reading") < floors.floor("injection.architectures.unet")


def test_every_import_of_the_extension_points_down() -> None:
    web = ROOT / "web"
    seen = 0
    for path in web.rglob("*.js"):
        own = path.relative_to(web)
        for taken in re.findall(r"from '(\./.+|\.\./.+)'", path.read_text(encoding="utf-8")):
            if taken == "../../scripts/app.js":  # ComfyUI's
                continue
            other = Path(os.path.normpath(own.parent / taken))
            assert (web / other).is_file(), f"{own}: {taken}"
            floors = [EXTENSION.index(each.parts[0]) for each in (other, own)]
            assert floors == sorted(floors), f"{own} imports {taken}"
            seen += 1
    assert seen


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_can_be_looked_over(folder) -> None:
    assert not [*crowded(ROOT / folder, FOLDERS[folder], LEFT)]


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("injection.unet", "injection.architectures.unet", ("ContextPatch",)),
        ("nodes.adapter_files", "nodes.adapters.adapter_files", ("path_of", "names", "files")),
        ("nodes.save", "nodes.adapters.save", ("SoftREPASave",)),
    ],
)
def test_what_scripts_import_is_where_it_was(old, new, names) -> None:
    found, moved = (importlib.import_module(f"comfyui_softrepa.{name}") for name in (old, new))
    assert all(getattr(found, name) is getattr(moved, name) for name in names)
