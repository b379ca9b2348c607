"""The example workflows, each a function that lays one out from left to right."""

from __future__ import annotations

from dataclasses import replace

from . import models, notes, pieces
from .graph import Workflow
from .models import Model
from .pieces import FIFTH, FIRST, FOURTH, GREEN, OURS, SECOND, SIXTH, THIRD, Loaded, Prompts


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


def cfg_plus_plus() -> Workflow:
    """Guidance of another scale than the ordinary one, so the settings are its own."""
    texts = (notes.CFG_PLUS_PLUS, notes.COMPARE, notes.STRENGTH, notes.UNET_LAYERS)
    prompt = "two brown dogs to the right of a white horse on a green meadow, photograph"
    sampling = {"steps": 30, "cfg": 1.5, "sampler_name": "euler_cfg_pp", "scheduler": "normal"}
    model = replace(models.SDXL, sampling=sampling)
    return _text_to_image("softrepa_cfg_plus_plus", model, prompt, texts)


def attend_and_excite() -> Workflow:
    flow = Workflow("softrepa_attend_and_excite")
    model = models.SD15
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    text = flow.node(
        "PrimitiveStringMultiline",
        (THIRD, 0),
        title="Prompt, for two nodes",
        colour=GREEN,
        value="a brown turtle beside a yellow bowl, a blue cup behind them, photograph",
    )
    top = text.bottom + 70
    prompts = pieces.write_prompts(flow, loaded, THIRD, text["STRING"], "Its encoding", top)
    latent = pieces.empty_latent(flow, model, (THIRD, prompts.negative.bottom + 70))
    flow.group("3 · Prompts and size", [text, prompts.positive, prompts.negative, latent])
    links = {"model": apply["MODEL"], "clip": loaded.clip, "prompt": text["STRING"]}
    led = flow.node("SoftREPAAttendAndExcite", (FOURTH, 0), links)
    flow.group("4 · Look after its words", [led], OURS)
    sampler = pieces.sample(flow, model, (FIFTH + 50, 0), led["MODEL"], prompts, latent)
    pieces.finish(flow, loaded, sampler, flow.name, first=5)
    files = model.files_note("the demo world's small U-Net (demo/unet_base)")
    pieces.files_note(flow, files, loaded.adapter.bottom + 65)
    flow.note("The adapter", (SECOND, 540), notes.STRENGTH + notes.WINDOW + notes.UNET_LAYERS)
    flow.note("What happens, what to try", (FOURTH, led.bottom + 150), notes.ATTEND)
    return flow


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
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded, strength=0.5)  # at which the demo's adapter is best
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
    pieces.files_note(flow, notes.TRIAL_FILES)
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
    loaded = Loaded(checkpoint["MODEL"], checkpoint["CLIP"], checkpoint["VAE"], train)
    apply = pieces.apply_adapter(flow, loaded, strength=0.5, left=left, number=4)
    pieces.compare(
        flow, model, loaded, apply, left + 390, "three red squares left of a yellow square", 5
    )
    flow.note("Files", (FIRST, 195), notes.TRAIN_FILES)
    flow.note("Look first", (SECOND, look.bottom + 80), notes.TRAIN_LOOK, width=400)
    flow.note("Train, stop, go on", (left, apply.bottom + 80), notes.TRAIN_RUN)
    flow.note("Your own", (left + 390, 830), notes.TRAIN_OWN, width=720)
    return flow


def one_prompt() -> Workflow:
    flow = Workflow("softrepa_one_prompt_only")
    model = models.SD3
    loaded = pieces.load(flow, model)
    prompts = pieces.write_prompts(
        flow, loaded, SECOND, "a red cube on top of a green ball beside a blue cone, studio photo"
    )
    latent = pieces.empty_latent(flow, model, (SECOND, 430))
    flow.group("2 · Prompts and size", [prompts.positive, prompts.negative, latent])
    links = {
        "conditioning": prompts.positive["CONDITIONING"],
        "adapter": loaded.adapter["adapter"],
    }
    apply = flow.node("SoftREPAApplyConditioning", (THIRD + 20, 0), links)
    flow.group("3 · On one prompt only", [apply], OURS)
    with_adapter = Prompts(apply, prompts.negative)
    sampler = pieces.sample(flow, model, (FOURTH, 0), loaded.model, with_adapter, latent)
    pieces.finish(flow, loaded, sampler, "softrepa_one_prompt")
    pieces.files_note(flow, model.files_note())
    flow.note("What to try", (THIRD + 20, 585), notes.ONE_PROMPT + notes.BANK)
    return flow


