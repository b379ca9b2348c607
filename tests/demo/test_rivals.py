"""The table of rivals: run again it goes on, and its page is what its rows say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.models.base import join, train
from comfyui_softrepa.demo.models.unet_base.short import Unet
from comfyui_softrepa.demo.rivals import bench, run
from comfyui_softrepa.demo.rivals.longer import length, long_base
from comfyui_softrepa.demo.rivals.methods import LESSONS, METHODS
from comfyui_softrepa.demo.rivals.page import table
from comfyui_softrepa.demo.rivals.samplers.attention import LED
from comfyui_softrepa.demo.rivals.samplers.guidance import SAMPLERS
from comfyui_softrepa.demo.sweep import grid
from comfyui_softrepa.demo.sweep.short.sd3 import Model
from comfyui_softrepa.softrepa import files
from safetensors.torch import load_file


def test_it_goes_on_where_it_was_stopped(tmp_path: Path):
    """With one method that chooses its scale, and one with an adapter that takes that choice."""
    file = tmp_path / "rows.jsonl"
    run.run(file, bench.SHORT, ["sd3"], "SoftREPA, recommended")
    whole = grid.read(file)
    told = [(row["part"], row["method"], row["scale"]) for row in whole]
    scales = next(method for method in METHODS if method.name == "CFG").scales
    assert told[: len(scales)] == [("choosing", "CFG", scale) for scale in scales]
    best, own = whole[len(scales)]["scale"], "SoftREPA, recommended"
    names = ("CFG", own, f"{own}, at half strength")
    assert told[len(scales) :] == [
        *((part, name, best) for part in ("judged", *length.KINDS) for name in names)
    ]
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]))
    run.run(file, bench.SHORT, ["sd3"], "SoftREPA, recommended", minutes=0)
    assert file.read_text() == "".join(lines[:3])
    run.run(file, bench.SHORT, ["sd3"], "SoftREPA, recommended")
    again = [{**row, "seconds": 0} for row in grid.read(file)]
    assert again == [{**row, "seconds": 0} for row in whole]
    page = table.tables(file)
    assert "| SoftREPA, recommended |" in page and "2 steps, 32 predictions" in page


def test_the_base_that_reads_longer_prompts_is_made_once_and_read(tmp_path: Path, monkeypatch):
    file, told = tmp_path / "rows.jsonl", set()
    caption_of = train.caption_of

    def heard(*arguments: object, **named: object) -> str:
        text = caption_of(*arguments, **named)
        told.add(len(text.split()))
        return text

    monkeypatch.setattr(train, "caption_of", heard)
    run.run(file, bench.SHORT, [long_base.NAME], "SoftREPA, mixed")
    assert {8, 9, 13, 14, 16, 17} <= told, "captions of all lengths, with the mark and without"
    made = file.parent / "rows.adapters" / f"{long_base.NAME}.safetensors"
    assert not load_file(made)["x_embedder.proj.weight"].equal(
        load_file(join.MMDIT)["x_embedder.proj.weight"]
    )
    before, told_before = made.stat().st_mtime_ns, set(told)
    parts = [row["part"] for row in grid.read(file) if row["method"] == "SoftREPA, mixed lengths"]
    assert parts == ["judged", *length.KINDS]
    run.run(file, bench.SHORT, [long_base.NAME], "SLG")
    assert made.stat().st_mtime_ns == before and told == told_before
    assert not any("SLG" in row["method"] for row in grid.read(file)), "measured elsewhere"


def test_a_row_counts_every_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = []
    predict = Model.predict

    def counted(self: Model, x: object, *arguments: object, **named: object) -> object:
        seen.append(len(x))
        return predict(self, x, *arguments, **named)

    monkeypatch.setattr(Model, "predict", counted)
    sd3 = bench.Bench("sd3", bench.SHORT, tmp_path)
    looked, maps = [], Model.maps

    def looking(self: Model, x: object, *arguments: object, **named: object) -> object:
        looked.append(len(x))
        return maps(self, x, *arguments, **named)

    monkeypatch.setattr(Model, "maps", looking)
    for method in METHODS:
        if not method.trained and "sd3" in method.bases:
            seen.clear(), looked.clear()
            row = sd3.find(method, "judged", 2.0, None)
            assert sum(seen) == row["evaluations"] * bench.SHORT.judged
            assert sum(looked) == row["gradients"] * bench.SHORT.judged
            assert bool(looked) == (method.sampler == "FOCUS")
    assert {method.sampler for method in METHODS} == {*SAMPLERS, *LED}


def test_what_leads_chooses_its_scale_above_the_best_guidance(tmp_path: Path):
    """And where that guidance has changed, chooses anew. DPO's training and its cost are there."""
    file = tmp_path / "rows.jsonl"
    run.run(file, bench.SHORT, ["sd3"], "FOCUS")
    rows = [row for row in grid.read(file) if "FOCUS" in row["method"]]
    best = run.Found(file).best("sd3", run.named("CFG"))
    focus = run.named("FOCUS")
    assert [row["scale"] for row in rows if row["part"] == "choosing"] == list(focus.scales)
    assert {row["method"] for row in rows} == {"FOCUS", "SoftREPA, demo + FOCUS"}
    assert {row["beneath"] for row in rows} == {best}
    assert all(row["gradients"] == bench.SHORT.steps for row in rows)
    changed = file.read_text().replace(f'"beneath": {best}', '"beneath": 99.0')
    file.write_text(changed)
    assert run.Found(file).best("sd3", focus) is None
    assert f"CFG {best:g}" not in table.tables(file) and "CFG 99" in table.tables(file)


