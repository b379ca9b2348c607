"""Strength as the weight of the soft tokens in attention: exact, in one pass, beside anything.

What holds it: a key of weight w counts as w equal keys do, so an adapter at weight 2 is the adapter
with each token twice, at strength 1.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from comfy.ldm.modules import attention
from comfy.ldm.modules.diffusionmodules.mmdit import JointBlock
from comfyui_softrepa.injection.architectures import anima
from comfyui_softrepa.injection.blocks.attention_weight import (
    AttentionWeights,
    WeighedKeys,
    was_weighed,
    weigh,
)
from comfyui_softrepa.injection.blocks.joint_block import JointBlockPatch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.nodes.schedule import SoftREPASchedule
from comfyui_softrepa.softrepa.adapter import PLACEMENTS
from comfyui_softrepa.softrepa.errors import AdapterError
from comfyui_softrepa.tests import adapters, golden_models, small_models
from comfyui_softrepa.tests.golden_models import relative_error

STEMS = ("sd15_timed_100", "sdxl_110", "sd3_d3l2_192_timed")
BACKENDS = ("attention_basic", "attention_sub_quad", "attention_split", "attention_pytorch")


@pytest.fixture(scope="module", params=STEMS)
def golden(request):
    return golden_models.load(request.param)


def adapter_for(golden, seed=0, placement=None):
    if golden.arch != "sd3":
        width = golden.context.shape[-1]
        return adapters.random_adapter("unet", width, 1, timed=False, scale=1.0, seed=seed)
    made = adapters.random_adapter("mmdit", 192, 2, timed=False, scale=2.0, seed=seed)
    return dataclasses.replace(made, placement=placement or made.placement)


def times(adapter, count):
    """Each token so many times."""
    return dataclasses.replace(adapter, tokens=adapter.tokens.repeat(1, 1, count, 1))


def apply(golden, adapter, strength=1.0, on=None, layers="", schedule=None, how="attention"):
    return SoftREPAApply.execute(
        on or golden.patcher, adapter, strength, 0.0, 1.0, layers, schedule, how
    ).args[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("given", ["no mask", "bool", "2-D", "3-D", "4-D"])
@pytest.mark.parametrize("split", [True, False], ids=["heads apart", "heads together"])
@pytest.mark.parametrize("second", [0.5, 0.2], ids=["alike", "by sample"])
def test_the_formula_in_float64(backend, given, split, second):
    """softmax over keys of weight · exp(score), whatever mask is there already."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 3, rows, 8, generator=generator) for rows in (600, 50, 50))
    weights = torch.ones(2, 1, 1, 50, dtype=torch.float64)
    weights[0, ..., 2:6], weights[1, ..., 2:6], weights[..., 10:13] = 0.5, second, 3.0
    shape = {"bool": (1, 1, 600, 50), "2-D": (600, 50), "3-D": (2, 600, 50), "4-D": (2, 3, 600, 50)}
    mask, extra = None, torch.zeros((), dtype=torch.float64)
    if given != "no mask":
        mask = torch.randn(shape[given], generator=generator)
        extra = (mask[:, None] if given == "3-D" else mask).double()
    if given == "bool":
        mask = mask > -0.5
        extra = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -torch.inf)
    scores = query.double() @ key.double().transpose(-1, -2) * 8**-0.5 + extra
    shares = weights * scores.exp()
    expected = shares / shares.sum(-1, keepdim=True) @ value.double()

    first = torch.tensor(0.5) if second == 0.5 else torch.tensor([0.5, second])
    keys = (WeighedKeys(2, 4, first), WeighedKeys(10, 3, 3.0))
    options = weigh({}, keys, 50)
    tensors = (query, key, value)
    if not split:
        tensors = tuple(each.transpose(1, 2).flatten(2) for each in tensors)
    found = getattr(attention, backend)(
        *tensors, heads=3, mask=mask, skip_reshape=split, transformer_options=options
    )
    found = found.unflatten(-1, (3, 8)).transpose(1, 2)
    assert relative_error(found.double(), expected) < 1e-5
    assert was_weighed(options)


