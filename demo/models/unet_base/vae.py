"""The U-Net base's autoencoder: the SD3 base's with 4 latent channels in place of 16.

Only what works at 8 x 8 is new: it learns to give the rest of the decoder what that is used to,
without a picture being drawn, in a tenth of the work of beginning anew.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ....training.cache.progress import progress
from ..base import join as sd3
from ..base import vae

CHANNELS = 4
SHARED = 11
"""Layers of the encoder that stay the SD3 base's: all down to 8 x 8."""
DEEP = 6
"""Layers of the decoder that work at 8 x 8."""
PICTURES = 5000
STEPS = 1200
BATCH = 64
RATE = 3e-3
LATENT_NOISE = 0.07


def model(weights: Path) -> nn.ModuleDict:
    """The autoencoder with the weights of a file, and for the rest the SD3 base's; float32."""
    made = blank()
    whole = {k: v for k, v in load_file(sd3.VAE).items() if _shared(k)} | load_file(weights)
    made.load_state_dict({key: value.float() for key, value in whole.items()})
    return made


def _shared(key: str) -> bool:
    """Whether a weight is the SD3 base's."""
    part, index, *_ = key.split(".")
    return int(index) < SHARED if part == "encoder" else int(index) >= DEEP


def blank() -> nn.ModuleDict:
    """The autoencoder without its weights."""
    encoder, decoder = vae.encoder(), vae.decoder()
    width = vae.WIDTHS[-1]
    encoder[14] = nn.Conv2d(width, CHANNELS, 3, padding=1)
    decoder[1] = nn.Conv2d(CHANNELS, width, 3, padding=1)
    return nn.ModuleDict({"encoder": encoder, "decoder": decoder})


def train(seed: int) -> nn.ModuleDict:
    """The autoencoder, learned from the SD3 base's; float32."""
    torch.manual_seed(seed)
    teacher = nn.ModuleDict({"encoder": vae.encoder(), "decoder": vae.decoder()})
    teacher.load_state_dict({key: value.float() for key, value in load_file(sd3.VAE).items()})
    student = blank()
    ends = ("encoder.14.", "decoder.1.")
    same = {k: v for k, v in teacher.state_dict().items() if not k.startswith(ends)}
    student.load_state_dict(same, strict=False)
    seen, wanted = _features(teacher, seed)
    scale = 1 / wanted.float().std()
    learning = nn.ModuleList([student["encoder"][SHARED:], student["decoder"][:DEEP]])
    optimiser = torch.optim.AdamW(learning.parameters(), lr=RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    bar = progress(range(STEPS), label="autoencoder", unit="step")
    for step in bar:
        chosen = torch.randint(len(seen), (BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            latents = learning[0](seen[chosen])
            output = learning[1](latents + LATENT_NOISE * torch.randn_like(latents))
        error = F.mse_loss(output.float() * scale, wanted[chosen].float() * scale)
        optimiser.zero_grad()
        (error + _spread(latents)).backward()
        nn.utils.clip_grad_norm_(learning.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 50 == 0:
            bar.set_postfix_str(f"error {error.item():.4f}")
    return student


def _features(teacher: nn.ModuleDict, seed: int) -> tuple[Tensor, Tensor]:
    """Of each picture, what enters the encoder's new part and what the decoder's is to give."""
    data = torch.from_numpy(vae.pictures(PICTURES, seed)).permute(0, 3, 1, 2)
    seen, wanted = [], []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for part in progress(data.split(125), label="features", unit="batch"):
            inner = teacher["encoder"][:SHARED](part.float() / 255)
            latents = teacher["encoder"][SHARED:](inner)
            seen.append(inner.bfloat16())
            wanted.append(teacher["decoder"][:DEEP](latents).bfloat16())
    return torch.cat(seen).clone(), torch.cat(wanted).clone()


def _spread(latents: Tensor) -> Tensor:
    """How far the latents are from mean 0 and spread 1, a channel each."""
    mean = latents.float().mean(dim=(0, 2, 3))
    return 0.05 * (mean.square() + (latents.float().std(dim=(0, 2, 3)) - 1).square()).mean()


def save(student: nn.ModuleDict, output: Path) -> None:
    """Write what is new, half precision."""
    own = {key: value for key, value in student.state_dict().items() if not _shared(key)}
    save_file({key: value.detach().half().contiguous() for key, value in own.items()}, output)
