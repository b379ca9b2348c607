"""SoftREPAScoreTrial: scores of a trial's pictures."""

from __future__ import annotations

from pathlib import Path

import comfy.model_management
import comfy.utils
from comfy_api.v0_0_2 import io

from ...evaluation.scorers import Scorer
from ...evaluation.scorers.scoring import score_trial
from ...evaluation.trial import open_trial
from ..types import SoftREPAScorer, SoftREPATrial


class SoftREPAScoreTrial(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAScoreTrial",
            display_name="Score SoftREPA Trial",
            category="SoftREPA/evaluation",
            description="Scores every picture of a trial against its prompt and keeps the scores "
            "with the trial. What is scored already is not scored again, so an interrupted run "
            "goes on where it was.",
            inputs=[
                SoftREPATrial.Input("trial", tooltip="From SoftREPA Trial."),
                SoftREPAScorer.Input("scorer", tooltip="From Load SoftREPA Scorer."),
            ],
            outputs=[SoftREPATrial.Output(display_name="trial", tooltip="The same, scored.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: object) -> float:
        return float("nan")  # Pictures may have been added to the folder meanwhile.

    @classmethod
    def execute(cls, trial: Path, scorer: Scorer) -> io.NodeOutput:
        bar = comfy.utils.ProgressBar(1)

        def step(done: int, total: int) -> None:
            bar.update_absolute(done, total)
            comfy.model_management.throw_exception_if_processing_interrupted()

        score_trial(open_trial(trial), scorer, step)
        return io.NodeOutput(trial)
