"""Every architecture's gradient against finite differences, with and without recompute."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import comfy.model_management
import pytest
import torch
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.training import small_tasks
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.graph.main_memory import MAIN_MEMORY
from comfyui_softrepa.training.model.graph.options import training_options, with_inputs_in
from comfyui_softrepa.training.model.soft_tokens import SoftTokens
from comfyui_softrepa.training.objectives import SoftREPA
from comfyui_softrepa.training.step.engine import Engine
from comfyui_softrepa.training.step.footprint import bytes_of_prediction
from comfyui_softrepa.training.step.task import Task
from torch import Tensor

OBJECTIVE = SoftREPA(temperature=0.5, normalise=True, own_weight=1.0)


@pytest.fixture(scope="module", params=small_tasks.THERE)
def small(request) -> small_models.SmallModel:
    return small_models.build(request.param)


@pytest.fixture(scope="module")
def denoiser(small) -> Denoiser:
    return Denoiser(small.patcher)


def engine(
    denoiser: Denoiser, checkpointing: bool = False, micro_batch: int = 4, weight: float = 1.0
) -> Engine:
    options = training_options(denoiser.model, checkpointing)
    return Engine(denoiser, OBJECTIVE, micro_batch, options, weight)


def gradients(made: Engine, task: Task, tokens: SoftTokens) -> Mapping[str, Tensor]:
    for tensor in tokens.tensors.values():
        tensor.grad = None
    made.accumulate(task, tokens, None, range(len(task.candidates)))
    return {name: tensor.grad.clone() for name, tensor in tokens.tensors.items()}


def moved(tokens: SoftTokens, direction: Mapping[str, Tensor], step: float) -> SoftTokens:
    found = tokens.copy("cpu", trainable=False)
    for name, tensor in found.tensors.items():
        tensor.add_(direction[name], alpha=step)
    return found


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_gradient_is_that_of_finite_differences(small, denoiser, checkpointing) -> None:
    """Along itself, and along a direction that treats all tokens alike: a gradient that is right
    for some blocks only fails one of the two."""
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small, scale=0.5)
    made = engine(denoiser, checkpointing)
    found = gradients(made, task, tokens)
    norm = torch.cat([each.flatten() for each in found.values()]).norm()
    assert norm > 0 and all((each.flatten(2).norm(dim=(0, 1)) > 0).any() for each in found.values())
    signs = {
        name: torch.randn(each.shape, generator=torch.Generator().manual_seed(5)).sign()
        for name, each in found.items()
    }
    for direction in (found, {name: each * found[name].abs() for name, each in signs.items()}):
        length = torch.cat([each.flatten() for each in direction.values()]).norm()
        step = 0.02 / float(length)
        losses = [
            float(made.evaluate(task, moved(tokens, direction, by), None, range(2)).loss)
            for by in (step, -step)
        ]
        slope = (losses[0] - losses[1]) / (2 * step)
        expected = sum(float((found[name] * direction[name]).sum()) for name in found)
        assert slope == pytest.approx(expected, rel=0.02, abs=2e-3 * float(norm * length))


def test_recompute_gives_the_same_gradient_and_keeps_less(small, denoiser) -> None:
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small)
    for weight in (1.0, 2.0):
        plain = gradients(engine(denoiser, weight=weight), task, tokens)
        again = gradients(engine(denoiser, checkpointing=True, weight=weight), task, tokens)
        for name, found in plain.items():
            assert found.norm() > 0
            assert torch.allclose(again[name], found, rtol=1e-4, atol=1e-6 * found.norm())
    latent, text = small.x(1), small_tasks.texts(small, 1)[0]
    most = [bytes_of_prediction(denoiser, tokens, latent, text, flag) for flag in (False, True)]
    assert most[1] < most[0]


def test_nothing_is_left_on_the_model(small, denoiser) -> None:
    before = getattr(comfy.model_management, "in_training", None)
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small)
    gradients(engine(denoiser, checkpointing=True), task, tokens)
    assert getattr(comfy.model_management, "in_training", None) is before
    for module in denoiser.model.modules():
        assert not module._forward_hooks and not module._forward_pre_hooks
    assert torch.is_grad_enabled()


def test_any_micro_batch_gives_the_same_gradient(small, denoiser) -> None:
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small)
    whole, one = (gradients(engine(denoiser, True, size), task, tokens) for size in (4, 1))
    for name in whole:
        assert torch.allclose(whole[name], one[name], rtol=1e-3, atol=1e-5 * whole[name].norm())


def test_training_descends(small, denoiser) -> None:
    """At the middle of the schedule, on one batch, by plain steps along the gradient."""
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small, scale=0.02)
    made, losses = engine(denoiser, checkpointing=True), []
    optimizer = torch.optim.AdamW(list(tokens.tensors.values()), lr=0.02)
    for _ in range(6):
        optimizer.zero_grad()
        losses.append(float(made.accumulate(task, tokens, None, range(2)).loss))
        optimizer.step()
    assert all(later < earlier for earlier, later in itertools.pairwise(losses))


def test_inputs_in_the_main_memory_give_the_same_bits(small, denoiser) -> None:
    task, tokens = small_tasks.task(small, denoiser), small_tasks.live(small)
    made = engine(denoiser, checkpointing=True)
    there = gradients(made, task, tokens)
    made.base_options = with_inputs_in(made.base_options, MAIN_MEMORY)
    away = gradients(made, task, tokens)
    assert all(torch.equal(away[name], found) for name, found in there.items())


def test_weights_that_are_fetched_at_use_give_the_same_gradient() -> None:
    """As of a model that does not fit its device: ComfyUI fetches each weight when it is used."""
    small = small_models.build("flux")
    made = Denoiser(small.patcher, room=(1, 1))
    task, tokens = small_tasks.task(small, made), small_tasks.live(small)
    whole = gradients(engine(made, checkpointing=True), task, tokens)
    small.patcher.load(torch.device("cpu"), lowvram_model_memory=1)
    assert any(hasattr(module, "prev_comfy_cast_weights") for module in made.model.modules())
    again = gradients(engine(made, checkpointing=True), task, tokens)
    for key in whole:
        assert torch.allclose(again[key], whole[key], rtol=1e-5, atol=1e-6 * whole[key].norm())
