"""The losses against values worked out by hand, their gradients against finite differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

import pytest
import torch
from comfyui_softrepa.training import objectives
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.objectives import (
    AGSM,
    DPO,
    OBJECTIVES,
    Row,
    SoftREPA,
    defaults,
    mean_squared_error,
)
from comfyui_softrepa.training.objectives.row import hyperparameter
from comfyui_softrepa.training.settings import flags, values
from comfyui_softrepa.training.settings.command_line import read_settings
from comfyui_softrepa.training.settings.families import FAMILIES


def row(predictions: list[float], target: float, rows: int, negatives: int) -> Row:
    """A row of one-number images."""
    shaped = torch.tensor(predictions, dtype=torch.float64).view(-1, 1, 1, 1)
    return Row(shaped, torch.tensor([[[target]]], dtype=torch.float64), rows, negatives)


def value(regression, predictions: torch.Tensor) -> torch.Tensor:
    return regression.constant + regression.weights @ mean_squared_error(
        predictions, regression.targets
    )


def batch_loss(objective, predictions: list[list[float]], targets: list[float]) -> float:
    """The loss of a B x B batch; row i's own caption is column i of `predictions`."""
    size = len(targets)
    total = 0.0
    for i, target in enumerate(targets):
        ordered = [predictions[i][i], *(p for j, p in enumerate(predictions[i]) if j != i)]
        one = row(ordered, target, size, size * (size - 1))
        total += float(value(objective(one), one.predictions))
    return total


def test_softrepa_two_by_two_by_hand() -> None:
    # Targets 0. Errors: row 0: 0.01, 0.04; row 1: 0.09, 0.
    # exp(-e / 0.07): 0.866878, 0.564718; 0.276453, 1. Times 4: 3.467512, 2.258872; 1.105812, 4.
    # Row 0: ln(1 + exp(2.258872 - 3.467512)) = ln(1.298604) = 0.261290
    # Row 1: ln(1 + exp(1.105812 - 4)) = ln(1.055344) = 0.053867.   Mean: 0.157578
    # Own errors: mean(0.01, 0) = 0.005; times 10: 0.05.
    predictions, targets = [[0.1, 0.2], [0.3, 0.0]], [0.0, 0.0]
    assert batch_loss(SoftREPA(), predictions, targets) == pytest.approx(0.157578, abs=2e-6)
    weighted = batch_loss(SoftREPA(own_weight=10.0), predictions, targets)
    assert weighted == pytest.approx(0.207578, abs=2e-6)


def test_softrepa_three_by_three_by_hand() -> None:
    # All own errors 0, all others 0.07: logits 4 and 4/e = 1.471518.
    # Each row: ln(1 + 2 exp(1.471518 - 4)) = ln(1.159560) = 0.148041.
    off = math.sqrt(0.07)
    predictions = [[1.0 + (0.0 if i == j else off) for j in range(3)] for i in range(3)]
    assert batch_loss(SoftREPA(), predictions, [1.0] * 3) == pytest.approx(0.148041, abs=2e-6)


def test_softrepa_normalised_by_hand() -> None:
    # Errors 1 and 3, mean 2, temperature 0.5: exp(-1) and exp(-3); logits 1.471518, 0.199148.
    # ln(1 + exp(0.199148 - 1.471518)) = ln(1.280167) = 0.246991.
    one = row([1.0, math.sqrt(3.0)], 0.0, 1, 1)
    regression = SoftREPA(temperature=0.5, normalise=True)(one)
    assert float(value(regression, one.predictions)) == pytest.approx(0.246991, abs=2e-6)


def test_softrepa_normalised_does_not_depend_on_the_scale_of_errors() -> None:
    objective = SoftREPA(temperature=0.3, normalise=True)
    small, large = row([0.1, 0.2, 0.3], 0.0, 1, 2), row([1.0, 2.0, 3.0], 0.0, 1, 2)
    losses = [float(value(objective(one), one.predictions)) for one in (small, large)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-12)


def test_agsm_two_by_two_by_hand() -> None:
    # gamma 1 and 0.1; p = q. Row 0: q = 0, 0.3, u = 0. Row 1 (own first): q = 1, 0, u = 1.
    # Row 0: r = 0, -0.09; weights 1/(1 + exp(-0.9)) = 0.710950, 0.289050; mean 0.086715.
    #   shifts -0.086715, 0.213285. Own: (0 + 0.086715)^2 = 0.0075195.
    #   Other: (0.3 + 0.1 * 0.213285)^2 = 0.3213285^2 = 0.1032520.
    # Row 1: r = 0, -1; weights 0.9999546, 0.0000454; mean 0.9999546; shifts 0.0000454, -0.9999546.
    #   Own: 2.1e-9. Other: (0 - 1 - 0.09999546)^2 = 1.0999955^2 = 1.2099900.
    # Loss: (0.0075195 + 0) / 2 + (0.1032520 + 1.2099900) / 2 = 0.6603808
    loss = batch_loss(AGSM(), [[0.0, 0.3], [0.0, 1.0]], [0.0, 1.0])
    assert loss == pytest.approx(0.6603808, abs=2e-6)