@pytest.mark.parametrize("name", ["attention_sage", "attention_flash", "attention3_sage"])
def test_attentions_that_drop_masks_are_not_asked(name):
    def dropping(*args, **kwargs):
        pytest.fail("this one would take no mask")

    dropping.__name__ = name
    tensors = [torch.randn(1, length, 8) for length in (5, 7, 7)]
    options = weigh({}, (WeighedKeys(1, 2, 0.25),), 7)
    call = attention.wrap_attn(dropping)
    found = call(*tensors, 2, transformer_options=options)
    expected = attention.attention_pytorch(*tensors, 2, transformer_options=options)
    assert torch.equal(found, expected)
    with pytest.raises(pytest.fail.Exception):  # another attention of the block stays as it is
        call(*(each[:, :5] for each in tensors), 2, transformer_options=options)


def test_weight_zero_and_one_give_the_bits_of_the_model_and_of_the_adapter(golden):
    adapter = adapter_for(golden)
    plain = golden.predict(golden.patcher, 1)
    full = golden.predict(apply(golden, adapter, how="blend"), 1)
    assert torch.equal(golden.predict(apply(golden, adapter, 0.0), 1), plain)
    assert torch.equal(golden.predict(apply(golden, adapter, 1.0), 1), full)
    # As tensors, where a curve passes through them: to rounding.
    for keyframes, expected in (("0:1, 1:1.0001", full), ("0:0, 1:0.0001", plain)):
        curve = SoftREPASchedule.execute(keyframes, "step", "").args[0]
        found = golden.predict(apply(golden, adapter, schedule=curve), 1)
        assert relative_error(found, expected) < 1e-5
    assert relative_error(full, plain) > 1e-3


PLACED = [(stem, "after_bos") for stem in STEMS[:2]]
PLACED += [(STEMS[2], placement) for placement in ("prepend", "append")]


@pytest.mark.parametrize(("stem", "placement"), PLACED)
def test_a_weight_is_a_count(stem, placement):
    golden = golden_models.load(stem)
    adapter = adapter_for(golden, placement=placement)
    for once, more in (
        ((times(adapter, 2), 0.5), (adapter, 1.0)),
        ((adapter, 2.0), (times(adapter, 2), 1.0)),
        ((times(adapter, 4), 0.5), (adapter, 2.0)),
    ):
        found, expected = (golden.predict(apply(golden, *each), 1) for each in (once, more))
        assert relative_error(found, expected) < 1e-5
    half = golden.predict(apply(golden, adapter, 0.5), 1)
    plain, full = golden.predict(golden.patcher, 1), golden.predict(apply(golden, adapter), 1)
    assert 0.1 < (half - plain).norm() / (full - plain).norm() < 0.95
    assert relative_error(half, full) > 1e-4


PAIRS = [(STEMS[0], ("after_bos",) * 2)]
PAIRS += [(STEMS[2], pair) for pair in (("prepend",) * 2, ("prepend", "append"), ("append",) * 2)]


@pytest.mark.parametrize(("stem", "placements"), PAIRS)
def test_each_adapter_of_a_block_has_its_own_weight(stem, placements):
    """In either order; beside one that is blended and one at full strength, too."""
    golden = golden_models.load(stem)
    first, second = (adapter_for(golden, seed, place) for seed, place in enumerate(placements))
    for one, other in ((first, second), (second, first)):
        weighed = apply(golden, other, 3.0, on=apply(golden, one, 2.0))
        counted = apply(golden, times(other, 3), on=apply(golden, times(one, 2)))
        assert relative_error(golden.predict(weighed, 1), golden.predict(counted, 1)) < 1e-5
        for strength in (1.0, 0.5):
            blended = (strength, "blend")
            for how in ((WEIGHED, blended), (blended, WEIGHED)):
                pair = list(zip((one, other), how, strict=True))
                found, expected = (_stacked(golden, pair, as_count) for as_count in (False, True))
                assert relative_error(found, expected) < 1e-5


