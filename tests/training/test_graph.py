"""What a graph keeps: with blocks computed once more, and without copies of cast weights."""

from __future__ import annotations

import gc

import pytest
import torch
from comfyui_softrepa.injection import make_application
from comfyui_softrepa.injection.backward.mutation import mutation_allowed
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.tests.training.all_at_once import batch, soft_tokens
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.graph.options import training_options, with_adapter
from comfyui_softrepa.training.model.graph.recompute import recomputed
from comfyui_softrepa.training.objectives import AGSM, SoftREPA
from comfyui_softrepa.training.step.engine import Engine, prepare
from comfyui_softrepa.training.step.footprint import Watch, bytes_of_prediction

STEMS = ("sd3_d2l2_128", "sd15_111", "sdxl_110")


@pytest.fixture(scope="module", params=STEMS)
def stem(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def golden(stem: str) -> golden_models.Golden:
    return golden_models.load(stem)


def gradients(engine: Engine, task, live) -> list[torch.Tensor]:
    for tensor in live.tensors.values():
        tensor.grad = None
    engine.accumulate(task, live, live.copy("cpu", trainable=False), range(len(task.candidates)))
    return [tensor.grad.clone() for tensor in live.tensors.values()]


@pytest.mark.parametrize("objective", [SoftREPA(temperature=2.0), AGSM(temperature=1.0)])
def test_checkpointing_gives_the_same_bits(golden, objective) -> None:
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, objective.BANKS)
    task = prepare(denoiser, *batch(golden, 2))
    plain, again = (
        gradients(Engine(denoiser, objective, 2, training_options(denoiser.model, on)), task, live)
        for on in (False, True)
    )
    assert all(float(each.norm()) > 0 for each in plain)
    assert all(torch.equal(*pair) for pair in zip(plain, again, strict=True))


def test_checkpointed_gradient_is_the_slope_of_the_loss(golden) -> None:
    """Against differences of the loss itself, in the direction of the gradient."""
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 2))
    options = training_options(denoiser.model, True)
    engine = Engine(denoiser, SoftREPA(temperature=2.0, own_weight=10.0), 2, options)
    (gradient, *_), tokens = gradients(engine, task, live), live.adapter.tokens
    step = gradient / gradient.norm()
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            tokens.add_(step, alpha=sign * 0.05)
            losses.append(float(engine.evaluate(task, live, None, range(2)).loss))
            tokens.add_(step, alpha=-sign * 0.05)
    assert (losses[0] - losses[1]) / 0.1 == pytest.approx(float(gradient.norm()), rel=0.02)


def test_what_a_prediction_takes_is_told_without_making_it(golden) -> None:
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    _, latents, texts = batch(golden, 1)

    def taken(checkpointing: bool, computed: bool) -> int:
        return bytes_of_prediction(
            denoiser, live, latents, texts[0], checkpointing, computed=computed
        )

    assert taken(True, computed=False) == taken(True, computed=True)
    assert taken(True, computed=True) < 0.8 * taken(False, computed=True)
    if golden.arch == "sd3":  # shapes of a U-Net take seconds
        assert taken(False, computed=False) == taken(False, computed=True)
    assert live.adapter.tokens.grad is None


def test_nothing_stays_on_the_model_or_the_thread(golden) -> None:
    """Whether the call ends well or not."""
    denoiser, live = Denoiser(golden.patcher), soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 1))
    options = training_options(denoiser.model, True)
    options = with_adapter(options, make_application(denoiser.model, live.adapter))

    def hooks() -> int:
        return sum(
            len(module._forward_hooks) + len(module._forward_pre_hooks)
            for module in denoiser.model.modules()
        )

    def predict() -> torch.Tensor:
        conditions = task.conditions.take([0])
        return denoiser.predict(task.noisy.x, task.noisy.sigma, conditions, options)

    def fail(*_):
        raise torch.OutOfMemoryError("none left")

    network = denoiser.model.diffusion_model
    last = [module for module in network.modules() if isinstance(module, torch.nn.LayerNorm)][-1]
    handle = last.register_forward_pre_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        predict()
    handle.remove()
    leaf = torch.ones(3, requires_grad=True)
    (leaf.exp() * 2).sum().backward()  # what a forgotten hook would pack
    assert float(leaf.grad[0]) == pytest.approx(2 * 2.718281828)
    predict()
    assert hooks() == 0


def test_arguments_written_over_are_not_taken_for_the_right_ones() -> None:
    def block(x: torch.Tensor) -> torch.Tensor:
        y = x.exp()
        x.add_(1.0)
        return y * y

    leaf = torch.ones(3, requires_grad=True)
    given = leaf * 1.0
    with recomputed(block, (given,), {}):
        found = block(given)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        found.sum().backward()


