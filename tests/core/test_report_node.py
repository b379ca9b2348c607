"""SoftREPAReport over a trial: the answer in words, the page, the picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.errors import EvaluationError
from comfyui_softrepa.nodes.evaluation.report import LANGUAGES, SoftREPAReport
from comfyui_softrepa.tests.evaluation import made, voted
from PIL import Image


@pytest.fixture
def helped(tmp_path) -> Path:
    begun = made.painted(tmp_path / "trial", made.manifest(prompts=20, seeds=(1,)))
    voted.scored(begun, "judge", lambda cell: cell.arm == "SoftREPA")
    return begun.folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_says_what_the_report_says(helped, language, tmp_path, monkeypatch):
    monkeypatch.setattr("folder_paths.get_temp_directory", lambda: str(tmp_path / "shown"))
    output = SoftREPAReport.execute(helped, language, primary=" judge ")
    path, picture = output.args
    assert Path(path) == helped / "report.html"
    assert f'lang="{language}"' in Path(path).read_text("utf-8")
    with Image.open(helped / "report.png") as drawn:
        assert picture.shape == (1, drawn.height, drawn.width, 3)
        assert float(picture.min()) < 0.3 < float(picture.max()) <= 1
    (said,) = output.ui["text"]
    assert "SoftREPA" in said and len(output.ui["images"]) == 1
    assert (language == "en") == ("is better than bare: +100.0 points" in said)


def test_it_runs_anew_and_says_what_is_wrong(helped, tmp_path):
    assert SoftREPAReport.fingerprint_inputs() != SoftREPAReport.fingerprint_inputs()
    with pytest.raises(EvaluationError, match="no measure 'beauty'"):
        SoftREPAReport.execute(helped, primary="beauty")
    with pytest.raises(EvaluationError, match="cannot be read"):
        SoftREPAReport.execute(tmp_path / "nowhere")