WEIGHED = (2.0, "attention")


def _stacked(golden, pair, as_count):
    model = golden.patcher
    for adapter, (strength, how) in pair:
        if as_count and how == "attention":
            adapter, strength = times(adapter, int(strength)), 1.0
        model = apply(golden, adapter, strength, on=model, how=how)
    return golden.predict(model, 1)


def test_blocks_and_curves_have_weights_of_their_own(golden):
    one, other = ("0", "1") if golden.arch == "sd3" else ("input.3", "middle")
    adapter = adapter_for(golden)
    both = golden.predict(apply(golden, adapter, layers=f"{one}:0.5,{other}:0"), 1)
    assert torch.equal(both, golden.predict(apply(golden, adapter, 0.5, layers=one), 1))
    curve = SoftREPASchedule.execute("0:0.5, 1:0.50001", "step", one).args[0]
    found = golden.predict(apply(golden, adapter, layers=f"{one},{other}:2", schedule=curve), 1)
    expected = golden.predict(apply(golden, adapter, layers=f"{one}:0.5,{other}:2"), 1)
    assert relative_error(found, expected) < 1e-5
    assert relative_error(found, both) > 1e-5


def test_no_block_is_computed_twice(golden):
    adapter = adapter_for(golden)
    assert _attentions(golden, apply(golden, adapter, 0.5)) == _attentions(golden, golden.patcher)
    blend = apply(golden, adapter, 0.5, how="blend")
    assert _attentions(golden, blend) > _attentions(golden, golden.patcher)


def _attentions(golden, patcher):
    """How many attentions a step has, by what another pack's override is called for."""
    calls = []

    def override(function, *args, **kwargs):
        calls.append(1)
        return function(*args, **kwargs)

    counted = patcher.clone()
    counted.model_options["transformer_options"]["optimized_attention_override"] = override
    found = golden.predict(counted, 1)
    assert relative_error(found, golden.predict(patcher, 1)) < 1e-6
    return len(calls)


def test_blocks_of_one_call_share_their_mask(golden, monkeypatch):
    """As long as it is of equal numbers; the next call makes one anew."""
    made, bias = [], AttentionWeights.bias

    def counted(weights, query):
        made.append(weights)
        return bias(weights, query)

    monkeypatch.setattr(AttentionWeights, "bias", counted)
    blocks = ("0:0.5,1:0.25", 2) if golden.arch == "sd3" else ("input", 1)
    for layers, masks in (("", 1), blocks):
        patched = apply(golden, adapter_for(golden), 0.5, layers=layers)
        for _ in range(2):
            made.clear()
            golden.predict(patched, 0)
            assert len(made) == masks
            assert len({weights.keys for weights in made}) == len(made)


def test_attention_of_the_picture_to_itself_is_left_alone():
    """SD3.5 medium's blocks have one beside the joint attention."""
    torch.manual_seed(0)
    block = JointBlock(32, num_heads=2, pre_only=False, qkv_bias=True, x_block_self_attn=True,
                       operations=torch.nn)  # fmt: skip
    text, image, condition = torch.randn(2, 5, 32), torch.randn(2, 9, 32), torch.randn(2, 32)

    def run(tokens, strength):
        def original(args):
            options = args["transformer_options"]
            text, image = block(args["txt"], args["img"], c=args["vec"], use_checkpoint=False,
                                transformer_options=options)  # fmt: skip
            return {"txt": text, "img": image}

        patch = JointBlockPatch(tokens, strength, False, None, in_attention=True)
        args = {"txt": text, "img": image, "vec": condition, "transformer_options": {}}
        return patch(args, {"original_block": original})

    tokens = torch.randn(2, 3, 32)
    with torch.no_grad():
        found, expected = run(tokens, 2.0), run(tokens.repeat(1, 2, 1), 1.0)
    for stream in ("txt", "img"):
        assert relative_error(found[stream], expected[stream]) < 1e-5


