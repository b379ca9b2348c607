"""Models that do not fit a card whole, and memory that runs out in training."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch

from ... import injection
from ...host.pack import ROOT
from ...tests import checkpoints
from ...training.run.output.log import read_log
from . import families, sampling, trained

LIMIT = 6.0
"""GB that the trainer may take of the card: a row of sixteen SD1.5 predictions takes more."""
LIMITED = """
import runpy, sys, torch
if torch.cuda.is_available():
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(float(sys.argv[1]) * 1e9 / whole)
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def rows(small: bool, models: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """small: whole models, and a trainer that has memory enough."""
    for name, family in families.FULL.items():
        yield f"{name} with half its weights on the card", _partly(name, family, small)
    with tempfile.TemporaryDirectory() as folder:
        yield from _training(Path(folder), small)


def _partly(name: str, family: dict[str, Any], small: bool) -> str:
    """The same prediction as of the whole model, adapter and all."""
    device = comfy.model_management.get_torch_device()
    model = families.denoiser(name, small).model
    inputs = sampling.network_inputs(family, model, small, device)
    plain = comfy.model_patcher.ModelPatcher(model, device, torch.device("cpu"))
    application = injection.make_application(model, sampling.adapter(model))
    patched = injection.apply(plain, application)
    comfy.model_management.unload_all_models()
    found = []
    for room in (0, patched.model_size() // 2):
        patched.detach()
        patched.patch_model(device, lowvram_model_memory=room)
        patched.model_patches_to(device)
        options = patched.model_options["transformer_options"]
        with torch.inference_mode():
            found.append(model.apply_model(transformer_options=options, **inputs))
        loaded = patched.loaded_size() / patched.model_size()
    error = float((found[0] - found[1]).norm() / found[0].norm())
    said = f"{loaded:.0%} loaded; " + ("the same bits" if error == 0 else f"error {error:.1e}")
    return said if error < 1e-2 else f"FAILED: {said}"


def _training(folder: Path, small: bool) -> Iterator[tuple[str, str]]:
    """The command with less memory than its row wants; and stopped, resumed and repeated."""
    checkpoint = checkpoints.write_sd15(folder / "sd15.safetensors", full=not small)
    side = 32 if small else 512
    common = trained.flags(folder, checkpoint, side, 16)
    common += ["--batch-size=4" if small else "--batch-size=16", *(["--cpu"] if small else [])]
    for name, limit, runs in (
        ("whole", math.inf, ("--steps=4",)),
        ("again", math.inf, ("--steps=4",)),
        ("resumed", math.inf, ("--steps=2", "--steps=4 --resume")),
        ("limited", LIMIT, ("--steps=4",)),
    ):
        for run in runs:
            (folder / name).mkdir(exist_ok=True)
            output = folder / name / "adapter.safetensors"
            code, told = _run([*common, f"--output={output}", *run.split()], limit)
            if code:
                yield f"training, {name}", f"FAILED with {code}: {told[-300:]}"
                return
        halved = [line for line in told.splitlines() if "Memory ran out" in line]
        entries = read_log(output.with_suffix(".log.jsonl"))
        yield (
            f"SD1.5, 16 images a step, {name}",
            f"{len(entries)} steps, the last {entries[-1]['seconds']:.2f} s"
            + (f"; told: {' '.join(halved)}" if halved else ""),
        )
    for name in ("again", "resumed", "limited"):
        yield f"tokens, {name} against whole", trained.apart(folder / "whole", folder / name)


def _run(flags: list[str], limit: float) -> tuple[int, str]:
    """The trainer, with so many GB of the card."""
    train = str(ROOT / "training" / "train.py")
    command = [sys.executable, train, *flags]
    if math.isfinite(limit):
        command = [sys.executable, "-c", LIMITED, str(limit), train, *flags]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    process = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True
    )
    return process.returncode, process.stdout
