"""The demo's table, contact sheet and guard, on pictures drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.demo.evaluation import report
from comfyui_softrepa.demo.evaluation.comparison import Comparison, Pictures
from comfyui_softrepa.demo.evaluation.evaluate import sampling
from comfyui_softrepa.demo.world import Group, Scene
from PIL import Image

SCENES = [Scene(Group(1, "red", "circle"), "left of", Group(2, "blue", "square"))] * 2
USED = {"strength": 0.8, "negative_share": 0.6}
WRONG = Scene(Group(3, "red", "circle"), "left of", Group(2, "blue", "square"))


def drawn(*scenes: Scene) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([np.asarray(world.render(scene, rng)) for scene in scenes])


def test_the_table_counts_what_the_judge_saw(tmp_path: Path):
    comparison = Comparison(SCENES, drawn(WRONG, SCENES[1]), drawn(*SCENES))
    table = report.write(tmp_path, comparison, sampling(), tmp_path / "mine.safetensors", USED)
    rows = {row.split("|")[1].strip(): row for row in table.splitlines()[2:]}
    assert "| 50.0% (" in rows["all"] and "| 100.0% (" in rows["all"] and "| 1, 0 |" in rows["all"]
    assert "| 50.0% (" in rows["number"]
    assert "| 0, 0 |" in rows["colour"]
    assert "strength 0.8, negative_share 0.6," in (tmp_path / "results.md").read_text()
    sheet = Image.open(tmp_path / "contact_sheet.png").convert("RGB")
    assert {(19, 115, 51), (179, 38, 30)} <= {colour for _, colour in sheet.getcolors(1 << 24)}
    changed = Image.open(tmp_path / "changed.png")
    assert changed.width == sheet.width
    assert len(comparison.of([0]).scenes) == 1
    assert (comparison.of([1]).after[0] == comparison.after[1]).all()


def test_what_did_not_change_is_not_among_the_changed(tmp_path: Path):
    same = drawn(*SCENES)
    report.write(
        tmp_path, Comparison(SCENES, same, same), sampling(), tmp_path / "a.safetensors", USED
    )
    assert not (tmp_path / "changed.png").exists()


@pytest.mark.parametrize("told", [SCENES[0], world.retold(SCENES[0])])
def test_a_prompt_of_the_training_folder_is_refused(told: Scene):
    with pytest.raises(ValueError, match="is in the training folder"):
        report.check_held_out([world.caption(told)], SCENES)
    report.check_held_out([world.caption(WRONG)], SCENES)


def test_pictures_are_apart_by_what_made_them(tmp_path: Path):
    adapter = tmp_path / "adapter"
    adapter.write_bytes(b"one")
    first = Pictures.of(tmp_path, adapter, sampling())
    assert first == Pictures.of(tmp_path, adapter, sampling())
    assert first != Pictures.of(tmp_path, adapter, sampling(guidance=3.0))
    adapter.write_bytes(b"two")
    assert first != Pictures.of(tmp_path, adapter, sampling())
