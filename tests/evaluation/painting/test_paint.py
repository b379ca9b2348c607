"""A trial painted by ComfyUI's own sampling, on the demo world's base."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import comfy.model_management
import comfy.utils
import numpy as np
import pytest
import torch
from comfy.cli_args import args
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.errors import TrialError
from comfyui_softrepa.evaluation.painting import request
from comfyui_softrepa.evaluation.trial import records
from comfyui_softrepa.tests.evaluation.painting import studio
from comfyui_softrepa.tests.evaluation.plans import plan
from PIL import Image

EVERYTHING = 8


@pytest.fixture(scope="module")
def whole(loaded, tmp_path_factory) -> Path:
    """A trial that nothing disturbed: not to be written to."""
    folder = tmp_path_factory.mktemp("whole") / "t"
    assert loaded.paint(folder, extra_pnginfo={"workflow": {"nodes": []}})[1] == EVERYTHING
    return folder


@pytest.fixture
def painted(whole, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(whole, tmp_path / "t")


def test_pictures_are_those_of_comfyuis_own_nodes(loaded, whole):
    import nodes

    model, clip, vae = (loaded.inputs[key][0] for key in ("model_2", "clip", "vae"))
    with torch.inference_mode():
        texts = [nodes.CLIPTextEncode().encode(clip, text)[0] for text in ("a blue square", "")]
        empty = {"samples": torch.zeros(1, 16, 8, 8)}
        latent = nodes.common_ksampler(model, 2, 2, 4.0, "euler", "simple", *texts, empty)[0]
        pixels = nodes.VAEDecode().decode(vae, latent)[0][0]
    expected = np.clip(255.0 * pixels.numpy(), 0, 255).astype(np.uint8)
    found = np.asarray(Image.open(whole / "pictures" / "soft" / "0002-2.png"))
    assert np.array_equal(found, expected)


def test_arms_begin_from_equal_noise(whole, tmp_path):
    """An adapter of no strength paints the bare model's pictures; at 0.5 it does not."""
    off = studio.a_request("bare", f"off: adapter={studio.ADAPTER} strength=0", seeds="1")
    off.paint(tmp_path / "t")
    seen, other = studio.pixels(tmp_path / "t"), studio.pixels(whole)
    for name in ("0001-1.png", "0002-1.png"):
        assert seen[f"off/{name}"] == seen[f"bare/{name}"] == other[f"bare/{name}"]
        assert other[f"soft/{name}"] != other[f"bare/{name}"]


def test_a_picture_holds_its_workflow_and_settings(loaded, whole):
    with Image.open(whole / "pictures" / "soft" / "0002-1.png") as image:
        held = {key: json.loads(text) for key, text in image.text.items()}
    assert held["prompt"] == loaded.graph
    assert held["workflow"] == {"nodes": []}
    told = held["softrepa_trial"]
    assert (told["arm"], told["text"], told["seed"]) == ("soft", "a blue square", 1)
    assert (told["sampler"], told["steps"], told["guidance"]) == ("euler", 2, 4.0)


