"""Progress where nobody looks on: whole lines, a few of them."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.training.cache import progress as module
from comfyui_softrepa.training.cache.progress import Lines, progress
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_whole_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SECONDS", 0.0)
    log = io.StringIO()
    with progress(total=3, initial=1, unit="step", file=log, dynamic_ncols=True) as bar:
        assert isinstance(bar, Lines)
        bar.set_postfix_str("loss 1.5")
        bar.update()
        bar.write("a notice")
        bar.update()
    assert "\r" not in log.getvalue()
    first, notice, last = log.getvalue().splitlines()
    assert first.startswith("2/3 step, 0 s, 0 s left") and first.endswith("loss 1.5")
    assert notice == "a notice"
    assert last == "3/3 step, 0 s, loss 1.5"


def test_a_quick_loop_is_one_line_and_an_empty_one_none():
    log = io.StringIO()
    assert list(progress(range(1000), "things", file=log)) == list(range(1000))
    assert log.getvalue() == "things: 1000/1000, 0 s\n"
    assert list(progress([], "nothing", file=log)) == []
    assert list(progress(range(3), "quiet", file=log, disable=True)) == [0, 1, 2]
    assert list(progress(range(3), "passing", file=log, leave=False)) == [0, 1, 2]
    assert log.getvalue().count("\n") == 1


def test_a_loop_that_fails_says_how_far_it_came():
    log = io.StringIO()
    with pytest.raises(ZeroDivisionError), progress(total=3, file=log) as bar:
        bar.update()
        raise ZeroDivisionError
    assert log.getvalue().startswith("1/3, ") and log.getvalue().count("\n") == 1


def test_a_terminal_keeps_its_bar():
    assert isinstance(progress(total=1, file=Terminal()), tqdm)


def test_the_trainers_threads_wait_without_spinning():
    """OpenMP itself tells what it was started with; only what was set before torch came counts."""
    given = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    command = [sys.executable, str(ROOT / "training" / "train.py"), "--help"]
    environment = {**given, "OMP_DISPLAY_ENV": "TRUE"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    assert told and all("PASSIVE" in line for line in told), done.stderr
