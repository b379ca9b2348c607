"""SD1.5's real width, random weights: shared and per-block tokens, within memory."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import checkpoints

TRAIN = Path(__file__).resolve().parents[2] / "training" / "train.py"
MOST_MEMORY = 5 << 30


@pytest.fixture(scope="module")
def sd15(tmp_path_factory) -> Path:
    return checkpoints.write_sd15(tmp_path_factory.mktemp("checkpoints") / "sd15.safetensors")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache15")


def train_here(sd15: Path, cache: Path, pictures: Path, output: Path, *more: str) -> None:
    arguments = [f"--checkpoint={sd15}", f"--data={pictures}", f"--cache={cache}"]
    arguments += [f"--output={output / 'adapter.safetensors'}", "--resolution=64", "--steps=2"]
    arguments += ["--batch-size=2", "--micro-batch=2", "--normalise", "--cpu", *more]
    command = [sys.executable, str(TRAIN), *arguments]
    assert subprocess.run(command, env=dict(os.environ), timeout=300).returncode == 0
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_MEMORY


def test_shared_tokens_start_from_bos(sd15, cache, pictures, tmp_path) -> None:
    train_here(sd15, cache, pictures, tmp_path, "--learning-rate=0", "--weight-decay=0")
    adapter = files.read(tmp_path / "adapter.safetensors")
    assert adapter.tokens.shape == (1, 1, 4, 768) and adapter.layers == ("input",)
    assert adapter.offsets.shape == (1, 100, 1, 768) and adapter.placement == "after_bos"
    # Every token is the first embedding of the empty prompt: the seeded CLIP's start token.
    assert (adapter.tokens == adapter.tokens[:, :, :1]).all()
    assert float(adapter.tokens.std()) > 0.2
    assert adapter.metadata["softrepa.own_weight"] == "10.0"


def test_tokens_per_block(sd15, cache, pictures, tmp_path) -> None:
    more = ("--per-block", "--layers=input,middle", "--objective=agsm", "--start=normal")
    train_here(sd15, cache, pictures, tmp_path, *more)
    adapter = files.read(tmp_path / "adapter.safetensors")
    assert adapter.layers == ("input.1", "input.3", "middle.0") or len(adapter.layers) == 3
    assert adapter.tokens.shape == (2, len(adapter.layers), 4, 768)
    rows = adapter.tokens[0]
    assert float((rows[0] - rows[1]).abs().mean()) > 1e-3
