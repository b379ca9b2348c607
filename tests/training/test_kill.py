"""kill -9 at the worst moments and at random ones: the resumed run ends in an unbroken one's bytes.

One process imports everything once and forks: a start takes longer than the run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.tests.training.conftest import VALIDATED
from comfyui_softrepa.tests.training.test_run import assert_same

ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
import importlib.util, json, os, signal, sys, time
root, jobs = sys.argv[1], json.loads(sys.argv[2])
spec = importlib.util.spec_from_file_location(
    "comfyui_softrepa", root + "/__init__.py", submodule_search_locations=[root])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
spec.loader.exec_module(package)
import torch
from comfyui_softrepa.training.model import comfyui
from comfyui_softrepa.training.run import command
comfyui.start(comfyui.find(), ["--use-pytorch-cross-attention", "--cpu"])
from comfyui_softrepa.training.run import start
# All that a child needs, or each would load it anew: inflect alone takes two seconds.
import comfy.sd, comfy.supported_models, inflect

def die(): os.kill(os.getpid(), signal.SIGKILL)

def kill_at(moment):
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

def size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0

def ended(child):
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None

def attempt(log, arguments, moment):
    before = size(log)
    child = os.fork()
    if child == 0:
        if not isinstance(moment, list):
            kill_at(moment)
        os._exit(command.main(arguments))
    code = None
    if isinstance(moment, list):  # so many bytes of the log and so many seconds later
        while code is None and size(log) < before + moment[0]:
            code = ended(child)
            time.sleep(0.002)
        time.sleep(moment[1])
        if code is None:
            os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if code is None else code

codes = []
for folder, arguments, series in jobs:
    log = folder + "/adapter.log.jsonl"
    for moment in series:
        if isinstance(moment, dict):
            open(log, "a").write(moment["append"])
        else:
            codes.append(attempt(log, arguments, moment))
print("codes", json.dumps(codes))
"""
MOMENTS = ("step", "before:adapter.state", "after:adapter.state", "after:er.safetensors")
"""In the middle of a step, before and after the state file takes its place, and between the adapter
and the plot; each resumed by the next."""


NAMES = ("whole", "broken")
CUT_SHORT = {"append": '{"step": 99, "loss": 1.0}\n{"step": 5, "lo'}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its trainers by fork")
def test_killed_at_the_worst_moments_and_at_random_ones(flags, tmp_path) -> None:
    rng = random.Random(5)
    at_random = [[rng.randrange(700), rng.uniform(0.0, 0.05)] for _ in range(20)]
    jobs = []
    for name, series in (
        ("broken", [*MOMENTS, CUT_SHORT, *at_random, "never"]),
        ("whole", ["never"]),
    ):
        (tmp_path / name).mkdir()
        more = [
            VALIDATED,
            "--save-every=3",
            "--objective=agsm",
            "--average-decay=0.9",
            "--no-tensorboard",
        ]
        more += ["--schedule=cosine-restarts", "--cycle-steps=20", "--warmup-steps=4"]
        more += ["--negatives=2", "--hard-share=0.5", "--keep=2", "--save-average"]
        more += ["--steps=60", "--resume", "--cpu"]
        arguments = flags(tmp_path / name, *more)
        jobs.append((str(tmp_path / name), arguments, series))
    told = [str(ROOT), json.dumps(jobs)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, "-c", DRIVER, *told], env=environment,
                           capture_output=True, text=True, timeout=1200)  # fmt: skip
    assert found.returncode == 0, found.stderr
    [line] = [line for line in found.stdout.splitlines() if line.startswith("codes ")]
    codes = json.loads(line.removeprefix("codes "))
    print(line)
    assert codes[: len(MOMENTS)] == [-signal.SIGKILL] * len(MOMENTS) and codes[-2:] == [0, 0]
    # A fast machine may come to the end earlier, and says then that all is done.
    assert set(codes) == {-signal.SIGKILL, 0} and codes.count(-signal.SIGKILL) >= 10
    assert_same(tmp_path / "whole", tmp_path / "broken")
    whole, broken = ({path.name for path in (tmp_path / name).iterdir()} for name in NAMES)
    assert whole == broken
