"""ComfyUI's front-ends by version, each a folder of built pages.

ComfyUI serves the one that its requirements have installed, or any folder that `--front-end-root`
names. Others are taken from PyPI and unpacked once into the cache folder.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from comfyui_softrepa.host.comfyui import cache_folder, unpack

PACKAGE = "comfyui-frontend-package"
NEWER = "1.58.1"
"""Tested beside the one that the ComfyUI at hand has installed; SOFTREPA_FRONTEND, a version or
`newest`, takes its place."""
NEWER_SHA256 = "37912597537a731a8f421179618a736c24184c5bdbfa327f38b2fb7c291852d9"
KNOWN_VERSIONS = ("1.32.9", NEWER)
"""Those whose own talk in the console the tests know."""
NEWEST = "newest"
_PAGES_IN_WHEEL = "comfyui_frontend_package/static/"


def installed() -> str:
    """The version that ComfyUI serves unless told otherwise."""
    return metadata.version(PACKAGE)


def tested() -> tuple[str, ...]:
    """The versions that the browser tests run on, each once."""
    return tuple(dict.fromkeys((installed(), os.environ.get("SOFTREPA_FRONTEND") or NEWER)))


def server_arguments(version: str) -> tuple[str, ...]:
    """ComfyUI's arguments for serving this version, which is fetched where it is not at hand.

    Raises ValueError where it is no version, RuntimeError for a package that is not the pinned one.
    """
    if version == installed():
        return ()
    return ("--front-end-root", str(_folder(version)))


def _folder(version: str) -> Path:
    if version == NEWEST:
        version = _newest()
    elif not re.fullmatch(r"\d+(\.\d+)*", version):
        raise ValueError(f"SOFTREPA_FRONTEND is {version}: give a version, or {NEWEST}.")
    folder = cache_folder() / f"frontend-{version}"
    if not folder.is_dir():
        sha256 = NEWER_SHA256 if version == NEWER else None
        unpack(f"{PACKAGE}=={version}", sha256, _PAGES_IN_WHEEL, folder)
    return folder


def _newest() -> str:
    """The newest version that PyPI serves now."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"]
    asked = [*command, "--ignore-installed", "--report", "-", PACKAGE]
    report = subprocess.run(asked, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(report)["install"][0]["metadata"]["version"]
