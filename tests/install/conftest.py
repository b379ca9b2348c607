"""What an installation starts from: the repository as it would be committed, and a stock ComfyUI.

checkout    a git repository with one commit: the working tree, less what git ignores
stock       stock() -> the folder of a fresh copy of ComfyUI; all are removed after the module
quiet       the log lines of a ComfyUI without the pack
tools       an Environment with comfy-cli and the list of valid classifiers
archive     the zip that `comfy node pack` makes of the checkout
newcomer    an Environment with ComfyUI's requirements and ComfyUI-Manager, as of today
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from comfyui_softrepa.tests.install.environments import Environment, new_environment, share_torch
from comfyui_softrepa.tests.install.fresh_comfyui import copy_comfyui, log_lines, running

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ("comfy-cli==1.23.0", "trove-classifiers==2026.9.21.13")
MANAGER = "comfyui-manager==4.3"
# ComfyUI 0.3.75 imports it without listing it: transformers used to bring it.
UNLISTED = "requests"


def git(folder: Path, *arguments: str) -> str:
    author = ["-c", "user.name=Tests", "-c", "user.email=tests@example.invalid"]
    command = ["git", *author, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session")
def node_ids() -> set[str]:
    """The ids of the pack's nodes, as the pinned /object_info has them."""
    pinned = ROOT / "tests" / "server" / "object_info.json"
    return set(json.loads(pinned.read_text(encoding="utf-8")))


@pytest.fixture(scope="session")
def checkout() -> Iterator[Path]:
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    with TemporaryDirectory(prefix="softrepa-checkout-") as scratch:
        folder = Path(scratch) / "ComfyUI-SoftREPA"
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        git(folder, "init", "--quiet", "--initial-branch=main")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message=As it is")
        yield folder


@pytest.fixture(scope="module")
def stock(comfyui: Path) -> Iterator[Callable[[], Path]]:
    with TemporaryDirectory(prefix="softrepa-comfyui-") as scratch:
        count = 0

        def make() -> Path:
            nonlocal count
            count += 1
            return copy_comfyui(comfyui, Path(scratch) / str(count) / "ComfyUI")

        yield make


@pytest.fixture(scope="session")
def quiet(comfyui: Path) -> set[str]:
    with TemporaryDirectory(prefix="softrepa-comfyui-") as scratch:
        with running(copy_comfyui(comfyui, Path(scratch) / "ComfyUI")) as server:
            return log_lines(server)


@pytest.fixture(scope="session")
def tools() -> Iterator[Environment]:
    with new_environment() as environment:
        environment.install(*TOOLS)
        yield environment


@pytest.fixture(scope="session")
def comfy(tools: Environment, checkout: Path, tmp_path_factory: pytest.TempPathFactory):
    """comfy(*arguments) -> what comfy-cli says, run in the checkout."""
    home = tmp_path_factory.mktemp("home")
    variables = {"HOME": str(home), "USERPROFILE": str(home), "DO_NOT_TRACK": "1"}

    def run(*arguments: str, folder: Path = checkout) -> str:
        done = subprocess.run(
            [tools.command("comfy"), "--skip-prompt", "--no-json", *arguments],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="session")
def archive(comfy, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    comfy("node", "pack")
    return Path(shutil.move(checkout / "node.zip", tmp_path_factory.mktemp("archive")))


@pytest.fixture(scope="session")
def newcomer(comfyui: Path) -> Iterator[Environment]:
    listed = (comfyui / "requirements.txt").read_text().splitlines()
    with new_environment() as environment, TemporaryDirectory(prefix="softrepa-torch-") as scratch:
        shared = share_torch(environment, Path(scratch) / "packages")
        wanted = [line for line in listed if line.partition("=")[0].strip() not in shared]
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text("\n".join(wanted))
        environment.install("-r", str(requirements), UNLISTED, MANAGER)
        yield environment
