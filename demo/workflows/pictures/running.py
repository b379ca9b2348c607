"""The workflows in the real front-end, on the demo world's model in place of the one they name."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.base.join import make_checkpoint, state
from comfyui_softrepa.demo.models.unet_base import join as unet
from comfyui_softrepa.demo.training import cache
from comfyui_softrepa.host import comfyui
from comfyui_softrepa.host.chromium import FLAGS, provide
from comfyui_softrepa.host.frontend import Frontend, open_frontend
from comfyui_softrepa.host.server import install_pack, serve
from comfyui_softrepa.training.settings.command_line import read_settings
from playwright.sync_api import sync_playwright
from safetensors.torch import save_file

from ..models import DEMO_FOLDER
from ..node_types import TYPES

NAME = "softrepa_demo.safetensors"
"""Of the demo world's checkpoint, and of the adapter for it."""
UNET_NAME = "softrepa_demo_unet.safetensors"
"""Of the U-Net base's checkpoint, and of an adapter for it."""
ATTENDS = "SoftREPAAttendAndExcite"
"""The node that needs a U-Net."""
_PAIRS, _SEED = 400, 7
"""Of the pictures that the demo command writes."""
WRITTEN = ("CLIPTextEncode", "PrimitiveStringMultiline")
"""Nodes that hold a prompt, or nothing where another's is linked."""
SMALL_CLIP = Path(__file__).resolve().parents[2] / "models" / "small_clip"


@contextmanager
def demo_frontend(adapter: Path, unet_adapter: Path | None = None) -> Iterator[Frontend]:
    """An open page of a ComfyUI that has the pack, the demo world's checkpoint and this adapter;
    with an adapter for it, the U-Net base too."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        make_checkpoint(base / "models" / "checkpoints" / NAME)
        (base / "models" / "softrepa").mkdir()
        shutil.copyfile(adapter, base / "models" / "softrepa" / NAME)
        install_small_clip(base)
        install_parts(base)
        if unet_adapter is not None:
            install_unet(base, unet_adapter)
        install_pack(base)
        with serve(comfyui.locate(), base) as server, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=str(provide()), args=FLAGS)
            yield open_frontend(chromium.new_context(), server, {})
            chromium.close()


def install_pictures(base: Path) -> None:
    """What the demo command leaves to train on: pictures, and the trainer's cache of them."""
    checkpoint = base / "models" / "checkpoints" / NAME
    folder = base / "input" / DEMO_FOLDER
    world.write_folder(folder, _PAIRS, seed=_SEED)
    where = cache.beside(base / "models" / "softrepa" / NAME, checkpoint)
    flags = [f"--{flag}={path}" for flag, path in (("data", folder), ("cache", where))]
    flags += ["--checkpoint=demo", "--recipe=recommended", "--batch-size=8"]
    cache.fill(checkpoint, read_settings([*flags, f"--resolution={world.SIZE}"]))


def install_small_clip(base: Path) -> Path:
    """Puts the demo world's CLIP where scorers look for the published one; gives the folder."""
    folder = base / "models" / "softrepa_scorers" / "clip-vit-large-patch14"
    return Path(shutil.copytree(SMALL_CLIP, folder, dirs_exist_ok=True))


def install_unet(base: Path, adapter: Path) -> list[Path]:
    """The U-Net base's checkpoint, and an adapter for it."""
    folders = (base / "models" / folder for folder in ("checkpoints", "softrepa"))
    files = [folder / UNET_NAME for folder in folders]
    unet.make_checkpoint(files[0])
    shutil.copyfile(adapter, files[1])
    return files


PARTS = {
    "diffusion_models": "model.diffusion_model.",
    "text_encoders": "text_encoders.clip_l.transformer.",
    "vae": "first_stage_model.",
}
"""Folders of ComfyUI's models, and what the names of their weights begin with in a checkpoint."""


def install_parts(base: Path) -> list[Path]:
    """The demo world's model once more, in files of its own."""
    weights, files = state(), []
    for folder, prefix in PARTS.items():
        files.append(base / "models" / folder / NAME)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        part = {
            key.removeprefix(prefix): value
            for key, value in weights.items()
            if key.startswith(prefix)
        }
        save_file(part, files[-1])
    return files


def in_demo_world(workflow: dict[str, Any], prompts: Sequence[str]) -> dict[str, Any]:
    """The workflow with the demo world's files, adapter and picture size, and these prompts in
    place of its own, in their order, as far as there are any. A guidance (cfg) of 1 becomes 4,
    which that model needs. Where ATTENDS is there, the files are the U-Net base's."""
    workflow, others = json.loads(json.dumps(workflow)), list(prompts)
    attends = any(node["type"] == ATTENDS for node in workflow["nodes"])
    name = UNET_NAME if attends else NAME
    for node in workflow["nodes"]:
        kind, values = node["type"], node.get("widgets_values", [])
        if kind in ("CheckpointLoaderSimple", "SoftREPALoader", "UNETLoader", "VAELoader"):
            values[0] = name
            node["properties"].pop("models", None)
        elif kind in ("CLIPLoader", "DualCLIPLoader"):
            *names, _, _ = values
            values[:-1] = [*[NAME] * len(names), "sd3"]
            node["properties"].pop("models", None)
        elif kind in ("EmptyLatentImage", "EmptySD3LatentImage"):
            values[:2] = world.SIZE, world.SIZE
        elif kind in WRITTEN and values[0] and others:
            values[0] = others.pop(0)
        elif kind == "KSampler":
            cfg = [*TYPES[kind].widgets].index("cfg") + 1  # behind what a seed is followed by
            values[cfg] = 4 if values[cfg] == 1 else values[cfg]
    return workflow


def settings_of_trial(workflow: dict[str, Any]) -> dict[str, Any] | None:
    """The widgets of its SoftREPATrial by name; None where it has none."""
    widgets = TYPES["SoftREPATrial"].widgets
    for node in workflow["nodes"]:
        if node["type"] == "SoftREPATrial":
            return dict(zip(widgets, node["widgets_values"], strict=True))
    return None