def test_agsm_three_by_three_by_hand() -> None:
    # Own prediction 1 = u, the two others 0: r = 0, -0.1, -0.1 at temperature 0.1 with errors 0.1.
    # q others = 1 - sqrt(0.1) = 0.683772. Weights 1 : 1/e : 1/e = 0.576117, 0.211942, 0.211942.
    # Mean 1 - 0.423883 * 0.316228 = 0.865956; shifts 0.134044, -0.182184.
    # gamma 1 and 1. Own: (1 - 1.134044)^2 = 0.0179678. Others: (0.683772 - 1.182184)^2 = 0.2484145.
    # Loss: own + others = 0.2663823 (each a mean over equal terms).
    other = 1.0 - math.sqrt(0.1)
    predictions = [[1.0 if i == j else other for j in range(3)] for i in range(3)]
    loss = batch_loss(AGSM(gamma_negative=1.0), predictions, [1.0] * 3)
    assert loss == pytest.approx(0.2663823, abs=2e-6)


CASES = [
    (name, {"normalise": normalise})
    for name in sorted(OBJECTIVES)
    for normalise in (False, True)
    if "normalise" in defaults(OBJECTIVES[name], "SD3", normalise)
] + [("dpo", {})]


@pytest.mark.parametrize(("name", "given"), CASES)
def test_targets_carry_no_graph(name: str, given: dict) -> None:
    generator = torch.Generator().manual_seed(0)
    predictions = torch.randn(2, 2, 3, 3, generator=generator, dtype=torch.float64)
    predictions.requires_grad_()
    pictures = OBJECTIVES[name].COMPARES == "pictures"
    shape = (2, 2, 3, 3) if pictures else (2, 3, 3)
    target = torch.randn(shape, generator=generator, dtype=torch.float64)
    one = Row(predictions, target, 5, 13, torch.zeros_like(predictions) if pictures else None)
    regression = OBJECTIVES[name](**given)(one)
    for tensor in (regression.targets, regression.weights, regression.constant):
        assert not tensor.requires_grad


def test_every_objective_is_among_the_cases() -> None:
    assert {name for name, _ in CASES} == OBJECTIVES.keys()


def test_dpo_by_hand() -> None:
    # Errors 0.04 and 0.25, the bare model's 0.09 and 0.16: gains -0.05 and 0.09, apart by -0.14.
    # beta 20: inside = -10 * -0.14 = 1.4; -ln sigmoid(1.4) = ln(1 + exp(-1.4)) = 0.220417.
    numbers = torch.tensor([[0.2, 0.5], [0.3, 0.4]], dtype=torch.float64).view(2, 2, 1, 1, 1)
    one = Row(numbers[0], torch.zeros(2, 1, 1, 1, dtype=torch.float64), 2, 2, numbers[1])
    found = value(DPO(beta=20.0)(one), one.predictions)
    assert float(found) == pytest.approx(0.220417 / 2, abs=1e-6)


def test_dpo_gradient_is_that_of_finite_differences() -> None:
    objective = DPO(beta=3.0)
    generator = torch.Generator().manual_seed(4)
    predictions, target, bare = (
        torch.randn(2, 1, 2, 2, generator=generator, dtype=torch.float64) for _ in range(3)
    )

    def loss(p: torch.Tensor) -> float:
        gained = ((p - target) ** 2 - (bare - target) ** 2).mean(dim=(1, 2, 3))
        return -math.log(1 / (1 + math.exp(1.5 * float(gained[0] - gained[1])))) / 4

    found = gradient(objective(Row(predictions, target, 4, 4, bare)), predictions)
    assert torch.allclose(found, finite_differences(loss, predictions), atol=1e-7)


def test_flags_on_captions_are_none_of_dpo_s() -> None:
    needed = ["--checkpoint=c", "--data=d", "--objective=dpo"]
    settings = read_settings([*needed, "--beta=7", "--recipe=recommended"]).completed("SD3")
    assert settings.hyperparameters == {"beta": 7.0} and settings.row == 2
    assert settings.hard_share == 0.0 and settings.negatives is None
    assert read_settings(needed).completed("SD1.x").hyperparameters == {"beta": 5000.0}
    for flag in ("--normalise", "--hard-share=0.5", "--negatives=1", "--replay=1"):
        with pytest.raises(BadInput, match="compares pictures: leave it out"):
            read_settings([*needed, flag])


