"""Whole runs on a small checkpoint: what they leave behind, and that they can be repeated."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch
from comfyui_softrepa.injection import make_application
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.softrepa.hashing import content_hash
from comfyui_softrepa.tests.training import board, conftest
from comfyui_softrepa.tests.training.conftest import VALIDATED
from comfyui_softrepa.training.model import comfy_model
from comfyui_softrepa.training.run.loop import Loop
from comfyui_softrepa.training.run.output.adapter import Output
from comfyui_softrepa.training.run.output.log import read_log
from comfyui_softrepa.training.step.strengths import recommended
from PIL import Image


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sd3, pictures, shared_cache):
    """One run, to look at."""
    from comfyui_softrepa.training.run import command

    folder = tmp_path_factory.mktemp("run")
    arguments = [f"--checkpoint={sd3}", f"--data={pictures}", f"--cache={shared_cache}"]
    arguments += [f"--output={folder / 'adapter'}", "--resolution=32", "--steps=8"]
    arguments += ["--batch-size=3", "--save-every=4", "--val-fraction=0.25", "--normalise"]
    assert command.main(arguments) == 0
    return Output(folder / "adapter.safetensors")


def test_leaves_adapter_log_plot_and_best(finished) -> None:
    for path in (finished.adapter, finished.best, finished.state, finished.data_report):
        assert path.is_file()
    with Image.open(finished.plot) as plot:
        assert plot.width > 1000
    steps = read_log(finished.log)
    assert len(steps[0]["before"]["val_by_timestep"]) == 5 and "before" not in steps[1]
    assert [entry["step"] for entry in steps] == list(range(1, 9))
    for entry in steps:
        assert {"loss", "accuracy", "lr", "grad_norm", "token_norm", "seconds"} <= set(entry)
        assert 0.0 <= entry["accuracy"] <= 1.0
    assert len(steps[3]["val_by_timestep"]) == 5 and "val_loss" not in steps[4]


def test_proposes_the_strength_of_the_lowest_held_out_loss(finished) -> None:
    """Once, after the last step, to the adapter and to nobody else."""
    said = files.read(finished.adapter).metadata
    entries = [entry.split(": ") for entry in said["softrepa.val_loss_by_strength"].split(", ")]
    measured = {strength: float(loss) for strength, loss in entries}
    assert list(measured) == ["0.25", "0.5", "0.75", "1"]
    assert measured["1"] == pytest.approx(read_log(finished.log)[-1]["val_loss"], rel=1e-5)
    assert said["softrepa.strength"] in measured
    assert measured[said["softrepa.strength"]] == min(measured.values())
    assert said["softrepa.strength_as"] == "attention"
    assert said["softrepa.train_weight"] == "1.0"
    assert "softrepa.strength" not in files.read(finished.best).metadata


def test_equal_losses_speak_for_the_stronger_and_none_for_no_strength() -> None:
    assert recommended({"0.5": 1.0, "1": 1.0}) == "1"
    assert recommended({"0.5": 1.0, "1": float("nan")}) == "0.5"
    assert recommended({"1": float("inf")}) is None and recommended({}) is None


def test_tensorboard_shows_what_the_log_holds(finished) -> None:
    shown = board.scalars(finished.log.parent / "adapter.tensorboard")
    steps = read_log(finished.log)
    for name in ("loss", "accuracy", "lr", "grad_norm", "token_norm", "seconds", "val_loss"):
        logged = [(entry["step"], entry[name]) for entry in steps if name in entry]
        if name == "val_loss":
            logged.insert(0, (0, steps[0]["before"][name]))
        assert [step for step, _ in shown[name]] == [step for step, _ in logged]
        assert [v for _, v in shown[name]] == pytest.approx([v for _, v in logged], rel=1e-6)
    assert sum(name.startswith("val_by_timestep/") for name in shown) == 10


def test_adapter_fits_its_model_and_tells_how_to_repeat_the_run(finished, sd3) -> None:
    adapter = files.read(finished.adapter)
    assert (adapter.architecture, adapter.placement, adapter.banks) == ("mmdit", "prepend", 1)
    assert adapter.layers == ("0", "1") and adapter.tokens_per_block == 4
    metadata = adapter.metadata
    for key, value in {
        "softrepa.objective": "softrepa",
        "softrepa.normalise": "true",
        "softrepa.temperature": "0.3",
        "softrepa.learning_rate": "0.001",
        "softrepa.batch_size": "3",
        "softrepa.seed": "0",
        "softrepa.steps": "8",
        "softrepa.base_model": "sd3.safetensors",
        "softrepa.base_model_sha256": content_hash(sd3),
        "modelspec.architecture": "stable-diffusion-3/softrepa",
    }.items():
        assert metadata[key] == value
    assert len(metadata["softrepa.dataset"]) >= 32
    assert str(sd3.parent) not in json.dumps(dict(metadata))
    make_application(comfy_model.load_model(sd3).model, adapter)


def test_tokens_have_been_trained(finished, train, tmp_path) -> None:
    assert train(tmp_path, "--steps=1", "--learning-rate=0") == 0
    start = files.read(tmp_path / "adapter.safetensors")
    end = files.read(finished.adapter)
    assert float((end.tokens - start.tokens).abs().mean()) > 1e-3
    assert 0.01 < float(start.tokens.std()) < 0.03


@pytest.mark.parametrize("objective", ["softrepa", "agsm"])
def test_equal_seeds_give_equal_bytes(train, tmp_path, objective: str) -> None:
    more = (f"--objective={objective}", "--hard-share=0.5", "--average-decay=0.9", "--steps=3")
    written = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        assert train(tmp_path / name, *more, f"--seed={seed}") == 0
        written.append((tmp_path / name / "adapter.safetensors").read_bytes())
    assert written[0] == written[1] != written[2]


def test_agsm_trains_both_banks(train, tmp_path) -> None:
    assert train(tmp_path, "--objective=agsm", "--steps=3") == 0
    adapter = files.read(tmp_path / "adapter.safetensors")
    assert adapter.banks == 2 and adapter.placement == "append"
    assert not torch.equal(adapter.tokens[0], adapter.tokens[1])


def test_ctrl_c_saves_and_resume_ends_in_the_same_bytes(train, tmp_path, monkeypatch) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    assert train(whole, VALIDATED) == 0
    step = Loop._step

    def interrupted(loop: Loop):
        if loop.progress.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step(loop)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_step", interrupted)
        assert train(broken, VALIDATED) == 130
    assert len(read_log(broken / "adapter.log.jsonl")) == 4  # the step at hand is finished
    assert train(broken, VALIDATED, "--resume") == 0
    assert_same(whole, broken)


def test_rare_shapes_are_cropped_said_and_resumed_in_the_same_bytes(
    train, tmp_path, capsys
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, colour in enumerate(conftest.COLOURS):
        size = (32, 32) if index < 5 else (48, 16 + index)
        Image.new("RGB", size, colour).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"a {colour} square")
    more = (f"--data={folder}", "--buckets", f"--cache={tmp_path / 'cache'}", "--batch-size=4")
    more += (VALIDATED,)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    assert train(whole, *more) == 0
    said = capsys.readouterr().out
    assert "pictures cropped to another bucket: " in said and "--batch-size" in said
    assert "cropped to 32x32: " in (whole / "adapter.data.txt").read_text()
    assert train(broken, *more, "--steps=4") == 0
    assert train(broken, *more, "--resume") == 0
    assert_same(whole, broken)


def test_varied_captions_and_weighted_folders_resume_in_the_same_bytes(train, tmp_path) -> None:
    flags = ["--caption-dropout=0.3", "--caption-shuffle", "--shuffle-orders=3", "--keep-tags=1"]
    for name, colours in (("one", conftest.COLOURS[:5]), ("two", conftest.COLOURS[5:])):
        (tmp_path / name).mkdir()
        conftest.write_pictures(tmp_path / name, colours)
        for path in (tmp_path / name).glob("*.txt"):
            path.write_text(f"{path.read_text().strip()}, on grey, flat, small")
        flags += [f"--data={tmp_path / name}", f"--data-weight={len(colours)}"]
    flags += ["--hard-share=0.5", f"--cache={tmp_path / 'cache'}", "--save-average"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir(), broken.mkdir()
    assert train(whole, *flags) == 0
    assert train(broken, *flags, "--steps=4") == 0
    assert train(broken, *flags, "--resume") == 0
    assert_same(whole, broken)
    assert train(broken, *flags, "--resume", "--steps=9", "--caption-dropout=0") == 2


def test_texts_drawn_give_what_texts_cached_give(train, tmp_path, capsys) -> None:
    """Own, hard and shuffled captions, and one of the user's own wrong ones."""
    (tmp_path / "data").mkdir()
    conftest.write_pictures(tmp_path / "data", conftest.COLOURS)
    for path in (tmp_path / "data").glob("*.txt"):
        path.write_text(f"{path.read_text().strip()}, on grey, small")
    (tmp_path / "data" / "0.neg.txt").write_text("a house")
    flags = ["--hard-share=0.5", "--caption-shuffle", "--caption-dropout=0.2", "--steps=4"]
    flags += [f"--data={tmp_path / 'data'}", "--text-bits=8"]
    found, sizes = {}, {}
    for cached in ("all", "own", "none"):
        into, cache = tmp_path / cached, tmp_path / f"cache-{cached}"
        into.mkdir()
        more = [*flags, f"--cache={cache}", f"--cache-texts={cached}"]
        assert train(into, *more, "--dry-run") == 0
        assert ("embedded when they are drawn" in capsys.readouterr().out) == (cached != "all")
        assert train(into, *more) == 0
        found[cached] = files.read(into / "adapter.safetensors")
        sizes[cached] = sum(p.stat().st_size for p in cache.glob("texts-*"))
    for cached in ("own", "none"):
        assert torch.equal(found[cached].tokens, found["all"].tokens)
        assert torch.equal(found[cached].offsets, found["all"].offsets)
    assert sizes["all"] > 3 * sizes["own"] > 0 == sizes["none"]


