"""Whole runs on small random models of every newer architecture: trained, resumed, loaded, used."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import folder_paths
import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.loader import SoftREPALoader
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.small_models import SmallModel
from comfyui_softrepa.tests.training import small_tasks
from comfyui_softrepa.training.cache import Text
from comfyui_softrepa.training.data.known import Known
from comfyui_softrepa.training.model.comfy_model import Encoder
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.run.start import run
from comfyui_softrepa.training.run.stopping import Host
from comfyui_softrepa.training.settings.command_line import read_settings
from torch import Tensor

WORDS = 5


@dataclass(frozen=True)
class Files:
    """In place of a model's files."""

    model: Path
    identity: str

    def described(self) -> dict[str, str]:
        return {"base_model": self.model.name, "base_model_sha256": self.identity}


@dataclass(frozen=True)
class Parts:
    """Text encoder and VAE of plain arithmetic: a caption's hash, a picture's colours."""

    small: SmallModel

    def embed(self, captions: Sequence[str]) -> list[Text]:
        return [self._text(caption) for caption in captions]

    def _text(self, caption: str) -> Text:
        seed = int.from_bytes(hashlib.sha256(caption.encode()).digest()[:6], "big")
        generator = torch.Generator().manual_seed(seed)
        context = torch.randn(WORDS, self.small.kind.context, generator=generator)
        if self.small.architecture == "anima":
            context = torch.nn.functional.pad(context, (0, 0, 0, 9))
        pooled = torch.randn(24, generator=generator) if self.small.name == "flux" else None
        return Text(context, pooled)

    def encode(self, images: Tensor) -> Tensor:
        """images: (1, H, W, 3). Returns (1, C, h, w), or with a frame before the height."""
        channels, *frames = self.small.kind.latent
        small = torch.nn.functional.avg_pool2d(images.movedim(-1, 1), 4)
        found = small.repeat(1, -(-channels // 3), 1, 1)[:, :channels]
        return found.unsqueeze(2) if frames else found


class PlainEncoder(Encoder):
    def _load(self) -> tuple[Any, Any]:
        return self.parts, self.parts


@dataclass(frozen=True)
class Base:
    """A `training.model.base_model.Base` of a small model."""

    small: SmallModel
    notes: tuple[str, ...] = ()
    files: Files = field(default_factory=lambda: Files(Path("small.safetensors"), "5" * 64))

    @property
    def outline(self) -> Any:
        return self.small.patcher.model

    def load(self) -> Any:
        return self.small.patcher

    def encoder(self, patcher: Any, known: Known, sampled: bool) -> Encoder:
        made = PlainEncoder(self.files, patcher, sampled)
        made.parts = Parts(self.small)
        return made


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