@pytest.mark.parametrize("own_weight", [0.0, 10.0])
def test_softrepa_gradient_is_that_of_finite_differences(own_weight: float) -> None:
    objective = SoftREPA(own_weight=own_weight, temperature=0.5)
    generator = torch.Generator().manual_seed(1)
    predictions = torch.randn(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.randn(1, 2, 2, generator=generator, dtype=torch.float64)

    def loss(p: torch.Tensor) -> float:
        return float(objective.loss(mean_squared_error(p, target[None]))) / 3

    found = gradient(objective(Row(predictions, target, 3, 6)), predictions)
    assert torch.allclose(found, finite_differences(loss, predictions), atol=1e-7)


def test_normalised_softrepa_holds_its_temperature_fixed() -> None:
    objective = SoftREPA(temperature=0.3, normalise=True)
    predictions = torch.tensor([0.5, 0.8, 1.1], dtype=torch.float64).view(-1, 1, 1, 1)
    target = torch.zeros(1, 1, 1, dtype=torch.float64)
    mean = mean_squared_error(predictions, target[None]).mean()
    fixed = SoftREPA(temperature=float(0.3 * mean))

    def loss(p: torch.Tensor) -> float:
        return float(fixed.loss(mean_squared_error(p, target[None])))

    found = gradient(objective(Row(predictions, target, 1, 2)), predictions)
    assert torch.allclose(found, finite_differences(loss, predictions), atol=1e-7)


def test_agsm_gradient_is_that_of_finite_differences_at_a_fixed_average() -> None:
    objective = AGSM(gamma_positive=0.7, gamma_negative=0.3)
    generator = torch.Generator().manual_seed(2)
    survey = torch.randn(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    live = torch.randn(3, 1, 2, 2, generator=generator, dtype=torch.float64)
    target = torch.randn(1, 2, 2, generator=generator, dtype=torch.float64)
    shift = objective.shift(survey, target)

    def loss(p: torch.Tensor) -> float:
        own = (p[0] - target - 0.7 * shift[0]).square().mean() / 2
        others = sum((p[j] - target + 0.3 * shift[j]).square().mean() for j in (1, 2)) / 4
        return float(own + others)

    regression = objective(Row(survey, target, 2, 4))
    assert torch.allclose(gradient(regression, live), finite_differences(loss, live), atol=1e-7)


def gradient(regression, predictions: torch.Tensor) -> torch.Tensor:
    predictions = predictions.clone().requires_grad_()
    value(regression, predictions).backward()
    return predictions.grad


def finite_differences(loss, predictions: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    result = torch.zeros_like(predictions)
    for at in range(predictions.numel()):
        nudge = torch.zeros_like(predictions).view(-1)
        nudge[at] = step
        nudge = nudge.view_as(predictions)
        result.view(-1)[at] = (loss(predictions + nudge) - loss(predictions - nudge)) / (2 * step)
    return result


@dataclass(frozen=True)
class Plain(SoftREPA):
    """What one more file would hold."""

    NAME = "plain"
    TITLE = "Plain"
    ABOUT = "an objective of a test"
    BY_FAMILY = MappingProxyType({"SDXL": {"steepness": 3.0}})

    steepness: float = hyperparameter(2.0, "plain: how steep", 1.0)


def test_a_new_objective_is_one_row(monkeypatch) -> None:
    table = {**objectives.OBJECTIVES, "plain": Plain}
    for module in (values, flags):
        monkeypatch.setattr(module, "OBJECTIVES", table)
    needed = ["--checkpoint=c", "--data=d", "--objective=plain"]
    assert read_settings(needed).completed("SDXL").hyperparameters["steepness"] == 3.0
    settings = read_settings([*needed, "--steepness=5", "--gamma-positive=2"]).completed("SD3")
    assert table[settings.objective](**settings.hyperparameters) == Plain(steepness=5.0)
    assert settings.decisive()["steepness"] == 5.0 and "gamma_positive" not in settings.decisive()
    with pytest.raises(BadInput, match="steepness: must be 1 or more"):
        read_settings([*needed, "--steepness=0.5"])
    assert "plain: how steep" in flags.parser().format_help()


def test_an_objective_that_is_not_in_the_table_is_no_other() -> None:
    with pytest.raises(KeyError, match="plain"):
        values.Settings.of({"objective": "plain"})


def test_papers_hyperparameters_by_family() -> None:
    own = {family: defaults(SoftREPA, family, False)["own_weight"] for family in FAMILIES}
    unets = dict.fromkeys(("SD1.x", "SD2.x", "SDXL"), 10.0)
    assert own == dict.fromkeys(FAMILIES, 0.0) | unets and "SD3" in own
    gammas = {family: defaults(AGSM, family, False)["gamma_negative"] for family in FAMILIES}
    assert gammas == dict.fromkeys(FAMILIES, 0.1) | {"SD1.x": 1.0, "SD2.x": 1.0}
    temperatures = [
        defaults(SoftREPA, "SD3", relative)["temperature"] for relative in (False, True)
    ]
    assert temperatures == [0.07, 0.3]
