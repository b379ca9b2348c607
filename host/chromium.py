"""The Chromium that browser tests drive: CHROMIUM_PATH, or one that the system has.

Run as a script, this installs one where it can (root on Debian), and prints where it lies.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
"""For a browser without a screen, in a container."""
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
_MISSING = (
    "There is no Chromium for the browser tests: install Chromium or Chrome, or let CHROMIUM_PATH "
    "name one."
)


def locate() -> Path:
    """The browser's command. Raises FileNotFoundError, in one sentence, where there is none."""
    given = os.environ.get("CHROMIUM_PATH")
    if given:
        if not os.access(given, os.X_OK):
            raise FileNotFoundError(
                f"CHROMIUM_PATH is {given}, which is no program: name the browser's command."
            )
        return Path(given)
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            return Path(found)
    raise FileNotFoundError(_MISSING)


def provide() -> Path:
    """The same, installed first where there is none and this is Debian and root."""
    try:
        return locate()
    except FileNotFoundError:
        if os.environ.get("CHROMIUM_PATH") or not _can_install():
            raise
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
    ):
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
    return locate()


def _can_install() -> bool:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return root and Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None


if __name__ == "__main__":
    try:
        print(provide())
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        # Tests that need no browser can still run; those that do fail with the same sentence.
        print(error, file=sys.stderr)