def test_a_dictionary_is_kept_as_it_was() -> None:
    def block(x: torch.Tensor, options: dict[str, float]) -> torch.Tensor:
        return (x * options["at"]).exp()

    leaf, options = torch.ones(3, requires_grad=True), {"at": 2.0}
    with recomputed(block, (leaf,), {"options": options}):
        found = block(leaf, options=options)
    options["at"] = 5.0
    found.sum().backward(retain_graph=True)
    first, leaf.grad = leaf.grad, None
    assert float(first[0]) == pytest.approx(2 * 7.389056099)
    found.sum().backward()
    assert torch.equal(leaf.grad, first)


def keepers() -> list[torch.Tensor]:
    """The outputs of what keeps a recomputed call's arguments."""
    # Not every object lets itself be asked for its class.
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return [each for each in tensors if type(each.grad_fn).__name__ == "_KeptBackward"]


def test_what_keeps_the_arguments_is_there_until_the_backward_pass() -> None:
    """Up to torch 2.11 a function lets go of what it saved once nobody has its output."""
    leaf = torch.ones(3, requires_grad=True)
    given = leaf * 1.0
    with recomputed(torch.exp, (given,), {}):
        found = torch.exp(given).sum()
    assert len(keepers()) == 1
    found.backward()
    assert not keepers()


def test_a_tensor_in_the_place_of_one_written_over_is_its_own() -> None:
    """Its memory and its object may be those of the one before: torch's own way then takes one for
    the other, in one of fifteen rounds here."""
    for _ in range(200):
        leaf = torch.ones(64, 64, requires_grad=True)
        squares = []
        with mutation_allowed():
            for factor in (2.0, 3.0, 4.0, 5.0):
                made = leaf * factor
                squares.append((made * made).sum())
                made.mul_(3.0)
                del made
            sum(squares).backward()
        assert (leaf.grad == 2 * (4.0 + 9.0 + 16.0 + 25.0)).all()


def cast_model(stem: str, how: str) -> Denoiser:
    """The golden model anew, its weights cast at use: "fp8" by ComfyUI, "autocast" by torch."""
    import comfy.ops

    patcher = golden_models.load.__wrapped__(stem).patcher
    if how == "fp8":
        for module in patcher.model.diffusion_model.modules():
            if isinstance(module, comfy.ops.disable_weight_init.Linear):
                module.weight.data = module.weight.data.to(torch.float8_e4m3fn)
                module.comfy_cast_weights = True
    return Denoiser(patcher, "bf16" if how == "autocast" else "auto")


def kept(denoiser: Denoiser, task, options) -> tuple[int, int]:
    """Bytes that a prediction's graph keeps, and those of the cast weights that it meets."""
    dtype = denoiser.autocast_dtype or torch.float32
    weights = [
        weight.detach().to(dtype)
        for weight in denoiser.model.diffusion_model.parameters()
        if weight.dtype != dtype and weight.dim() > 1
    ]
    copies = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal copies
        # Of a batch whose samples lie apart a weight is kept as many, all in one place.
        one = tensor[0] if tensor.dim() == 3 and not tensor.stride()[0] else tensor
        for way in (one, one.T) if one.dim() == 2 else (one,):
            if any(torch.equal(way, weight) for weight in weights if way.shape == weight.shape):
                copies += tensor.untyped_storage().nbytes()
                break
        # An operation's own output, kept whole, would keep the operation, and that its output.
        return tensor.detach()

    conditions = task.conditions.take([0, 1])
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with Watch() as watch, hooks:
        found = denoiser.predict(task.noisy.x, task.noisy.sigma, conditions, options)
    assert found.requires_grad
    return watch.now, copies


@pytest.mark.parametrize("how", ["fp8", "autocast"])
def test_a_graph_keeps_no_copy_of_a_weight(golden, stem, how) -> None:
    denoiser, live = cast_model(stem, how), soft_tokens(golden, 1)
    task = prepare(denoiser, *batch(golden, 2))
    without = training_options(denoiser.model, False)
    wrappers = {key: value for key, value in without.items() if key != "wrappers"}  # as it was
    application = make_application(denoiser.model, live.adapter)
    before, copies = kept(denoiser, task, with_adapter(wrappers, application))
    now, none = kept(denoiser, task, with_adapter(without, application))
    assert copies > 100_000 and none == 0
    assert before - now == copies
    found = [
        gradients(Engine(denoiser, SoftREPA(temperature=2.0), 2, options), task, live)
        for options in (wrappers, without)
    ]
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
