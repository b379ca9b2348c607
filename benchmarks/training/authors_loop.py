"""A step of this trainer against one as SoftREPA's authors make it, on the same model.

    COMFYUI_PATH=... python benchmarks/training/authors_loop.py [--cpu] [--repeats 5]

The model is a U-Net of SD1.5's width with random weights and two of its four levels, with SD1.5's
text encoder and VAE in full size. Theirs is written from its description: every step encodes the
batch's pictures (by a sample of the VAE's distribution) and captions anew, and predicts every
picture under every caption with a graph, a row at a time so that it fits the memory; one learning
rate, AdamW. Ours is the trainer's own step: latents and texts read from its cache, then
the engine. At equal batch: with the recommended recipe's one negative a picture, with three of the
seven replayed, and with all of them. In turns; what is printed is medians and ranges, of processor
time on a CPU (which other programs disturb least), else of time.
"""

from __future__ import annotations

import argparse
import importlib
import random
import runpy
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"
TARGET = 3.0
RATE = 1e-3
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "orange", "purple")


@dataclass(frozen=True)
class World:
    """One small data set and model, for both. pixels: (B, H, W, 3), 0 to 1."""

    denoiser: Any
    encoder: Any
    cache: Any
    pixels: Any
    captions: tuple[str, ...]


