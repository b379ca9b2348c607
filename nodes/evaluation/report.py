"""SoftREPAReport: whether it helps, as a page to keep and a picture to see at once."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy
import torch
from comfy_api.v0_0_2 import io, ui
from PIL import Image

from ..types import SoftREPATrial

LANGUAGES = ("en", "ja")


class SoftREPAReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SoftREPAReport",
            display_name="SoftREPA Report",
            category="SoftREPA/evaluation",
            description="Says whether an arm of a trial is better than its first one, by votes and "
            "scores, with how sure that is. The whole report is a page beside the trial's "
            "pictures.",
            inputs=[
                SoftREPATrial.Input("trial", tooltip="The trial to report on."),
                io.Combo.Input(
                    "language",
                    options=list(LANGUAGES),
                    default="en",
                    optional=True,
                    tooltip="The language of the page. The picture is in English.",
                ),
                io.String.Input(
                    "primary",
                    default="",
                    optional=True,
                    tooltip="What answers: votes, or a scorer's name. Empty: the pilot's plan, "
                    "else votes where there are any, else the scorer that came first.",
                ),
                io.Int.Input(
                    "planned",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    tooltip="Votes for one or the other picture that were planned before voting. "
                    "0: the pilot's plan, or none.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="path", tooltip="The path of report.html."),
                io.Image.Output(
                    display_name="picture", tooltip="The answers with their intervals."
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_: object) -> str:
        """Votes and scores change while the graph does not."""
        return uuid.uuid4().hex  # not NaN: every picture's metadata hold it, as JSON

    @classmethod
    def execute(
        cls, trial: Path, language: str = "en", primary: str = "", planned: int = 0
    ) -> io.NodeOutput:
        # Imported here: scipy would slow ComfyUI's start.
        from ...evaluation.pilot.report import report
        from ...evaluation.report.texts import Texts
        from ...evaluation.report.wording import answer
        from ...evaluation.trial import open_trial

        opened = open_trial(trial)
        analysis, pilot = report(
            opened, opened.folder, language, planned or None, primary.strip() or None
        )
        said = [answer(comparison, Texts(language)) for comparison in analysis.comparisons]
        text = "\n".join([pilot.answer, *said] if pilot else said)
        with Image.open(opened.folder / "report.png") as drawn:
            pixels = numpy.asarray(drawn.convert("RGB"), dtype=numpy.float32) / 255.0
        picture = torch.from_numpy(pixels).unsqueeze(0)
        shown = {**ui.PreviewImage(picture, cls=cls).as_dict(), **ui.PreviewText(text).as_dict()}
        return io.NodeOutput(str(opened.folder / "report.html"), picture, ui=shown)
