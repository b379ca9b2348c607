"""`evaluate.py paint` in this process: flags, config file, exit codes and messages."""

from __future__ import annotations

import pytest
from comfyui_softrepa.evaluation import cli
from comfyui_softrepa.evaluation.painting import here
from comfyui_softrepa.evaluation.trial import open_trial
from comfyui_softrepa.tests.evaluation.painting import studio

FLAGS = ["--steps=1", "--guidance=4", "--scheduler=simple", "--width=64", "--height=64", "--cpu"]
BASE = ["--checkpoint", studio.CHECKPOINT, *(f"--arm={arm}" for arm in studio.ARMS)]


def test_a_config_file_holds_the_flags_and_the_line_wins(tmp_path, capsys):
    file = tmp_path / "paint.toml"
    file.write_text(
        f'checkpoint = "{studio.CHECKPOINT}"\narm = ["{studio.ARMS[0]}", "{studio.ARMS[1]}"]\n'
        'prompts = "a blue square"\nseeds = [3, 4]\nsteps = 2\nguidance = 4\nscheduler = "simple"\n'
        "width = 64\nheight = 64\ncpu = true\n"
    )
    line = ["paint", str(tmp_path / "t"), "--config", str(file), "--steps", "1", "--seeds=4"]
    assert cli.main(line) == 0
    assert "2 pictures painted, 2 of 2 are there." in capsys.readouterr().out
    manifest = open_trial(tmp_path / "t").manifest
    assert (manifest.seeds, manifest.sampling.steps, manifest.name) == ((4,), 1, "t")
    assert [arm.name for arm in manifest.arms] == ["bare", "soft"]
    assert cli.main(line) == 0
    assert "0 pictures painted, 2 of 2 are there." in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", [b"steps = ", b"\xff", b"[arm]", b"config = 'x'", b"stepps = 1"]
)
def test_a_config_file_that_is_none_is_told(tmp_path, capsys, content):
    file = tmp_path / "paint.toml"
    file.write_bytes(content)
    assert cli.main(["paint", str(tmp_path / "t"), "--config", str(file)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("evaluate.py: ") and told.count("\n") == 1


def test_a_file_may_lie_anywhere_and_prompts_keep_what_they_expect(tmp_path, base, capsys):
    prompts = tmp_path / "p.jsonl"
    prompts.write_text('{"text": "a blue square", "expected": [{"class": "square"}]}\n')
    checkpoint = base / "models" / "checkpoints" / studio.CHECKPOINT
    arms = ["--arm=bare", f"--arm=soft: adapter='{studio.KEPT}' strength=0.5"]
    flags = ["--checkpoint", str(checkpoint), *arms, "--prompts", str(prompts), *FLAGS]
    assert cli.main(["paint", str(tmp_path / "t"), *flags]) == 0, capsys.readouterr().err
    manifest = open_trial(tmp_path / "t").manifest
    assert manifest.prompts[0].expected == ({"class": "square"},)
    assert manifest.arms[1].models[1].name == studio.KEPT.name


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ([], "Name the prompts"),
        (["--prompts=x", "--arm=bare"], "2 to 8 arms"),
        (["--prompts=x", "--arm=bare", "--arm=b"], "Name the base"),
        (["--prompts=x", "--seeds=a", *BASE], "seeds cannot be"),
        (["--prompts=x", "--steps=0", *BASE], "is not from 1"),
        (["--prompts=gone.csv", *BASE], "cannot be read"),
        (["--prompts=x", "--checkpoint=gone.safetensors", *BASE[2:], *FLAGS], "There is no file"),
        (["--config=gone.toml"], "cannot be read"),
        (["--prompts=x", "--server=ftp://x", *BASE], "is no http address"),
        (["--prompts=x", "--server=127.0.0.1:9", *BASE], "does not answer"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, monkeypatch, flags, reason):
    from comfyui_softrepa.evaluation.painting.remote import api

    monkeypatch.setattr(api, "_PATIENCE", 0.0)
    assert cli.main(["paint", str(tmp_path / "t"), *flags]) == 2
    told = capsys.readouterr().err
    assert reason in told and told.count("\n") == 1
    assert not (tmp_path / "t").exists()


def test_an_adapter_of_another_family_is_told(tmp_path, base, capsys):
    import torch
    from safetensors.torch import save_file

    save_file({"tokens": torch.zeros(1, 4, 768)}, base / "models" / "softrepa" / "sd15.safetensors")
    arms = ["--arm=bare", "--arm=other: adapter=sd15.safetensors"]
    flags = ["--checkpoint", studio.CHECKPOINT, *arms, "--prompts=x", *FLAGS]
    assert cli.main(["paint", str(tmp_path / "t"), *flags]) == 2
    assert "This adapter was trained for" in capsys.readouterr().err


def test_ctrl_c_ends_with_its_code(tmp_path, capsys, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(here, "paint", interrupted)
    assert cli.main(["paint", str(tmp_path / "t"), "--prompts=x", *BASE, *FLAGS]) == 130
    assert "run it again to go on" in capsys.readouterr().err
