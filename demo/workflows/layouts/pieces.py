"""What the workflows have in common: loaders, prompts, samplers and pictures, each laid out."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import Node, Output, Point, Workflow
from ..models import Model

FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = 0, 390, 780, 1190, 1540, 1930
"""Left edges of the columns."""
GREEN, RED = ("#232", "#353"), ("#322", "#533")
OURS = "#8a5fb0"
"""Frame of the groups that this pack is about."""


@dataclass(frozen=True)
class Loaded:
    model: Output
    clip: Output
    vae: Output
    adapter: Node


@dataclass(frozen=True)
class Prompts:
    positive: Node
    negative: Node


def compare(
    flow: Workflow,
    model: Model,
    loaded: Loaded,
    apply: Node,
    left: int,
    prompt: str,
    first: int,
) -> None:
    """Both pictures of one prompt and seed, in groups numbered from `first`."""
    prompts = write_prompts(flow, loaded, left, prompt)
    latent = empty_latent(flow, model, (left, 430))
    seed = flow.node("PrimitiveInt", (left, 640), title="Seed", size=(360, 82), value=1)
    nodes = [prompts.positive, prompts.negative, latent, seed]
    flow.group(f"{first} · Prompts, size and seed", nodes)
    right = left + FOURTH - THIRD
    title = "Without the adapter"
    without = sample(flow, model, (right, 0), loaded.model, prompts, latent, seed, title)
    title = "With the adapter"
    with_it = sample(flow, model, (right, 345), apply["MODEL"], prompts, latent, seed, title)
    flow.group(f"{first + 1} · Sample twice", [without, with_it])
    for column, sampler, title in ((FIFTH, without, "Without"), (SIXTH, with_it, "With")):
        place = left + column - THIRD
        decoded = decode(flow, loaded, (place, 0), sampler)
        prefix = f"{flow.name}_{title.lower()}"
        saved = save_picture(flow, (place, 125), decoded, prefix, (340, 400))
        number = first + 2 + (column == SIXTH)
        flow.group(f"{number} · {title} the adapter", [decoded, saved])


def finish(
    flow: Workflow,
    loaded: Loaded,
    sampler: Node,
    prefix: str,
    first: int = 4,
    picture: Point = (500, 560),
) -> None:
    """The decoder below the sampler, the picture to its right."""
    left, top = sampler.place
    decoded = decode(flow, loaded, (left, top + 345), sampler)
    flow.group(f"{first} · Sample", [sampler, decoded])
    saved = save_picture(flow, (left + 350, top), decoded, prefix, picture)
    flow.group(f"{first + 1} · Picture", [saved])


def files_note(flow: Workflow, text: str, top: int = 455) -> None:
    flow.note("Files", (FIRST, top), text)


def load(flow: Workflow, model: Model) -> Loaded:
    if model.parts:
        return load_parts(flow, model)
    checkpoint = flow.node(
        "CheckpointLoaderSimple",
        (FIRST, 0),
        ckpt_name=model.checkpoint,
        models=model.checkpoint_file,
    )
    name = model.adapter if model.folder[1] else model.checkpoint
    adapter = flow.node("SoftREPALoader", (FIRST, 175), adapter=name, models=model.adapter_file)
    flow.group("1 · Model and adapter", [checkpoint, adapter])
    return Loaded(checkpoint["MODEL"], checkpoint["CLIP"], checkpoint["VAE"], adapter)


def load_parts(flow: Workflow, model: Model) -> Loaded:
    """Model, text encoders and VAE from files of their own; the adapter is one's own, too."""
    network, *texts, vae = model.parts
    first = flow.node("UNETLoader", (FIRST, 0), unet_name=network.name, models=[network.file])
    place, names = (FIRST, first.bottom + 60), [text.name for text in texts]
    files = {"type": model.text_type, "models": [text.file for text in texts]}
    if len(texts) == 2:
        files |= {"clip_name1": names[0], "clip_name2": names[1]}
        second = flow.node("DualCLIPLoader", place, **files)
    else:
        second = flow.node("CLIPLoader", place, clip_name=names[0], **files)
    place = (FIRST, second.bottom + 60)
    third = flow.node("VAELoader", place, vae_name=vae.name, models=[vae.file])
    place = (FIRST, third.bottom + 60)
    adapter = flow.node("SoftREPALoader", place, adapter=model.adapter)
    flow.group("1 · Model and adapter", [first, second, third, adapter])
    return Loaded(first["MODEL"], second["CLIP"], third["VAE"], adapter)


def apply_adapter(
    flow: Workflow,
    loaded: Loaded,
    strength: float = 1,
    left: int = SECOND,
    number: int = 2,
    negative_share: float = 1,
) -> Node:
    links = {"model": loaded.model, "adapter": loaded.adapter["adapter"]}
    told = {"strength": strength, "negative_share": negative_share}
    apply = flow.node("SoftREPAApply", (left, 0), links, **told)
    flow.group(f"{number} · Apply SoftREPA", [apply], OURS)
    return apply


def write_prompts(
    flow: Workflow,
    loaded: Loaded,
    left: int,
    text: str | Output,
    title: str = "Prompt",
    top: int = 0,
) -> Prompts:
    """text: its own, or another node's."""
    clip, linked = {"clip": loaded.clip}, {}
    if not isinstance(text, str):
        linked, text = {"text": text}, ""
    positive = flow.node(
        "CLIPTextEncode",
        (left, top),
        {**clip, **linked},
        title=title,
        size=(360, 170),
        colour=GREEN,
        text=text,
    )
    place = (left, positive.bottom + 70)
    negative = flow.node(
        "CLIPTextEncode", place, clip, title="Negative prompt", size=(360, 120), colour=RED
    )
    return Prompts(positive, negative)


def empty_latent(flow: Workflow, model: Model, place: Point) -> Node:
    side = {"width": model.side, "height": model.side}
    return flow.node(model.latent, place, **side)


def sample(
    flow: Workflow,
    model: Model,
    place: Point,
    source: Output,
    prompts: Prompts,
    latent: Node,
    seed: Node | None = None,
    title: str | None = None,
) -> Node:
    links = {
        "model": source,
        "positive": prompts.positive["CONDITIONING"],
        "negative": prompts.negative["CONDITIONING"],
        "latent_image": latent["LATENT"],
    }
    if seed is not None:
        links["seed"] = seed["INT"]
    return flow.node("KSampler", place, links, title=title, **{"seed": 1, **model.sampling})


def decode(flow: Workflow, loaded: Loaded, place: Point, sampler: Node) -> Node:
    links = {"samples": sampler["LATENT"], "vae": loaded.vae}
    return flow.node("VAEDecode", place, links)


def save_picture(flow: Workflow, place: Point, decoded: Node, prefix: str, size: Point) -> Node:
    links = {"images": decoded["IMAGE"]}
    return flow.node("SaveImage", place, links, size=size, filename_prefix=prefix)
