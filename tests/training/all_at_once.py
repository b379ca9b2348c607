"""A batch on a golden model, and its loss as the papers write it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import torch
from comfyui_softrepa.injection import make_application, model_options
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.soft_tokens import SoftTokens, initial_tokens
from comfyui_softrepa.training.settings.randomness import torch_generator
from comfyui_softrepa.training.step.batches import Batch


def soft_tokens(golden: golden_models.Golden, banks: int, seed: int = 0) -> SoftTokens:
    mmdit = golden.arch == "sd3"
    return initial_tokens(
        banks=banks,
        rows=2 if mmdit else 1,
        tokens=3,
        width=golden.tokens.shape[-1],
        offset_width=golden.tokens.shape[-1],
        architecture="mmdit" if mmdit else "unet",
        placement="prepend" if mmdit else "after_bos",
        layers=("0", "1") if mmdit else ("input",),
        generator=torch_generator(seed, "tokens"),
    ).copy("cpu", trainable=True)


def batch(golden: golden_models.Golden, size: int, lengths: tuple[int, ...] = (7,)):
    generator = torch_generator(3, "batch")
    channels, side = golden.x.shape[1], golden.x.shape[2]
    pooled = {"sd15": None, "sdxl": 1280, "sd3": 2048}[golden.arch]
    if golden.y is not None and golden.arch == "sd3":
        pooled = golden.y.shape[1]
    texts = [
        SimpleNamespace(
            context=torch.randn(
                lengths[i % len(lengths)], golden.context.shape[2], generator=generator
            ),
            pooled=None if pooled is None else torch.randn(pooled, generator=generator),
            more={},
        )
        for i in range(size)
    ]
    candidates = tuple((i, *(j for j in range(size) if j != i)) for i in range(size))
    noise = torch.randn(1, channels, side, side, generator=generator)
    latents = torch.randn(size, channels, side, side, generator=generator)
    names = tuple(map(str, range(size)))
    return Batch(tuple(range(size)), names, candidates, 500, noise), latents, texts


def at_once(denoiser: Denoiser, objective, task, live: SoftTokens, average: SoftTokens, times=1):
    """The loss as the papers write it, all B x B predictions in one graph: gradients, loss, and for
    each row whether its own caption is found. times: how often each token is there."""
    size = len(task.candidates)

    def predictions(tokens: SoftTokens, used: bool = False) -> torch.Tensor:
        rows = []
        for i in range(size):
            bank = torch.tensor([0 if j == i or used else 1 for j in range(size)])
            bank = bank if objective.BANKS == 2 else 0
            adapter = tokens.adapter
            more = adapter.tokens.repeat(1, 1, times, 1)
            application = make_application(
                denoiser.model, dataclasses.replace(adapter, tokens=more), bank=bank
            )
            x = task.noisy.x[i].expand(size, -1, -1, -1)
            conditions = task.conditions.take(list(range(size)))
            options = model_options(application)
            rows.append(denoiser.predict(x, task.noisy.sigma, conditions, options))
        return torch.stack(rows)

    p, u = predictions(live), task.noisy.target
    errors = (p - u[:, None]).square().mean(dim=(2, 3, 4))
    answers = torch.arange(size)
    if objective.BANKS == 1:
        temperature = objective.temperature
        if objective.normalise:
            temperature = temperature * errors.detach().mean(dim=1, keepdim=True)
        logits = 4.0 * torch.exp(-errors / temperature)
        loss = torch.nn.functional.cross_entropy(logits, answers)
        loss = loss + objective.own_weight * errors.diagonal().mean()
    else:
        q = predictions(average).detach()
        r = -(q - u[:, None]).square().mean(dim=(2, 3, 4))
        w = torch.softmax(r / objective.temperature, dim=1)
        shift = q - torch.einsum("im,imchw->ichw", w, q)[:, None]
        own = torch.eye(size, dtype=torch.bool)[:, :, None, None, None]
        targets = u[:, None] + torch.where(
            own, objective.gamma_positive * shift, -objective.gamma_negative * shift
        )
        mse = (p - targets).square().mean(dim=(2, 3, 4))
        off = ~torch.eye(size, dtype=torch.bool)
        loss = mse.diagonal().mean() + mse[off].mean()
    found = torch.autograd.grad(loss, list(live.tensors.values()))
    # As inference does it: the first bank for every caption.
    judged = (predictions(live, used=True) - u[:, None]).square().mean(dim=(2, 3, 4))
    hits = (judged.argmin(dim=1) == answers).float()
    return dict(zip(live.tensors, found, strict=True)), loss.detach(), hits