def schedule_and_blocks() -> Workflow:
    flow = Workflow("softrepa_schedule_and_blocks")
    model = models.SD3
    loaded = pieces.load(flow, model)
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
    prompts = pieces.write_prompts(
        flow, loaded, left, "four oranges in a white bowl on a blue cloth, soft light"
    )
    latent = pieces.empty_latent(flow, model, (left, 430))
    flow.group("4 · Prompts and size", [prompts.positive, prompts.negative, latent])
    sampler = pieces.sample(flow, model, (left + 410, 0), apply["MODEL"], prompts, latent)
    pieces.finish(flow, loaded, sampler, "softrepa_schedule", first=5, picture=(340, 400))
    pieces.files_note(flow, model.files_note())
    flow.note("The schedule", (SECOND, 540), notes.SCHEDULE + notes.SCHEDULE_TRY)
    flow.note("The blocks", (THIRD, 540), notes.BLOCKS)
    return flow


def editing() -> Workflow:
    flow = Workflow("softrepa_editing")
    model = models.SD3
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    text = "a red apple beside a blue mug on a wooden table, morning light"
    source = pieces.write_prompts(flow, loaded, THIRD, text, "Source prompt")
    target = flow.node(
        "CLIPTextEncode",
        (THIRD, 430),
        {"clip": loaded.clip},
        title="Target prompt",
        size=(360, 170),
        colour=GREEN,
        text=text.replace("red apple", "green pear"),
    )
    latent = pieces.empty_latent(flow, model, (THIRD, 690))
    flow.group("3 · Source, negative, target", [source.positive, source.negative, target, latent])
    shown = "Source picture"
    sampler = pieces.sample(flow, model, (FOURTH, 0), apply["MODEL"], source, latent, title=shown)
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
        decoded = pieces.decode(flow, loaded, (left, 0), latents)
        prefix = f"{flow.name}_{title.split()[2].lower()}"
        flow.group(
            title, [decoded, pieces.save_picture(flow, (left, 125), decoded, prefix, (340, 400))]
        )
    pieces.files_note(flow, model.files_note())
    flow.note("What happens", (SECOND, 540), notes.EDITING)
    flow.note("What to try", (FIFTH + 40, 620), notes.EDITING_TRY, width=560)
    return flow


def _text_to_image(name: str, model: Model, prompt: str, texts: tuple[str, ...]) -> Workflow:
    flow = Workflow(name)
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    prompts = pieces.write_prompts(flow, loaded, THIRD, prompt)
    latent = pieces.empty_latent(flow, model, (THIRD, 430))
    third = [prompts.positive, prompts.negative, latent]
    if model.guidance is not None:
        links = {"conditioning": prompts.positive["CONDITIONING"]}
        place = (THIRD, latent.bottom + 60)
        told = flow.node("FluxGuidance", place, links, guidance=model.guidance)
        prompts = Prompts(told, prompts.negative)
        third.append(told)
    flow.group("3 · Prompts and size", third)
    sampler = pieces.sample(flow, model, (FOURTH, 0), apply["MODEL"], prompts, latent)
    pieces.finish(flow, loaded, sampler, name)
    pieces.files_note(flow, model.files_note(), loaded.adapter.bottom + 65)
    flow.note("What to try", (SECOND, 540), "".join(texts))
    return flow


def _before_after(name: str, model: Model, prompt: str, files: str, text: str) -> Workflow:
    flow = Workflow(name)
    loaded = pieces.load(flow, model)
    apply = pieces.apply_adapter(flow, loaded)
    pieces.compare(flow, model, loaded, apply, THIRD, prompt, 3)
    pieces.files_note(flow, files)
    flow.note("What to try", (SECOND, 540), text)
    return flow


LAYOUTS = (
    sd3, sdxl, sd15, flux1, z_image, anima, cfg_plus_plus, attend_and_excite,
    before_after, one_prompt, schedule_and_blocks, editing, demo_world, does_it_help,
    train_your_own,
)  # fmt: skip
