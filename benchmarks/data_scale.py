"""How a start grows with the number of pairs: scan, keys, cache, first batch, memory; the slope.

    COMFYUI_PATH=... python benchmarks/data_scale.py [--sizes 10000 100000 ...] [--folder FOLDER]

Small JPEGs with a caption each are made in a temporary folder: one picture of noise, 64 pixels
wide, with another ending a file, so that each is decoded and hashed as one of its own (8 KB of disk
a pair, two files; a million wants 9 GB, with what a start leaves beside them). With --tar they lie
in WebDataset's shards of 10,000. The first start decodes and hashes every picture, the second asks
the manifest, and the third finds one caption changed. The slope is what each further million of
pairs takes, between the smallest and the largest size. Seconds are those of one process that does
nothing else; each start has one of its own. The encoder is next to none: what is measured is the
trainer's part.

A million takes 25 minutes: --keep leaves what was made, and with --starts second it is measured
again.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import resource
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEGAN = time.perf_counter()
A_FOLDER = 1000
A_SHARD = 10_000
STARTS = ("first", "second", "third")
SIDE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--folder", type=Path, help="where the pictures are made")
    parser.add_argument("--tar", action="store_true", help="in shards, not one file each")
    parser.add_argument("--keep", action="store_true", help="leave them, and take those left")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=STARTS)
    parser.add_argument("--start", type=Path, help="only print what a start takes, in this folder")
    options = parser.parse_args()
    if options.start:
        runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
        begin(options.start)
        return 0
    taken: dict[str, list[tuple[int, float, float]]] = {}
    for size in options.sizes:
        with made(size, options) as folder:
            command = [sys.executable, __file__, "--start", str(folder)]
            for start in options.starts:
                if start == "third":
                    change(folder / "data")
                found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                told = json.loads(found.stdout.splitlines()[-1])
                seconds, memory = sum(told["seconds"].values()), told["memory"]
                parts = ", ".join(f"{what} {each:.1f}" for what, each in told["seconds"].items())
                print(
                    f"{size} pairs, {start} start: {seconds:.1f} s ({parts}), {memory:.0f} MB",
                    flush=True,
                )
                taken.setdefault(start, []).append((size, seconds, memory))
    for start, found in taken.items():
        if len(found) > 1:
            (least, *before), (most, *after) = min(found), max(found)
            grown = [late - early for early, late in zip(before, after, strict=True)]
            seconds, memory = (each / (most - least) * 1e6 for each in grown)
            print(f"{start} start, slope: {seconds:.0f} s and {memory:.0f} MB a million pairs")
    return 0


@contextmanager
def made(size: int, options: argparse.Namespace) -> Iterator[Path]:
    """A folder with so many pairs in its `data`."""
    if not options.keep:
        folder = Path(tempfile.mkdtemp(prefix="pairs-", dir=options.folder))
    else:
        kind = "tar" if options.tar else "pairs"
        folder = (options.folder or Path(tempfile.gettempdir())) / f"{kind}-{size}"
    try:
        if not (folder / "made").exists():
            began = time.perf_counter()
            (make_shards if options.tar else make)(folder / "data", size)
            (folder / "made").touch()
            print(f"{size} pairs made in {time.perf_counter() - began:.0f} s", flush=True)
        yield folder
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def samples(size: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Name, picture and caption; the pictures differ in their bytes."""
    from PIL import Image

    content = io.BytesIO()
    Image.effect_noise((SIDE, SIDE), 60).convert("RGB").save(content, "JPEG")
    picture = content.getvalue()
    for number in range(size):
        # What follows the end of a JPEG is no part of the picture.
        different = picture + str(number).encode()
        yield f"{number:08}", different, f"picture number {number}".encode()


def make(folder: Path, size: int) -> None:
    """Two files a pair, a thousand pairs a folder."""
    for number, (name, picture, caption) in enumerate(samples(size)):
        below = folder / f"{number // A_FOLDER:05}"
        if number % A_FOLDER == 0:
            below.mkdir(parents=True)
        (below / f"{name}.jpg").write_bytes(picture)
        (below / f"{name}.txt").write_bytes(caption)


def make_shards(folder: Path, size: int) -> None:
    """Ten thousand pairs a shard."""
    folder.mkdir(parents=True)
    pairs = samples(size)
    for number in range(-(-size // A_SHARD)):
        with tarfile.open(folder / f"{number:05}.tar", "w") as shard:
            for name, *parts in itertools.islice(pairs, A_SHARD):
                for suffix, content in zip((".jpg", ".txt"), parts, strict=True):
                    member = tarfile.TarInfo(name + suffix)
                    member.size = len(content)
                    shard.addfile(member, io.BytesIO(content))


def change(data: Path) -> None:
    """One caption, or the time of one shard."""
    one = data / "00000" / "00000000.txt"
    if one.exists():
        one.write_text(f"another caption, {time.time_ns()}")
    else:
        (data / "00000.tar").touch()


def begin(folder: Path) -> None:
    """What every start does before the first step, model and encoders left out."""
    import torch
    from comfyui_softrepa.training import data
    from comfyui_softrepa.training.cache import Text, build, keys
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

    known, said = Known(folder / "known.sqlite"), {}
    said["imports"] = time.perf_counter() - BEGAN
    shards = list((folder / "data").glob("*.tar"))
    with taking(said, "scan"):
        pairs, _ = data.find_all([f"{folder}/data/*.tar" if shards else folder / "data"], (), known)
        pairs = data.alone(pairs).pairs
    with taking(said, "plan"):
        buckets, parts = data.Framing(SIDE, buckets=True), split(len(pairs), 0.01, seed=0)
        framing = data.plan(pairs, buckets, *parts, batch_size=16).framing
        del parts
    with taking(said, "keys"):
        images = keys.of_images(pairs, framing, known)
        keys.of_run(Encoder.identity, pairs, images, ())
    with taking(said, "cache"):
        cache = build(pairs, Encoder(), folder / "cache", framing, images=images)
    with taking(said, "first batch"):
        training, _ = split(len(pairs), 0.01, seed=0)
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
