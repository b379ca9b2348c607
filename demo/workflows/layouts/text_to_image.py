"""A prompt painted with an adapter, by each of the base models."""

from __future__ import annotations

from dataclasses import replace

from .. import models
from ..graph import Workflow
from ..models import Model
from . import notes, pieces
from .pieces import FOURTH, SECOND, THIRD, Prompts


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
