"""What a run would take, without taking it."""

from __future__ import annotations

import torch

from .. import cache as caching
from ..model.denoiser import Denoiser
from ..model.design import tokens_for
from ..step.memory import saved_bytes
from ..step.validation import split
from .prepared import Prepared


def report(prepared: Prepared) -> str:
    """A few lines: trainable parameters, pairs, steps, cache size and memory.

    Memory is measured on one prediction, whose activations are then multiplied by the micro-batch.
    """
    settings, encoder = prepared.settings, prepared.encoder
    size = caching.expected_bytes(prepared.pairs, encoder, prepared.framing, prepared.further)
    text = encoder.texts([""])[0]
    encoder.release()
    denoiser = Denoiser(prepared.patcher, settings.precision)
    live = tokens_for(settings, denoiser.model, text.context[0])
    live = live.copy(denoiser.device, trainable=True)
    weights = sum(p.numel() * p.element_size() for p in denoiser.model.parameters())
    weight = settings.train_weight
    held = saved_bytes(denoiser, live, _latent(prepared), text, settings.checkpointing, weight)
    training, held_out = split(prepared.training_set.own, settings.val_fraction, settings.seed)
    memory = weights + held * settings.micro_batch
    blocks = ", ".join(live.adapter.layers)
    return "\n".join(
        (
            f"trainable parameters: {live.adapter.parameters} ({live.adapter.banks} bank(s), "
            f"{settings.tokens} tokens, blocks {blocks})",
            f"in training a soft token counts {weight:g} time{'' if weight == 1.0 else 's'}",
            f"pairs: {len(training)} to train on, {len(held_out)} held out",
            f"steps: {settings.steps} of {settings.batch_size} images, "
            f"{settings.steps * settings.batch_size / max(1, len(training)):.1f} times the data",
            f"cache: {size / 1e6:.1f} MB, {size / len(prepared.pairs) / 1e6:.3f} MB a pair",
            f"memory: about {memory / 1e9:.2f} GB on {denoiser.device} ({weights / 1e9:.2f} "
            f"weights + {settings.micro_batch} x {held / 1e9:.3f} activations)",
        )
    )


def _latent(prepared: Prepared) -> torch.Tensor:
    channels = prepared.patcher.model.latent_format.latent_channels
    side = prepared.framing.resolution // 8
    return torch.zeros(1, channels, side, side)
