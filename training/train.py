#!/usr/bin/env python3
"""Trains a SoftREPA adapter: `python training/train.py --help`. Runs from any folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path


def root() -> Path:
    """The pack's folder as it is reached, links kept: the one around may be custom_nodes.

    Python forgets the links of the folder it is started in; the shell's PWD knows them.
    """
    script = os.path.abspath(__file__)
    typed = os.path.normpath(os.path.join(os.environ.get("PWD", ""), sys.argv[0]))
    if os.path.isabs(typed) and os.path.exists(typed) and os.path.samefile(typed, script):
        script = typed
    return Path(script).parent.parent


ROOT = root()

# On a CPU, threads that spin while they wait take the cores from those that work, of this process
# and of others. OpenMP reads this as torch loads it; a GPU does not mind.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main() -> int:
    # This folder must not be on the path: its modules belong to the package, not to everyone.
    own = (ROOT / "training").resolve()
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != own]
    spec = importlib.util.spec_from_file_location(
        "comfyui_softrepa", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = package
    spec.loader.exec_module(package)
    from comfyui_softrepa.training.run.command import main as command

    return command()


if __name__ == "__main__":
    sys.exit(main())
