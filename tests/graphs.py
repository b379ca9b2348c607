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
