"""API-format graphs that the tests post to a running server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Graph = dict[str, dict[str, Any]]


def text_to_image(
    checkpoint: str = "sd3.safetensors",
    adapter: str | None = None,
    *,
    prompt: str = "two red circles left of a blue square",
    seed: int = 1,
    steps: int = 4,
    size: tuple[int, int] = (64, 64),
    batch: int = 1,
    sampler: str = "euler",
    scheduler: str = "simple",
    prefix: str = "softrepa",
    **apply: Any,
) -> Graph:
    """CheckpointLoaderSimple → (SoftREPALoader → SoftREPAApply →) KSampler → VAEDecode → SaveImage.

    apply: inputs of SoftREPAApply other than their defaults.
    """
    graph: Graph = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=checkpoint),
        "positive": _node("CLIPTextEncode", clip=["checkpoint", 1], text=prompt),
        "negative": _node("CLIPTextEncode", clip=["checkpoint", 1], text=""),
        "latent": _node("EmptySD3LatentImage", width=size[0], height=size[1], batch_size=batch),
        "sampler": _node(
            "KSampler",
            model=["checkpoint", 0],
            positive=["positive", 0],
            negative=["negative", 0],
            latent_image=["latent", 0],
            seed=seed,
            steps=steps,
            cfg=3.0,
            sampler_name=sampler,
            scheduler=scheduler,
            denoise=1.0,
        ),
        "decode": _node("VAEDecode", samples=["sampler", 0], vae=["checkpoint", 2]),
        "save": _node("SaveImage", images=["decode", 0], filename_prefix=prefix),
    }
    if adapter is not None:
        graph["loader"] = _node("SoftREPALoader", adapter=adapter)
        defaults = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, "layers": ""}
        graph["apply"] = _node(
            "SoftREPAApply",
            model=["checkpoint", 0],
            adapter=["loader", 0],
            **{**defaults, **apply},
        )
        graph["sampler"]["inputs"]["model"] = ["apply", 0]
    return graph


def training(
    name: str,
    checkpoint: str = "sd3.safetensors",
    *,
    settings: dict[str, Any] | None = None,
    **given: Any,
) -> Graph:
    """CheckpointLoaderSimple → SoftREPATrain → SoftREPAApply → the rest of `text_to_image`.

    given: inputs of SoftREPATrain other than these; settings: those of a SoftREPATrainSettings.
    """
    graph = text_to_image(checkpoint, prefix=name)
    defaults = {
        "name": name,
        "folder": "pictures",
        "objective": "softrepa",
        "recipe": "none",
        "steps": 6,
        "batch_size": 3,
        "learning_rate": 0.001,
        "resolution": 32,
        "seed": 0,
        "validation": 0.0,
        "preview_every": 0,
    }
    parts = {"model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2]}
    graph["train"] = _node("SoftREPATrain", **{**parts, **defaults, **given})
    if settings is not None:
        graph["settings"] = _node("SoftREPATrainSettings", **settings)
        graph["train"]["inputs"]["settings"] = ["settings", 0]
    graph["apply"] = _node(
        "SoftREPAApply",
        model=graph["train"]["inputs"]["model"],
        adapter=["train", 0],
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
        layers="",
    )
    graph["sampler"]["inputs"]["model"] = ["apply", 0]
    return graph


def apart(graph: Graph, family: str, lora: bool = False) -> Graph:
    """The graph with the files of `checkpoints.write_apart` in place of its checkpoint, and the
    LoRA on them or not."""
    made = {key: node for key, node in graph.items() if key != "checkpoint"}
    texts = [f"{family}_clip_l.safetensors", f"{family}_clip_g.safetensors"]
    made["model"] = _node("UNETLoader", unet_name=f"{family}.safetensors", weight_dtype="default")
    made["vae"] = _node("VAELoader", vae_name=f"{family}.safetensors")
    made["clip"] = _node("CLIPLoader", clip_name=texts[0], type="stable_diffusion")
    if family == "sdxl":
        made["clip"] = _node(
            "DualCLIPLoader", clip_name1=texts[0], clip_name2=texts[1], type="sdxl"
        )
    parts = {0: ["model", 0], 1: ["clip", 0], 2: ["vae", 0]}
    if lora:
        made["lora"] = _node(
            "LoraLoader",
            model=parts[0],
            clip=parts[1],
            lora_name=f"{family}.safetensors",
            strength_model=1.0,
            strength_clip=1.0,
        )
        parts |= {0: ["lora", 0], 1: ["lora", 1]}
    for node in made.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] == "checkpoint":
                node["inputs"][name] = parts[value[1]]
    return made


def of_dataset(graph: Graph) -> Graph:
    """The graph with the lists of core's dataset nodes in place of the folder that it trains on."""
    inputs = graph["train"]["inputs"]
    graph["dataset"] = _node("LoadImageTextDataSetFromFolder", folder=inputs.pop("folder"))
    inputs |= {"images": ["dataset", 0], "captions": ["dataset", 1], "folder": "none of these"}
    return graph


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def interrupting(server: Any, after: int) -> Callable[[int], None]:
    """An on_progress that interrupts once, at the first report of this step or a later one: newer
    versions of ComfyUI do not report every step."""
    reports: list[int] = []

    def on_progress(step: int) -> None:
        if step >= after and not reports:
            reports.append(step)
            server.interrupt()

    return on_progress
