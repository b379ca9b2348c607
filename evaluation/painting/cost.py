"""What a picture costs: seconds, and the device's memory at its peak."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Cost:
    """seconds: of sampling and decoding, the model's way to the device included. memory: bytes
    that torch had taken at the peak, None where the device does not tell."""

    seconds: float = 0.0
    memory: int | None = None


@contextmanager
def measured(device: Any) -> Iterator[Cost]:
    """What the block costs; its result is read back by then, so that nothing is still running."""
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    cost, began = Cost(), time.perf_counter()
    yield cost
    cost.seconds = round(time.perf_counter() - began, 4)
    if cuda:
        cost.memory = torch.cuda.max_memory_allocated(device)


def device_name(device: Any) -> str:
    """As people call it: the card's name, else the kind of device."""
    device = torch.device(device)
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
