"""Painting in this process: ComfyUI as a library, alone or as one of torchrun's many."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import EvaluationError
from ..trial import Prompt, Trial
from .recipe import TRIAL


def start(
    comfyui: Path | None,
    flags: Sequence[str] = (),
    base: Path | None = None,
    extra: Sequence[Path] = (),
) -> None:
    """Makes ComfyUI importable, on the device that is this process's own under torchrun.

    comfyui, base, extra: its folder, its base directory and its files of model folders, which are
    found as the trainer finds them. flags: ComfyUI's own. Raises EvaluationError.
    """
    from ...training.errors import BadInput
    from ...training.model import comfyui as installation

    try:
        installation.start(installation.find(comfyui, base, extra), flags)
    except BadInput as error:
        raise EvaluationError(str(error)) from None
    if "--cpu" not in flags:
        _choose_device()


def _choose_device() -> None:
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    if not torch.cuda.is_available() or "LOCAL_RANK" not in os.environ:
        return
    if local >= torch.cuda.device_count():
        raise EvaluationError(
            f"This machine has {torch.cuda.device_count()} GPUs for more processes: start torchrun "
            f"with --nproc-per-node={torch.cuda.device_count()}."
        )
    torch.cuda.set_device(local)


def installation() -> str:
    """The folder whose output ComfyUI writes to."""
    import folder_paths

    return str(Path(folder_paths.get_output_directory()).parent)


def paint(
    folder: Path,
    graph: Mapping[str, Mapping[str, Any]],
    prompts: Sequence[Prompt],
    told: Callable[[int, int], object],
) -> tuple[Trial, int]:
    """Paints this process's share of what the graph's trial lacks; gives the trial and how many.

    Under torchrun every `WORLD_SIZE`-th prompt and seed is this process's, with all arms. Raises
    EvaluationError.
    """
    from . import request
    from .loading import load, settle_names

    rank, of = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if of > 1:
        logging.getLogger().setLevel(logging.WARNING)  # once for each process is too often
    settle_names(graph)
    node = graph[TRIAL]["inputs"]
    inputs = {
        key: [value] for key, value in zip(node, load(graph, list(node.values())), strict=True)
    }
    return request.paint(
        inputs,
        graph,
        TRIAL,
        folder=folder,
        prompts=prompts,
        cells=lambda trial: trial.missing(rank, of),
        told=told,
    )
