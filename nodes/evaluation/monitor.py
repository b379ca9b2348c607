"""SoftREPAMonitor: keeps how well each picture of daily work shows its text."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.v0_0_2 import io, ui

from ...evaluation.errors import EvaluationError
from ...evaluation.monitoring import Entry, add
from ...evaluation.monitoring.store import NAME
from ...evaluation.scorers import Scorer
from ...evaluation.scorers.pictures import from_images
from ...evaluation.trial import Model
from ..types import SoftREPAScorer
from .score import scores_of


class SoftREPAMonitor(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAMonitor",
            display_name="SoftREPA Monitor",
            category="SoftREPA/evaluation",
            description="Scores the pictures of daily work and keeps the numbers with the hashes "
            "of model, adapter and each LoRA, so that a report shows them over time and marks "
            "where they shift. The pictures pass through, whatever happens to the scores.",
            inputs=[
                io.Image.Input("image", tooltip="The pictures, which pass through as they are."),
                io.String.Input(
                    "text",
                    multiline=True,
                    tooltip="What the pictures should show: the prompt as a plain sentence.",
                ),
                SoftREPAScorer.Input("scorer", tooltip="From Load SoftREPA Scorer."),
                io.Model.Input(
                    "model",
                    tooltip="The model that painted them, as it goes into the sampler: it tells "
                    "which files are named with the score.",
                ),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The same pictures.")],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image: torch.Tensor, text: str, scorer: Scorer, model: Any) -> io.NodeOutput:
        try:
            graph, node = cls.hidden.prompt or {}, cls.hidden.unique_id
            link = graph.get(node, {}).get("inputs", {}).get("model")
            values = scores_of(image, text, scorer)
            models = _models(model, graph, link)
            add(_file(), _entries(image, text, scorer, values, models))
            numbers = ", ".join(f"{value:.4g}" for value in values)
            said = f"{scorer.name}: {numbers}"
        except (EvaluationError, OSError, RuntimeError, ValueError) as error:
            # Nobody's picture is lost to its score.
            logging.warning("SoftREPA Monitor: %s", error, exc_info=not _plain(error))
            said = f"Not monitored: {error}"
        return io.NodeOutput(image, ui=ui.PreviewText(said))


def _plain(error: Exception) -> bool:
    """Whether its sentence tells all."""
    return isinstance(error, (EvaluationError, OSError))


def _file() -> Path:
    return Path(folder_paths.get_output_directory()) / "softrepa" / NAME


def _entries(
    image: torch.Tensor,
    text: str,
    scorer: Scorer,
    values: list[float],
    models: tuple[Model, ...],
) -> Iterator[Entry]:
    now = time.time()
    for picture, value in zip(from_images(image), values, strict=True):
        height, width, _ = picture.shape
        digest = hashlib.sha256(f"{width} {height} ".encode() + picture.tobytes()).hexdigest()
        yield Entry(now, digest, text, scorer.name, scorer.weights_sha256, value, models)


def _models(model: Any, graph: dict[str, Any], link: Any) -> tuple[Model, ...]:
    """The files upstream of the input; where an adapter on the model comes from none of them,
    what it holds."""
    # Imported here: hashing and the graph are of no use to a start of ComfyUI.
    from ...evaluation.painting.sources.graph import made
    from ...evaluation.painting.sources.manifest import content_of, loaded_from

    found = made(graph, [link]).models
    if not any(one.kind in ("checkpoint", "model") for one in found):
        found = (*loaded_from(model), *found)
    applied = model.model_options["transformer_options"].get("patches", {}).get("softrepa", [])
    if len(applied) > sum(one.kind == "adapter" for one in found):
        unknown = [Model("adapter", "made in the graph", content_of(a.adapter)) for a in applied]
        found = (*(one for one in found if one.kind != "adapter"), *unknown)
    return found
