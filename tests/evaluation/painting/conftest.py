"""The demo world's base, loaded once; ComfyUI's folders are this test's for as long as it runs."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import comfy.model_management
import folder_paths
import pytest
from comfyui_softrepa.tests.evaluation.painting import studio


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base directory with a checkpoint and an adapter."""
    folder = tmp_path_factory.mktemp("comfyui")
    studio.furnish(folder)
    return folder


@pytest.fixture(autouse=True)
def at_home(base: Path, tmp_path: Path) -> Iterator[None]:
    """ComfyUI's folders are the base directory's; its output is each test's own."""
    kept = copy.deepcopy(folder_paths.folder_names_and_paths)
    before = folder_paths.get_output_directory(), folder_paths.get_input_directory()
    folder_paths.set_output_directory(str(tmp_path / "output"))
    folder_paths.set_input_directory(str(base / "input"))
    for name in ("checkpoints", "softrepa"):
        folder_paths.add_model_folder_path(name, str(base / "models" / name))
    yield
    folder_paths.set_output_directory(before[0])
    folder_paths.set_input_directory(before[1])
    folder_paths.folder_names_and_paths.clear()
    folder_paths.folder_names_and_paths.update(kept)


@pytest.fixture(scope="package")
def loaded(base: Path) -> Iterator[studio.Request]:
    """A bare arm and one with the kept adapter."""
    folder_paths.add_model_folder_path("checkpoints", str(base / "models" / "checkpoints"))
    folder_paths.add_model_folder_path("softrepa", str(base / "models" / "softrepa"))
    yield studio.a_request()
    comfy.model_management.unload_all_models()
