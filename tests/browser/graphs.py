"""Graphs in the front-end's own format that the browser tests load."""

from __future__ import annotations

from typing import Any

Workflow = dict[str, Any]
PLACES = {
    "1": (0, 0),
    "2": (0, 230),
    "10": (0, 460),
    "3": (470, 40),
    "4": (880, 0),
    "5": (880, 230),
    "7": (880, 450),
    "6": (0, 850),
    "8": (1200, 450),
    "9": (1200, 600),
}
"""Where `demo_graph` looks best."""


def demo_graph(
    checkpoint: str = "softrepa_demo.safetensors",
    adapter: str = "sd3.safetensors",
    layers: str = "",
    keyframes: str | None = None,
) -> Workflow:
    """An API-format graph with numbers as ids: checkpoint 1, adapter 2, Apply 3, prompts 4 and 5,
    sampler 7, picture 9; with keyframes a SoftREPASchedule 10."""
    graph: Workflow = {
        "1": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "2": _node("SoftREPALoader", adapter=adapter),
        "3": _node(
            "SoftREPAApply",
            model=["1", 0],
            adapter=["2", 0],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
            layers=layers,
        ),
        "4": _node("CLIPTextEncode", clip=["1", 1], text="two red circles"),
        "5": _node("CLIPTextEncode", clip=["1", 1], text=""),
        "6": _node("EmptySD3LatentImage", width=64, height=64, batch_size=1),
        "7": _node(
            "KSampler",
            model=["3", 0],
            positive=["4", 0],
            negative=["5", 0],
            latent_image=["6", 0],
            seed=1,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        ),
        "8": _node("VAEDecode", samples=["7", 0], vae=["1", 2]),
        "9": _node("SaveImage", images=["8", 0], filename_prefix="softrepa"),
    }
    if keyframes is not None:
        graph["10"] = _node(
            "SoftREPASchedule", keyframes=keyframes, interpolation="smooth", layers=""
        )
        graph["3"]["inputs"]["schedule"] = ["10", 0]
    return graph


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}
