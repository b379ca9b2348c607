"""SoftREPALoadScorer: what tells how well a picture shows a text."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from ...evaluation.scorers import SCORERS, ScorerError, load, weights
from ..types import SoftREPAScorer

AUTO = "auto"


class SoftREPALoadScorer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPALoadScorer",
            display_name="Load SoftREPA Scorer",
            category="SoftREPA/evaluation",
            description="Loads what tells how well a picture shows a text: CLIP Score, a model of "
            "people's preferences, a vision-language model or an object detector. Files lie in "
            "ComfyUI's models/softrepa_scorers folder; nothing is downloaded.",
            inputs=[
                io.Combo.Input(
                    "scorer",
                    options=list(SCORERS),
                    tooltip="How to score. Scores of different scorers cannot be compared.",
                ),
                io.Combo.Input(
                    "file",
                    options=[AUTO, *weights.names(SCORERS.values())],
                    tooltip="Its weights in models/softrepa_scorers: a file, or a folder with its "
                    "config.json. auto takes the one of the usual name; where it is missing, the "
                    "message says what to get.",
                ),
            ],
            outputs=[
                SoftREPAScorer.Output(
                    display_name="scorer", tooltip="For Score Picture and Score SoftREPA Trial."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, scorer: str | None = None, file: str | None = None) -> bool | str:
        # Asked for here, ComfyUI leaves the check to us: its own list may be older than the file.
        kind = SCORERS.get(scorer or "")
        if kind is None or kind.weights is None or file is None:
            return True if scorer is None or kind else f"There is no scorer {scorer!r}."
        try:
            weights.find(kind, _chosen(file))
        except ScorerError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, scorer: str, file: str) -> str:
        kind = SCORERS[scorer]
        if kind.weights is None:
            return scorer
        return f"{scorer} {weights.state(weights.find(kind, _chosen(file)))}"

    @classmethod
    def execute(cls, scorer: str, file: str) -> io.NodeOutput:
        return io.NodeOutput(load(scorer, _chosen(file)))


def _chosen(file: str) -> str | None:
    return None if file == AUTO else file