def test_an_attention_that_takes_no_weight_is_blended():
    """Packs that call ComfyUI's attention without the options, or one of their own."""
    golden = golden_models.load("sd3_d3l2_192_timed")
    adapter, patcher = adapter_for(golden), golden.patcher.clone()

    def own(args, extra):
        return extra["original_block"]({**args, "transformer_options": {}})

    for block in (0, 1):
        patcher.set_model_patch_replace(own, "dit", "double_block", block)
    found, expected = (
        golden.predict(apply(golden, adapter, 0.5, on=patcher, how=how), 1)
        for how in ("attention", "blend")
    )
    assert torch.equal(found, expected)


WITHOUT_POSITIONS = ("flux", "chroma", "hunyuan_image", "wan", "aura_flow", "lumina", "z_image")
"""Where two equal tokens are two equal keys; others count their positions, or overwrite padding."""


def load(name):
    if not small_models.there(name):
        pytest.skip("this ComfyUI has no such model")
    return small_models.load(name)


@pytest.mark.parametrize("name", WITHOUT_POSITIONS)
@pytest.mark.parametrize("append", [False, True])
def test_other_networks_count_too(name, append):
    small = load(name)
    adapter = small.adapter(timed=False, scale=2.0)
    if append and "append" not in PLACEMENTS[adapter.architecture]:
        pytest.skip("its tokens have one place")
    adapter = dataclasses.replace(adapter, placement="append" if append else adapter.placement)
    found, expected = (
        small.predict(apply(small, *each)) for each in ((adapter, 3.0), (times(adapter, 3), 1.0))
    )
    assert relative_error(found, expected) < 1e-5
    assert relative_error(found, small.predict(apply(small, adapter))) > 1e-4


@pytest.mark.parametrize("name", small_models.KINDS)
def test_half_lies_between_everywhere(name):
    small = load(name)
    adapter = small.adapter(scale=2.0)
    plain, full = small.predict(), small.predict(apply(small, adapter))
    half = small.predict(apply(small, adapter, 0.5))
    whole = (full - plain).norm()
    assert 0.05 * whole < (half - plain).norm() < 0.95 * whole
    assert 0.05 * whole < (half - full).norm() < 0.95 * whole
    blend = small.predict(apply(small, adapter, 0.5, how="blend"))
    assert not torch.equal(half, blend)
    assert torch.equal(small.predict(apply(small, adapter, 0.0)), plain)
    assert torch.equal(full, small.predict(apply(small, adapter, how="blend")))
    for keyframes, expected in (("0:1, 1:1.0001", full), ("0:0, 1:0.0001", plain)):
        curve = SoftREPASchedule.execute(keyframes, "step", "").args[0]
        found = small.predict(apply(small, adapter, schedule=curve))
        assert relative_error(found, expected) < 1e-5


HOOKED = ("lumina", "z_image", "predict2", "anima")


@pytest.mark.parametrize("name", HOOKED)
def test_a_block_with_hooks_runs_once(name):
    small = load(name)
    seen = []
    handles = [
        next(module for module in block.modules() if isinstance(module, torch.nn.Linear))
        .register_forward_hook(lambda *_: seen.append(1))
        for block in small.blocks
    ]  # fmt: skip
    try:
        small.predict(apply(small, small.adapter(), 0.5))
    finally:
        for handle in handles:
            handle.remove()
    assert len(seen) == len(small.blocks)


@pytest.mark.parametrize("name", HOOKED)
def test_a_block_with_hooks_whose_attention_takes_no_weight_is_blended(name):
    """Another pack has given the layers an attention that is called without the options."""
    small = load(name)
    adapter, patcher = small.adapter(), small.patcher.clone()
    attention = "cross_attn.attn_op" if small.architecture == "anima" else "attention.forward"
    for index in range(len(small.blocks)):
        key = f"diffusion_model.{small.kind.blocks}.{index}.{attention}"
        patcher.add_object_patch(key, without_options(patcher.get_model_object(key)))
    patcher.patch_model()
    try:
        found, expected = (
            small.predict(apply(small, adapter, 0.5, on=patcher, how=how))
            for how in ("attention", "blend")
        )
    finally:
        patcher.unpatch_model()
    assert torch.equal(found, expected)


