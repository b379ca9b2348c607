"""requirements.txt: what ComfyUI-Manager installs, and what the shipped code imports."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
import tomllib
from comfyui_softrepa.tests.install.conftest import ROOT

SHIPPED = ("softrepa", "injection", "editing", "guidance", "nodes", "training", "evaluation")
IMPORTED_AS = {"pillow": "PIL", "pyyaml": "yaml"}
OPTIONAL = {
    "torch.utils.tensorboard": "tensorboard",
    "wandb": "wandb",
    "pyarrow": "pyarrow",
    "pyarrow.parquet": "pyarrow",
    "fsspec": "fsspec",
    "fsspec.core": "fsspec",
}
"""Imported where they are installed, by module."""


def requirements(path: Path) -> list[str]:
    """The lines that the Manager hands to pip one by one: all but empty ones and those that begin
    with a comment."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def imported(folder: str) -> set[str]:
    """The modules that a folder's files import by absolute names."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module)
    return found


def test_the_manager_and_the_registry_are_told_the_same():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = requirements(ROOT / "requirements.txt")
    assert wanted == stated["project"]["dependencies"]
    # A comment behind a requirement would reach pip as part of it.
    assert not [line for line in wanted if "#" in line]


def test_what_is_optional_is_told():
    told = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    example = requirements(ROOT / "examples" / "batch" / "requirements.txt")
    for name in (*OPTIONAL.values(), *example):
        assert re.search(rf"^# +{name} ", told, re.M), f"requirements.txt says nothing of {name}"


@pytest.mark.parametrize("folder", SHIPPED)
def test_nothing_is_imported_that_comfyui_does_not_bring(comfyui: Path, folder: str):
    listed = (re.split(r"[^\w.-]", line)[0] for line in requirements(comfyui / "requirements.txt"))
    brought = {IMPORTED_AS.get(name.lower(), name.replace("-", "_")) for name in listed}
    own = {path.stem for path in comfyui.iterdir() if path.suffix == ".py" or path.is_dir()}
    roots = {name.split(".")[0] for name in imported(folder) - OPTIONAL.keys()}
    brought |= {re.split(r"\W", line)[0] for line in requirements(ROOT / "requirements.txt")}
    unknown = roots - brought - own - set(sys.stdlib_module_names) - {"comfyui_softrepa"}
    assert not unknown, f"{', '.join(sorted(unknown))}: name it in requirements.txt"
