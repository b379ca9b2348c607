"""A run of Train SoftREPA Adapter as a user sees it: started, watched, stopped, gone on with.

The node is photographed as build/browser/<version>/training-<renderer>.png.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.host.frontend import Frontend
from comfyui_softrepa.tests.browser.conftest import CHECKPOINT
from playwright.sync_api import expect

STEPS = 12


@pytest.fixture(scope="module")
def pictures(base: Path) -> str:
    folder = base / "input" / "shapes"
    if not folder.is_dir():
        folder.mkdir(parents=True)
        world.write_folder(folder, 8, seed=3)
    return folder.name


def test_a_run_is_watched_stopped_and_gone_on_with(
    both: Frontend, pictures: str, request: pytest.FixtureRequest
):
    name = f"seen_{uuid.uuid4().hex[:8]}"
    inputs = {
        "model": ["1", 0],
        "clip": ["1", 1],
        "vae": ["1", 2],
        "name": name,
        "folder": pictures,
        "objective": "softrepa",
        "recipe": "none",
        "steps": STEPS,
        "batch_size": 3,
        "learning_rate": 0.001,
        "resolution": 64,
        "seed": 0,
        "validation": 0.25,
        "preview_every": 6,
        "preview_prompts": "two red circles",
    }
    both.load_api(
        {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
            "2": {"class_type": "SoftREPATrain", "inputs": inputs},
        },
        {"1": (20, 60), "2": (420, 60)},
    )
    panel = both.page.locator(".softrepa-training")
    expect(panel).to_contain_text("Curves and previews appear here")
    both.page.get_by_test_id("queue-button").click()
    # Long enough for a machine that does other things beside.
    expect(panel.locator("img.softrepa-previews")).to_be_visible(timeout=240_000)
    expect(panel).to_contain_text(f"of {STEPS}")
    assert len(panel.locator("polyline").first.get_attribute("points").split()) > 1
    both.server.interrupt()
    state = both.server.base / "models" / "softrepa" / f"{name}.state"
    while both.server.get("/queue")["queue_running"]:
        both.page.wait_for_timeout(200)
    assert state.is_file()
    both.queue()
    expect(panel).to_contain_text(f"step {STEPS} of {STEPS}")
    assert (state.parent / f"{name}.safetensors").is_file()
    both.settle()
    both.screenshot(f"training-{request.node.callspec.params['both']}")
    assert not both.complaints()
