"""What a run would take, without taking it."""

from __future__ import annotations

import torch

from .. import cache as caching
from ..model.denoiser import Denoiser
from ..model.design import tokens_for
from ..step.memory import block_bytes, saved_bytes
from ..step.validation import split
from .prepared import Prepared


def report(prepared: Prepared) -> str:
    """A few lines: trainable parameters, pairs, steps, cache size and memory.

    Memory is measured on one prediction, whose activations are then multiplied by the micro-batch.
    """
    settings, encoder = prepared.settings, prepared.encoder
    size = caching.expected_bytes(prepared.pairs, encoder, prepared.framing, prepared.further)
    text = encoder.texts([""])[0]
    side = prepared.framing.resolution
    latent = encoder.latents(torch.zeros(1, side, side, 3))
    encoder.release()
    denoiser = Denoiser(prepared.patcher, settings.precision, room=prepared.room)
    live = tokens_for(settings, denoiser.model, text.context[0])
    live = live.copy(denoiser.device, trainable=True)
    weights = sum(p.numel() * p.element_size() for p in denoiser.model.parameters())
    weight = settings.train_weight
    held = saved_bytes(denoiser, live, latent, text, settings.checkpointing, weight)
    training, held_out = split(len(prepared.pairs), settings.val_fraction, settings.seed)
    again = block_bytes(denoiser, held) * settings.micro_batch if settings.checkpointing else 0
    memory = weights + held * settings.micro_batch + again
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
            f"weights + {settings.micro_batch} x {held / 1e9:.3f} activations"
            + (f" + {again / 1e9:.3f} while a block is computed again)" if again else ")"),
        )
    )
