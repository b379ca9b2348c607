"""How scripts of the development start: host/pack.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_START = f"import os, runpy; pack = runpy.run_path({str(ROOT / 'host' / 'pack.py')!r}); "


def python(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Runs code; None takes a variable out of the environment."""
    changed = {**os.environ, **environment}
    given = {name: value for name, value in changed.items() if value is not None}
    return subprocess.run([sys.executable, "-c", code], env=given, capture_output=True, text=True)


def test_threads_wait_without_spinning_and_are_few():
    names = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")
    show = f"pack['use_few_threads'](); print(*map(os.environ.get, {names}))"
    policy, threads = python(_START + show, **dict.fromkeys(names)).stdout.split()
    assert policy == "PASSIVE" and 1 <= int(threads) <= 4
    own = python(_START + show, OMP_WAIT_POLICY="ACTIVE", OMP_NUM_THREADS="7").stdout.split()
    assert own == ["ACTIVE", "7"], "what the user sets stays"


def test_without_comfyui_one_sentence_says_what_is_missing(tmp_path: Path):
    for given in (None, str(tmp_path)):
        done = python(_START + "pack['start']()", COMFYUI_PATH=given)
        assert done.returncode and "COMFYUI_PATH must name a folder with ComfyUI" in done.stderr


def test_scripts_of_the_demo_start():
    command = [sys.executable, str(ROOT / "demo" / "models" / "base")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "Makes the base model again" in done.stderr
    command = [sys.executable, str(ROOT / "demo" / "sweep"), "--table"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("| objective |"), done.stderr
