"""Noise, targets and recovered predictions for every kind of model."""

from __future__ import annotations

from types import SimpleNamespace

import comfy.model_base
import comfy.supported_models
import pytest
import torch
from comfy.model_base import ModelType
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.training.errors import BadInput
from comfyui_softrepa.training.model.denoiser import Denoiser

KINDS = {
    ModelType.EPS: comfy.supported_models.SD15,
    ModelType.V_PREDICTION: comfy.supported_models.SD20,
    ModelType.FLOW: comfy.supported_models.SD3,
}


class Model(torch.nn.Module):
    """A model whose network answers with a fixed tensor."""

    def __init__(self, kind: ModelType, answer: torch.Tensor) -> None:
        super().__init__()
        self.model_sampling = comfy.model_base.model_sampling(
            KINDS.get(kind, KINDS[ModelType.EPS])({}), kind
        )
        self.answer = answer

    def apply_model(self, x, sigma, transformer_options, **conditions):
        return self.model_sampling.calculate_denoised(sigma, self.answer, x)


def denoiser(kind: ModelType, answer: torch.Tensor, monkeypatch, **more) -> Denoiser:
    monkeypatch.setattr("comfy.model_management.load_models_gpu", lambda *rest, **named: None)
    return Denoiser(SimpleNamespace(model=Model(kind, answer)), **more)


@pytest.mark.parametrize("timestep", [0, 10, 500, 999])
@pytest.mark.parametrize("kind", KINDS)
def test_prediction_is_the_networks_own_output(kind, timestep: int, monkeypatch) -> None:
    answer = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    made = denoiser(kind, answer, monkeypatch)
    assert made.timesteps == 1000
    latents, noise = torch.randn(2, 4, 3, 3), torch.randn(1, 4, 3, 3)
    noisy = made.noised(latents, noise, timestep)
    found = made.predict(noisy.x, noisy.sigma, {}, {})
    # Recovered from the denoised latents: rounding grows where sigma is small.
    assert torch.allclose(found, answer, atol=3e-3 if timestep == 0 else 3e-4)


@pytest.mark.parametrize("timestep", [5, 500, 999])
@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_answers_the_target_denoises_perfectly(
    kind, timestep: int, monkeypatch
) -> None:
    made = denoiser(kind, torch.zeros(1), monkeypatch)
    latents, noise = torch.randn(2, 4, 3, 3), torch.randn(1, 4, 3, 3)
    noisy = made.noised(latents, noise, timestep)
    made.model.answer = noisy.target
    denoised = made.model.apply_model(noisy.x, noisy.sigma.expand(2), {})
    assert torch.allclose(denoised, latents, atol=2e-4)


def test_sd3_walks_its_own_shifted_schedule(monkeypatch) -> None:
    made = denoiser(ModelType.FLOW, torch.zeros(1), monkeypatch)
    # Shift 3 at half of the schedule: 3 * 0.5 / (1 + 2 * 0.5) = 0.75.
    assert float(made.noised(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), 499).sigma) == (
        pytest.approx(0.75, abs=1e-6)
    )


def test_uniform_levels_are_the_networks_own_timesteps(monkeypatch) -> None:
    for kind in (ModelType.FLOW, ModelType.EPS):
        made = denoiser(kind, torch.zeros(1), monkeypatch, uniform=True)
        told = made.sampling.timestep(made.sigmas)
        assert torch.allclose(
            told.float(), torch.arange(1000.0).clamp(min=float(kind is ModelType.FLOW))
        )
    plain = denoiser(ModelType.EPS, torch.zeros(1), monkeypatch)
    assert torch.equal(plain.sigmas, made.sigmas)


@pytest.mark.parametrize("kind", [ModelType.V_PREDICTION_EDM, ModelType.EDM])
def test_other_models_are_refused_in_one_sentence(kind, monkeypatch) -> None:
    with pytest.raises(BadInput, match=r"predicts at which timesteps: use .*\.$"):
        denoiser(kind, torch.zeros(1), monkeypatch)


def test_inpainting_models_are_refused(monkeypatch) -> None:
    monkeypatch.setattr(Model, "concat_keys", ("mask",), raising=False)
    with pytest.raises(BadInput, match="inpainting"):
        denoiser(ModelType.EPS, torch.zeros(1), monkeypatch)


def test_sdxl_is_told_the_size_of_the_picture() -> None:
    golden = golden_models.load("sdxl_110")
    made = Denoiser(golden.patcher)
    text = SimpleNamespace(context=torch.zeros(77, 2048), pooled=torch.ones(1280), more={})
    y = made.conditions([text], torch.zeros(1, 4, 8, 16)).entries[0]["y"]
    embedder = golden.patcher.model.embedder
    sizes = [embedder(torch.tensor([number]))[0] for number in (64.0, 128.0, 0.0, 0.0, 64.0, 128.0)]
    assert torch.equal(y[0], torch.cat((torch.ones(1280), *sizes)))


def test_tokens_and_model_keep_their_parts_of_the_gradient() -> None:
    made = Denoiser(golden_models.load("sd3_d2l2_128").patcher)
    assert not any(parameter.requires_grad for parameter in made.model.parameters())
