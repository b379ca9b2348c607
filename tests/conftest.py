"""Loads ComfyUI as a library (COMFYUI_PATH, CPU) and the pack under the name comfyui_softrepa."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def _import_libraries() -> None:
    if not os.environ.get("COMFYUI_PATH"):
        raise SystemExit("COMFYUI_PATH is not set: run the tests with `python noxfile.py tests`.")
    # host/ is loaded by path: the repository is never on sys.path.
    spec = importlib.util.spec_from_file_location("softrepa_host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_comfyui()
    module.import_pack()


_import_libraries()


@pytest.fixture(autouse=True)
def forgotten_folders() -> Iterator[None]:
    """ComfyUI remembers the folders of models that it has listed, and looks at them again: those of
    a test are gone after it."""
    yield
    sys.modules["folder_paths"].filename_list_cache.clear()


@pytest.fixture(scope="module", autouse=True)
def unloaded() -> Iterator[None]:
    """The golden models are shared by modules, which expect them as they were read."""
    yield
    sys.modules["comfy.model_management"].unload_all_models()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The models are too small for more, and threads that wait for a shared core are slow."""
    torch = sys.modules["torch"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of the ComfyUI under test."""
    return Path(os.environ["COMFYUI_PATH"])


@pytest.fixture(scope="session")
def sd3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SD3 checkpoint of depth 2 (hidden width 128)."""
    from comfyui_softrepa.tests import checkpoints

    return checkpoints.write_sd3(tmp_path_factory.mktemp("checkpoints") / "sd3.safetensors")


@pytest.fixture(scope="session")
def sd15_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random checkpoint that loads as SD1.5, of the real width and two levels."""
    from comfyui_softrepa.tests import checkpoints

    return checkpoints.write_sd15(tmp_path_factory.mktemp("checkpoints") / "sd15.safetensors")


@pytest.fixture(scope="session")
def server(comfyui: Path, sd3_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory):
    """A running ComfyUI with the pack copied into custom_nodes and the SD3 checkpoint in models."""
    from comfyui_softrepa.host.server import install_pack, serve

    base = tmp_path_factory.mktemp("server")
    checkpoints = base / "models" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "sd3.safetensors").symlink_to(sd3_checkpoint)
    (base / "models" / "softrepa").mkdir()
    install_pack(base)
    with serve(comfyui, base) as running:
        yield running


def pytest_collection_finish() -> None:
    """`server` is ComfyUI's again: pytest gives the name to a folder of tests."""
    if not hasattr(sys.modules.get("server"), "PromptServer"):
        sys.modules.pop("server", None)
        importlib.import_module("server")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--snapshot", action="store_true", help="write snapshots anew")


_HALF = ("core", "evaluation", "install", "training")
"""Folders that take about as long as all others together, and share no server with them."""
_taken: Counter[tuple[str, str]] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if worker := getattr(report, "worker_id", None):
        _taken[worker, report.nodeid.removeprefix("tests/").partition("/")[0]] += report.duration


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What each process took: the slower one is waited for."""
    for worker in sorted({worker for worker, _ in _taken}):
        parts = {part: seconds for (each, part), seconds in _taken.items() if each == worker}
        told = ", ".join(f"{part} {seconds:.0f}" for part, seconds in parts.items())
        terminalreporter.write_line(f"{worker}: {sum(parts.values()):.0f} s ({told})")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In two processes, always the same tests in the same order in each: what shares a server stays
    together, and what one test leaves behind for another shows every time or never."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "half" if any(f"/{name}/" in f"/{nodeid}" for name in _HALF) else "others"

    return Scheduling(config, log)
