"""The sweep's short cuts compute what the nodes and the trainer do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa import injection
from comfyui_softrepa.demo import evaluate, world
from comfyui_softrepa.demo.rivals import guidance, length
from comfyui_softrepa.demo.sweep import grid, train_weight, training
from comfyui_softrepa.demo.sweep.model import SKIPPED, Model
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.short_steps import hold_a_step_against_the_trainers

SAMPLING = evaluate.sampling(steps=4)


@pytest.mark.parametrize(
    ("strength", "strength_as"), [(1.0, "blend"), (0.5, "blend"), (0.5, "attention")]
)
def test_it_paints_what_the_nodes_paint(
    base: evaluate.Base, model: Model, strength: float, strength_as: str
):
    adapter = random_adapter(blocks=3, width=training.WIDTH, offset_width=training.WIDTH)
    prompts = [world.caption(scene) for scene in world.held_out_scenes(3, seed=0)]
    application = injection.make_application(
        base.model.model, adapter, strength, strength_as=strength_as
    )
    patched = injection.apply(base.model, application)
    expected = evaluate.paint(base, prompts, [1, 2, 3], SAMPLING, patched).astype(int)
    painted = model.paint(prompts, [1, 2, 3], adapter, SAMPLING, strength, strength_as)
    painted = painted.astype(int)
    plain = model.paint(prompts, [1, 2, 3], None, SAMPLING).astype(int)
    assert np.abs(painted - expected).max() <= 2
    assert np.abs(plain - expected).max() > 20


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_two_adapters_act_as_two_nodes(base: evaluate.Base, model: Model, strength: float):
    """On prompts longer than any the base has learned from."""
    size = {"blocks": 3, "width": training.WIDTH, "offset_width": training.WIDTH}
    under, over = (random_adapter(seed=seed, **size) for seed in (1, 2))
    scenes = world.held_out_scenes(2, seed=0)
    prompts = [tell(one) for tell, one in zip(length.KINDS.values(), scenes, strict=True)]
    patched = base.model
    for adapter, strong in ((under, 1.0), (over, strength)):
        application = injection.make_application(base.model.model, adapter, strong)
        patched = injection.apply(patched, application)
    expected = evaluate.paint(base, prompts, [1, 2], SAMPLING, patched).astype(int)
    painted = model.paint(prompts, [1, 2], over, SAMPLING, strength, beneath=under).astype(int)
    assert np.abs(painted - expected).max() <= 2
    for one in (under, over):
        assert np.abs(model.paint(prompts, [1, 2], one, SAMPLING).astype(int) - expected).max() > 10


@pytest.mark.parametrize(("sampler", "scale"), [("CFG++", 1.5), ("SLG", 0.5)])
def test_other_guidance_is_comfyuis(base: evaluate.Base, model: Model, sampler: str, scale: float):
    from comfy_extras.nodes_sd3 import SkipLayerGuidanceSD3

    prompts = [world.caption(scene) for scene in world.held_out_scenes(2, seed=0)]
    settings, led = guidance.at(SAMPLING, scale), guidance.SAMPLERS["CFG++"][0]
    if sampler != "CFG++":
        settings, led = SAMPLING, partial(guidance.weakened, scale=scale, passes=Counter())
    painted = model.paint(prompts, [1, 2], settings=settings, sampler=led)
    patched, told = base.model, replace(settings, sampler="euler_cfg_pp")
    if sampler != "CFG++":
        told = SAMPLING
        node = SkipLayerGuidanceSD3.execute(base.model, str(SKIPPED), scale, 0.0, 1.0)
        (patched,) = node.args
    expected = evaluate.paint(base, prompts, [1, 2], told, patched).astype(int)
    plain = model.paint(prompts, [1, 2], settings=SAMPLING).astype(int)
    assert np.abs(painted.astype(int) - expected).max() <= 2
    assert np.abs(plain - expected).max() > 10


@pytest.mark.parametrize(
    ("objective", "weight", "replay"),
    [("softrepa", 2.0, None), ("agsm", 1.0, None), ("softrepa", 1.0, 1)],
)
def test_its_gradients_are_the_trainers(
    base: evaluate.Base, model: Model, objective: str, weight: float, replay: int | None
):
    flags = {} if replay is None else {"replay": replay}
    hold_a_step_against_the_trainers(base, model, objective, weight, layers="0,2", **flags)


def test_no_prompt_of_the_evaluation_is_trained_on():
    trained = {world.caption(world.canonical(scene)) for scene in grid.training_scenes()}
    asked = [world.canonical(scene) for scene in world.held_out_scenes(500, grid.PROMPTS_SEED)]
    assert grid.PROMPTS >= 500 and len(trained) > 300
    assert not trained & {world.caption(scene) for scene in asked}


def test_findings_are_kept_and_not_made_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grid, "PROMPTS", 3)
    monkeypatch.setattr(grid, "PAIRS", 8)
    file = tmp_path / "results.jsonl"
    trial = grid.Trial({**grid.COMMON, "objective": "softrepa", "batch_size": 2}, at=(1, 2))
    grid.run(file, [trial])
    found = file.read_text()
    assert [entry["steps"] for entry in grid.read(file)] == [1, 2]
    grid.run(file, [trial])
    assert file.read_text() == found
    assert grid.table(file).count("| softrepa |") == 2


def test_the_results_page_shows_the_findings_that_were_made():
    page = (grid.RESULTS.parents[1] / "RESULTS.md").read_text(encoding="utf-8")
    assert grid.table(grid.RESULTS) in page
    found = {grid.key(entry) for entry in grid.read(grid.RESULTS)}
    wanted = {grid.key(entry) for trial in grid.trials() for entry in trial.findings()}
    assert found == wanted


def test_the_results_page_shows_what_a_weight_in_training_did():
    page = (grid.RESULTS.parents[1] / "RESULTS.md").read_text(encoding="utf-8")
    assert train_weight.table() in page
    assert grid.read(train_weight.RESULTS)
    swept = world.held_out_scenes(grid.PROMPTS, world.SWEPT_SEED)
    chose = {world.caption(scene) for scene in swept}
    asked = {world.caption(scene) for scene in world.unswept_scenes(train_weight.PROMPTS)}
    assert len(asked) == train_weight.PROMPTS and not asked & chose
