"""kill -9 at the worst moments: the resumed run ends in the bytes of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from comfyui_softrepa.tests.training.test_run import assert_same

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import importlib.util, os, signal, sys
root, moment, arguments = sys.argv[1], sys.argv[2], sys.argv[3:]
spec = importlib.util.spec_from_file_location(
    "comfyui_softrepa", root + "/__init__.py", submodule_search_locations=[root])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
spec.loader.exec_module(package)
import torch
from comfyui_softrepa.training import cli

def die(): os.kill(os.getpid(), signal.SIGKILL)

replace, step, calls = os.replace, torch.optim.AdamW.step, []
def killed_replace(source, target):
    if str(target).endswith(moment.removeprefix("before:").removeprefix("after:")):
        calls.append(target)
        if len(calls) == 2:
            if moment.startswith("after:"):
                replace(source, target)
            die()
    replace(source, target)
def killed_step(self, *rest):
    calls.append(None)
    if len(calls) == 2:
        step(self, *rest)
        die()
    return step(self, *rest)
if moment == "step":
    torch.optim.AdamW.step = killed_step
elif moment != "never":
    os.replace = killed_replace
sys.exit(cli.main(arguments))
"""


def run(moment: str, arguments: list[str]) -> int:
    command = [sys.executable, "-c", DRIVER, str(ROOT), moment, *arguments]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    return subprocess.run(command, env=environment, capture_output=True, timeout=1800).returncode


def test_killed_at_the_worst_moments_and_resumed(flags, train, tmp_path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    more = ("--save-every=1", "--objective=agsm", "--average-decay=0.9", "--no-tensorboard")
    more += ("--steps=7",)  # the last kill is after step 6
    arguments = [*flags(broken, *more), "--resume", "--cpu"]
    # In the middle of a step, before and after the state file takes its place, and between the
    # adapter and the state; each resumed by the next.
    for moment in ("step", "before:adapter.state", "after:adapter.state", "after:er.safetensors"):
        assert run(moment, arguments) == -signal.SIGKILL, moment
    with (broken / "adapter.log.jsonl").open("a") as log:
        log.write('{"step": 99, "loss": 1.0}\n{"step": 5, "lo')  # a line cut short
    assert run("never", arguments) == 0
    assert run("never", flags(whole, *more, "--cpu")) == 0
    assert_same(whole, broken)
    assert not list(broken.glob(".adapter*"))
