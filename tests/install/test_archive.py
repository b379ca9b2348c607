"""The archive that the registry hands to users: `comfy node validate`, `comfy node pack`."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from comfyui_softrepa.tests.install.conftest import git

FOLDERS = {"docs", "editing", "evaluation", "example_workflows", "examples", "guidance",
           "injection", "locales", "nodes", "softrepa", "training", "web"}  # fmt: skip
FILES = {"CHANGELOG.md", "LICENSE", "README.md", "__init__.py", "pyproject.toml",
         "requirements.txt"}  # fmt: skip
DEVELOPMENT = {".ci", ".comfyignore", ".github", ".gitignore", "benchmarks", "demo", "host",
               "noxfile.py", "tests"}  # fmt: skip
DEVELOPERS_PAGES = {"docs/architecture.md", "docs/next.md", "docs/releasing.md"}
LARGEST = 10e6
"""Bytes; what a user waits for."""


@pytest.fixture(scope="module")
def tracked(checkout: Path) -> set[str]:
    return set(git(checkout, "ls-files").splitlines())


def test_everything_at_the_top_is_accounted_for(tracked):
    unknown = {name.split("/")[0] for name in tracked} - FOLDERS - FILES - DEVELOPMENT
    assert not unknown, (
        f"{', '.join(sorted(unknown))}: name it in .comfyignore and DEVELOPMENT if users do not "
        "need it, else in FOLDERS or FILES of this test."
    )


def test_validation_finds_nothing(comfy):
    said = comfy("node", "validate")
    assert "All validation checks passed" in said and "Warning" not in said, said


def test_validation_would_find_an_eval(comfy, checkout, tmp_path):
    copy = shutil.copytree(checkout, tmp_path / "copy")
    (copy / "nodes" / "bad.py").write_text("value = eval('1')\n")
    assert "S307" in comfy("node", "validate", folder=copy)


def test_the_archive_holds_what_is_meant(archive, tracked):
    meant = {
        name
        for name in tracked
        if name.split("/")[0] in FOLDERS | FILES
        and name not in DEVELOPERS_PAGES
        and not name.startswith("docs/images/")
    }
    with zipfile.ZipFile(archive) as opened:
        assert set(opened.namelist()) == meant
    assert archive.stat().st_size < LARGEST
