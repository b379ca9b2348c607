"""Other packs' patches in the same slots, put there before or after ours, still run."""

from __future__ import annotations

import comfy.patcher_extension
import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.tests import adapters, golden_models
from comfyui_softrepa.tests.golden_models import relative_error


class Counted:
    """A stand-in for another pack's patch: counts its calls and changes the output."""

    def __init__(self) -> None:
        self.calls = 0


class Attn2Patch(Counted):
    def __call__(self, query, context, value, extra):
        self.calls += 1
        return query, context * 1.1, value * 1.1


class Attn2Replace(Counted):
    def __call__(self, query, key, value, extra):
        self.calls += 1
        return comfy.ldm.modules.attention.optimized_attention(
            query, key, value, extra["n_heads"]
        ).mul(1.1)


class DoubleBlock(Counted):
    def __call__(self, args, extra):
        self.calls += 1
        out = extra["original_block"](args)
        return {**out, "img": out["img"] * 1.1}


class ModelWrapper(Counted):
    def __call__(self, executor, *args, **kwargs):
        self.calls += 1
        return executor(*args, **kwargs) * 1.1


class FunctionWrapper(Counted):
    """The older model_function_wrapper slot."""

    def __call__(self, apply_model, args):
        self.calls += 1
        return apply_model(args["input"], args["timestep"], **args["c"]) * 1.1


def put(patcher, other):
    """What the other pack's node does."""
    patched = patcher.clone()
    if isinstance(other, Attn2Patch):
        patched.set_model_attn2_patch(other)
    elif isinstance(other, Attn2Replace):
        for block in (("input", 1), ("input", 3), ("middle", 0)):
            patched.set_model_attn2_replace(other, *block)
    elif isinstance(other, DoubleBlock):
        patched.set_model_patch_replace(other, "dit", "double_block", 0)
    else:
        comfy.patcher_extension.add_wrapper_with_key(
            comfy.patcher_extension.WrappersMP.APPLY_MODEL,
            "another_pack",
            other,
            patched.model_options["transformer_options"],
        )
    # A clone deep-copies options: the copy that runs is the one to ask.
    return patched


CASES = [
    ("sd15_timed_100", Attn2Patch),
    ("sd15_timed_100", Attn2Replace),
    ("sd15_timed_100", ModelWrapper),
    ("sd3_d3l2_192_timed", DoubleBlock),
    ("sd3_d3l2_192_timed", ModelWrapper),
]


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(("stem", "kind"), CASES)
def test_both_act(stem, kind, order, strength, monkeypatch):
    golden = golden_models.load(stem)
    monkeypatch.setattr(kind, "__deepcopy__", lambda self, memo: self, raising=False)
    if golden.arch == "sd3":
        adapter = adapters.random_adapter("mmdit", 192, 2)
    else:
        adapter = adapters.random_adapter("unet", 768, 1, scale=1.0)

    def ours(patcher):
        return SoftREPAApply.execute(patcher, adapter, strength, 0.0, 1.0, "").args[0]

    other = kind()
    if order == "before":
        both = ours(put(golden.patcher, other))
    else:
        both = put(ours(golden.patcher), other)
    found = golden.predict(both, 1)
    assert other.calls > 0
    only_ours = golden.predict(ours(golden.patcher), 1)
    only_theirs = golden.predict(put(golden.patcher, kind()), 1)
    assert relative_error(found, only_ours) > 1e-5, "the other pack's patch changes nothing"
    assert relative_error(found, only_theirs) > 1e-5, "ours changes nothing"


@pytest.mark.parametrize("stem", ["sd15_timed_100", "sd3_d3l2_192_timed"])
def test_order_of_wrappers_does_not_matter(stem):
    golden = golden_models.load(stem)
    shape = ("mmdit", 192, 2) if golden.arch == "sd3" else ("unet", 768, 1)
    adapter = adapters.random_adapter(*shape)

    def ours(patcher):
        return SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args[0]

    before = golden.predict(ours(put(golden.patcher, ModelWrapper())), 1)
    after = golden.predict(put(ours(golden.patcher), ModelWrapper()), 1)
    assert torch.equal(before, after)
