"""The sweep's short cuts compute what the nodes and the trainer do."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial, partialmethod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.rivals.longer import length
from comfyui_softrepa.demo.rivals.samplers import guidance
from comfyui_softrepa.demo.sweep import branches, economy, grid, page, train_weight
from comfyui_softrepa.demo.sweep.short import training
from comfyui_softrepa.demo.sweep.short.sd3 import SKIPPED, Model
from comfyui_softrepa.tests.adapters import random_adapter
from comfyui_softrepa.tests.short_steps import hold_a_step_against_the_trainers
from comfyui_softrepa.training.cache import Text, texts

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


class OnConditionings:
    """A CLIP whose conditionings carry an adapter: the empty prompt's with another strength."""

    def __init__(self, clip: object, *unfitted: injection.Unfitted) -> None:
        self.clip, (self.asked, self.unasked) = clip, unfitted
        self.text = ""

    def tokenize(self, text: str) -> object:
        self.text = text
        return self.clip.tokenize(text)

    def encode_from_tokens_scheduled(self, tokens: object) -> list:
        conditioning = self.clip.encode_from_tokens_scheduled(tokens)
        return injection.attach(conditioning, self.asked if self.text else self.unasked)


@pytest.mark.parametrize("strength_as", ["blend", "attention"])
def test_the_empty_prompt_has_a_strength_of_its_own(
    base: evaluate.Base, model: Model, monkeypatch: pytest.MonkeyPatch, strength_as: str
):
    adapter = random_adapter(blocks=3, width=training.WIDTH, offset_width=training.WIDTH)
    scenes = world.held_out_scenes(2, seed=0)
    prompts = [world.caption(scene) for scene in scenes]
    nodes = [
        injection.Unfitted(adapter, strength, strength_as=strength_as) for strength in (0.7, 0.4)
    ]
    on_both = replace(base, clip=OnConditionings(base.clip, *nodes))
    expected = evaluate.paint(on_both, prompts, [0, 1], SAMPLING).astype(int)
    painted = []
    monkeypatch.setattr(grid, "verdicts", lambda pictures, _: painted.append(np.stack(pictures)))
    monkeypatch.setattr(Model, "paint", partialmethod(Model.paint, settings=SAMPLING))
    for negative in (0.4, 0.7):
        grid.painted(model, scenes, adapter, 0.7, strength_as, negative)
    found, alike = (each.astype(int) for each in painted)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(alike - expected).max() > 10
    grid.painted(model, scenes, adapter, 0.7, strength_as)
    assert np.abs(painted[2].astype(int) - alike).max() <= 1, "as one Apply SoftREPA has it"


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


@pytest.mark.parametrize("bits", [16, 8])
def test_its_texts_are_those_of_the_trainers_cache(base: evaluate.Base, model: Model, bits: int):
    prompt = world.caption(world.held_out_scenes(1, seed=0)[0])
    context, pooled = base.clip.encode_from_tokens(base.clip.tokenize(prompt), True)
    encoder = SimpleNamespace(name="", texts=lambda captions: [Text(context[0], pooled[0])])
    ((about, tensors),) = texts.embeddings([prompt], encoder, bits)
    cached = texts.restored(about, tensors).context
    rows, _ = training.texts_of(model, [prompt], bits)
    live = cached[: rows.shape[1], : rows.shape[2]]
    torch.testing.assert_close(rows[0], live, rtol=1e-3, atol=1e-3)
    largest = rows.abs().max()
    assert not cached[:, rows.shape[2] :].any() and largest > 1
    exact = training.texts_of(model, [prompt], 16)[0][0]
    assert (rows[0] - exact).abs().max() < largest / 200
    assert bool((rows[0] != exact).any()) == (bits == 8)


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
    told = page.PAGE.read_text(encoding="utf-8")
    assert grid.table(grid.RESULTS) in told
    found = {grid.key(entry) for entry in grid.read(grid.RESULTS)}
    wanted = {grid.key(entry) for trial in grid.trials() for entry in trial.findings()}
    assert found == wanted


def test_the_results_page_shows_what_a_weight_in_training_did():
    told = page.PAGE.read_text(encoding="utf-8")
    for base, file in train_weight.RESULTS.items():
        assert train_weight.table(file, train_weight.TITLES[base]) in told
        assert base != "sd3" or grid.read(file)


def test_the_results_page_shows_what_an_evaluation_brought():
    told = page.PAGE.read_text(encoding="utf-8")
    assert economy.chosen_from() in told and economy.confirmation() in told
    assert economy.found(economy.CHOOSING)


def test_the_results_page_shows_what_each_branch_is_worth():
    told = page.PAGE.read_text(encoding="utf-8")
    assert branches.chosen_from() in told and branches.confirmation() in told
    assert branches.kept() in told and branches.kept().count("\n") > 2
    assert branches.found(economy.CHOOSING)
    objective, curve, steps = economy.CHOSEN[0]
    before = economy.evaluations(economy.flags_of(objective, curve, 0), steps)
    for name, one in branches.SETTINGS.items():
        cost = economy.evaluations(branches.flags_of(one, 0), one.steps)
        assert cost == (before / 8 if "1 negative" in name else before)


def test_prompts_that_confirm_chose_nothing():
    swept = world.held_out_scenes(grid.PROMPTS, world.SWEPT_SEED)
    chose = {world.caption(scene) for scene in swept}
    parts = [{world.caption(s) for s in economy.scenes_of(seed)} for seed in economy.CHOOSING]
    assert set.union(*parts) == chose and sum(map(len, parts)) == len(chose)
    asked = {world.caption(scene) for scene in world.unswept_scenes(economy.PROMPTS)}
    assert len(asked) == economy.PROMPTS <= train_weight.PROMPTS and not asked & chose
    assert not set(economy.CHOOSING) & set(economy.CONFIRMING)


@pytest.mark.parametrize(
    ("objective", "curve"),
    [
        ("softrepa", "1 negative, batch 4"),
        ("softrepa", "7 negatives"),
        ("softrepa", "7 negatives, 1 replayed"),
        ("agsm", "1 negative"),
        ("agsm", "7 negatives, 1 replayed"),
    ],
)
def test_evaluations_are_those_that_a_step_makes(
    model: Model, monkeypatch: pytest.MonkeyPatch, objective: str, curve: str
):
    counted, predict = [], Model.predict

    def counting(self: Model, x: torch.Tensor, *given: object, **told: object) -> torch.Tensor:
        counted.append(len(x) * (3 if torch.is_grad_enabled() else 1))
        return predict(self, x, *given, **told)

    monkeypatch.setattr(Model, "predict", counting)
    flags = economy.flags_of(objective, curve, 0)
    pairs = training.Pairs.drawn(model, grid.training_scenes()[:24], 0)
    training.train(model, pairs, training.settings(**flags, steps=1))
    assert sum(counted) == economy.evaluations(flags, 1)
