"""Each architecture beside SD's on a small random model: exact, at every strength, in company."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfyui_softrepa import injection
from comfyui_softrepa.injection.architectures import ARCHITECTURES, anima, architecture_of
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa.adapter import PLACEMENTS
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests import adapters, small_models
from comfyui_softrepa.tests.golden_models import relative_error

NAMES = tuple(small_models.KINDS)


def load(name: str) -> small_models.SmallModel:
    if not small_models.there(name):
        pytest.skip(f"this ComfyUI has no {small_models.KINDS[name].config} model")
    return small_models.load(name)


@pytest.fixture(scope="module", params=NAMES)
def small(request):
    return load(request.param)


@pytest.fixture(scope="module")
def adapter(small):
    return small.adapter()


@pytest.fixture(scope="module")
def plain(small):
    return small.predict()


def apply(small, adapter, strength=1.0, layers="", on=None, how="blend"):
    on = on or small.patcher
    return SoftREPAApply.execute(on, adapter, strength, 0.0, 1.0, layers, None, how).args[0]


def test_the_table_serves_each_of_them():
    assert {row.NAME for row in ARCHITECTURES} == set(PLACEMENTS)
    tested = {small_models.ARCHITECTURES.get(name, name) for name in NAMES}
    assert {*tested, "mmdit", "unet"} == set(PLACEMENTS)


def test_a_model_is_known(small):
    model = small.patcher.model
    architecture = architecture_of(model)
    assert architecture.NAME == small.architecture
    assert architecture.widths(model) == (small.kind.width,)
    assert sum(row.matches(model) for row in ARCHITECTURES) == 1
    assert architecture.blocks(model)[:2] == ("0", "1")


def test_strength_zero_is_the_model_bit_for_bit(small, adapter, plain):
    assert torch.equal(small.predict(apply(small, adapter, 0.0)), plain)


def test_full_strength_runs_each_block_once(small, adapter):
    assert calls(small, apply(small, adapter)) == len(small.blocks)
    off = apply(small, adapter, layers="0:1,1:0")
    assert calls(small, off) == len(small.blocks)


def calls(small, patcher) -> int:
    """How often a projection of any block's attention ran, for each that has it once."""
    found = []
    handles = [
        next(module for module in block.modules() if isinstance(module, torch.nn.Linear))
        .register_forward_hook(lambda *_: found.append(1))
        for block in small.blocks
    ]  # fmt: skip
    try:
        small.predict(patcher)
    finally:
        for handle in handles:
            handle.remove()
    return len(found)


def test_a_strength_between_is_exact_in_the_last_block(small, adapter):
    """With nothing behind the block that is not linear, half is the mean to rounding."""
    last = str(len(small.blocks) - 1)
    lone = dataclasses.replace(
        adapter, tokens=adapter.tokens[:, :1], offsets=adapter.offsets[:, :, :1], layers=(last,)
    )
    found = {s: behind(small, apply(small, lone, s)) for s in (0.0, 0.5, 1.0, 2.0)}
    assert relative_error(found[1.0], found[0.0]) > 1e-4
    for strength in (0.5, 2.0):
        expected = found[0.0] + strength * (found[1.0] - found[0.0])
        assert relative_error(found[strength], expected) < 1e-5
    assert calls(small, apply(small, lone, 0.5)) > len(small.blocks)


def behind(small, patcher) -> torch.Tensor:
    """What the last block hands on."""
    found = []
    final = small.patcher.model.diffusion_model.get_submodule(small.kind.final)
    if small.architecture == "anima":  # its block is not linear in its cross-attention
        handle = small.blocks[-1].register_forward_hook(lambda *args: found.append(args[-1]))
    else:
        handle = final.register_forward_pre_hook(lambda _, args: found.append(args[0].clone()))
    try:
        small.predict(patcher)
    finally:
        handle.remove()
    return found[0]


def test_a_strength_near_zero_is_near_the_model(small, adapter, plain):
    """A block that wrote into its input would have it twice."""
    assert relative_error(small.predict(apply(small, adapter, 1e-6)), plain) < 1e-5


@pytest.mark.parametrize("how", injection.STRENGTH_AS)
def test_samples_at_different_times_are_those_made_alone(small, adapter, how):
    patched = apply(small, adapter, 0.7, how=how)
    x, context = small.x(4), small.context(4)
    together = small.predict(patched, x=x, context=context)
    for sample in range(4):
        one = slice(sample, sample + 1)
        alone = small.predict(
            patched, x=x[one], context=context[one], sigma=small.sigma[one], **one_of(small, one)
        )
        assert relative_error(together[one], alone) < 1e-5


def one_of(small, one: slice) -> dict:
    """The model's other inputs for one of four samples."""
    whole = small.kind.more(4)
    return {key: value[one] for key, value in whole.items() if isinstance(value, torch.Tensor)}


