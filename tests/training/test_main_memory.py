"""Models that do not fit their device: what lies in the main memory, and who decides it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import comfy.model_management
import comfy.ops
import pytest
import torch
from comfyui_softrepa.injection import make_application
from comfyui_softrepa.injection.backward.uncopied_weights import UncopiedWeights, castable
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.small_models import SmallModel
from comfyui_softrepa.tests.training import small_tasks
from comfyui_softrepa.tests.training.small_base import Base
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.graph import blocks
from comfyui_softrepa.training.model.graph.main_memory import MAIN_MEMORY
from comfyui_softrepa.training.model.graph.options import training_options, with_adapter
from comfyui_softrepa.training.objectives import SoftREPA
from comfyui_softrepa.training.run.measuring import Measuring
from comfyui_softrepa.training.run.start import run
from comfyui_softrepa.training.run.stopping import Host
from comfyui_softrepa.training.settings.command_line import read_settings
from comfyui_softrepa.training.step.engine import Engine
from comfyui_softrepa.training.step.footprint import Watch, bytes_of_prediction
from torch._subclasses.fake_tensor import FakeTensorMode

ANOTHER = torch.device("meta")
"""Where only shapes are computed, it may stand for a second device."""


@pytest.fixture
def small() -> SmallModel:
    return small_models.build("flux")


def test_the_inputs_leave_the_device(small) -> None:
    denoiser, tokens = Denoiser(small.patcher), small_tasks.live(small)
    task = small_tasks.task(small, denoiser)

    def kept(place: torch.device | None) -> tuple[int, int]:
        options = training_options(denoiser.model, True, place)
        applied = with_adapter(options, make_application(denoiser.model, tokens.adapter))
        given = task.noisy.x[:1], task.noisy.sigma, task.conditions.take([0]), applied
        shapes = FakeTensorMode(allow_non_fake_inputs=True)
        with shapes, Watch(denoiser.device) as here, Watch(ANOTHER) as there:
            found = denoiser.predict(*given)
            assert found.requires_grad
            return here.now, there.now

    (all_, none), (some, others) = kept(None), kept(ANOTHER)
    assert none == 0 and others > 10_000 and all_ - some == others


def test_a_recomputed_block_keeps_no_copies_of_its_weights(small, monkeypatch) -> None:
    for module in small.patcher.model.diffusion_model.modules():
        if isinstance(module, comfy.ops.disable_weight_init.Linear):
            module.weight.data = module.weight.data.to(torch.float8_e4m3fn)
            module.comfy_cast_weights = True
    denoiser, tokens = Denoiser(small.patcher), small_tasks.live(small)
    given = denoiser, tokens, small.x(1), small_tasks.texts(small, 1)[0], True
    task = small_tasks.task(small, denoiser)

    def gradient() -> torch.Tensor:
        options = training_options(denoiser.model, True)
        tokens.adapter.tokens.grad = None
        objective = SoftREPA(temperature=0.5, normalise=True, own_weight=1.0)
        Engine(denoiser, objective, 4, options).accumulate(task, tokens, None, range(2))
        return tokens.adapter.tokens.grad.clone()

    taken, found = bytes_of_prediction(*given), gradient()
    block = denoiser.model.diffusion_model.double_blocks[1]
    # Modulation has no gradient, and needs no weight again.
    streams = block.img_attn, block.img_mlp, block.txt_attn, block.txt_mlp
    copies = sum(4 * each.weight.numel() for part in streams for each in castable(part))
    monkeypatch.setattr(blocks, "castable", lambda block: ())
    assert copies > 100_000 and bytes_of_prediction(*given) - taken > 0.5 * copies
    assert torch.equal(gradient(), found) and float(found.norm()) > 0


def test_a_graph_keeps_no_weight_that_was_fetched() -> None:
    with FakeTensorMode():
        layer = comfy.ops.manual_cast.Linear(64, 128, bias=False, dtype=torch.float32)
        layer.weight.requires_grad_(False)
        x = torch.zeros(3, 64, device=ANOTHER, requires_grad=True)
        with Watch(ANOTHER) as watch:
            found = UncopiedWeights(castable(layer))(layer, x)
            assert watch.now == found.untyped_storage().nbytes()
        assert torch.autograd.grad(found.sum(), x)[0].shape == x.shape


def test_a_weight_is_computed_back_through_with_the_lora_that_it_gets_at_use(monkeypatch) -> None:
    """As newer cores have it (dynamic VRAM): a LoRA is put on the copy, not on the weight."""
    layer = comfy.ops.manual_cast.Linear(4, 3, bias=False, dtype=torch.float16)
    layer.weight.requires_grad_(False).copy_(torch.arange(12.0).reshape(3, 4))
    layer.weight_lowvram_function = lambda weight: 2 * weight
    given_back = []

    def cast(s, input=None, dtype=None, device=None, bias_dtype=None, offloadable=False):
        dtype = input.dtype if dtype is None else dtype
        return s.weight_lowvram_function(s.weight.to(dtype)), None, "state"

    monkeypatch.setattr(comfy.ops, "cast_bias_weight", cast)
    monkeypatch.setattr(comfy.ops, "uncast_bias_weight", lambda *given: given_back.append(given))
    x = torch.ones(1, 4, requires_grad=True)
    found = UncopiedWeights(castable(layer))(layer, x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(slope[0], 2 * layer.weight.float().sum(0))
    assert [given[0] for given in given_back] == [layer, layer], "for each use, there and back"
    assert given_back[0][-1] == given_back[1][-1] == "state"


def test_what_does_not_fit_is_told_from_the_free_memory(small, monkeypatch) -> None:
    denoiser = Denoiser(small.patcher, room=(30, 10))
    assert denoiser.place is None and denoiser.outside() == 0
    denoiser.device = torch.device("cuda")
    free = {"bytes": 100}
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free["bytes"])

    def outside(loaded: int) -> int:
        denoiser.patcher = SimpleNamespace(model_size=lambda: 80, loaded_size=lambda: loaded)
        return denoiser.outside()

    assert outside(80) == 0
    assert outside(0) == 10  # as newer cores do: loaded at its first use
    assert outside(70) == 0
    free["bytes"] = 30
    assert outside(70) == 10


def test_the_last_resort_is_the_main_memory(small) -> None:
    denoiser, said = Denoiser(small.patcher), []
    options = training_options(denoiser.model, True)
    engine = Engine(denoiser, SoftREPA(), 2, options)
    nothing = dict.fromkeys(("latent_of", "text_of", "live", "average", "judged", "processes"))
    made = Measuring(engine=engine, stop=None, halve=True, say=said.append, **nothing)
    denoiser.device = torch.device("cuda")
    assert [made._less() for _ in range(3)] == [True, True, False]
    assert engine.micro_batch == 1 and "--micro-batch 1" in said[0] and "main memory" in said[1]
    engine.base_options = training_options(denoiser.model, False)
    assert not made._less()


def test_a_run_for_lack_of_room(small, pictures, tmp_path, monkeypatch, capsys) -> None:
    """It keeps blocks' inputs in the main memory, says so, and gives the same bytes."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    asked: list[int] = []
    load = comfy.model_management.load_models_gpu

    def loaded(models, memory_required=0, **more) -> None:
        asked.append(memory_required)
        load(models, memory_required=memory_required, **more)

    def train(name: str, *more: str) -> Path:
        path = tmp_path / name / "adapter.safetensors"
        flags = [f"--data={pictures}", f"--output={path}", "--checkpoint=graph", "--steps=1"]
        flags += [f"--cache={tmp_path / 'cache'}", "--resolution=32", "--batch-size=2"]
        run(
            read_settings([*flags, "--checkpointing", "--no-tensorboard", *more]), Host(Base(small))
        )
        return path

    plain = train("plain")
    moved: list[torch.device] = []
    kept_in = blocks.kept_in
    monkeypatch.setattr(blocks, "kept_in", lambda place: moved.append(place) or kept_in(place))
    monkeypatch.setattr(Denoiser, "outside", lambda self: 5_000_000)
    monkeypatch.setattr(comfy.model_management, "load_models_gpu", loaded)
    assert train("short").read_bytes() == plain.read_bytes()
    assert moved and set(moved) == {MAIN_MEMORY}
    with_inputs, without = asked[-2:]
    assert with_inputs > without > 0
    capsys.readouterr()
    train("told", "--dry-run")
    assert "of blocks' inputs and 0.01 GB of weights" in capsys.readouterr().out
