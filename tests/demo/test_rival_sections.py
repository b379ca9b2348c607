"""The measurement of edits and that of preference: their short ways compute what node and trainer
do, and what is measured is what it says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import evaluate
from comfyui_softrepa.demo.rivals.bench import KEPT
from comfyui_softrepa.demo.rivals.editing import results
from comfyui_softrepa.demo.rivals.editing.arms import SEEDS, UNEDITED, USES, WAYS, Arm, arms
from comfyui_softrepa.demo.rivals.editing.bench import Bench, edits, schedule
from comfyui_softrepa.demo.rivals.page import sections as page
from comfyui_softrepa.demo.rivals.preference import lesson
from comfyui_softrepa.demo.rivals.preference import results as preferred
from comfyui_softrepa.demo.rivals.preference.lora import Lora
from comfyui_softrepa.demo.rivals.preference.pairs import Compared
from comfyui_softrepa.demo.rivals.preference.uses import BETAS, CHOSEN, STEPS, Use
from comfyui_softrepa.demo.rivals.samplers.attention import GRADIENTS, LED
from comfyui_softrepa.demo.sweep.short import training
from comfyui_softrepa.demo.sweep.short.sd3 import Model
from comfyui_softrepa.demo.world.judge import judge
from comfyui_softrepa.evaluation.painting.picture import as_image
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.flow_edit import SoftREPAFlowEdit
from comfyui_softrepa.nodes.guidance.focus import SoftREPAFocus
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.objectives import DPO
from comfyui_softrepa.training.step.batches import Batch
from comfyui_softrepa.training.step.engine import Engine, prepare


@pytest.mark.parametrize("method", ["FlowEdit", "FlowAlign"])
def test_the_short_way_edits_as_the_node(base: evaluate.Base, model: Model, method: str):
    arm = Arm(method, 4, 2, target_cfg=5.0, adapter="softrepa-demo", strength=0.5)
    bench = Bench.prepared(2, model)
    adapter = files.read(KEPT / "softrepa.safetensors")
    (adapted,) = SoftREPAApply.execute(base.model, adapter, 0.5, 0.0, 1.0, "").args

    def text(words: str):
        return base.clip.encode_from_tokens_scheduled(base.clip.tokenize(words))

    samples = base.model.model.latent_format.process_out(bench.latents)
    found = bench.edited(arm).astype(int)
    for seed, one in enumerate(bench.edits):
        with torch.inference_mode():
            (edited,) = SoftREPAFlowEdit.execute(
                adapted, text(world.caption(one.source)), text(world.caption(one.target)),
                text(""), {"samples": samples[seed : seed + 1]}, seed, arm.steps, "normal", 0,
                arm.n_max, 1, arm.source_cfg, arm.target_cfg, "uncond + s (cond - uncond)",
                method, 0.01,
            ).args  # fmt: skip
            wanted = np.asarray(as_image(base.vae.decode(edited["samples"])[0])).astype(int)
        assert np.abs(found[seed] - wanted).max() <= 2
        assert np.abs(wanted - bench.pictures[seed]).max() > 20


def test_focus_is_the_nodes(base: evaluate.Base, model: Model):
    """Two prompts at once against each with a node of its own, whose words are CLIP's alone."""
    prompts = [world.caption(scene) for scene in world.held_out_scenes(2, seed=0)]
    adapter = files.read(KEPT / "softrepa.safetensors")
    adapted = SoftREPAApply.execute(base.model, adapter, 0.5, 0.0, 1.0, "").args[0]
    settings, passes, expected = evaluate.sampling(steps=4), Counter(), []
    for seed, prompt in enumerate(prompts):
        focused = SoftREPAFocus.execute(adapted, base.clip, prompt, "", 1.0).args[0]
        expected += [*evaluate.paint(base, [prompt], [seed], settings, focused)]
    sampler = partial(LED["FOCUS"], scale=1.0, passes=passes)
    how = {"adapter": adapter, "settings": settings, "strength": 0.5}
    painted = model.paint(prompts, [0, 1], **how, sampler=sampler).astype(int)
    plain = model.paint(prompts, [0, 1], **how).astype(int)
    assert np.abs(painted - np.stack(expected).astype(int)).max() <= 2
    assert np.abs(painted - plain).max() > 10
    assert passes[GRADIENTS] == 2 * settings.steps


def test_each_edit_changes_one_attribute_of_one_group_and_nothing_outside_of_it():
    for one in edits(30):
        assert world.split_of(one.source) == "held-out"
        before, after = one.source.groups[one.changed], one.target.groups[one.changed]
        assert one.source.groups[1 - one.changed] == one.target.groups[1 - one.changed]
        assert {kind for kind in ("colour", "shape", "number")
                if getattr(before, kind) != getattr(after, kind)} == {one.kind}  # fmt: skip


