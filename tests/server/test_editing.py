"""SoftREPAFlowEdit in a real server: an edit of a painted picture, again and again the same."""

from __future__ import annotations

import io

import numpy
import pytest
from comfyui_softrepa.host.server import GraphError
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.graphs import interrupting, text_to_image
from PIL import Image


@pytest.fixture(scope="module", autouse=True)
def adapter(server):
    path = server.base / "models" / "softrepa" / "editing.safetensors"
    files.write(path, random_adapter(scale=2.0))
    yield
    path.unlink()


def edit(seed: int = 1, prefix: str = "edited", **more) -> dict:
    graph = text_to_image(adapter="editing.safetensors", prefix=prefix)
    target = {"clip": ["checkpoint", 1], "text": "two green circles left of a blue square"}
    graph["target"] = {"class_type": "CLIPTextEncode", "inputs": target}
    inputs = {
        "model": ["apply", 0], "source": ["positive", 0], "target": ["target", 0],
        "negative": ["negative", 0], "latent_image": ["sampler", 0], "seed": seed, "steps": 6,
        "scheduler": "normal", "n_min": 0, "n_max": 4, "n_avg": 1, "source_cfg": 3.5,
        "target_cfg": 13.5, "target_guidance": "uncond + s (cond - uncond)", "method": "FlowEdit",
        "zeta": 0.01, **more,
    }  # fmt: skip
    graph["edit"] = {"class_type": "SoftREPAFlowEdit", "inputs": inputs}
    graph["decode"]["inputs"]["samples"] = ["edit", 0]
    return graph


def pixels(server, result) -> numpy.ndarray:
    (entry,) = result.images["save"]
    return numpy.asarray(Image.open(io.BytesIO(server.image(entry))).convert("RGB"), dtype=int)


def test_the_same_seed_gives_the_same_edit_whatever_ran_before(server):
    first = server.run(edit())
    assert "edit" in first.ran
    other = server.run(edit(seed=2))
    assert "sampler" not in other.ran, "what it edits comes from the cache"
    assert (pixels(server, first) != pixels(server, other)).any()
    # Other noise is drawn in between, and what it edits is painted anew.
    server.run(text_to_image(seed=99, prefix="between"))
    again = server.run(edit(prefix="again"))
    assert "edit" in again.ran
    assert numpy.array_equal(pixels(server, first), pixels(server, again))
    assert server.run(edit(prefix="again")).ran == ()


def test_it_tells_its_steps_and_stops_at_an_interrupt(server):
    steps: list[int] = []
    server.run(edit(seed=3, steps=12, n_max=9, n_min=2), on_progress=steps.append)
    assert steps and max(steps) <= 9, "3 of the 12 are left out"
    with pytest.raises(GraphError, match="interrupted"):
        server.run(edit(seed=4, steps=400, n_max=400), on_progress=interrupting(server, 2))
    server.run(edit(seed=5))


def test_what_cannot_be_edited_is_told_in_a_sentence(server):
    with pytest.raises(GraphError, match="lower n_min or raise n_max"):
        server.run(edit(n_min=9))