def main() -> int:
    benchmarks = f"{runpy.run_path(str(PACK))['start'](comfyui=False)}.benchmarks"
    step = importlib.import_module(f"{benchmarks}.training.training_step")
    parser = step.arguments(__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--resolution", type=int, default=128)
    options = parser.parse_args()
    step.start(options)
    with tempfile.TemporaryDirectory() as folder:
        made = world(Path(folder), options)
        compare(step, options, made)
    return 0


def compare(step: Any, options: argparse.Namespace, made: World) -> None:
    size = options.batch_size
    ways = {
        "as its authors do": theirs(made),
        "ours, 1 negative": ours(made, size, negatives=1),
        "ours, 3 of all replayed": ours(made, size, replay=3),
        "ours, all negatives": ours(made, size),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(options.repeats + 1):
        for name, run in ways.items():
            seconds = step.timed(made.denoiser, lambda run=run, turn=turn: run(turn))
            if turn:  # the first warms up
                taken[name].append(seconds)
                print(f"{name}: {seconds:.2f} s", file=sys.stderr, flush=True)
    print(f"Batch {size}, {options.resolution} pixels, on {made.denoiser.device}")
    print("| a step | pairs a second | seconds | times theirs |")
    print("|---|---|---|---|")
    first = taken["as its authors do"]
    for name, seconds in taken.items():
        ratios = [other / own for other, own in zip(first, seconds, strict=True)]
        rate = size / statistics.median(seconds)
        print(f"| {name} | {rate:.3f} | {step.spread(seconds)} | {step.spread(ratios)} |")
    print(f"(target of the recommended recipe: {TARGET:g} times)")


def world(folder: Path, options: argparse.Namespace) -> World:
    """Pictures, captions, checkpoint and cache, all made here."""
    import torch
    from comfyui_softrepa.tests import checkpoints
    from comfyui_softrepa.training import cache as caching
    from comfyui_softrepa.training import data
    from comfyui_softrepa.training.model import comfy_model
    from comfyui_softrepa.training.model.denoiser import Denoiser
    from comfyui_softrepa.training.model.model_files import ModelFiles

    pictures = folder / "pictures"
    pictures.mkdir()
    write_pictures(pictures, options.batch_size, options.resolution)
    files = ModelFiles(
        checkpoints.write_sd15(folder / "model.safetensors", torch.float32),
        vae=write_vae(folder / "vae.safetensors"),
    )
    patcher = comfy_model.load_model(files.model)
    encoder = comfy_model.Encoder(files, patcher, sampled=True)
    pairs, _ = data.find(pictures)
    framing = data.Framing(options.resolution, sampled=True)
    cache = caching.build(pairs, encoder, folder / "cache", framing)
    pixels = torch.stack([torch.from_numpy(framing.read(pair.image)) for pair in pairs])
    captions = tuple(pair.captions[0] for pair in pairs)
    return World(Denoiser(patcher), encoder, cache, pixels, captions)


def write_vae(path: Path) -> Path:
    """SD1.5's VAE in full size, 84 million random weights."""
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from safetensors.torch import save_file

    shape = {"z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
    shape |= {"double_z": True, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "dropout": 0.0}
    network = AutoencoderKL(embed_dim=4, ddconfig={**shape, "attn_resolutions": []})
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            fan = parameter[0].numel() if parameter.dim() > 1 else 2500
            parameter.normal_(std=fan**-0.5)
    save_file(network.state_dict(), path)
    return path


def write_pictures(folder: Path, count: int, side: int) -> None:
    from PIL import Image

    draw = random.Random(0)
    for index in range(count):
        colour = COLOURS[index % len(COLOURS)]
        picture = Image.new("RGB", (side, side), "gray")
        picture.paste(Image.new("RGB", (side // 2, side // 2), colour), (draw.randrange(side), 8))
        picture.save(folder / f"{index}.png")
        text = f"a {colour} square, number {index}, on grey paper"
        (folder / f"{index}.txt").write_text(text, encoding="utf-8")


def tokens_and_optimizer(made: World) -> tuple[Any, Any]:
    import torch
    from comfyui_softrepa.training.model.soft_tokens import initial_tokens

    live = initial_tokens(
        banks=1,
        rows=1,
        tokens=4,
        width=768,
        offset_width=768,
        architecture="unet",
        placement="after_bos",
        layers=("input",),
        generator=torch.Generator().manual_seed(0),
    ).copy(made.denoiser.device, trainable=True)
    return live, torch.optim.AdamW(list(live.tensors.values()), RATE, weight_decay=1e-4)


def theirs(made: World) -> Callable[[int], None]:
    """SoftREPA's loss over all pictures and captions, nothing kept from step to step."""
    import torch
    from comfyui_softrepa.injection import make_application, model_options

    live, optimizer = tokens_and_optimizer(made)
    denoiser, size = made.denoiser, len(made.captions)

    def run(turn: int) -> None:
        optimizer.zero_grad()
        latents = made.encoder.latents(made.pixels).to(denoiser.device)
        texts = made.encoder.texts(made.captions)
        draw = torch.Generator().manual_seed(turn)
        timestep = int(torch.randint(denoiser.timesteps, (), generator=draw))
        noise = torch.randn(1, *latents.shape[1:], generator=draw).to(denoiser.device)
        noisy = denoiser.noised(latents, noise, timestep)
        conditions = denoiser.conditions(texts, latents).take(range(size))
        options = model_options(make_application(denoiser.model, live.adapter))
        for row in range(size):
            x = noisy.x[row].expand(size, -1, -1, -1)
            found = denoiser.predict(x, noisy.sigma, conditions, options)
            errors = (found - noisy.target[row]).square().mean(dim=(1, 2, 3))
            logits = 4.0 * torch.exp(-errors / 0.07)
            answer = torch.tensor(row, device=logits.device)
            loss = torch.nn.functional.cross_entropy(logits, answer) + 10.0 * errors[row]
            (loss / size).backward()
        optimizer.step()

    return run


def ours(
    made: World, size: int, negatives: int | None = None, replay: int | None = None
) -> Callable[[int], None]:
    """The trainer's step, with the batches that it draws; a row is predicted at once."""
    import torch
    from comfyui_softrepa.training.model.graph.options import training_options
    from comfyui_softrepa.training.objectives import OBJECTIVES
    from comfyui_softrepa.training.step.batches import Batches
    from comfyui_softrepa.training.step.engine import Engine, prepare

    live, optimizer = tokens_and_optimizer(made)
    cache, denoiser = made.cache, made.denoiser
    objective = OBJECTIVES["softrepa"](own_weight=10.0, normalise=True)
    options = training_options(denoiser.model, checkpointing=False)
    engine = Engine(denoiser, objective, size if negatives is None else negatives + 1, options)
    batches = Batches(
        cache=cache,
        images=tuple(range(size)),
        shapes={image: cache.shape(image) for image in range(size)},
        size=size,
        timesteps=denoiser.timesteps,
        seed=0,
        negatives=negatives,
        replay=replay,
    )

    def run(turn: int) -> None:
        optimizer.zero_grad()
        batch = batches[turn]
        latents = torch.stack([cache.latent(image) for image in batch.images])
        task = prepare(denoiser, batch, latents, [cache.text(name) for name in batch.captions])
        engine.accumulate(task, live, None, range(size))
        optimizer.step()

    return run


if __name__ == "__main__":
    sys.exit(main())
