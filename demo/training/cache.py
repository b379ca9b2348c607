"""What training needs of the demo's pictures and captions, by a short way.

The base's text encoder is twelve empty layers, which ComfyUI computes all the same: half of the
time that the demo once took. `tests/demo/test_cache.py` holds what is computed here against what
the trainer would write itself, and what is missing the trainer adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ...softrepa.hashing import content_hash
from ...training import cache as caching
from ...training import data
from ...training.cache.encoding import Text
from ...training.data.captions.hard_captions import chosen
from ...training.data.captions.words import read_words
from ...training.settings.values import Settings
from ..models.base import clip, join, network, train, vae


class ShortEncoder:
    """The `Encoder` of `training.cache` for a checkpoint that `join.make_checkpoint` made.

    Needs ComfyUI importable, for its tokenizer.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.identity, self.name = content_hash(checkpoint), checkpoint.name
        self._prompts = train.Prompts.load()
        self._autoencoder: nn.Module = vae.encoder()
        weights = load_file(join.VAE).items()
        encoder = "encoder."
        self._autoencoder.load_state_dict(
            {k.removeprefix(encoder): v.float() for k, v in weights if k.startswith(encoder)}
        )

    @torch.inference_mode()
    def latents(self, images: Tensor) -> Tensor:
        """(B, H, W, 3), 0 to 1, to (B, 16, H/8, W/8), as the denoiser sees them."""
        return self._autoencoder(images.permute(0, 3, 1, 2))

    @torch.inference_mode()
    def texts(self, captions: Sequence[str]) -> list[Text]:
        """Context (77, 4096) and pooled (2048,) of each caption."""
        short, pooled = self._prompts.encode(list(captions))
        # All places behind the short prompt hold what its last one does.
        tail = short[:, -1:].expand(-1, clip.LENGTH - short.shape[1], -1)
        whole = torch.cat((short, tail), dim=1)
        context = nn.functional.pad(whole, (0, network.CONTEXT - clip.WIDTH))
        pooled = nn.functional.pad(pooled, (0, network.POOLED - clip.WIDTH))
        return [Text(*each) for each in zip(context, pooled, strict=True)]

    def release(self) -> None:
        """Nothing is held on a device."""


def beside(adapter: Path, checkpoint: Path) -> Path:
    """Where the trainer looks by itself, also in the graph."""
    return adapter.parent / f".cache-{content_hash(checkpoint)[:12]}"


def fill(checkpoint: Path, settings: Settings) -> None:
    """Writes the cache that the trainer would write for these settings, into `settings.cache`."""
    pairs, _ = data.find_all(settings.data)
    captions = list(dict.fromkeys(caption for pair in pairs for caption in pair.captions))
    hard = chosen(captions, settings.hard_captions, settings.seed, read_words())
    further = [caption for found in hard.values() for caption in found]
    framing = data.Framing(settings.resolution, settings.buckets)
    caching.build(pairs, ShortEncoder(checkpoint), settings.cache, framing, further=further)
