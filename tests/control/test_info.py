"""SoftREPAInfo."""

from __future__ import annotations

import dataclasses
import re

import folder_paths
import numpy
import pytest
import torch
from comfyui_softrepa.nodes.adapters.chart import HEIGHT, WIDTH, draw_norms
from comfyui_softrepa.nodes.adapters.info import SoftREPAInfo
from comfyui_softrepa.tests.adapters import random_adapter


@pytest.fixture
def output(tmp_path, monkeypatch):
    """A folder for previews."""
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))


def test_info_says_what_the_adapter_holds(output):
    adapter = dataclasses.replace(
        random_adapter("mmdit", 1536, 5, banks=2),
        metadata={"softrepa.objective": "agsm", "softrepa.steps": "30000", "long": "x" * 999},
    )
    result = SoftREPAInfo.execute(adapter)
    text, picture = result.args
    for said in (
        "SD3 medium",
        "0, 1, 2, 3, 4",
        "4 a block, prepend",
        "positive and negative",
        "100 timestep buckets",
        "softrepa.objective: agsm",
        "softrepa.steps: 30000",
    ):
        assert said in text
    norms = re.search(r"norm of tokens: (.*)", text)[1].split(", ")
    assert float(norms[0]) == pytest.approx(
        adapter.tokens[0, 0].norm(dim=-1).mean().item(), rel=1e-2
    )
    assert "x" * 300 not in text
    assert picture.shape == (1, HEIGHT, WIDTH, 3)
    assert 0.0 <= picture.min() < picture.max() <= 1.0
    assert result.ui["text"] == (text,)
    assert len(result.ui["images"]) == 1


def test_the_picture_shows_the_norms():
    adapter = random_adapter(blocks=2)
    halved = dataclasses.replace(
        adapter, tokens=adapter.tokens * torch.tensor([1.0, 0.2])[:, None, None]
    )
    assert _coloured(draw_norms(halved), right_half=False) < _coloured(
        draw_norms(adapter), right_half=False
    )
    still = dataclasses.replace(adapter, offsets=adapter.offsets[:, :1].expand(-1, 100, -1, -1))
    assert _coloured(draw_norms(still), right_half=True) > 0
    assert draw_norms(adapter).tobytes() != draw_norms(still).tobytes()


@pytest.mark.parametrize(
    "adapter",
    [
        random_adapter("unet", 768, 1, timed=False),
        random_adapter("mmdit", 64, 40, tokens=1),
        dataclasses.replace(random_adapter(), tokens=torch.zeros(1, 2, 4, 128)),
        dataclasses.replace(random_adapter(), offsets=torch.zeros(1, 1, 2, 128)),
        random_adapter("anima", 1024, 10, banks=2),
    ],
)
def test_every_shape_has_a_picture(adapter):
    assert draw_norms(adapter).size == (WIDTH, HEIGHT)


def _coloured(image, right_half: bool) -> int:
    pixels = numpy.asarray(image).astype(int)
    half = pixels[:, WIDTH // 2 :] if right_half else pixels[:, : WIDTH // 2]
    return int((half.max(-1) - half.min(-1) > 60).sum())
