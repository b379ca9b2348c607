"""Paints the thumbnails of the example workflows: each from the pictures its own graph gave.

Every workflow is loaded in the real front-end and queued there, with the demo world's checkpoint,
an adapter for it, its picture size and a prompt in its words in place of the named ones. All else
is the workflow's own. The workflow of the demo world runs as it is.
"""

from __future__ import annotations

import argparse
import json
from itertools import cycle
from pathlib import Path
from typing import Any

from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.world import judge
from comfyui_softrepa.host.frontend import Frontend
from PIL import Image, ImageDraw, ImageFont

from ..files import FOLDER
from .running import WRITTEN, demo_frontend, in_demo_world, install_pictures, settings_of_trial

PROMPTS = {
    "softrepa_sd3": ("three red triangles above a yellow square",),
    "softrepa_sdxl": ("a black circle above two red squares",),
    "softrepa_sd15": ("two purple triangles below three blue squares",),
    "softrepa_cfg_plus_plus": ("three blue squares above a yellow circle",),
    "softrepa_attend_and_excite": ("two red triangles above a blue circle",),
    "softrepa_flux1": ("two yellow squares above a green circle",),
    "softrepa_z_image": ("three green triangles right of a blue square",),
    "softrepa_anima": ("a red circle above a blue triangle",),
    "softrepa_before_after": ("two green circles above a purple square",),
    "softrepa_one_prompt_only": ("a red square above three green circles",),
    "softrepa_schedule_and_blocks": ("three black squares right of a yellow circle",),
    "softrepa_editing": (
        "two green squares left of three purple squares",
        "a green square left of three purple squares",
    ),
}
WORDS = ("without", "with", "source", "edited")
"""In file names: what a picture shows. Thumbnails have the pictures in this order."""
ATTENDS_TO = "softrepa_attend_and_excite"
"""Needs the U-Net base."""
TRAINS = "softrepa_train_your_own"
"""Needs pictures to train on."""
SIDE, GAP, LINE = 512, 8, 40
QUALITY = 92
_PAPER, _INK = (208, 208, 212), (24, 24, 27)


def main(arguments: list[str]) -> None:
    """Leaves a .jpg beside each workflow, and prints what the judge sees in its pictures."""
    parser = argparse.ArgumentParser(prog="python demo/workflows thumbnails", description=__doc__)
    parser.add_argument("--adapter", type=Path, required=True, help="for the demo checkpoint")
    parser.add_argument("--unet-adapter", type=Path, help="for the U-Net base")
    parser.add_argument("--only", nargs="*", help="names of workflows, without .json")
    given = parser.parse_args(arguments)
    with demo_frontend(given.adapter, given.unet_adapter) as frontend:
        if TRAINS in (given.only or [TRAINS]):
            install_pictures(frontend.server.base)
        for path in sorted(FOLDER.glob("*.json")):
            if path.stem not in (given.only or path.stem):
                continue
            if path.stem == ATTENDS_TO and given.unet_adapter is None:
                print(f"{path.stem} needs --unet-adapter: left out")
                continue
            pictures = _painted(frontend, json.loads(path.read_text(encoding="utf-8")), path.stem)
            target = path.with_suffix(".jpg")
            _thumbnail(pictures).save(target, quality=QUALITY, subsampling=0)
            print(f"{target.name}  {target.stat().st_size} bytes")


def _painted(frontend: Frontend, workflow: dict[str, Any], name: str) -> dict[str, Image.Image]:
    """The pictures of the workflow, by what they show: "" or some of WORDS; a trial's, of its first
    prompt, by its arms."""
    workflow = in_demo_world(workflow, PROMPTS.get(name, ()))
    frontend.load(workflow)
    trial = settings_of_trial(workflow)
    if trial is not None:
        frontend.queue()
        folder = frontend.server.base / "output" / "softrepa" / "trials" / trial["name"]
        return _of_trial(folder, trial)
    found = {}
    for file in frontend.queue():
        words = [word for word in WORDS if f"_{word}_" in file]
        with Image.open(frontend.server.base / "output" / file) as picture:
            found["".join(words)] = picture.convert("RGB")
    pictures = {word: found[word] for word in ("", *WORDS) if word in found}
    _report(name, _prompts(workflow), pictures)
    return pictures


def _of_trial(folder: Path, trial: dict[str, str]) -> dict[str, Image.Image]:
    pictures = {}
    for arm in trial["arm_names"].splitlines():
        with Image.open(folder / "pictures" / arm / "0001-1.png") as picture:
            pictures[arm] = picture.convert("RGB")
    prompts = [line for line in trial["prompts"].splitlines() if not line.startswith("[")]
    _report(folder.name, prompts[:1], pictures)
    return pictures


def _prompts(workflow: dict[str, Any]) -> list[str]:
    texts = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in WRITTEN]
    return list(filter(None, texts))


def _report(name: str, prompts: list[str], pictures: dict[str, Image.Image]) -> None:
    """prompts: one of all pictures, or one of each."""
    scenes = {world.caption(scene): scene for scene in world.all_scenes()}
    print(f"{name}: {'; '.join(prompts)}")
    for (word, picture), prompt in zip(pictures.items(), cycle(prompts), strict=False):
        scene = scenes[prompt]
        right = "right" if judge.judge(picture, scene).all else "wrong"
        print(f"  {word or 'picture'}: {right}; {judge.describe(judge.look(picture))}")


def _thumbnail(pictures: dict[str, Image.Image]) -> Image.Image:
    """One picture alone, or two side by side with what they show below, SIDE x SIDE pixels."""
    if len(pictures) == 1:
        (picture,) = pictures.values()
        return picture.resize((SIDE, SIDE), Image.Resampling.NEAREST)
    sheet = Image.new("RGB", (SIDE, SIDE), _PAPER)
    pen = ImageDraw.Draw(sheet)
    side = (SIDE - 3 * GAP) // 2
    top = (SIDE - side - LINE) // 2
    for index, (word, picture) in enumerate(pictures.items()):
        left = GAP + index * (side + GAP)
        sheet.paste(picture.resize((side, side), Image.Resampling.NEAREST), (left, top))
        place = (left + side // 2, top + side + LINE // 2)
        pen.text(place, word, _INK, ImageFont.load_default(26), anchor="mm")
    return sheet
