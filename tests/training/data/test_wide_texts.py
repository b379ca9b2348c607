"""Texts of the newer models in the cache: how much room they take, and all that they hold."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.training.cache import Text, build
from comfyui_softrepa.training.data import Framing, find

from .stand_in import StandIn, folder

MIB = 2**20


class Wide(StandIn):
    """A text encoder of one size, with what else a conditioning may hold."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.rows, self.width = rows, width

    def _text(self, caption: str) -> Text:
        generator = torch.Generator().manual_seed(len(caption))
        mask = torch.ones(1, self.rows, dtype=torch.long)
        mask[0, -1] = 0
        more = {"attention_mask": mask, "t5xxl_weights": torch.tensor([1.0, 0.5])}
        context = torch.randn(self.rows, self.width, generator=generator)
        return Text(context, torch.randn(768, generator=generator), more)


@pytest.mark.parametrize(
    ("rows", "width", "most"), [(256, 4096, 2.0), (100, 3584, 0.7)], ids=["Flux.1", "Qwen-Image"]
)
def test_a_caption_takes_its_numbers_in_half_precision(tmp_path, rows, width, most) -> None:
    encoder, root = Wide(rows, width), folder(tmp_path / "data", 2)
    pairs = find(root)[0]
    cache = build(pairs, encoder, tmp_path / "cache", Framing(32))
    captions = {caption for pair in pairs for caption in pair.captions}
    shards = list((tmp_path / "cache").rglob("texts-*"))
    # The pooled embedding and the list of contents besides: a few thousand bytes.
    assert sum(path.stat().st_size for path in shards) <= len(captions) * (most * MIB + 8192)
    for caption in captions:
        found, made = cache.text(caption), encoder._text(caption)
        assert torch.allclose(found.context, made.context, atol=2e-3)
        assert set(found.more) == set(made.more)
        assert torch.equal(found.more["attention_mask"], made.more["attention_mask"])
        assert found.more["attention_mask"].dtype == torch.long
        assert torch.equal(found.more["t5xxl_weights"], made.more["t5xxl_weights"])