def test_without_metadata_where_comfyui_writes_none(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(args, "disable_metadata", True)
    loaded.with_(seeds="1", prompts="a blue square").paint(tmp_path / "t")
    with Image.open(tmp_path / "t" / "pictures" / "bare" / "0001-1.png") as image:
        assert image.text == {}


def test_the_manifest_names_files_by_their_hashes(base, whole):
    manifest = trial.open_trial(whole).manifest
    bare, soft = manifest.arms
    checkpoint = base / "models" / "checkpoints" / studio.CHECKPOINT
    assert [m.kind for m in bare.models] == ["checkpoint"]
    assert bare.models[0].sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    adapter = soft.models[1]
    assert (adapter.kind, adapter.name, adapter.strength) == ("adapter", studio.ADAPTER, 0.5)
    assert adapter.sha256 == hashlib.sha256(studio.KEPT.read_bytes()).hexdigest()
    assert [p.category for p in manifest.prompts] == ["number", "colour"]
    assert "unknown" not in {**bare.details, **soft.details}


def test_each_picture_has_its_cost(whole):
    entries = list(records.read(whole / "painted.jsonl"))
    assert len(entries) == EVERYTHING
    for entry in entries:
        path = whole / "pictures" / entry["arm"] / f"{entry['prompt']}-{entry['seed']}.png"
        assert entry["picture_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert entry["seconds"] > 0 and entry["memory"] is None and entry["device"] == "cpu"


def test_a_picture_deleted_or_cut_by_hand_is_painted_again(loaded, whole, painted):
    (painted / "pictures" / "soft" / "0001-2.png").unlink()
    cut = painted / "pictures" / "bare" / "0002-1.png"
    cut.write_bytes(cut.read_bytes()[:100])
    assert loaded.paint(painted, extra_pnginfo={"workflow": {"nodes": []}})[1] == 2
    assert studio.pixels(painted) == studio.pixels(whole)
    assert loaded.paint(painted)[1] == 0


def test_an_interruption_keeps_what_is_there(loaded, whole, tmp_path, monkeypatch):
    """In the middle of the fifth picture, as ComfyUI's own button does it."""
    calls: list[int] = []

    def hook(value, total, preview, node_id=None):
        calls.append(value)
        if value == 4 * 2 + 1:
            comfy.model_management.interrupt_current_processing()

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    folder = tmp_path / "t"
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        loaded.paint(folder)
    assert len(studio.pixels(folder)) == 4
    assert loaded.paint(folder)[1] == 4
    assert studio.pixels(folder) == studio.pixels(whole)
    assert len(list(records.read(folder / "painted.jsonl"))) == EVERYTHING


def test_progress_and_previews_are_comfyuis(loaded, tmp_path, monkeypatch):
    from comfy.cli_args import LatentPreviewMethod

    seen: list[tuple[int, int, object]] = []
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda v, t, p, node_id=None: seen.append((v, t, p))
    )
    loaded.paint(tmp_path / "t")
    values = [value for value, _, _ in seen]
    assert values == sorted(values) and values[-1] == EVERYTHING * 2
    assert {total for _, total, _ in seen} == {EVERYTHING * 2}
    previews = [preview for _, _, preview in seen if preview is not None]
    assert len(previews) == EVERYTHING * (2 + 1)  # each step, and the picture itself
    last = Image.open(tmp_path / "t" / "pictures" / "soft" / "0002-2.png")
    assert previews[-1][1].tobytes() == last.convert("RGB").tobytes()


def test_a_full_disk_is_told_and_gone_on_with(loaded, whole, tmp_path, monkeypatch):
    folder, calls = tmp_path / "t", []
    fsync = os.fsync

    def full(number: int) -> None:
        calls.append(number)
        if len(calls) > 6:  # the manifest, two pictures with their records, half of a third
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TrialError, match="free some space"):
            loaded.paint(folder)
    there = len(studio.pixels(folder))
    assert 0 < there < EVERYTHING
    assert loaded.paint(folder)[1] == EVERYTHING - there
    assert studio.pixels(folder) == studio.pixels(whole)


def test_a_changed_adapter_is_refused_by_name(loaded, base, painted):
    file = base / "models" / "softrepa" / studio.ADAPTER
    kept = file.read_bytes()
    file.write_bytes(kept + b" ")
    try:
        with pytest.raises(TrialError, match="adapter kept.safetensors of soft .* put the former"):
            loaded.paint(painted)
    finally:
        file.write_bytes(kept)
    assert loaded.paint(painted)[1] == 0


def test_a_trial_from_another_machine_is_refused(loaded, painted):
    file = painted / "trial.json"
    file.write_text(file.read_text().replace(torch.__version__, "2.0.1"))
    (painted / "pictures" / "soft" / "0001-2.png").unlink()
    with pytest.raises(TrialError, match=r"differs in host.torch \(\"2.0.1\" in the trial"):
        loaded.paint(painted)
    assert len(studio.pixels(painted)) == EVERYTHING - 1


