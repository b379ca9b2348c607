"""Strength, schedule, layers and refusals, on the golden models."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import relative_error

STEMS = ("sd15_timed_100", "sdxl_110", "sd3_d3l2_192_timed")


@pytest.fixture(scope="module", params=STEMS)
def golden(request):
    return golden_models.load(request.param)


@pytest.fixture(scope="module")
def adapter(golden):
    if golden.arch == "sd3":
        return adapters.random_adapter("mmdit", 192, 2)
    return adapters.random_adapter("unet", golden.context.shape[-1], 1, scale=1.0)


def apply(golden, adapter, strength=1.0, start=0.0, end=1.0, layers="", on=None):
    return SoftREPAApply.execute(on or golden.patcher, adapter, strength, start, end, layers).args[
        0
    ]


def test_strength_zero_is_the_model_bit_for_bit(golden, adapter):
    assert torch.equal(
        golden.predict(apply(golden, adapter, 0.0), 1), golden.predict(golden.patcher, 1)
    )


def test_half_strength_lies_between(golden, adapter):
    plain, full = golden.predict(golden.patcher, 1), golden.predict(apply(golden, adapter), 1)
    half = golden.predict(apply(golden, adapter, 0.5), 1)
    whole = (full - plain).norm()
    assert 0.1 * whole < (half - plain).norm() < 0.9 * whole
    assert 0.1 * whole < (half - full).norm() < 0.9 * whole


def test_strength_is_linear_in_a_single_last_block():
    """With one patched block and nothing non-linear after it, half is the mean to rounding."""
    golden = golden_models.load("sd3_d2l2_128")
    adapter = adapters.random_adapter("mmdit", 128, 2)
    results = {
        strength: _block_outputs(golden, apply(golden, adapter, strength, layers="1"))
        for strength in (0.0, 0.5, 1.0, 2.0)
    }
    plain, full = results[0.0], results[1.0]
    for strength in (0.5, 2.0):
        assert relative_error(results[strength], plain + strength * (full - plain)) < 1e-6


def _block_outputs(golden, patcher) -> torch.Tensor:
    """The image stream behind the last joint block: what a final layer of identity would show."""
    outputs = []
    handle = golden.patcher.model.diffusion_model.final_layer.register_forward_pre_hook(
        lambda _, args: outputs.append(args[0].clone())
    )
    try:
        golden.predict(patcher, 1)
    finally:
        handle.remove()
    return outputs[0]


def test_strength_one_runs_each_block_once(golden, adapter):
    blocks = len(_cross_attentions(golden.patcher.model))
    assert _calls(golden, apply(golden, adapter)) == blocks
    if golden.arch == "sd3":  # a U-Net's blend repeats the attention only, not its projections
        assert _calls(golden, apply(golden, adapter, 0.5)) > blocks


def _calls(golden, patcher) -> int:
    calls = []
    handles = [
        module.register_forward_hook(lambda *_: calls.append(1))
        for module in _cross_attentions(golden.patcher.model)
    ]
    try:
        golden.predict(patcher, 1)
    finally:
        for handle in handles:
            handle.remove()
    return len(calls)


def _cross_attentions(model: torch.nn.Module) -> list[torch.nn.Module]:
    names = ("x_block.attn.qkv", "attn2.to_k")
    return [module for name, module in model.named_modules() if name.endswith(names)]


def test_outside_the_schedule_is_the_model_bit_for_bit(golden, adapter):
    early, late = apply(golden, adapter, end=0.5), apply(golden, adapter, start=0.5)
    first, last = 0, 3  # sigmas fall: index 0 is the schedule's beginning
    assert torch.equal(golden.predict(early, last), golden.predict(golden.patcher, last))
    assert torch.equal(golden.predict(late, first), golden.predict(golden.patcher, first))
    full = apply(golden, adapter)
    assert torch.equal(golden.predict(early, first), golden.predict(full, first))
    assert torch.equal(golden.predict(late, last), golden.predict(full, last))


def test_two_adapters_both_act(golden, adapter):
    other = dataclasses.replace(adapter, tokens=adapter.tokens.flip(-1))
    one, two = apply(golden, adapter), apply(golden, other)
    both = golden.predict(apply(golden, other, on=one), 1)
    assert relative_error(both, golden.predict(one, 1)) > 1e-4
    assert relative_error(both, golden.predict(two, 1)) > 1e-4
    # Taking either away from the pair gives the other alone, also where they blend.
    assert torch.equal(golden.predict(apply(golden, other, 0.0, on=one), 1), golden.predict(one, 1))
    blended = golden.predict(apply(golden, other, 1e-7, on=apply(golden, adapter, 0.5)), 1)
    assert relative_error(blended, golden.predict(apply(golden, adapter, 0.5), 1)) < 1e-5


def test_the_original_keeps_its_bits(golden, adapter):
    before = golden.predict(golden.patcher, 2)
    weights = {name: t.clone() for name, t in golden.patcher.model.state_dict().items()}
    options = repr(golden.patcher.model_options)
    patched = apply(golden, adapter)
    golden.predict(patched, 2)
    assert torch.equal(golden.predict(golden.patcher, 2), before)
    assert repr(golden.patcher.model_options) == options
    for name, tensor in golden.patcher.model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_patching_changes_no_forward_and_hooks_no_module(golden, adapter):
    modules = dict(golden.patcher.model.named_modules())
    forwards = {name: module.forward.__func__ for name, module in modules.items()}
    patched = apply(golden, adapter)
    golden.predict(patched, 1)
    for name, module in modules.items():
        assert module.forward.__func__ is forwards[name]
        assert not module._forward_hooks and not module._forward_pre_hooks, name
    assert not patched.patches and not patched.object_patches


def test_layers_choose_blocks(golden, adapter):
    full, plain = golden.predict(apply(golden, adapter), 1), golden.predict(golden.patcher, 1)
    one = "0" if golden.arch == "sd3" else "middle"
    chosen = golden.predict(apply(golden, adapter, layers=one), 1)
    assert relative_error(chosen, full) > 1e-5
    assert relative_error(chosen, plain) > 1e-5
    off = golden.predict(apply(golden, adapter, layers=f"{one}:0"), 1)
    assert torch.equal(off, plain)
    weighted = golden.predict(apply(golden, adapter, layers=f"{one}:0.5"), 1)
    assert relative_error(weighted, chosen) > 1e-6
    assert torch.equal(weighted, golden.predict(apply(golden, adapter, 0.5, layers=one), 1))


@pytest.mark.parametrize("layers", ["7", "0-9", "input.99", "output.99-100"])
def test_layers_that_are_not_there_are_refused(golden, adapter, layers):
    with pytest.raises(AdapterError, match="are not all there: choose among"):
        apply(golden, adapter, layers=layers)


def test_another_model_is_refused_with_both_named(golden):
    foreign = {
        "sd15": (("unet", 2048, 1), "SDXL", "SD1.x"),
        "sdxl": (("mmdit", 1536, 5), "SD3 medium", "SDXL"),
        "sd3": (("mmdit", 1536, 5), "SD3 medium", "MMDiT of width 192"),
    }
    shape, trained, found = foreign[golden.arch]
    with pytest.raises(AdapterError, match=r"was trained for .*, but the model is") as refused:
        apply(golden, adapters.random_adapter(*shape))
    assert trained in str(refused.value)
    assert found in str(refused.value)


def test_a_shallower_model_is_refused():
    golden = golden_models.load("sd3_d3l2_192_timed")
    with pytest.raises(AdapterError, match=r"trained for 5 blocks .* with 3"):
        apply(golden, adapters.random_adapter("mmdit", 192, 5))


def test_offsets_of_another_width_are_refused():
    golden = golden_models.load("sd3_d3l2_4096_timed")
    with pytest.raises(AdapterError, match="offsets at width 128"):
        apply(golden, adapters.random_adapter("mmdit", 4096, 2, offset_width=128))


def test_an_unsupported_architecture_is_refused_by_name():
    class Flux(torch.nn.Module):
        diffusion_model = torch.nn.Identity()
        model_config = None

    with pytest.raises(AdapterError, match="Flux"):
        injection.make_application(Flux(), adapters.random_adapter())


def test_anima_adapters_are_read_but_not_applied(golden):
    with pytest.raises(AdapterError, match="Anima .*MiniTrainDiT, width 1024"):
        apply(golden, adapters.random_adapter("anima", 1024, 4))


def test_per_block_unet_tokens_use_each_block_its_own():
    golden = golden_models.load("sd15_timed_100")
    blocks = [name for name in _unet_blocks(golden) if name.startswith("input")]
    base = adapters.random_adapter("unet", 768, 1, scale=1.0)
    same = dataclasses.replace(
        base,
        tokens=base.tokens.expand(-1, len(blocks), -1, -1).contiguous(),
        offsets=base.offsets.expand(-1, -1, len(blocks), -1).contiguous(),
        layers=tuple(blocks),
    )
    assert torch.equal(
        golden.predict(apply(golden, base), 1), golden.predict(apply(golden, same), 1)
    )
    tokens = same.tokens.clone()
    tokens[:, -1] += 1.0
    different = dataclasses.replace(same, tokens=tokens)
    only_first = blocks[0]
    assert torch.equal(
        golden.predict(apply(golden, same, layers=only_first), 1),
        golden.predict(apply(golden, different, layers=only_first), 1),
    )
    found, expected = (golden.predict(apply(golden, a), 1) for a in (different, same))
    assert relative_error(found, expected) > 1e-5


def _unet_blocks(golden) -> tuple[str, ...]:
    from comfyui_softrepa.injection.architectures import unet

    return unet.blocks(golden.patcher.model)
