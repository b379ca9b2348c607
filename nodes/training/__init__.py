"""Nodes that train an adapter, and show what it would be trained on."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from .dataset import SoftREPADataset
from .settings import SoftREPATrainSettings
from .train import SoftREPATrain

TRAINING_NODES: list[type[io.ComfyNode]] = [
    SoftREPATrain,
    SoftREPATrainSettings,
    SoftREPADataset,
]