def test_a_pilots_plan_is_fixed_with_the_first_picture(loaded, tmp_path):
    folder = tmp_path / "t"
    folder.mkdir()
    written = plan(folder / "pilot.toml", ("go = 0.6", "go = 6"))
    with pytest.raises(TrialError, match="go must be from 0 to 1"):
        loaded.paint(folder)
    plan(written)
    begun, painted = loaded.paint(folder, cells=lambda trial: trial.missing()[:1])
    assert painted == 1
    assert begun.manifest.pilot == hashlib.sha256(written.read_bytes()).hexdigest()
    plan(written, ("planned = 54", "planned = 5"))
    with pytest.raises(TrialError, match="differs in pilot"):
        loaded.paint(folder)


@pytest.mark.parametrize("content", ["{", '{"format": 1}', "[" * 100_000, "x" * (9 << 20)])
def test_a_hostile_manifest_loses_no_picture(loaded, painted, content):
    before = studio.pixels(painted)
    (painted / "trial.json").write_text(content)
    with pytest.raises(TrialError):
        loaded.paint(painted)
    assert studio.pixels(painted) == before


def test_another_painter_is_met_from_the_other_end(loaded, whole, tmp_path):
    """One that is always a picture ahead costs a single picture painted for nothing."""
    folder, source = tmp_path / "t", trial.open_trial(whole)
    (folder / "pictures").mkdir(parents=True)
    shutil.copyfile(whole / "trial.json", folder / "trial.json")
    other = trial.open_trial(folder)
    begun = []

    def ahead(value, total, preview, node_id=None):
        """Puts the very picture in place that is being painted, once."""
        if not begun:
            begun.append(next(other.cells()))
            other.write(begun[0], source.read(begun[0]))

    before, comfy.utils.PROGRESS_BAR_HOOK = comfy.utils.PROGRESS_BAR_HOOK, ahead
    order: list[str] = []
    try:
        painted = loaded.paint(folder, told=lambda done, all: order.append(_newest(folder)))[1]
    finally:
        comfy.utils.PROGRESS_BAR_HOOK = before
    assert painted == EVERYTHING - 1
    assert order[1].endswith("soft/0002-2.png")  # the last cell, after the first was lost
    assert studio.pixels(folder) == studio.pixels(whole)
    assert len(list(records.read(folder / "painted.jsonl"))) == EVERYTHING - 1


def _newest(folder: Path) -> str:
    return str(max((folder / "pictures").glob("*/*.png"), key=lambda p: p.stat().st_mtime_ns))


def test_what_is_patched_by_no_known_file_is_said(loaded, tmp_path):
    patched = loaded.inputs["model_2"][0].clone()
    key = next(iter(patched.model.state_dict()))
    patched.add_patches({key: (torch.zeros(1),)})
    asked = loaded.with_(prompts="a blue square", seeds="1")
    asked.inputs["model_2"] = [patched]
    asked.graph[studio.TRIAL]["inputs"]["model_2"] = ["nowhere", 0]
    begun, _ = asked.paint(tmp_path / "t")
    unknown = begun.manifest.arms[1].details["unknown"]
    assert "1 of its weights are patched" in unknown and "adapters come from" in unknown


def test_any_conditioning_is_an_arm(loaded, tmp_path):
    """A list of one for each prompt, of a CLIP, and one for all with a negative of its own."""
    clip = loaded.inputs["clip"][0]
    texts = [clip.encode_from_tokens_scheduled(clip.tokenize(t)) for t in ("two red circles", "x")]
    asked = loaded.with_(seeds="1")
    asked.inputs |= {"text_1": texts, "text_2": [texts[0]], "negative_2": [texts[1]]}
    begun, painted = asked.paint(tmp_path / "t")
    assert painted == 4
    usual, _ = loaded.with_(seeds="1").paint(tmp_path / "usual")
    seen, other = studio.pixels(begun.folder), studio.pixels(usual.folder)
    assert seen["bare/0001-1.png"] == other["bare/0001-1.png"]
    assert seen["bare/0002-1.png"] != other["bare/0002-1.png"]
    assert seen["soft/0001-1.png"] == seen["soft/0002-1.png"] != other["soft/0001-1.png"]


