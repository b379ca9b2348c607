"""The README's demo command, shortened: real training, real server, real judge."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.demo import world
from comfyui_softrepa.evaluation.trial import Cell, Trial, open_trial
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = 12


def run(comfyui: Path, output: Path, *more: str) -> str:
    command = [sys.executable, str(ROOT / "demo" / "run.py"), "--output", str(output),
               "--pairs", "48", "--steps", "20", "--prompts", str(PROMPTS), *more]  # fmt: skip
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COMFYUI_PATH": str(comfyui)},
        timeout=1800,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def output(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "output"
    (folder.parent / "said").write_text(run(comfyui, folder))
    return folder


def test_the_first_pictures_come_before_anything_long(output: Path):
    said = (output.parent / "said").read_text()
    assert (
        0 < said.index(f"first pictures: {output / 'first.png'}") < said.index("training 20 steps")
    )
    sheet = Image.open(output / "first.png").convert("RGB")
    assert len(sheet.getcolors(1 << 24)) > 100


def test_a_log_of_it_has_whole_lines_and_few(output: Path):
    said = (output.parent / "said").read_text()
    assert "\r" not in said and len(said.splitlines()) < 100


def test_the_trainer_found_every_caption_embedded(output: Path):
    assert (output.parent / "said").read_text().count("captions to embeddings") == 1


def test_the_adapter_acts(output: Path):
    """Its training lowers no bar: pictures differ, and the judge's verdicts with them."""
    folders = sorted((output / "pictures").iterdir(), key=lambda each: len(list(each.iterdir())))
    kept, *both = ({file.name: file.read_bytes() for file in each.iterdir()} for each in folders)
    assert len(kept) == 3 and [len(each) for each in both] == [PROMPTS, PROMPTS]
    assert both[0].keys() == both[1].keys() >= kept.keys()
    assert all(both[0][name] != both[1][name] for name in both[0])
    assert all(kept[name] not in (both[0][name], both[1][name]) for name in kept)


def test_it_leaves_sheet_table_and_verdicts(output: Path):
    sheet = Image.open(output / "contact_sheet.png").convert("RGB")
    assert sheet.width > 800 and len(sheet.getcolors(1 << 24)) > 100
    entries = json.loads((output / "results.json").read_text())
    assert len(entries) == PROMPTS
    table = (output / "results.md").read_text()
    for name in ("colour", "shape", "number", "relation", "all"):
        before = sum(entry["before"][name] for entry in entries) / PROMPTS
        assert f"| {name} | {before:.1%} (" in table
    assert (output / "comfyui/models/softrepa/softrepa_softrepa_demo.safetensors").is_file()


def test_no_prompt_of_the_evaluation_is_in_the_training_folder(output: Path):
    folder = output / "comfyui" / "input" / "softrepa_demo_48"
    trained = {file.read_text().strip() for file in folder.glob("*.txt")}
    entries = json.loads((output / "results.json").read_text())
    scenes = world.unswept_scenes(PROMPTS)
    assert [entry["prompt"] for entry in entries] == [world.caption(scene) for scene in scenes]
    assert len(trained) > 20
    for scene in scenes:
        assert not trained & {world.caption(scene), world.caption(world.retold(scene))}


def test_run_again_it_reuses_what_it_has_and_paints_a_trial_of_it(comfyui: Path, output: Path):
    pictures = (output / "pictures").rglob("*.png")
    kept = {file: file.stat().st_mtime_ns for file in pictures}
    assert len(kept) == 2 * PROMPTS + 3
    adapter = output / "comfyui/models/softrepa/softrepa_softrepa_demo.safetensors"
    written = adapter.stat().st_mtime_ns
    said = run(comfyui, output, "--trial", "0")
    assert "trained already" in said
    assert adapter.stat().st_mtime_ns == written
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    (folder,) = (output / "comfyui/output/softrepa/trials").iterdir()
    assert f"painted them as a trial: {folder}" in said
    check_trial(open_trial(folder), output, adapter)


def check_trial(trial: Trial, output: Path, adapter: Path) -> None:
    """It is whole, of these files, and its first prompt and seed are the demo's own first."""
    manifest = trial.manifest
    assert not trial.missing() and manifest.seeds == (0,)
    scenes = world.unswept_scenes(PROMPTS)
    assert [prompt.text for prompt in manifest.prompts] == [world.caption(s) for s in scenes]
    bare, learned = manifest.arms
    assert (bare.name, learned.name) == ("bare", "softrepa")
    assert [model.kind for model in bare.models] == ["checkpoint"]
    used = learned.models[-1]
    assert used.sha256 == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert used.strength == 0.8 and "negative_share=0.6" in learned.details["settings"]
    name = f"{manifest.prompts[0].text.replace(' ', '_')}.0.png"
    demos = {pixels(file) for file in (output / "pictures").glob(f"*/{name}")}
    cells = [Cell(arm.name, manifest.prompts[0].id, 0) for arm in (bare, learned)]
    painted = {pixels(trial.path(cell)) for cell in cells}
    assert len(painted) == 2 and painted <= demos


def pixels(file: Path) -> bytes:
    return Image.open(file).convert("RGB").tobytes()
