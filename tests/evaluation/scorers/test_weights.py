"""Where weights are looked for, what is said where they are missing, what their hash is of."""

from __future__ import annotations

import folder_paths
import pytest
from comfyui_softrepa.evaluation.scorers import SCORERS, ScorerError, load, weights


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A ComfyUI whose folders of models are empty."""
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    places = {
        key: ([str(tmp_path / "models" / key)], {".safetensors"})
        for key in ("text_encoders", "clip_vision")
    }
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", places)
    weights.register_folder()
    return tmp_path / "models"


def put(path, content: bytes = b"weights"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_is_missing_is_said_in_one_line_for_every_scorer(models):
    for kind in SCORERS.values():
        if not kind.weights:
            continue
        with pytest.raises(ScorerError) as told:
            weights.find(kind)
        said = str(told.value)
        wanted = (kind.name, kind.weights.names[0], kind.weights.source, kind.weights.size,
                  str(models / "softrepa_scorers"))  # fmt: skip
        assert all(part in said for part in wanted) and "\n" not in said
        assert kind.weights.file is None or kind.weights.file in said
        with pytest.raises(ScorerError, match=r'no "mine\.safetensors"'):
            weights.find(kind, "mine.safetensors")


def test_files_and_folders_are_found_by_their_names(models):
    own, other = models / "softrepa_scorers", models / "clip_vision"
    clip = put(other / "clip-vit-large-patch14.safetensors")
    assert weights.find(SCORERS["clip"]) == clip
    put(own / "clip-vit-large-patch14" / "config.json")
    put(own / "clip-vit-large-patch14" / "model.safetensors")
    reward = put(own / "ImageReward" / "ImageReward.pt")
    put(own / ".hidden" / "a.safetensors")
    put(own / "notes.txt")
    assert weights.find(SCORERS["imagereward"]) == reward
    assert weights.find(SCORERS["clip"], "clip-vit-large-patch14").is_dir()
    assert weights.find(SCORERS["imagereward"], "ImageReward\\ImageReward.pt") == reward
    assert weights.names(SCORERS.values()) == [
        "ImageReward/ImageReward.pt", "clip-vit-large-patch14",
        "clip-vit-large-patch14.safetensors",
    ]  # fmt: skip


def test_folders_of_extra_model_paths_come_first_and_stay(models, tmp_path):
    extra = tmp_path / "elsewhere"
    folder_paths.add_model_folder_path(weights.FOLDER, str(extra), is_default=True)
    weights.register_folder()
    put(models / "softrepa_scorers" / "PickScore_v1.safetensors")
    mine = put(extra / "PickScore_v1.safetensors")
    assert weights.find(SCORERS["pickscore"]) == mine


def test_links_in_a_circle_end(models):
    own = models / "softrepa_scorers"
    put(own / "a" / "b.safetensors")
    (own / "a" / "again").symlink_to(own)
    assert weights.names([SCORERS["pickscore"]]) == ["a/b.safetensors"]


def test_the_hash_is_of_every_file_and_follows_changes(tmp_path):
    folder = tmp_path / "model"
    put(folder / "config.json", b"{}")
    shard = put(folder / "model-1.safetensors", b"one")
    first = weights.sha256(folder)
    assert weights.sha256(folder) == first and weights.state(folder) == weights.state(folder)
    state = weights.state(folder)
    put(folder / ".cache" / "x")
    put(folder / ".gitattributes")
    assert weights.sha256(folder) == first
    shard.write_bytes(b"two!")
    second = weights.sha256(folder)
    assert second != first and weights.state(folder) != state
    shard.rename(folder / "model-2.safetensors")
    assert weights.sha256(folder) not in (first, second)


def test_an_unknown_scorer_is_one_sentence():
    with pytest.raises(ScorerError, match="choose one of clip, "):
        load("beauty")
