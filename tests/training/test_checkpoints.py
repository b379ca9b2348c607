"""Which adapters a run leaves: numbered ones, early ends, averages, several batches an update."""

from __future__ import annotations

import torch
from comfyui_softrepa.softrepa import files
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.tests.training.all_at_once import batch, soft_tokens
from comfyui_softrepa.tests.training.conftest import VALIDATED
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.objectives import SoftREPA
from comfyui_softrepa.training.run.measuring import Measuring
from comfyui_softrepa.training.run.stopping import Stop
from comfyui_softrepa.training.step.engine import Engine
from comfyui_softrepa.training.step.processes import Processes
from comfyui_softrepa.training.step.validation import Validation

QUICK = ("--val-fraction=0", "--no-tensorboard")


def numbered(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("adapter.step*"))


def test_the_last_checkpoints_stay_as_adapters(train, tmp_path) -> None:
    (tmp_path / "adapter.stepped.safetensors").write_bytes(b"no number: not ours")
    assert train(tmp_path, *QUICK, "--keep=2", "--steps=7") == 0
    assert numbered(tmp_path)[:2] == [
        "adapter.step000004.safetensors",
        "adapter.step000006.safetensors",
    ]
    assert train(tmp_path, *QUICK, "--keep=3", "--steps=8", "--resume") == 0
    assert len(numbered(tmp_path)) == 4
    last, whole = tmp_path / "adapter.step000008.safetensors", tmp_path / "adapter.safetensors"
    assert last.read_bytes() == whole.read_bytes()
    early = files.read(tmp_path / "adapter.step000004.safetensors")
    assert early.metadata["softrepa.steps"] == "4"
    assert not torch.equal(early.tokens, files.read(whole).tokens)
    assert train(tmp_path, *QUICK, "--overwrite", "--steps=2") == 0
    assert numbered(tmp_path) == ["adapter.stepped.safetensors"]


def test_a_numbered_adapter_of_another_run_stays(train, tmp_path, capsys) -> None:
    (tmp_path / "adapter.step000004.safetensors").write_bytes(b"mine")
    assert train(tmp_path) == 2
    assert "adapter.step000004.safetensors is there already" in capsys.readouterr().err


def test_a_run_without_patience_ends_early_and_is_done_then(train, tmp_path, monkeypatch, capsys):
    losses = iter([9.0, 5.0, 6.0, 7.0, 4.0, 8.0])  # before the first step, then every two

    def validation(self, batches, weight=None) -> Validation:
        # With a weight it is asked at the run's end which strength is best.
        return Validation(next(losses) if weight is None else 1.0, 0.5, {})

    monkeypatch.setattr(Measuring, "validation", validation)
    flags = (VALIDATED, "--steps=20", "--patience=2", "--no-tensorboard")
    assert train(tmp_path, *flags) == 0
    assert "Stopped at step 6: 2 validations in a row" in capsys.readouterr().err
    made = files.read(tmp_path / "adapter.safetensors").metadata
    assert made["softrepa.steps"] == "6"
    assert files.read(tmp_path / "adapter.best.safetensors").metadata["softrepa.steps"] == "2"
    assert train(tmp_path, *flags) == 0
    assert "done already: 6 steps" in capsys.readouterr().out
    assert train(tmp_path, *flags, "--steps=10", "--patience=3", "--resume") == 0
    assert files.read(tmp_path / "adapter.best.safetensors").metadata["softrepa.steps"] == "8"
    assert files.read(tmp_path / "adapter.safetensors").metadata["softrepa.steps"] == "10"


def test_patience_asks_for_validation(train, tmp_path, capsys) -> None:
    assert train(tmp_path, "--patience=2", "--val-fraction=0") == 2
    assert "--val-fraction" in capsys.readouterr().err


def test_the_average_is_saved_in_place_of_the_tokens(train, tmp_path) -> None:
    made = {}
    for name, more in (
        ("live", ()),
        ("at once", ("--save-average", "--average-decay=0")),
        ("never", ("--save-average", "--average-decay=1")),
        ("half", ("--save-average", "--average-decay=0.5")),
    ):
        (tmp_path / name).mkdir()
        assert train(tmp_path / name, *QUICK, "--steps=1", *more) == 0
        made[name] = files.read(tmp_path / name / "adapter.safetensors").tokens
    assert torch.equal(made["live"], made["at once"])
    assert not torch.equal(made["live"], made["never"])
    torch.testing.assert_close(made["half"], (made["live"] + made["never"]) / 2)


def test_several_batches_an_update_are_their_mean() -> None:
    golden = golden_models.load("sd3_d2l2_128")
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    made, latents, texts = batch(golden, 3)
    other = batch(golden, 3)[0]
    other = type(other)(other.images, other.captions, other.candidates, 200, -other.noise)
    measuring = Measuring(
        engine=Engine(denoiser, SoftREPA(temperature=2.0), 4),
        latent_of=lambda image: latents[image],
        text_of=lambda caption: texts[int(caption)],
        live=live,
        average=None,
        judged=live,
        processes=Processes(),
        stop=Stop(),
        halve=False,
        say=print,
    )
    gradients, losses = [], []
    for batches in ([made], [other], [made, other]):
        losses.append(measuring.gradients([measuring.load(one) for one in batches]).loss)
        gradients.append(live.adapter.tokens.grad.clone())
    torch.testing.assert_close(gradients[2], (gradients[0] + gradients[1]) / 2)
    assert abs(losses[2] - (losses[0] + losses[1]) / 2) < 1e-6


def test_a_run_of_several_batches_an_update_resumes_in_the_same_bytes(train, tmp_path) -> None:
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    more = (*QUICK, "--accumulate=2", "--schedule=cosine-restarts", "--cycle-steps=4")
    assert train(tmp_path / "whole", *more, "--steps=4") == 0
    for steps in (2, 4):
        assert train(tmp_path / "broken", *more, f"--steps={steps}", "--resume") == 0
    whole, broken = (
        (tmp_path / name / "adapter.safetensors").read_bytes() for name in ("whole", "broken")
    )
    assert whole == broken