def test_what_is_to_be_kept_is_all_but_the_changed_group(model: Model):
    bench = Bench.prepared(12, model)
    for one, picture, kept in zip(bench.edits, bench.pictures, bench.kept, strict=True):
        assert judge(picture, one.source).all
        colour = np.array(world.COLOURS[one.source.groups[one.changed].colour])
        assert np.abs(picture[kept].astype(float) - colour).max(axis=-1).min() > 15
        other = np.array(world.COLOURS[one.source.groups[1 - one.changed].colour])
        assert (np.abs(picture[kept].astype(float) - other).max(axis=-1) < 5).sum() > 50
    unedited = bench.measure(bench.edited(UNEDITED))
    assert "1" not in unedited["right"]["all"] and min(unedited["psnr"]) > 30
    changed = bench.pictures.copy()
    changed[~bench.kept] = 0
    assert min(bench.measure(changed)["psnr"]) > 70
    changed[bench.kept] += 8
    assert max(bench.measure(changed)["psnr"]) < 31


def test_the_schedule_is_comfyui_s(base: evaluate.Base):
    import comfy.samplers

    sampling = base.model.get_model_object("model_sampling")
    wanted = comfy.samplers.calculate_sigmas(sampling, "normal", 50)
    torch.testing.assert_close(schedule(50), wanted, rtol=1e-5, atol=1e-6)


def test_arms_are_kept_and_not_made_twice(tmp_path: Path, monkeypatch, model: Model):
    plain = Arm(steps=2, n_max=2)
    few = [UNEDITED, plain, replace(plain, adapter="softrepa-demo", strength=0.5)]
    monkeypatch.setattr(results, "arms", lambda: few)
    monkeypatch.setattr(results, "shown", lambda: few)
    file, bench = tmp_path / "results.jsonl", Bench.prepared(3, model)
    results.run(file, minutes=0.0, bench=bench)
    assert not file.exists()
    results.run(file, bench=bench)
    found = file.read_text()
    results.run(file, bench=bench)
    assert file.read_text() == found and len(found.splitlines()) == 3
    made = results.table(file)
    shown = tmp_path / "page.md"
    shown.write_text("before\n<!-- editing -->\nold\n<!-- end of editing -->\nafter\n")
    page.put("editing", made, shown)
    page.put("another", made, shown)
    assert shown.read_text() == (
        f"before\n<!-- editing -->\n{made}\n<!-- end of editing -->\nafter\n"
    )
    assert (
        made.endswith("3 of 3 arms are measured.")
        and made.count("| Flow") == 2
        and " softrepa-demo 0.5 | 1 " in made
    )


def test_every_way_is_tried_without_an_adapter_and_with_three_trainings_of_each():
    assert len(set(arms())) == len(arms()) == 1 + len(WAYS) * (1 + SEEDS * (len(USES) - 1))
    assert USES[0] == {}


def test_what_an_adapter_changes_over_all_ways_is_each_edit_s_mean(tmp_path: Path):
    """Three edits. With two of AGSM's three trainings one more is right in half of the ways, and
    1 dB more is kept."""
    file = tmp_path / "results.jsonl"
    for at, arm in enumerate(arms()):
        better = arm.adapter == "agsm" and arm.seed > 0
        more = better and WAYS.index(way_of(arm)) % 2 == 0
        right = dict.fromkeys(("all", "colour", "shape", "number"), "110" if more else "100")
        entry = {"arm": asdict(arm), "seconds": 0.1, "right": right, "psnr": [30.0 + better] * 3}
        with file.open("a") as lines:
            lines.write(json.dumps(entry) + "\n")
        if at == len(WAYS) + 1:
            assert "over all" not in results.table(file)
    made = results.table(file)
    assert made.count("over all") == len(USES) - 1
    agsm = "agsm 1, over all 6 ways (trainings: 3), each edit's mean: +11.1 ("
    assert agsm in made and "PSNR +0.67 (+0.67 to +0.67) dB." in made
    assert "softrepa-demo 0.5, over all 6 ways (trainings: 3), each edit's mean: +0.0 (" in made
    assert "| agsm 1 | 3 | 132 | 55.6% (33.3%, 66.7%, 66.7%) | +22.2 (" in made


def way_of(arm: Arm) -> dict[str, object]:
    """The way of this arm, as WAYS has it."""
    return next(way for way in WAYS if Arm(**way) == replace(arm, adapter="", strength=1.0, seed=0))


