"""Rebuilds the reference's seeded backbones in ComfyUI from the golden files.

Each file in tests/golden holds what the authors' wrapped diffusers models predict; weights, inputs
and adapters regenerate from its seed.
"""

from __future__ import annotations

import functools
import json
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import comfy.latent_formats
import comfy.model_patcher
import comfy.supported_models
import numpy
import torch
from safetensors import safe_open
from torch import Tensor

FOLDER = Path(__file__).parent / "golden"
FILES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
_CONFIGS = {
    "sd15": comfy.supported_models.SD15,
    "sdxl": comfy.supported_models.SDXL,
    "sd3": comfy.supported_models.SD3,
}


@dataclass(frozen=True)
class Golden:
    """One file: what to feed the model, and what the reference gave."""

    arch: str
    patcher: comfy.model_patcher.ModelPatcher
    x: Tensor
    context: Tensor
    y: Tensor | None
    tokens: Tensor
    offsets: Tensor | None
    layers: str
    sigmas: Tensor
    expected_patched: Tensor
    expected_plain: Tensor

    def predict(self, patcher: comfy.model_patcher.ModelPatcher, index: int) -> Tensor:
        """The network's own output (noise or velocity) at one sigma, through apply_model."""
        sigma = self.sigmas[index].expand(self.x.shape[0])
        x = self.x
        if self.arch != "sd3":
            x = x * (self.sigmas[index] ** 2 + 1).sqrt()
        options = patcher.model_options["transformer_options"]
        kwargs = {} if self.y is None else {"y": self.y}
        with torch.no_grad():
            denoised = patcher.model.apply_model(
                x, sigma, c_crossattn=self.context, transformer_options=options, **kwargs
            )
        return (x - denoised) / self.sigmas[index]


def seeded(name: str, shape: tuple[int, ...], seed: int, std: float = 1.0) -> Tensor:
    state = numpy.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    return torch.from_numpy(state.standard_normal(tuple(shape)).astype(numpy.float32) * std)


def seed_weights(network: torch.nn.Module, seed: int) -> None:
    """The golden files' rule for weights, over the state dict of ComfyUI's own model."""
    weights = {}
    for name, tensor in network.state_dict().items():
        if name == "pos_embed":
            weights[name] = seeded(name, tensor.shape, seed, 0.5)
        elif tensor.dim() == 1:
            weights[name] = seeded(name, tensor.shape, seed, 0.02) + name.endswith("weight")
        else:
            fan_in = math.prod(tensor.shape[1:])
            weights[name] = seeded(name, tensor.shape, seed, 1.0 / math.sqrt(fan_in))
    network.load_state_dict(weights)


@functools.cache
def load(stem: str) -> Golden:
    """The model and what it should give; shared by all tests, so to be left as it was."""
    with safe_open(FOLDER / f"{stem}.safetensors", framework="pt") as file:
        meta = json.loads(file.metadata()["golden"])
        stored = {key: file.get_tensor(key) for key in file.keys()}
    arch, seed = meta["arch"], meta["seed"]
    config = _CONFIGS[arch]({**meta["unet_config"]})
    config.unet_config = {**meta["unet_config"], "dtype": torch.float32}
    model = config.get_model({}, device=None)
    seed_weights(model.diffusion_model, seed)
    std = 0.5 if arch == "sd3" else 1.0

    def regenerate(key: str, std: float = std) -> Tensor | None:
        entry = meta["inputs"].get(key)
        name = key.split(".", 1)[1]
        return None if entry is None else seeded(name, entry["shape"], seed, std)

    return Golden(
        arch=arch,
        patcher=comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu")),
        x=regenerate("input.x", 1.0),
        context=regenerate("input.context"),
        y=stored.get("input.y", regenerate("input.y")),
        tokens=regenerate("adapter.tokens"),
        offsets=regenerate("adapter.timestep_tokens"),
        layers=_layers(meta),
        sigmas=stored["sigmas"],
        expected_patched=stored["expected.patched"],
        expected_plain=stored["expected.plain"],
    )


def _layers(meta: dict) -> str:
    if meta["arch"] == "sd3":
        return f"0-{meta['layers'] - 1}"
    return ",".join(name for name, chosen in meta["blocks"].items() if chosen)


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
