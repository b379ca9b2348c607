"""Whole runs on small random models of every newer architecture: trained, resumed, loaded, used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.adapters.loader import SoftREPALoader
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.small_models import SmallModel
from comfyui_softrepa.tests.training import small_tasks
from comfyui_softrepa.tests.training.small_base import Base
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.run.start import run
from comfyui_softrepa.training.run.stopping import Host
from comfyui_softrepa.training.settings.command_line import read_settings


@pytest.fixture(params=small_tasks.THERE)
def small(request) -> SmallModel:
    return small_models.load(request.param)


@pytest.fixture
def train(small, pictures, tmp_path, monkeypatch) -> Callable[..., Path]:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def build(name: str, *more: str) -> Path:
        folder = tmp_path / name
        flags = [f"--data={pictures}", f"--output={folder / 'adapter'}", "--checkpoint=graph"]
        flags += [f"--cache={tmp_path / 'cache'}", "--resolution=32", "--steps=2", "--batch-size=2"]
        flags += ["--save-every=1", "--checkpointing", "--normalise", "--no-tensorboard", *more]
        run(read_settings(flags), Host(Base(small)))
        return folder / "adapter.safetensors"

    return build


def test_a_run_gives_a_file_that_the_nodes_load_and_apply(
    small, train, tmp_path, monkeypatch
) -> None:
    path = train("whole")
    adapter = files.read(path)
    assert adapter.architecture == small.architecture
    assert adapter.layers == ("0", "1") and adapter.tokens.shape == (1, 2, 4, small.kind.width)
    log = read_log(path.with_suffix(".log.jsonl"))
    assert len(log) == 2 and all(torch.tensor(entry["loss"]).isfinite() for entry in log)

    train("broken", "--steps=1")
    train("broken", "--resume")
    for name in ("adapter.safetensors", "adapter.state"):
        both = [(tmp_path / run / name).read_bytes() for run in ("whole", "broken")]
        assert both[0] == both[1]

    folders = {**folder_paths.folder_names_and_paths}
    folders["softrepa"] = ([str(path.parent)], {".safetensors"})
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", folders)
    loaded = SoftREPALoader.execute("adapter.safetensors").args[0]
    plain = small.predict()
    none, full = (
        small.predict(SoftREPAApply.execute(small.patcher, loaded, by, 0.0, 1.0, "").args[0])
        for by in (0.0, 1.0)
    )
    assert torch.equal(plain, none) and float((full - plain).abs().max()) > 1e-4