def test_two_adapters_both_act(small, adapter):
    tokens, placements = adapter.tokens[:, :, :3].flip(-1), PLACEMENTS[small.architecture]
    other = dataclasses.replace(adapter, tokens=tokens, placement=placements[-1])
    one, two = apply(small, adapter), apply(small, other)
    both = small.predict(apply(small, other, on=one))
    assert relative_error(both, small.predict(one)) > 1e-4
    assert relative_error(both, small.predict(two)) > 1e-4
    half = apply(small, adapter, 0.5)
    for first in (one, half):
        blended = small.predict(apply(small, other, 1e-6, on=first))
        assert relative_error(blended, small.predict(first)) < 1e-5
        nearly = small.predict(apply(small, other, 1 - 1e-6, on=first))
        assert relative_error(nearly, small.predict(apply(small, other, on=first))) < 1e-5


@pytest.mark.parametrize("name", ["flux", "qwen_image"])
def test_reference_pictures_stand_behind_the_picture(name):
    """As Kontext and Qwen-Image-Edit have them: more rows that are neither text nor cut off."""
    small = small_models.load(name)
    references = {"ref_latents": [small.x()[..., :6, :8]], "ref_latents_method": "index"}
    bare, adapter = small.predict(**references), small.adapter()
    assert relative_error(bare, small.predict()) > 1e-3
    found = small.predict(apply(small, adapter), **references)
    assert found.shape == bare.shape and relative_error(found, bare) > 1e-3
    near = small.predict(apply(small, adapter, 1e-6), **references)
    assert relative_error(near, bare) < 1e-5


def test_layers_choose_blocks(small, adapter, plain):
    first = small.predict(apply(small, adapter, layers="0"))
    assert relative_error(first, small.predict(apply(small, adapter))) > 1e-5
    assert relative_error(first, plain) > 1e-5
    with pytest.raises(AdapterError, match="are not all there: choose among"):
        apply(small, adapter, layers="7")


def test_the_original_keeps_its_bits_and_no_hooks(small, adapter, plain):
    for strength in (1.0, 0.5):
        small.predict(apply(small, adapter, strength))
        for name, module in small.patcher.model.named_modules():
            assert not module._forward_hooks and not module._forward_pre_hooks, name
    assert torch.equal(small.predict(), plain)


def test_hooks_go_when_a_call_fails(small, adapter):
    patched = apply(small, adapter, 0.5)
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        small.predict(patched, context=torch.zeros(2, 7, 3))
    for name, module in small.patcher.model.named_modules():
        assert not module._forward_hooks and not module._forward_pre_hooks, name


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_other_weight_types(name, dtype):
    load(name)
    small = small_models.build(name, dtype)
    assert next(small.blocks[0].parameters()).dtype == dtype
    adapter = small.adapter()
    plain, found = small.predict(), small.predict(apply(small, adapter))
    assert torch.isfinite(found).all() and relative_error(found, plain) > 1e-3
    for how in injection.STRENGTH_AS:
        half = small.predict(apply(small, adapter, 0.5, how=how))
        assert relative_error(half, plain) < relative_error(found, plain)


def test_another_model_is_refused_with_both_named(small):
    if small.architecture == "flux2":
        foreign, named = adapters.random_adapter("flux", 3072, 2), "Flux.1"
    else:
        foreign, named = adapters.random_adapter("flux2", 3072, 2), "Flux.2 klein 4B"
    with pytest.raises(AdapterError, match=r"was trained for .*, but the model is") as refused:
        apply(small, foreign)
    assert named in str(refused.value)


def test_a_model_that_is_not_served_is_named():
    class QwenImage21(torch.nn.Module):
        diffusion_model = torch.nn.Identity()
        model_config = None

    with pytest.raises(AdapterError, match=r"QwenImage21.*Flux\.1.*Qwen-Image"):
        injection.make_application(QwenImage21(), adapters.random_adapter())


@pytest.mark.parametrize(
    ("changes", "name"),
    [({}, "LongCat-Image"), ({"yak_mlp": True, "txt_norm": True}, "Ovis-Image")],
)
def test_relatives_of_flux_are_refused_by_their_own_names(changes, name):
    """Their network is Flux's, and so is what ComfyUI calls one of them."""
    small = small_models.build("flux", txt_ids_dims=[1, 2], **changes)
    if not hasattr(small.patcher.model.diffusion_model.params, "yak_mlp"):
        pytest.skip("this ComfyUI has no such model")
    with pytest.raises(AdapterError, match=f"cannot act on {name}, a relative of Flux: use "):
        apply(small, adapters.random_adapter("flux", 64, 2))


def test_newer_cores_are_patched_and_not_hooked():
    """Where Anima has a patch point, full strength needs no hooks."""
    if not anima._HAS_PATCHES:
        pytest.skip("this ComfyUI's cross-attention calls no patches")
    small = load("anima")
    seen = []
    block = small.blocks[0]
    handle = block.k_proj.register_forward_hook(lambda *_: seen.append(len(block._forward_hooks)))
    try:
        small.predict(apply(small, small.adapter()))
        small.predict(apply(small, small.adapter(), 0.5))
    finally:
        handle.remove()
    assert seen == [0, 1, 1]
