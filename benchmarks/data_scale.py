"""How a start grows with the number of pairs: scan, keys, cache, first batch, memory; the slope.

    COMFYUI_PATH=... python benchmarks/data_scale.py [--sizes 10000 100000 ...] [--folder FOLDER]

Small JPEGs with a caption each are made in a temporary folder (8 KB of disk a pair; a million wants
9 GB and an hour). The first start decodes and hashes every picture, the second asks the manifest,
and the third finds one caption changed. The slope is what each further million of pairs takes,
between the smallest and the largest size. Seconds are those of one process that does nothing else;
each start has one of its own. The encoder is next to none: what is measured is the trainer's part.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGAN = time.perf_counter()
A_FOLDER = 1000
SIDE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--folder", type=Path, help="where the pictures are made")
    parser.add_argument("--start", type=Path, help="only print what a start takes, in this folder")
    options = parser.parse_args()
    if options.start:
        runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
        begin(options.start)
        return 0
    taken: dict[str, list[tuple[int, float, float]]] = {}
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="pairs-", dir=options.folder))
        try:
            make(folder / "data", size)
            command = [sys.executable, __file__, "--start", str(folder)]
            for start in ("first", "second", "third"):
                if start == "third":
                    (folder / "data" / "00000" / "00000000.txt").write_text("another caption")
                found = subprocess.run(command, check=True, capture_output=True, text=True)
                told = json.loads(found.stdout.splitlines()[-1])
                seconds, memory = sum(told["seconds"].values()), told["memory"]
                parts = ", ".join(f"{what} {each:.1f}" for what, each in told["seconds"].items())
                print(
                    f"{size} pairs, {start} start: {seconds:.1f} s ({parts}), {memory:.0f} MB",
                    flush=True,
                )
                taken.setdefault(start, []).append((size, seconds, memory))
        finally:
            shutil.rmtree(folder)
    for start, found in taken.items():
        if len(found) > 1:
            (least, *before), (most, *after) = min(found), max(found)
            grown = [late - early for early, late in zip(before, after, strict=True)]
            seconds, memory = (each / (most - least) * 1e6 for each in grown)
            print(f"{start} start, slope: {seconds:.0f} s and {memory:.0f} MB a million pairs")
    return 0


def make(folder: Path, size: int) -> None:
    """Pictures that differ in their bytes, a thousand a folder."""
    from PIL import Image

    content = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 60).convert("RGB").save(content, "JPEG")
    picture = content.getvalue()
    for number in range(size):
        below = folder / f"{number // A_FOLDER:05}"
        if number % A_FOLDER == 0:
            below.mkdir(parents=True)
        # What follows the end of a JPEG is no part of the picture.
        (below / f"{number:08}.jpg").write_bytes(picture + str(number).encode())
        (below / f"{number:08}.txt").write_text(f"picture number {number}")


def begin(folder: Path) -> None:
    """What every start does before the first step, model and encoders left out."""
    import torch
    from comfyui_softrepa.training.cache import Text, build, keys
    from comfyui_softrepa.training.data import Framing, find
    from comfyui_softrepa.training.data.known import Known
    from comfyui_softrepa.training.step.batches import Batches
    from comfyui_softrepa.training.step.validation import split

    class Encoder:
        """As small as can be: what grows with the pairs is the trainer's own work."""

        identity, name = "a" * 64, "none.safetensors"

        def latents(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 4, 2, 2)

        def texts(self, captions: list[str]) -> list[Text]:
            return [Text(torch.ones(1, 8)) for _ in captions]

        def release(self) -> None:
            return None

    known, framing, said = Known(folder / "known.sqlite"), Framing(SIDE), {}
    said["imports"] = time.perf_counter() - BEGAN
    with taking(said, "scan"):
        pairs, _ = find(folder / "data", known)
    with taking(said, "keys"):
        images = keys.of_images(pairs, framing, known)
        keys.of_run(Encoder.identity, pairs, images, ())
    with taking(said, "cache"):
        cache = build(pairs, Encoder(), folder / "cache", framing, images=images)
    with taking(said, "first batch"):
        training, _ = split(len(cache), 0.01, seed=0)
        batch = Batches(cache, training, cache.shapes, size=16, timesteps=1000, seed=0)[0]
        [cache.latent(image) for image in batch.images]
        [cache.text(caption) for caption in batch.captions]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": said, "memory": memory}))


@contextmanager
def taking(said: dict[str, float], what: str) -> Iterator[Any]:
    began = time.perf_counter()
    yield
    said[what] = time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
