"""The three nodes, on the real thing: a small CLIP, pictures as ComfyUI hands them on, a trial."""

from __future__ import annotations

import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.scorers import SCORERS, load, weights
from comfyui_softrepa.nodes.evaluation.load_scorer import SoftREPALoadScorer
from comfyui_softrepa.nodes.evaluation.score import SoftREPAScore
from comfyui_softrepa.nodes.evaluation.score_trial import SoftREPAScoreTrial
from comfyui_softrepa.tests.evaluation import made
from comfyui_softrepa.tests.evaluation.scorers import tiny
from PIL import Image


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A folder of scorers with a small CLIP in it, and ComfyUI told of it."""
    folder = tmp_path_factory.mktemp("scorers")
    tiny.clip(folder / "clip-vit-large-patch14")
    with pytest.MonkeyPatch.context() as patch:
        # The folder that this makes is not to stay in the ComfyUI under test.
        patch.setattr(folder_paths, "models_dir", str(folder / "models"))
        weights.register_folder()
    folder_paths.add_model_folder_path(weights.FOLDER, str(folder), is_default=True)
    yield folder / "clip-vit-large-patch14"
    del folder_paths.folder_names_and_paths[weights.FOLDER]


def test_what_is_chosen_is_loaded(clip):
    schema = SoftREPALoadScorer.define_schema()
    scorer, file = (each.options for each in schema.inputs)
    assert scorer == list(SCORERS) and file[0] == "auto" and clip.name in file
    for chosen in ("auto", clip.name):
        assert SoftREPALoadScorer.validate_inputs("clip", chosen) is True
        (loaded,) = SoftREPALoadScorer.execute("clip", chosen).result
        assert loaded.name == "clip" and loaded.weights_sha256 == weights.sha256(clip)
    assert SoftREPALoadScorer.validate_inputs("judge", "auto") is True
    assert "3.9 GB" in SoftREPALoadScorer.validate_inputs("pickscore", "auto")
    assert "no scorer" in SoftREPALoadScorer.validate_inputs("beauty", "auto")
    before = SoftREPALoadScorer.fingerprint_inputs("clip", "auto")
    (clip / "config.json").touch()
    assert SoftREPALoadScorer.fingerprint_inputs("clip", "auto") != before


def test_a_batch_gets_a_number_a_picture(clip):
    scorer, pictures = load("clip", clip.name), tiny.pictures(20)
    image = torch.from_numpy(np.stack(pictures)).float() / 255
    result = SoftREPAScore.execute(image, "a red apple", scorer)
    scores, summary = result.result
    assert scores == pytest.approx(scorer.score(pictures, ["a red apple"] * 20), abs=1e-4)
    assert summary.splitlines()[0].startswith(f"clip: {scores[0]:.4g}, ")
    assert "mean" in summary and "cosine" in summary


def test_the_graph_scores_a_picture_as_its_file_is_scored(tmp_path, clip):
    begun = made.painted(tmp_path / "trial")
    scorer = load("clip", clip.name)
    (given,) = SoftREPAScoreTrial.execute(begun.folder, scorer).result
    assert given == begun.folder
    assert len(begun.scores()) == 16
    for score in begun.scores()[:3]:
        path = begun.path(trial.Cell(score.arm, score.prompt, score.seed))
        loaded = np.asarray(Image.open(path).convert("RGB")).astype(np.float32) / 255
        text = begun.manifest.prompt(score.prompt).text
        (alone,), _ = SoftREPAScore.execute(torch.from_numpy(loaded)[None], text, scorer).result
        assert alone == pytest.approx(score.value, abs=1e-3)
        assert score.weights == scorer.weights_sha256


def test_an_interrupt_stops_between_batches_and_the_next_run_goes_on(tmp_path, clip):
    begun, scorer = made.painted(tmp_path / "trial"), load("clip", clip.name)
    scorer.batch, own = 4, scorer.score

    def pressed(*batch):
        found = own(*batch)
        comfy.model_management.interrupt_current_processing()
        return found

    scorer.score = pressed
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        SoftREPAScoreTrial.execute(begun.folder, scorer)
    assert len(begun.scores()) == 4
    scorer.score = own
    SoftREPAScoreTrial.execute(begun.folder, scorer)
    lines = (begun.folder / "scores.jsonl").read_text().splitlines()
    assert len(begun.scores()) == len(lines) == 16


def test_comfyui_may_take_the_weights_away_and_they_come_back(clip):
    scorer, pictures = load("clip", clip.name), tiny.pictures(2)
    before = scorer.score(pictures, ["a", "b"])
    assert any(m.model.model.__class__.__name__ == "Managed"
               for m in comfy.model_management.current_loaded_models)  # fmt: skip
    comfy.model_management.unload_all_models()
    assert scorer.score(pictures, ["a", "b"]) == pytest.approx(before, abs=1e-5)
