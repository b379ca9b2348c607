"""How a start grows with the number of pairs: scan, hashing, cache index, memory; and its slope.

    COMFYUI_PATH=... python benchmarks/data_scale.py [--sizes 10000 ...] [--folder FOLDER]

Small JPEGs with a caption each are made in a temporary folder (8 KB of disk a pair; a million wants
8 GB and some ten minutes). The first start decodes and hashes every picture, the second asks the
manifest. Seconds are those of one process that does nothing else; each size has one of its own.
"""

from __future__ import annotations

import argparse
import io
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
A_FOLDER = 1000
SIDE = 64


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000])
    parser.add_argument("--folder", type=Path, help="where the pictures are made")
    parser.add_argument("--start", type=Path, help="only print what a start takes, in this folder")
    options = parser.parse_args()
    if options.start:
        runpy.run_path(str(ROOT / "host" / "pack.py"))["start"](comfyui=False)
        begin(options.start)
        return 0
    for size in options.sizes:
        folder = Path(tempfile.mkdtemp(prefix="pairs-", dir=options.folder))
        try:
            make(folder / "data", size)
            command = [sys.executable, __file__, "--start", str(folder)]
            for start in ("first", "second"):
                found = subprocess.run(command, check=True, capture_output=True, text=True)
                print(f"{size} pairs, {start} start: {found.stdout.strip()}", flush=True)
        finally:
            shutil.rmtree(folder)
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

    class Encoder:
        """As small as can be: what grows with the pairs is the trainer's own work."""

        identity, name = "a" * 64, "none.safetensors"

        def latents(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 4, 2, 2)

        def texts(self, captions: list[str]) -> list[Text]:
            return [Text(torch.ones(1, 8)) for _ in captions]

        def release(self) -> None:
            return None

    known, framing, said = Known(folder / "known.sqlite"), Framing(SIDE), []
    with taking(said, "scan"):
        pairs, _ = find(folder / "data", known)
    with taking(said, "hashes"):
        images = keys.of_images(pairs, framing, known)
    with taking(said, "cache"):
        cache = build(pairs, Encoder(), folder / "cache", framing, images=images)
    with taking(said, "a pair read"):
        cache.latent(len(pairs) - 1), cache.text(pairs[-1].captions[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{', '.join(said)}; {peak:.0f} MB at most")


@contextmanager
def taking(said: list[str], what: str) -> Iterator[Any]:
    began = time.perf_counter()
    yield
    said.append(f"{what} {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    sys.exit(main())
