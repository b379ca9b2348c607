"""SoftREPAScore: how well pictures show a text."""

from __future__ import annotations

from itertools import islice

import comfy.model_management
import comfy.utils
import torch
from comfy_api.v0_0_2 import io, ui

from ...evaluation.scorers import Scorer
from ...evaluation.scorers.pictures import from_images
from ..types import SoftREPAScorer


class SoftREPAScore(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAScore",
            display_name="Score Picture",
            category="SoftREPA/evaluation",
            description="Tells how well each picture shows a text, as a number. Higher is better; "
            "compare only numbers of one scorer.",
            inputs=[
                io.Image.Input("image", tooltip="One picture or a batch."),
                io.String.Input(
                    "text",
                    multiline=True,
                    tooltip="What the pictures should show: the prompt as a plain sentence. "
                    "Parentheses are no weights here.",
                ),
                SoftREPAScorer.Input("scorer", tooltip="From Load SoftREPA Scorer."),
            ],
            outputs=[
                io.Float.Output(
                    display_name="scores", is_output_list=True, tooltip="A number for each picture."
                ),
                io.String.Output(display_name="summary", tooltip="The numbers in words."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image: torch.Tensor, text: str, scorer: Scorer) -> io.NodeOutput:
        scores = scores_of(image, text, scorer)
        summary = _summary(scorer, scores)
        return io.NodeOutput(scores, summary, ui=ui.PreviewText(summary))


def scores_of(image: torch.Tensor, text: str, scorer: Scorer) -> list[float]:
    """One number for each picture, with progress and interrupt. Raises ScorerError."""
    scores: list[float] = []
    pictures = iter(from_images(image))
    bar = comfy.utils.ProgressBar(len(image))
    while batch := list(islice(pictures, scorer.batch)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        scores += scorer.score(batch, [text] * len(batch))
        bar.update(len(batch))
    return scores


def _summary(scorer: Scorer, scores: list[float]) -> str:
    numbers = ", ".join(f"{score:.4g}" for score in scores)
    mean = f"mean {sum(scores) / len(scores):.4g}" if len(scores) > 1 else ""
    lines = [f"{scorer.name}: {numbers}", mean, scorer.unit, *scorer.notes()]
    return "\n".join(line for line in lines if line)
