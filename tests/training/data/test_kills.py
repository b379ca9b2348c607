"""kill -9 while a cache is built; the next run finishes it, and the content is the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import comfyui_softrepa
import torch
from comfyui_softrepa.training.cache import build, shards
from comfyui_softrepa.training.data import Framing, find

from .stand_in import StandIn, folder

ROOT = Path(comfyui_softrepa.__file__).parent
BUILDER = """
import importlib.util, sys, time
from pathlib import Path
spec = importlib.util.spec_from_file_location("pack", sys.argv[1] + "/host/pack.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.import_pack()
from comfyui_softrepa.tests.training.data.stand_in import StandIn
from comfyui_softrepa.training.cache import build
from comfyui_softrepa.training.data import Framing, find

class Slow(StandIn):
    def latents(self, images):
        time.sleep(0.004)
        return super().latents(images)

print("ready", flush=True)
pairs = find(Path(sys.argv[2]))[0]
build(pairs, Slow(), Path(sys.argv[3]), Framing(32), shard_entries=2)
"""


def _start(data: Path, cache: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", BUILDER, str(ROOT), str(data), str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout.readline() == b"ready\n"
    return process


def _shards(cache: Path) -> int:
    return len(shards.paths(cache)) if cache.exists() else 0


def _kill_in_the_midst(process: subprocess.Popen, cache: Path, delay: float) -> bool:
    """Kills once a further shard is there and `delay` seconds have passed; whether in time."""
    before, patience = _shards(cache), time.monotonic() + 60
    while process.poll() is None and _shards(cache) == before and time.monotonic() < patience:
        time.sleep(0.001)
    time.sleep(delay)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def test_killed_builds_end_in_the_same_cache(tmp_path):
    data, cache = folder(tmp_path / "data", 60), tmp_path / "cache"
    rng = random.Random(0)
    counts, killed = [], []
    for _ in range(4):
        killed.append(_kill_in_the_midst(_start(data, cache), cache, rng.uniform(0, 0.03)))
        counts.append(_shards(cache))
    assert counts == sorted(counts)  # what one run has done, the next does not undo
    assert any(killed) and 0 < counts[0] < 60
    pairs, last = find(data)[0], StandIn()
    resumed = build(pairs, last, cache, Framing(32), shard_entries=2)
    whole = build(pairs, StandIn(), tmp_path / "whole", Framing(32), shard_entries=2)
    assert last.images + last.captions < 120
    assert resumed.identity == whole.identity
    for index in range(len(whole)):
        assert torch.equal(resumed.latent(index), whole.latent(index))
        caption = whole.captions(index)[0]
        assert torch.equal(resumed.text(caption).context, whole.text(caption).context)


def test_a_file_cut_off_in_writing_is_no_shard(tmp_path):
    """The moment between writing and renaming: the leftover neither counts nor stays forever."""
    pairs = find(folder(tmp_path / "data", 3))[0]
    cache = tmp_path / "cache"
    build(pairs, StandIn(), cache, Framing(32))
    shard = next(cache.glob("latents-*"))
    leftover = cache / f"{shard.stem}-0badc0de.unfinished"
    leftover.write_bytes(shard.read_bytes()[:100])
    shard.unlink()
    old = time.time() - 3600
    os.utime(leftover, (old, old))
    encoder = StandIn()
    build(pairs, encoder, cache, Framing(32))
    assert encoder.images == 3
    assert not leftover.exists()