@pytest.mark.parametrize("base", run.bases())
def test_preference_is_trained_by_its_own_code(tmp_path: Path, base: str):
    """Tokens and a LoRA on the same pairs; beneath another adapter both act."""
    made = bench.Bench(base, replace(bench.SHORT, judged=2, steps=1), tmp_path)
    for name in ("DPO tokens", "DPO LoRA"):
        row = made.find(run.named(name), "judged", 4.0, 0)
        wanted = {"steps": 2, "predictions": 64, "painted": 64}
        assert row["preference"].items() >= wanted.items() and row["training"] is None
        both = made.find(run.named(f"AGSM + {name}"), "judged", 4.0, 0)
        assert both["preference"] == row["preference"] and both["training"]["steps"] == 2
        names = [name for name, _ in made.model.network.named_modules()]
        assert not any("parametrizations" in name for name in names)
    assert len(list((tmp_path / "preference").rglob("*.safetensors"))) == 2


def test_captions_of_mixed_length_tell_the_same_scenes():
    scenes = grid.training_scenes()[:2]
    mixed = length.Mixed.of(Model.load(), scenes, 0)
    for at, scene in enumerate(scenes):
        short, *longer = mixed.captions(at)
        assert short == world.caption(scene) == mixed.texts[at]
        assert all(one.startswith(short) and len(one) > len(short) for one in longer)


def test_what_judges_chose_nothing_and_taught_nothing():
    judged = {world.caption(scene) for scene in bench.WHOLE.scenes("judged")}
    chose = {world.caption(scene) for scene in bench.WHOLE.scenes("choosing")}
    taught = {world.caption(scene) for scene in grid.training_scenes()}
    assert len(judged) >= 500 and not judged & (chose | taught)


def test_the_u_nets_adapters_are_the_papers():
    """After BOS in the down blocks, begun as BOS; AGSM's two gammas 1, SoftREPA's own weight 10."""
    from comfyui_softrepa.demo.sweep.short import training

    for lesson in LESSONS.values():
        settings = training.settings(Unet.FAMILY, **lesson.of("unet"))
        assert (settings.layers, settings.start) == ("input", "bos")
        wanted = {
            "softrepa": {"own_weight": 10.0},
            "agsm": {"gamma_positive": 1.0, "gamma_negative": 1.0},
        }
        given = settings.hyperparameters
        assert wanted[settings.objective].items() <= given.items()


def test_kept_adapters_are_of_their_lesson():
    for lesson in LESSONS.values():
        for base, name in lesson.kept.items():
            told = files.read(bench.KEPT / name).metadata
            flags = lesson.of(base)
            assert told["softrepa.objective"] == flags["objective"]
            assert int(told["softrepa.steps"]) == flags["steps"]


def test_the_page_shows_the_rows_that_were_made():
    page = table.PAGE.read_text(encoding="utf-8")
    assert table.tables(run.ROWS) in page