def test_missing_texts_are_told(loaded, tmp_path):
    asked = loaded.with_(seeds="1")
    asked.inputs["clip"] = [None]
    with pytest.raises(TrialError, match="bare has neither a CLIP nor a conditioning"):
        asked.paint(tmp_path / "t")
    asked.inputs["text_1"] = [[], [], []]
    with pytest.raises(TrialError, match="bare has 3 conditionings for 2 prompts"):
        asked.paint(tmp_path / "t")


def test_arms_are_called_after_what_is_on_them(loaded, tmp_path):
    begun, _ = loaded.with_(arm_names="", seeds="1", prompts="x").paint(tmp_path / "t")
    assert [arm.name for arm in begun.manifest.arms] == ["bare", "kept at 0.5"]


def test_comfyui_runs_it_again_until_it_is_whole(loaded):
    asked = loaded.with_(seeds="1", prompts="x")

    def state():
        return request.state({**asked.inputs, "model_1": (None,), "model_2": (None,)})

    assert state() != state()
    begun, _ = asked.paint()
    assert begun.folder == request.folder_of("t")
    assert state() == state()
    first = next(begun.cells())
    begun.path(first).unlink()
    assert state() != state()


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"name": "../t"}, "name cannot be"),
        ({"name": "con"}, "name cannot be"),
        ({"prompts": "suite-xx"}, "The suite is written in"),
        ({"prompts": "../../secret.txt"}, "lies outside input"),
        ({"prompts": "/etc/secret.txt"}, "lies outside input"),
        ({"prompts": "nowhere.csv"}, "cannot be read"),
        ({"prompts": " \n"}, "holds no prompt"),
        ({"seeds": "a"}, "seeds cannot be"),
        ({"arm_names": "a\nA"}, "a name twice"),
        ({"arm_names": "a/b"}, "arm_names cannot have"),
    ],
)
def test_bad_inputs_are_told_before_anything_runs(inputs, reason):
    given = {"name": None, "prompts": None, "seeds": None, "arm_names": None}
    told = request.objection(*({**given, **{k: [v] for k, v in inputs.items()}}).values())
    assert isinstance(told, str) and reason in told


def test_a_sampler_that_is_none_and_odd_sizes_are_told(loaded, tmp_path):
    for wrong, reason in (
        ({"sampler_name": "eular"}, "no sampler_name 'eular'"),
        ({"scheduler": "none"}, "no scheduler 'none'"),
        ({"width": 60}, "width must be a multiple of 8"),
        ({"vae": None}, "holds no VAE"),
    ):
        with pytest.raises(TrialError, match=reason):
            loaded.with_(**wrong).paint(tmp_path / "t")
    assert not (tmp_path / "t").exists()


def test_arms_with_loras_change_seldom(loaded, whole, tmp_path, monkeypatch):
    """A LoRA of zeros: the base's pictures, painted arm by arm."""
    key = "diffusion_model.joint_blocks.0.context_block.mlp.fc1.weight"
    patched = loaded.inputs["model_1"][0].clone()
    assert patched.add_patches({key: (torch.zeros(()),)}, 0.0) == [key]
    asked = loaded.with_(arm_names="bare\nlora")
    asked.inputs["model_2"] = [patched]
    folder, order = tmp_path / "t", []
    asked.paint(folder, told=lambda done, all: order.append(_newest(folder)))
    assert ["/lora/" in path for path in order] == [False] * 4 + [True] * 4
    seen = studio.pixels(folder)
    assert {k: v for k, v in seen.items() if k.startswith("bare/")} == {
        k: v for k, v in studio.pixels(whole).items() if k.startswith("bare/")
    }
