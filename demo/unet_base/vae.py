"""The U-Net base's autoencoder: the SD3 base's with 4 latent channels in place of 16.

Only what works at 8 x 8 is new. It first learns to give the rest of the decoder what it is used
to, without a picture being drawn, and then the decoder is finished on pictures: a tenth of the
work of beginning anew.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ...training.cache.progress import progress
from ..base import join as sd3
from ..base import vae

CHANNELS = 4
SHARED = 11
"""Layers of the encoder that stay the SD3 base's: all down to 8 x 8."""
DEEP = 6
"""Layers of the decoder that work at 8 x 8."""
PICTURES = 5000
FEATURE_STEPS, PICTURE_STEPS = 1200, 250
FEATURE_BATCH, PICTURE_BATCH = 64, 32
LATENT_NOISE = 0.07


def model(weights: Path) -> nn.ModuleDict:
    """The autoencoder with the weights of a file, and for the rest the SD3 base's; float32."""
    made = blank()
    whole = {k: v for k, v in load_file(sd3.VAE).items() if _shared(k)} | load_file(weights)
    made.load_state_dict({key: value.float() for key, value in whole.items()})
    return made


def _shared(key: str) -> bool:
    part, index, *_ = key.split(".")
    return part == "encoder" and int(index) < SHARED


def blank() -> nn.ModuleDict:
    """The autoencoder without its weights."""
    encoder, decoder = vae.encoder(), vae.decoder()
    width = vae.WIDTHS[-1]
    encoder[14] = nn.Conv2d(width, CHANNELS, 3, padding=1)
    decoder[1] = nn.Conv2d(CHANNELS, width, 3, padding=1)
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


def train_encoder(seed: int) -> nn.ModuleDict:
    """The autoencoder with a finished encoder, learned from the SD3 base's; float32."""
    torch.manual_seed(seed)
    teacher = nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
    teacher.load_state_dict({key: value.float() for key, value in load_file(sd3.VAE).items()})
    student = blank()
    ends = ("encoder.14.", "decoder.1.")
    shared = {k: v for k, v in teacher.state_dict().items() if not k.startswith(ends)}
    student.load_state_dict(shared, strict=False)
    _by_features(teacher, student, _pictures(seed))
    return student


def train_decoder(student: nn.ModuleDict, seed: int) -> None:
    """Finish the decoder, in place, on latents of the encoder as it is."""
    torch.manual_seed(seed)
    _by_pictures(student, _pictures(seed))


def _pictures(seed: int) -> Tensor:
    return torch.from_numpy(vae.pictures(PICTURES, seed)).permute(0, 3, 1, 2)


def _by_features(teacher: nn.ModuleDict, student: nn.ModuleDict, data: Tensor) -> None:
    seen, wanted = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for part in progress(data.split(125), label="features", unit="batch"):
            inner = teacher["encoder"][:SHARED](part.float() / 255)
            latents = teacher["encoder"][SHARED:](inner)
            seen.append(inner.bfloat16())
            wanted.append(teacher["decoder"][:DEEP](latents).bfloat16())
    seen, wanted = torch.cat(seen).clone(), torch.cat(wanted).clone()
    scale = 1 / wanted.float().std()
    inside = nn.ModuleList([student["encoder"][SHARED:], student["decoder"][:DEEP]])
    optimiser, schedule = _optimiser(inside, 3e-3, FEATURE_STEPS)
    bar = progress(range(FEATURE_STEPS), label="autoencoder, features", unit="step")
    for step in bar:
        chosen = torch.randint(len(seen), (FEATURE_BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            latents = inside[0](seen[chosen])
            output = inside[1](latents + LATENT_NOISE * torch.randn_like(latents))
        error = F.mse_loss(output.float() * scale, wanted[chosen].float() * scale)
        _step(inside, optimiser, schedule, error + _spread(latents))
        if step % 50 == 0:
            bar.set_postfix_str(f"error {error.item():.4f}")


def _by_pictures(student: nn.ModuleDict, data: Tensor) -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        seen = torch.cat([student["encoder"](p.float() / 255).float() for p in data.split(125)])
    seen, decoder = seen.clone(), student["decoder"]
    optimiser, schedule = _optimiser(decoder, 1.5e-3, PICTURE_STEPS)
    bar = progress(range(PICTURE_STEPS), label="autoencoder, pictures", unit="step")
    for step in bar:
        chosen = torch.randint(len(seen), (PICTURE_BATCH,))
        batch = data[chosen].float() / 255
        noisy = seen[chosen] + LATENT_NOISE * torch.randn(PICTURE_BATCH, *seen.shape[1:])
        with torch.autocast("cpu", torch.bfloat16, enabled=step < 0.85 * PICTURE_STEPS):
            output = decoder(noisy).float()
        error = F.mse_loss(output, batch) + 0.2 * F.l1_loss(output, batch)
        _step(decoder, optimiser, schedule, error)
        if step % 20 == 0:
            bar.set_postfix_str(f"error {error.item():.4f}")


def _spread(latents: Tensor) -> Tensor:
    """How far the latents are from mean 0 and spread 1, a channel each."""
    mean = latents.float().mean(dim=(0, 2, 3))
    return 0.05 * (mean.square() + (latents.float().std(dim=(0, 2, 3)) - 1).square()).mean()


def _optimiser(part: nn.Module, rate: float, steps: int):
    optimiser = torch.optim.AdamW(part.parameters(), lr=rate, weight_decay=1e-4)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)


def _step(part: nn.Module, optimiser, schedule, loss: Tensor) -> None:
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(part.parameters(), 1.0)
    optimiser.step()
    schedule.step()


def save(student: nn.ModuleDict, output: Path) -> None:
    """Write what is not the SD3 base's, half precision."""
    own = {key: value for key, value in student.state_dict().items() if not _shared(key)}
    save_file({key: value.detach().half().contiguous() for key, value in own.items()}, output)
