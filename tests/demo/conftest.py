"""The SD3 base, through ComfyUI and by its short forward."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.models.base import join
from comfyui_softrepa.demo.sweep.short.sd3 import Model


@pytest.fixture(scope="package")
def base(tmp_path_factory: pytest.TempPathFactory) -> evaluate.Base:
    return evaluate.load(join.make_checkpoint(tmp_path_factory.mktemp("base") / "demo.safetensors"))


@pytest.fixture(scope="package")
def model() -> Model:
    return Model.load(precision=torch.float32)
