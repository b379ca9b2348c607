"""The learning rate of each step, and recipes."""

from __future__ import annotations

import pytest
import torch
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.run.output import state
from comfyui_softrepa.training.settings.command_line import read_settings
from comfyui_softrepa.training.step.schedule import rate
from torch.optim import lr_scheduler

NEEDED = ["--checkpoint=c", "--data=d"]


def rates(*flags: str, steps: int) -> list[float]:
    settings = read_settings([*NEEDED, *flags, f"--steps={steps}"])
    return [rate(settings, step) for step in range(steps)]


def test_constant_unless_told_otherwise() -> None:
    assert rates(steps=5) == [1e-3] * 5


def test_published_is_pytorchs_schedule_as_the_authors_step_it() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)
    theirs = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, T_mult=1, eta_min=1e-5)
    expected = []
    for step in range(1, 12_001):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step % 500 == 0:
            theirs.step()
    found = rates("--recipe=published", steps=12_000)
    assert found == pytest.approx(expected, rel=1e-9)
    assert max(found) == 1e-3 and found[5000] == 1e-3 and min(found) < 4e-5


def test_cosine_is_pytorchs() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2e-3)
    theirs = lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-4)
    expected = []
    for _ in range(50):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    found = rates("--schedule=cosine", "--learning-rate=2e-3", "--min-learning-rate=1e-4", steps=50)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "cosine-restarts"])
def test_the_rate_rises_in_a_line_and_goes_on_from_the_highest(schedule: str) -> None:
    found = rates(f"--schedule={schedule}", "--warmup-steps=4", "--cycle-steps=40", steps=20)
    assert found[:5] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    assert max(found) == 1e-3


def test_a_recipe_is_its_flags_and_other_flags_win(tmp_path) -> None:
    plain, published = (read_settings([*NEEDED, *more]) for more in ((), ("--recipe=published",)))
    assert plain.recipe is None and (plain.latents, plain.timesteps) == ("mode", "schedule")
    assert published.recipe == "published"
    assert (published.resolution, published.latents, published.timesteps) == (
        512,
        "sampled",
        "uniform",
    )
    assert (published.schedule, published.min_learning_rate) == ("cosine-restarts", 1e-5)
    assert published.completed("SDXL").resolution == 512
    (tmp_path / "run.toml").write_text('recipe = "recommended"\nnegatives = 3\n')
    settings = read_settings([f"--config={tmp_path / 'run.toml'}", *NEEDED, "--no-normalise"])
    assert (settings.negatives, settings.hard_share) == (3, 0.5)
    assert settings.hyperparameters["normalise"] is False
    assert settings.recipe == "recommended, with --normalise False, --negatives 3"
    assert settings.decisive()["recipe"] == settings.recipe


@pytest.mark.parametrize(
    ("flags", "family", "normalise", "temperature"),
    [
        ([], "SD3", True, 0.3),
        ([], "Flux.1", True, 0.3),
        ([], "SD1.x", False, 0.07),
        ([], "SDXL", False, 0.07),
        (["--normalise"], "SDXL", True, 0.3),
        (["--no-normalise"], "SD3", False, 0.07),
        (["--objective=agsm"], "SDXL", True, None),
    ],
)
def test_the_recommended_temperature_is_a_matter_of_the_family(
    flags: list[str], family: str, normalise: bool, temperature: float | None
) -> None:
    settings = read_settings([*NEEDED, "--recipe=recommended", *flags]).completed(family)
    assert settings.hyperparameters["normalise"] is normalise
    assert temperature in (None, settings.hyperparameters["temperature"])
    told = [each for each in flags if "normalise" in each]
    assert settings.recipe == (
        f"recommended, with --normalise {normalise}" if told else "recommended"
    )
    assert read_settings(NEEDED).completed(family).hyperparameters["normalise"] is False


def test_nobody_has_published_agsms_settings() -> None:
    with pytest.raises(BadInput, match="--recipe published is of --objective softrepa"):
        read_settings([*NEEDED, "--recipe=published", "--objective=agsm"])


def test_a_state_of_before_the_recipes_is_of_the_same_run() -> None:
    """It told every objective's hyper-parameters, and nothing of the settings that are new."""
    now = read_settings(NEEDED).completed("SD3").decisive()
    new = ("recipe", "latents", "timesteps", "negatives", "replay", "accumulate", "save_average")
    rates = ("schedule", "warmup_steps", "cycle_steps", "min_learning_rate")
    before = {name: value for name, value in now.items() if name not in (*new, *rates)}
    before |= {"gamma_positive": 1.0, "gamma_negative": 0.1}
    assert not state.differing(state._as_now(before), now)
    assert state.differing(before, now)
