"""SoftREPAMonitor on a real model: which files a score is kept with, and that a picture is never
stopped."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import comfy.model_management
import folder_paths
import pytest
import torch
from comfyui_softrepa.evaluation import monitoring
from comfyui_softrepa.evaluation.scorers import ScorerError
from comfyui_softrepa.injection import apply, make_application
from comfyui_softrepa.nodes.evaluation.monitor import SoftREPAMonitor
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.tests.adapters import random_adapter


@dataclass
class Brightness:
    """A scorer that can be told to fail."""

    error: Exception | None = None
    name: str = "brightness"
    weights_sha256: str = "0" * 64
    unit: str = "0 to 1"
    batch: int = 2
    needs_expected: bool = False

    def score(self, pictures, texts, prompts=None) -> list[float]:
        if self.error is not None:
            raise self.error
        return [float(picture.mean()) / 255 for picture in pictures]

    def notes(self) -> list[str]:
        return []


@pytest.fixture(scope="module")
def sd3():
    return golden_models.load("sd3_d3l2_192_timed").patcher


@pytest.fixture
def output(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return tmp_path / "output" / "softrepa" / "monitor.sqlite"


@pytest.fixture
def there(tmp_path, monkeypatch):
    """An adapter and a checkpoint of these names, for the graph."""
    folders = dict(folder_paths.folder_names_and_paths)
    for folder in ("softrepa", "checkpoints"):
        (tmp_path / folder).mkdir()
        folders[folder] = ([str(tmp_path / folder)], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    files.write(tmp_path / "softrepa" / "house.safetensors", random_adapter())
    (tmp_path / "checkpoints" / "base.safetensors").write_bytes(b"weights")
    return tmp_path


GRAPH = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}},
    "2": {"class_type": "SoftREPALoader", "inputs": {"adapter": "house.safetensors"}},
    "3": {
        "class_type": "SoftREPAApply",
        "inputs": {"model": ["1", 0], "adapter": ["2", 0], "strength": 0.5},
    },
    "9": {"class_type": "SoftREPAMonitor", "inputs": {"model": ["3", 0]}},
}


def run(patcher, scorer=None, graph=None, node="9"):
    """The picture that went in, and what came out."""
    image = torch.rand(3, 8, 6, 3, generator=torch.Generator().manual_seed(1))

    class Hidden:
        prompt, unique_id = (GRAPH if graph is None else graph), node

    class Node(SoftREPAMonitor):
        hidden = Hidden

    return image, Node.execute(image, "a bright cat", scorer or Brightness(), patcher)


def test_scores_are_kept_with_the_files_that_painted(sd3, output, there):
    image, done = run(sd3)
    assert done.args[0] is image and done.ui.as_dict()["text"][0].startswith("brightness: 0.")
    kept, _ = monitoring.read(output)
    assert len(kept) == 3 and len({one.picture for one in kept}) == 3
    values = [float((255 * one).byte().float().mean() / 255) for one in image]
    assert [one.value for one in kept] == pytest.approx(values)
    assert {one.text for one in kept} == {"a bright cat"}
    (adapter,) = kept[0].added
    assert (kept[0].base.name, adapter.name, adapter.strength) == (
        "base.safetensors", "house.safetensors", 0.5,
    )  # fmt: skip
    file = there / "softrepa" / "house.safetensors"
    assert adapter.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_an_adapter_of_no_file_is_told_by_what_it_holds(sd3, output, there):
    patched = apply(sd3, make_application(sd3.model, random_adapter(width=192, seed=7)))
    run(patched, graph={})
    run(patched, node="elsewhere")
    for one in monitoring.read(output)[0]:
        (adapter,) = one.added
        assert adapter.name == "made in the graph" and len(adapter.sha256) == 16
        assert one.base.name == ""


@pytest.mark.parametrize("fault", ["damaged", "no folder", "scorer", "memory"])
def test_a_picture_is_never_stopped(sd3, output, there, fault, caplog):
    scorer = Brightness()
    if fault == "damaged":
        output.parent.mkdir(parents=True)
        output.write_bytes(b"no database at all" * 100)
    elif fault == "no folder":
        output.parent.parent.write_bytes(b"a file where a folder should be")
    else:
        scorer.error = {
            "scorer": ScorerError("There are no weights."),
            "memory": torch.OutOfMemoryError("out of memory"),
        }[fault]
    with caplog.at_level(logging.WARNING):
        image, done = run(sd3, scorer)
    assert done.args[0] is image
    assert done.ui.as_dict()["text"][0].startswith("Not monitored: ")
    assert "SoftREPA Monitor: " in caplog.text


def test_an_interrupt_is_not_swallowed(sd3, output, there):
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(sd3)
    assert not output.exists()
