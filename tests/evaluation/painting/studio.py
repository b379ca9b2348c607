"""A ComfyUI's folders with the demo world's base and adapter, and requests to paint with them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfyui_softrepa.demo.models.base import join
from comfyui_softrepa.evaluation.painting.recipe import TRIAL, Base, graph, read_arm
from PIL import Image

ROOT = Path(join.__file__).resolve().parents[3]
MODELS = ROOT / "demo" / "models"
KEPT = MODELS / "kept" / "softrepa.safetensors"
CHECKPOINT, ADAPTER = "demo.safetensors", "kept.safetensors"
ARMS = ("bare", f"soft: adapter={ADAPTER} strength=0.5")
SETTINGS = {
    "prompts": "[number]\ntwo red circles\n[colour]\na blue square",
    "negative_prompt": "",
    "seeds": "1-2",
    "steps": 2,
    "cfg": 4.0,
    "sampler_name": "euler",
    "scheduler": "simple",
    "width": 64,
    "height": 64,
}


def furnish(base: Path) -> None:
    """Puts the checkpoint and the adapter where a ComfyUI of this base directory finds them."""
    join.make_checkpoint(base / "models" / "checkpoints" / CHECKPOINT)
    (base / "models" / "softrepa").mkdir(parents=True)
    shutil.copyfile(KEPT, base / "models" / "softrepa" / ADAPTER)
    for name in ("input", "output"):
        (base / name).mkdir(exist_ok=True)


def a_graph(*arms: str, **settings: Any) -> dict[str, dict[str, Any]]:
    """The graph of a trial, as the command makes it."""
    recipes = [read_arm(arm) for arm in arms or ARMS]
    return graph(Base(CHECKPOINT), recipes, {"name": "t", **SETTINGS, **settings})


@dataclass
class Request:
    """What SoftREPATrial is asked for: its graph, and its inputs as ComfyUI hands them over."""

    graph: dict[str, dict[str, Any]]
    inputs: dict[str, list[Any]]

    def paint(self, folder: Path | None = None, **more: Any) -> Any:
        """As the node does."""
        from comfyui_softrepa.evaluation.painting import request

        return request.paint(self.inputs, self.graph, TRIAL, folder=folder, **more)

    def with_(self, **inputs: Any) -> Request:
        """The same with other constants, or other values of links."""
        node = {**self.graph[TRIAL], "inputs": {**self.graph[TRIAL]["inputs"], **inputs}}
        lists = {key: [value] for key, value in inputs.items()}
        return Request({**self.graph, TRIAL: node}, {**self.inputs, **lists})


def a_request(*arms: str, **settings: Any) -> Request:
    """With models loaded as ComfyUI loads them."""
    from comfyui_softrepa.evaluation.painting.loading import load, settle_names

    made = a_graph(*arms, **settings)
    settle_names(made)
    node = made[TRIAL]["inputs"]
    values = load(made, list(node.values()))
    return Request(made, {key: [value] for key, value in zip(node, values, strict=True)})


def pixels(folder: Path) -> Mapping[str, str]:
    """Arm and name -> a hash of what is seen, of every picture."""
    found = {}
    for path in sorted((folder / "pictures").glob("*/*.png")):
        with Image.open(path) as image:
            seen = hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
        found[f"{path.parent.name}/{path.name}"] = seen
    return found
