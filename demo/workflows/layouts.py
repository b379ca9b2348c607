"""The example workflows, each a function that lays one out from left to right."""

from __future__ import annotations

from dataclasses import dataclass

from . import models, notes
from .graph import Node, Point, Workflow
from .models import Model

FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = 0, 390, 780, 1190, 1540, 1930
"""Left edges of the columns."""
GREEN, RED = ("#232", "#353"), ("#322", "#533")
OURS = "#8a5fb0"
"""Frame of the groups that this pack is about."""


@dataclass(frozen=True)
class Loaded:
    checkpoint: Node
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
    bare = loaded.checkpoint
    trial = flow.node(
        "SoftREPATrial",
        (THIRD, 0),
        {
            "model_1": bare["MODEL"],
            "model_2": apply["MODEL"],
            "vae": bare["VAE"],
            "clip": bare["CLIP"],
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


def train_your_own() -> Workflow:
    flow = Workflow("softrepa_train_your_own")
    model = models.DEMO
    checkpoint = flow.node("CheckpointLoaderSimple", (FIRST, 0), ckpt_name=model.checkpoint)
    flow.group("1 · Model", [checkpoint])
    look = flow.node("SoftREPADataset", (SECOND, 0), folder=models.DEMO_FOLDER, count=8)
    flow.group("2 · Look at the pictures", [look], OURS)
    links = {name: checkpoint[name.upper()] for name in ("model", "clip", "vae")}
    train = flow.node(
        "SoftREPATrain",
        (SECOND + 450, 0),
        links,
        name="my_first_adapter",
        folder=models.DEMO_FOLDER,
        steps=200,
        resolution=model.side,
        preview_every=50,
        preview_prompts=notes.TRAIN_PROMPTS.strip(),
    )
    flow.group("3 · Train", [train], OURS)
    left = SECOND + 980
    loaded = Loaded(checkpoint, train)
    apply = _apply(flow, loaded, strength=0.5, left=left, number=4)
    _compare(flow, model, loaded, apply, left + 390, "two red circles right of a blue triangle", 5)
    flow.note("Files", (FIRST, 195), notes.TRAIN_FILES)
    flow.note("Look first", (SECOND, look.bottom + 80), notes.TRAIN_LOOK, width=400)
    flow.note("Train, stop, go on", (left, apply.bottom + 80), notes.TRAIN_RUN)
    flow.note("Your own", (left + 390, 830), notes.TRAIN_OWN, width=720)
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
    sampler = _sampler(flow, model, (FOURTH, 0), loaded.checkpoint, with_adapter, latent)
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
        "model": loaded.checkpoint["MODEL"],
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
    sampler = _sampler(flow, model, (left + 410, 0), apply, prompts, latent)
    _finish(flow, loaded, sampler, "softrepa_schedule", first=5, picture=(340, 400))
    _files_note(flow, model.files_note())
    flow.note("The schedule", (SECOND, 540), notes.SCHEDULE + notes.SCHEDULE_TRY)
    flow.note("The blocks", (THIRD, 540), notes.BLOCKS)
    return flow


def _text_to_image(name: str, model: Model, prompt: str, texts: tuple[str, ...]) -> Workflow:
    flow = Workflow(name)
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded)
    prompts = _prompts(flow, loaded, THIRD, prompt)
    latent = _latent(flow, model, (THIRD, 430))
    flow.group("3 · Prompts and size", [prompts.positive, prompts.negative, latent])
    sampler = _sampler(flow, model, (FOURTH, 0), apply, prompts, latent)
    _finish(flow, loaded, sampler, name)
    _files_note(flow, model.files_note())
    flow.note("What to try", (SECOND, 540), "".join(texts))
    return flow


def _before_after(name: str, model: Model, prompt: str, files: str, text: str) -> Workflow:
    flow = Workflow(name)
    loaded = _loaders(flow, model)
    apply = _apply(flow, loaded)
    _compare(flow, model, loaded, apply, THIRD, prompt, 3)
    _files_note(flow, files)
    flow.note("What to try", (SECOND, 540), text)
    return flow


def _compare(
    flow: Workflow,
    model: Model,
    loaded: Loaded,
    apply: Node,
    left: int,
    prompt: str,
    first: int,
) -> None:
    """Both pictures of one prompt and seed, in groups numbered from `first`."""
    prompts = _prompts(flow, loaded, left, prompt)
    latent = _latent(flow, model, (left, 430))
    seed = flow.node("PrimitiveInt", (left, 640), title="Seed", size=(360, 82), value=1)
    nodes = [prompts.positive, prompts.negative, latent, seed]
    flow.group(f"{first} · Prompts, size and seed", nodes)
    right = left + FOURTH - THIRD
    title = "Without the adapter"
    without = _sampler(flow, model, (right, 0), loaded.checkpoint, prompts, latent, seed, title)
    title = "With the adapter"
    with_it = _sampler(flow, model, (right, 345), apply, prompts, latent, seed, title)
    flow.group(f"{first + 1} · Sample twice", [without, with_it])
    for column, sampler, title in ((FIFTH, without, "Without"), (SIXTH, with_it, "With")):
        place = left + column - THIRD
        decoded = _decoded(flow, loaded, (place, 0), sampler)
        prefix = f"{flow.name}_{title.lower()}"
        saved = _saved(flow, (place, 125), decoded, prefix, (340, 400))
        number = first + 2 + (column == SIXTH)
        flow.group(f"{number} · {title} the adapter", [decoded, saved])


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


def _files_note(flow: Workflow, text: str) -> None:
    flow.note("Files", (FIRST, 455), text)


def _loaders(flow: Workflow, model: Model) -> Loaded:
    checkpoint = flow.node(
        "CheckpointLoaderSimple",
        (FIRST, 0),
        ckpt_name=model.checkpoint,
        models=model.checkpoint_file,
    )
    name = model.adapter if model.folder[1] else model.checkpoint
    adapter = flow.node("SoftREPALoader", (FIRST, 175), adapter=name, models=model.adapter_file)
    flow.group("1 · Model and adapter", [checkpoint, adapter])
    return Loaded(checkpoint, adapter)


def _apply(
    flow: Workflow, loaded: Loaded, strength: float = 1, left: int = SECOND, number: int = 2
) -> Node:
    links = {"model": loaded.checkpoint["MODEL"], "adapter": loaded.adapter["adapter"]}
    apply = flow.node("SoftREPAApply", (left, 0), links, strength=strength)
    flow.group(f"{number} · Apply SoftREPA", [apply], OURS)
    return apply


def _prompts(flow: Workflow, loaded: Loaded, left: int, text: str) -> Prompts:
    clip = {"clip": loaded.checkpoint["CLIP"]}
    positive = flow.node(
        "CLIPTextEncode",
        (left, 0),
        clip,
        title="Prompt",
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
    source: Node,
    prompts: Prompts,
    latent: Node,
    seed: Node | None = None,
    title: str | None = None,
) -> Node:
    links = {
        "model": source["MODEL"],
        "positive": prompts.positive["CONDITIONING"],
        "negative": prompts.negative["CONDITIONING"],
        "latent_image": latent["LATENT"],
    }
    if seed is not None:
        links["seed"] = seed["INT"]
    return flow.node("KSampler", place, links, title=title, **{"seed": 1, **model.sampling})


def _decoded(flow: Workflow, loaded: Loaded, place: Point, sampler: Node) -> Node:
    links = {"samples": sampler["LATENT"], "vae": loaded.checkpoint["VAE"]}
    return flow.node("VAEDecode", place, links)


def _saved(flow: Workflow, place: Point, decoded: Node, prefix: str, size: Point) -> Node:
    links = {"images": decoded["IMAGE"]}
    return flow.node("SaveImage", place, links, size=size, filename_prefix=prefix)


LAYOUTS = (
    *(sd3, sdxl, sd15, before_after, one_prompt, schedule_and_blocks, demo_world, does_it_help),
    train_your_own,
)