def without_options(function):
    return lambda *args, **named: function(*args, **{**named, "transformer_options": {}})


@pytest.mark.parametrize("name", HOOKED)
def test_each_adapter_of_a_block_with_hooks_has_its_own_weight(name):
    small = load(name)
    one, other = (small.adapter(timed=False, seed=seed) for seed in (1, 2))
    full = apply(small, other, on=apply(small, one, 0.5))
    nearly = apply(small, other, 1 - 1e-6, on=apply(small, one, 0.5))
    assert relative_error(small.predict(nearly), small.predict(full)) < 1e-5
    none = apply(small, other, 1e-6, on=apply(small, one, 0.5))
    assert relative_error(small.predict(none), small.predict(apply(small, one, 0.5))) < 1e-5
    alone = small.predict(apply(small, other, 0.5))
    for how in ("attention", "blend"):
        found = small.predict(apply(small, other, 0.5, on=apply(small, one, 1e-6, how=how)))
        assert relative_error(found, alone) < 1e-5


@pytest.mark.parametrize("name", ["predict2", "anima"])
@pytest.mark.parametrize("at_end", [False, True])
def test_tokens_on_padding_count_and_what_they_took_the_place_of(name, at_end):
    """Against the layer's own answer to a context with each row so many times."""
    small = load(name)
    layer, generator = small.blocks[0], torch.Generator().manual_seed(3)
    picture, text = (
        torch.randn(1, rows, width, generator=generator)
        for rows, width in ((6, layer.query_dim), (5, layer.context_dim))
    )
    first, second = (torch.randn(1, 2, layer.context_dim, generator=generator) for _ in range(2))
    padding = torch.zeros(1, 9, layer.context_dim)
    given = torch.cat((text, padding), dim=1)

    def run(*patches):
        grown = ((picture, given), {"transformer_options": {}})
        for patch in patches:
            grown = patch.grow(*grown)
        with torch.no_grad():
            return layer(*grown[0], **grown[1])

    def expected(*rows):
        """(rows, how often)."""
        repeated = [part.repeat(1, count, 1) for part, count in rows]
        with torch.no_grad():
            return layer(picture, torch.cat(repeated, dim=1))

    def patch(tokens, strength):
        return anima.ContextPatch(tokens, strength, at_end, in_attention=True)

    rest, kept = padding[:, :7], padding[:, :2]
    doubled = expected((text, 1), (first, 2), (rest, 1))
    assert relative_error(run(patch(first, 2.0)), doubled) < 1e-5
    half = expected((text, 2), (first, 1), (kept, 1), (rest, 2))
    assert relative_error(run(patch(first, 0.5)), half) < 1e-5
    for strength in (0.5, torch.tensor(0.5)):
        both = expected((text, 2), (first, 1), (kept, 1), (second, 4), (padding[:, :5], 2))
        assert relative_error(run(patch(first, strength), patch(second, 2.0)), both) < 1e-5
    whole = run(patch(first, 1.0))
    assert relative_error(run(patch(first, torch.tensor(1.0))), whole) < 1e-6
    assert relative_error(run(patch(first, torch.tensor(0.0))), expected((given, 1))) < 1e-6


def test_below_zero_is_refused(golden):
    adapter = adapter_for(golden)
    curve = SoftREPASchedule.execute("0:1, 1:-0.1", "linear", "").args[0]
    layer = "0" if golden.arch == "sd3" else "input"
    for changes in ({"strength": -0.5}, {"schedule": curve}, {"layers": f"{layer}:-1"}):
        with pytest.raises(AdapterError, match="Below 0 .* set strength_as to blend"):
            apply(golden, adapter, **changes)
        assert apply(golden, adapter, **changes, how="blend")
    with pytest.raises(AdapterError, match='"half" is nothing a strength can be'):
        apply(golden, adapter, how="half")