def test_preference_s_gradients_are_the_trainer_s(base: evaluate.Base, model: Model):
    scenes = world.held_out_scenes(4, seed=3)
    latents = model.latents(scenes, 0)
    names = [world.caption(scene) for scene in scenes[:2]]
    pairs = Compared(latents, [*names, *names], np.zeros((4, 64, 64, 3), np.uint8))
    noise = torch.randn(1, *latents.shape[1:], generator=torch.Generator().manual_seed(0))
    batch = Batch((0, 1), tuple(names), ((0, 0), (1, 1)), 600, noise, worse=(2, 3))
    chosen = training.settings(objective="dpo", beta=100.0, tokens=2, layers="0,2")
    live = training.start_of(chosen).copy("cpu", trainable=True)

    def predict(noisy, sigma, both, bare):
        return model.predict(noisy, sigma, both, None if bare else live.adapter)

    loss = lesson.loss_of(model, DPO(beta=100.0), batch, pairs, predict)
    loss.backward()
    texts = []
    for name in names:
        context, pooled = base.clip.encode_from_tokens(base.clip.tokenize(name), True)
        texts.append(SimpleNamespace(context=context[0], pooled=pooled[0], more={}))
    again = training.start_of(chosen).copy("cpu", trainable=True)
    denoiser = Denoiser(base.model)
    task = prepare(denoiser, batch, latents, texts)
    outcome = Engine(denoiser, DPO(beta=100.0), 4).accumulate(task, again, None, range(2))
    torch.testing.assert_close(loss.detach(), outcome.loss, rtol=1e-4, atol=1e-5)
    for name, tensor in again.tensors.items():
        if tensor.grad is None:
            continue
        scale = float(tensor.grad.abs().max())
        assert scale > 0
        torch.testing.assert_close(
            live.tensors[name].grad, tensor.grad, rtol=1e-3, atol=2e-3 * scale
        )


def test_preference_takes_what_the_rows_have(tmp_path: Path):
    """And of these only what is the same measurement."""
    rows, file = tmp_path / "rows.jsonl", tmp_path / "results.jsonl"
    right = dict.fromkeys(("all", "colour", "shape", "number", "relation"), "01" * 250)
    told = {"base": "sd3", "part": "judged", "scale": 4.0, "verdicts": right}
    others = [{**told, "base": "unet"}, {**told, "scale": 3.0}, {**told, "part": "choosing"}]
    made = [{**one, "method": "CFG", "seed": None} for one in others]
    made.append({**told, "method": "DPO LoRA", "seed": 1})
    rows.write_text("".join(json.dumps(row) + "\n" for row in made))
    lora = Use("lora", 1.0, CHOSEN["lora"], STEPS, 1)
    assert preferred.read(file, rows) == {lora: right}
    tried = Use("dpo", 1.0, 20.0, STEPS, part="choosing")
    file.write_text(json.dumps({"use": asdict(tried), "right": {"all": "1"}}) + "\n")
    assert list(preferred.read(file, rows)) == [tried, lora]
    assert set(CHOSEN.values()) <= set(BETAS)


def test_beta_is_the_best_of_those_tried():
    found = preferred.read()
    for method, beta in CHOSEN.items():
        tried = {use.beta: right["all"].count("1") for use, right in found.items()
                 if use.part == "choosing" and use.method == method}  # fmt: skip
        assert tried[beta] == max(tried.values())


def test_a_lora_acts_only_while_it_is_on(model: Model):
    made = Lora.new(model, 0)
    texts = model.prompts.encode(["a red circle"])
    x = model.latents(world.held_out_scenes(1, seed=3), 0)
    with torch.inference_mode():
        before = model.predict(x, 0.5, texts)
        with made.on(model):
            assert torch.equal(model.predict(x, 0.5, texts), before), "it begins as nothing"
            for layer in made.layers.values():
                layer.up.normal_(generator=torch.Generator().manual_seed(1))
            acting = model.predict(x, 0.5, texts)
        assert torch.equal(model.predict(x, 0.5, texts), before)
        assert (acting - before).norm() > 0.1 * before.norm()
        with Lora.of(model, made.state).on(model):
            assert torch.equal(model.predict(x, 0.5, texts), acting)


def test_a_lora_is_trained_on_the_pairs(model: Model):
    latents = model.latents(world.held_out_scenes(16, seed=3), 0)
    names = [world.caption(scene) for scene in world.held_out_scenes(8, seed=3)]
    pairs = Compared(latents, [*names, *names], np.zeros((16, 64, 64, 3), np.uint8))
    made = lesson.train_lora(model, pairs, 2000.0, 2, 0)
    assert all(layer.up.abs().max() > 0 for layer in made.layers.values())
    assert not any("parametrizations" in name for name, _ in model.network.named_modules())