def assert_same(first, second) -> None:
    """Equal bytes of everything that carries no times."""
    best = "adapter.best.safetensors"  # of runs that validate
    names = ["adapter.safetensors", "adapter.state"]
    names += [best] * ((first / best).exists() or (second / best).exists())
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    logs = [read_log(folder / "adapter.log.jsonl") for folder in (first, second)]
    for entry in (*logs[0], *logs[1]):
        entry.pop("seconds")
    assert logs[0] == logs[1]


def test_a_finished_run_can_be_taken_further(train, tmp_path) -> None:
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    assert train(tmp_path / "a", VALIDATED, "--steps=2") == 0
    assert train(tmp_path / "a", VALIDATED, "--steps=4", "--resume") == 0
    assert train(tmp_path / "b", VALIDATED, "--steps=4") == 0
    assert_same(tmp_path / "a", tmp_path / "b")


def test_dry_run_tells_how_often_each_folder_is_shown(train, tmp_path, capsys) -> None:
    flags = ["--caption-dropout=0.25", "--caption-shuffle", "--dry-run", "--val-fraction=0"]
    for name, colours in (("one", conftest.COLOURS[:4]), ("two", conftest.COLOURS[4:])):
        (tmp_path / name).mkdir()
        conftest.write_pictures(tmp_path / name, colours)
        flags.append(f"--data={tmp_path / name}")
    (tmp_path / "two" / "0.txt").write_text("a, b, c")
    flags += ["--data-weight=1", "--data-weight=3", "--batch-size=2", "--steps=400"]
    assert train(tmp_path, *flags) == 0
    said = capsys.readouterr().out
    assert f"  {tmp_path / 'two'}: 4 to train on, weight 3, 75.0% of what is shown" in said
    assert "each 150.0 times" in said and "own captions left out: 25.0%" in said
    assert "orders of tags: 11 of 8 captions" in said


def test_dry_run_says_what_it_would_take_and_writes_no_adapter(train, tmp_path, capsys) -> None:
    assert train(tmp_path, VALIDATED, "--dry-run", "--train-weight=2") == 0
    said = capsys.readouterr().out
    assert "in training a soft token counts 2 times" in said
    # 2 blocks x 4 tokens x 128 + 100 buckets x 2 x 128
    assert "trainable parameters: 26624" in said
    for word in ("pairs: 6 to train on, 2 held out", "steps: 6", "cache:", "memory: about"):
        assert word in said
    assert not (tmp_path / "adapter.safetensors").exists()
