"""Every random draw of a run follows from its seed, the step and what the draw is for.

So nothing about randomness needs saving: a resumed run, and every process of a distributed one,
draws what an unbroken single one would have drawn.
"""

from __future__ import annotations

import hashlib
import random

import torch


def python_random(seed: int, *purpose: str | int) -> random.Random:
    return random.Random(_number(seed, *purpose))


def torch_generator(seed: int, *purpose: str | int) -> torch.Generator:
    """On the CPU, whatever the device: its numbers are the same everywhere."""
    return torch.Generator().manual_seed(_number(seed, *purpose))


def _number(seed: int, *purpose: str | int) -> int:
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1
