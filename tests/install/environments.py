"""Virtual environments of the tests' own: what they need does not belong in the shared one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

_TORCH = re.compile(r"(torch|torchvision|torchaudio|triton|nvidia-.*|cuda-.*)$")


@dataclass(frozen=True)
class Environment:
    """A virtual environment in `folder`."""

    folder: Path

    def command(self, name: str) -> Path:
        """A program that the environment holds: `python`, or a package's own."""
        windows = os.name == "nt"
        return self.folder / ("Scripts" if windows else "bin") / f"{name}{'.exe' * windows}"

    def install(self, *requirements: str) -> None:
        # Compiling all that is never imported would take longer than the tests.
        options = ["--quiet", "--no-compile", "--disable-pip-version-check"]
        command = [self.command("python"), "-m", "pip", "install", *options, *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"pip install failed:\n{done.stdout}{done.stderr}"


@contextmanager
def new_environment() -> Iterator[Environment]:
    """An empty one that is gone after the block."""
    with TemporaryDirectory(prefix="softrepa-environment-") as folder:
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
        yield Environment(Path(folder))


def share_torch(environment: Environment, links: Path) -> list[str]:
    """Lets `environment` see the running one's torch, of several GB, through links in `links`.

    Returns what is shared, by package name. pip takes it as installed, and as none of its own:
    the links lie outside of the environment, where pip removes nothing.
    """
    links.mkdir()
    shared = []
    for package in distributions():
        name = package.metadata["Name"].lower().replace("_", "-")
        if not _TORCH.match(name):
            continue
        shared.append(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (links / top).exists():
                (links / top).symlink_to(package.locate_file(top))
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.check_output([environment.command("python"), "-c", purelib], text=True)
    (Path(found.strip()) / "shared_torch.pth").write_text(f"{links}\n")
    assert "torch" in shared, f"{sys.executable} has no torch"
    return shared
