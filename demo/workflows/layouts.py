"""The example workflows, each a function that lays one out from left to right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import models, notes
from .graph import Node, Output, Point, Workflow
from .models import Model

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


def sd3() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.SD3_LAYERS, notes.SD3_SETTINGS)
    prompt = "three yellow mugs to the left of a blue teapot on a wooden table, morning light"
    return _text_to_image("softrepa_sd3", models.SD3, prompt, texts)


def sdxl() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.UNET_LAYERS, notes.SDXL_SETTINGS)
    prompt = "a black cat on a red armchair, a white dog on a green carpet, photograph"
    return _text_to_image("softrepa_sdxl", models.SDXL, prompt, texts)


def sd15() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.UNET_LAYERS, notes.SD15_SETTINGS)
    prompt = "a red bird and a blue butterfly on a green branch, photograph"
    return _text_to_image("softrepa_sd15", models.SD15, prompt, texts)


def cfg_plus_plus() -> Workflow:
    """Guidance of another scale than the ordinary one, so the settings are its own."""
    texts = (notes.CFG_PLUS_PLUS, notes.COMPARE, notes.STRENGTH, notes.UNET_LAYERS)
    prompt = "two brown dogs to the right of a white horse on a green meadow, photograph"
    sampling = {"steps": 30, "cfg": 1.5, "sampler_name": "euler_cfg_pp", "scheduler": "normal"}
    model = replace(models.SDXL, sampling=sampling)
    return _text_to_image("softrepa_cfg_plus_plus", model, prompt, texts)


def flux1() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.DIT_LAYERS, notes.FLUX_1_SETTINGS)
    prompt = "two yellow cups to the right of a blue jug on a white table, soft daylight"
    return _text_to_image("softrepa_flux1", models.FLUX_1, prompt, texts)


def z_image() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.DIT_LAYERS, notes.Z_IMAGE_SETTINGS)
    prompt = "a green parrot left of two white candles, a red book below them, photograph"
    return _text_to_image("softrepa_z_image", models.Z_IMAGE, prompt, texts)


def anima() -> Workflow:
    texts = (notes.COMPARE, notes.STRENGTH, notes.WINDOW, notes.DIT_LAYERS, notes.ANIMA_SETTINGS)
    prompt = "two girls, one with red hair and a blue scarf, one with black hair and a green coat"
    return _text_to_image("softrepa_anima", models.ANIMA, prompt, texts)


def before_after() -> Workflow:
    prompt = "two green apples above a purple plate, a silver spoon to the right of the plate"
    files = models.SD3.files_note()
    return _before_after(
        "softrepa_before_after", models.SD3, prompt, files, notes.BEFORE_AFTER + notes.PROMPTS
    )


def demo_world() -> Workflow:
    prompt = "two red circles right of a blue triangle"
    return _before_after(
        "softrepa_demo_world", models.DEMO, prompt, notes.DEMO_FILES, notes.DEMO_TRY
    )


def does_it_help() -> Workflow:
    flow = Workflow("softrepa_does_it_help")
    model = models.DEMO
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded, strength=0.5)  # at which the demo's adapter is best
    trial = flow.node(
        "SoftREPATrial",
        (THIRD, 0),
        {
            "model_1": loaded.model,
            "model_2": apply["MODEL"],
            "vae": loaded.vae,
            "clip": loaded.clip,
        },
        prompts=notes.TRIAL_PROMPTS.strip(),
        seeds="1",
        width=model.side,
        height=model.side,
        arm_names="bare\nSoftREPA",
        **model.sampling,
    )
    flow.group("3 · Paint both, at equal seeds", [trial], OURS)
    left = THIRD + 490
    scorer = flow.node("SoftREPALoadScorer", (left, 0))
    links = {"trial": trial["trial"], "scorer": scorer["scorer"]}
    scored = flow.node("SoftREPAScoreTrial", (left, 190), links)
    flow.group("4 · Score", [scorer, scored], OURS)
    report = flow.node("SoftREPAReport", (left + 410, 0), {"trial": scored["trial"]})
    flow.group("5 · Does it help?", [report], OURS)
    _files_note(flow, notes.TRIAL_FILES)
    flow.note("What happens", (SECOND, apply.bottom + 80), notes.TRIAL)
    flow.note("Your own eyes", (left, 430), notes.TRIAL_VOTE)
    flow.note("Your own files", (left + 410, 640), notes.TRIAL_OWN, width=560)
    return flow


def one_prompt() -> Workflow:
    flow = Workflow("softrepa_one_prompt_only")
    model = models.SD3
    loaded = _loaders(flow, model)
    prompts = _prompts(
        flow, loaded, SECOND, "a red cube on top of a green ball beside a blue cone, studio photo"
    )
    latent = _latent(flow, model, (SECOND, 430))
    flow.group("2 · Prompts and size", [prompts.positive, prompts.negative, latent])
    links = {
        "conditioning": prompts.positive["CONDITIONING"],
        "adapter": loaded.adapter["adapter"],
    }
    apply = flow.node("SoftREPAApplyConditioning", (THIRD + 20, 0), links)
    flow.group("3 · On one prompt only", [apply], OURS)
    with_adapter = Prompts(apply, prompts.negative)
    sampler = _sampler(flow, model, (FOURTH, 0), loaded.model, with_adapter, latent)
    _finish(flow, loaded, sampler, "softrepa_one_prompt")
    _files_note(flow, model.files_note())
    flow.note("What to try", (THIRD + 20, 585), notes.ONE_PROMPT + notes.BANK)
    return flow


def schedule_and_blocks() -> Workflow:
    flow = Workflow("softrepa_schedule_and_blocks")
    model = models.SD3
    loaded = _loaders(flow, model)
    schedule = flow.node(
        "SoftREPASchedule", (SECOND, 0), keyframes="0:1, 0.5:1, 1:0", size=(340, 430)
    )
    flow.group("2 · Strength over time", [schedule], OURS)
    links = {
        "model": loaded.model,
        "adapter": loaded.adapter["adapter"],
        "schedule": schedule["schedule"],
    }
    apply = flow.node("SoftREPAApply", (THIRD, 0), links, layers="0-1")
    flow.group("3 · In blocks 0 and 1", [apply], OURS)
    left = FOURTH - 20
    prompts = _prompts(
        flow, loaded, left, "four oranges in a white bowl on a blue cloth, soft light"
    )
    latent = _latent(flow, model, (left, 430))
    flow.group("4 · Prompts and size", [prompts.positive, prompts.negative, latent])
    sampler = _sampler(flow, model, (left + 410, 0), apply["MODEL"], prompts, latent)
    _finish(flow, loaded, sampler, "softrepa_schedule", first=5, picture=(340, 400))
    _files_note(flow, model.files_note())
    flow.note("The schedule", (SECOND, 540), notes.SCHEDULE + notes.SCHEDULE_TRY)
    flow.note("The blocks", (THIRD, 540), notes.BLOCKS)
    return flow


def editing() -> Workflow:
    flow = Workflow("softrepa_editing")
    model = models.SD3
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded)
    text = "a red apple beside a blue mug on a wooden table, morning light"
    source = _prompts(flow, loaded, THIRD, text, "Source prompt")
    target = flow.node(
        "CLIPTextEncode",
        (THIRD, 430),
        {"clip": loaded.clip},
        title="Target prompt",
        size=(360, 170),
        colour=GREEN,
        text=text.replace("red apple", "green pear"),
    )
    latent = _latent(flow, model, (THIRD, 690))
    flow.group("3 · Source, negative, target", [source.positive, source.negative, target, latent])
    shown = "Source picture"
    sampler = _sampler(flow, model, (FOURTH, 0), apply["MODEL"], source, latent, title=shown)
    edited = flow.node(
        "SoftREPAFlowEdit",
        (FOURTH, 420),
        {
            "model": apply["MODEL"],
            "source": source.positive["CONDITIONING"],
            "target": target["CONDITIONING"],
            "negative": source.negative["CONDITIONING"],
            "latent_image": sampler["LATENT"],
        },
        seed=1,
    )
    flow.group("4 · Paint", [sampler])
    flow.group("5 · Edit", [edited], OURS)
    for left, latents, title in (
        (FIFTH + 40, sampler, "6 · Source"),
        (SIXTH + 40, edited, "7 · Edited"),
    ):
        decoded = _decoded(flow, loaded, (left, 0), latents)
        prefix = f"{flow.name}_{title.split()[2].lower()}"
        flow.group(title, [decoded, _saved(flow, (left, 125), decoded, prefix, (340, 400))])
    _files_note(flow, model.files_note())
    flow.note("What happens", (SECOND, 540), notes.EDITING)
    flow.note("What to try", (FIFTH + 40, 620), notes.EDITING_TRY, width=560)
    return flow


def _text_to_image(name: str, model: Model, prompt: str, texts: tuple[str, ...]) -> Workflow:
    flow = Workflow(name)
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded)
    prompts = _prompts(flow, loaded, THIRD, prompt)
    latent = _latent(flow, model, (THIRD, 430))
    third = [prompts.positive, prompts.negative, latent]
    if model.guidance is not None:
        links = {"conditioning": prompts.positive["CONDITIONING"]}
        place = (THIRD, latent.bottom + 60)
        told = flow.node("FluxGuidance", place, links, guidance=model.guidance)
        prompts = Prompts(told, prompts.negative)
        third.append(told)
    flow.group("3 · Prompts and size", third)
    sampler = _sampler(flow, model, (FOURTH, 0), apply["MODEL"], prompts, latent)
    _finish(flow, loaded, sampler, name)
    _files_note(flow, model.files_note(), loaded.adapter.bottom + 65)
    flow.note("What to try", (SECOND, 540), "".join(texts))
    return flow


def _before_after(name: str, model: Model, prompt: str, files: str, text: str) -> Workflow:
    flow = Workflow(name)
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded)
    prompts = _prompts(flow, loaded, THIRD, prompt)
    latent = _latent(flow, model, (THIRD, 430))
    seed = flow.node("PrimitiveInt", (THIRD, 640), title="Seed", size=(360, 82), value=1)
    flow.group("3 · Prompts, size and seed", [prompts.positive, prompts.negative, latent, seed])
    title = "Without the adapter"
    without = _sampler(flow, model, (FOURTH, 0), loaded.model, prompts, latent, seed, title)
    title = "With the adapter"
    with_it = _sampler(flow, model, (FOURTH, 345), apply["MODEL"], prompts, latent, seed, title)
    flow.group("4 · Sample twice", [without, with_it])
    for left, sampler, title in (
        (FIFTH, without, "5 · Without the adapter"),
        (SIXTH, with_it, "6 · With the adapter"),
    ):
        decoded = _decoded(flow, loaded, (left, 0), sampler)
        prefix = f"{name}_{title.split()[2].lower()}"
        saved = _saved(flow, (left, 125), decoded, prefix, (340, 400))
        flow.group(title, [decoded, saved])
    _files_note(flow, files)
    flow.note("What to try", (SECOND, 540), text)
    return flow


def _finish(
    flow: Workflow,
    loaded: Loaded,
    sampler: Node,
    prefix: str,
    first: int = 4,
    picture: Point = (500, 560),
) -> None:
    """The decoder below the sampler, the picture to its right."""
    left, top = sampler.place
    decoded = _decoded(flow, loaded, (left, top + 345), sampler)
    flow.group(f"{first} · Sample", [sampler, decoded])
    saved = _saved(flow, (left + 350, top), decoded, prefix, picture)
    flow.group(f"{first + 1} · Picture", [saved])


def _files_note(flow: Workflow, text: str, top: int = 455) -> None:
    flow.note("Files", (FIRST, top), text)


def _loaders(flow: Workflow, model: Model) -> Loaded:
    if model.parts:
        return _loaders_of_parts(flow, model)
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


def _loaders_of_parts(flow: Workflow, model: Model) -> Loaded:
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


def _apply(flow: Workflow, loaded: Loaded, strength: float = 1) -> Node:
    links = {"model": loaded.model, "adapter": loaded.adapter["adapter"]}
    apply = flow.node("SoftREPAApply", (SECOND, 0), links, strength=strength)
    flow.group("2 · Apply SoftREPA", [apply], OURS)
    return apply


def _prompts(
    flow: Workflow, loaded: Loaded, left: int, text: str, title: str = "Prompt"
) -> Prompts:
    clip = {"clip": loaded.clip}
    positive = flow.node(
        "CLIPTextEncode",
        (left, 0),
        clip,
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


def _latent(flow: Workflow, model: Model, place: Point) -> Node:
    side = {"width": model.side, "height": model.side}
    return flow.node(model.latent, place, **side)


def _sampler(
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


def _decoded(flow: Workflow, loaded: Loaded, place: Point, sampler: Node) -> Node:
    links = {"samples": sampler["LATENT"], "vae": loaded.vae}
    return flow.node("VAEDecode", place, links)


def _saved(flow: Workflow, place: Point, decoded: Node, prefix: str, size: Point) -> Node:
    links = {"images": decoded["IMAGE"]}
    return flow.node("SaveImage", place, links, size=size, filename_prefix=prefix)


LAYOUTS = (
    sd3, sdxl, sd15, cfg_plus_plus, flux1, z_image, anima,
    before_after, one_prompt, schedule_and_blocks, editing, demo_world, does_it_help,
)  # fmt: skip
