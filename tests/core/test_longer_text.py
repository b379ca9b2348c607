"""A block with K tokens is what the network's own block gives for a text that is K rows longer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfyui_softrepa.nodes.apply import SoftREPAApply
from comfyui_softrepa.softrepa.adapter import PLACEMENTS
from comfyui_softrepa.tests import small_models
from comfyui_softrepa.tests.golden_models import relative_error
from comfyui_softrepa.tests.small_models import TEXT

K = 4
Change = Callable[[dict[str, Any]], dict[str, Any]]
JOINT = ("flux", "flux2", "chroma", "qwen_image", "hunyuan_image", "wan", "aura_flow")
MASKED = ("flux", "flux2", "chroma", "hunyuan_image")
CASES = [
    (name, placement, masked)
    for name in JOINT
    for placement in PLACEMENTS[name]
    for masked in (False, True)[: 1 + (name in MASKED)]
]


def masks(name: str, rows: int, picture: int) -> dict[str, Any]:
    """Masks that this network takes, with the third row of a text of this many unseen.

    HunyuanImage takes one for the whole batch.
    """
    if name == "hunyuan_image":
        return {"attention_mask": (torch.arange(rows).unsqueeze(0) != 2).long()}
    seen = (torch.arange(rows + picture) != 2).expand(2, rows + picture, -1)
    return {"attention_mask": torch.zeros(seen.shape).masked_fill(~seen, -1e4)}


class Recorder:
    """A block replacement that keeps what the block is given, and what it gives.

    change: what is done to the arguments before they reach the block.
    """

    def __init__(self, change: Change = lambda args: args) -> None:
        self.change = change
        self.args: dict[str, Any] = {}
        self.gave: dict[str, Any] = {}

    def __call__(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        args = self.change(args)
        self.args = copied(args)
        out = extra["original_block"](args)
        self.gave = copied(out)
        return out

    def __deepcopy__(self, memo: dict[int, Any]) -> Recorder:
        return self  # so that a clone of the model still tells the test


def copied(found: dict[str, Any]) -> dict[str, Any]:
    return {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in found.items()}


def recorded(small, patcher=None, block=0, change: Change = lambda args: args, **inputs: Any):
    recorder = Recorder(change)
    patcher = (patcher or small.patcher).clone()
    patcher.set_model_patch_replace(recorder, "dit", "double_block", block)
    small.predict(patcher, **inputs)
    return recorder


@pytest.mark.parametrize(("name", "placement", "masked"), CASES)
def test_a_joint_block(name, placement, masked):
    """Positions and masks are those the network made for the longer text itself."""
    small = small_models.load(name)
    adapter = small.adapter(tokens=K, timed=False, placement=placement)
    text = small.context()
    shorter = recorded(small, context=text)
    picture = shorter.args["img"].shape[1]
    mask, longer_mask = (masks(name, n, picture) if masked else {} for n in (TEXT, TEXT + K))
    shorter = recorded(small, context=text, **mask)
    if placement == "prepend":
        # Rows before the text: what is unseen in it moves on.
        longer_mask = {key: moved(value, picture) for key, value in longer_mask.items()}
    tokens = adapter.tokens[0, 0].expand(2, -1, -1)
    beside = (shorter.args["txt"], tokens)
    joined = torch.cat(beside if placement == "append" else beside[::-1], dim=1)
    expected = recorded(
        small,
        change=lambda args: {**args, "txt": joined},
        context=small.context(rows=TEXT + K),
        **longer_mask,
    ).gave

    patched = SoftREPAApply.execute(small.patcher, adapter, 1.0, 0.0, 1.0, "0").args[0]
    found = recorded(small, patched, block=1, context=text, **mask).args
    assert relative_error(found["img"], shorter.gave["img"]) > 1e-3
    assert relative_error(found["img"], expected["img"]) < 1e-5
    if "txt" in expected:
        whole = expected["txt"].shape[1]
        kept = slice(K, whole) if placement == "prepend" else slice(0, whole - K)
        assert relative_error(found["txt"], expected["txt"][:, kept]) < 1e-5


def moved(mask: torch.Tensor, picture: int) -> torch.Tensor:
    """The mask of the longer text with its unseen row K further on."""
    if mask.dim() == 2:
        return mask.roll(K, dims=-1)
    text = mask.shape[-1] - picture
    return torch.cat((mask[..., :text].roll(K, dims=-1), mask[..., text:]), dim=-1)


@pytest.mark.parametrize("name", ["flux", "qwen_image"])
def test_several_adapters_make_one_longer_text(name):
    """Each counts on from where the one before it ended."""
    small = small_models.load(name)
    whole = small.adapter(tokens=K, timed=False, placement="append")
    # The last one applied is asked first, so its tokens come first.
    parts = [
        dataclasses.replace(whole, tokens=whole.tokens[:, :, part].contiguous())
        for part in (slice(1, K), slice(0, 1))
    ]
    patcher = small.patcher
    for part in parts:
        patcher = SoftREPAApply.execute(patcher, part, 1.0, 0.0, 1.0, "").args[0]
    together = SoftREPAApply.execute(small.patcher, whole, 1.0, 0.0, 1.0, "").args[0]
    assert relative_error(small.predict(patcher), small.predict(together)) < 1e-5


@pytest.mark.parametrize("name", ["flux", "qwen_image", "aura_flow"])
def test_another_pack_s_replacement_gets_the_longer_text(name):
    small = small_models.load(name)
    recorder = Recorder()
    patcher = small.patcher.clone()
    patcher.set_model_patch_replace(recorder, "dit", "double_block", 0)
    adapter = small.adapter(tokens=K)
    text = recorded(small).args["txt"].shape[1]
    alone = SoftREPAApply.execute(small.patcher, adapter, 1.0, 0.0, 1.0, "").args[0]
    both = SoftREPAApply.execute(patcher, adapter, 1.0, 0.0, 1.0, "").args[0]
    assert torch.equal(small.predict(both), small.predict(alone))
    assert recorder.args["txt"].shape[1] == text + K


@pytest.mark.parametrize("name", ["lumina", "z_image"])
def test_a_layer_of_next_dit(name):
    """The tokens at the head of the sequence, at position 0, which its own text leaves free."""
    small = small_models.load(name)
    adapter = small.adapter(tokens=K, timed=False)
    network, layer = small.patcher.model.diffusion_model, small.blocks[0]
    given, gave = [], []
    handles = [
        layer.register_forward_pre_hook(lambda _, *both: given.append(both), with_kwargs=True),
        layer.register_forward_hook(lambda *args: gave.append(args[-1])),
    ]
    patched = SoftREPAApply.execute(small.patcher, adapter, 1.0, 0.0, 1.0, "0").args[0]
    try:
        plain = small.predict()
    finally:
        for handle in handles:
            handle.remove()
    (sequence, mask, rotations, *others), kwargs = given[0]
    tokens = adapter.tokens[0, 0].expand(2, -1, -1)
    zero = network.rope_embedder(torch.zeros(rotations.shape[0], K, 3)).movedim(1, 2)
    sequence, rotations = torch.cat((tokens, sequence), 1), torch.cat((zero, rotations), 1)
    with torch.no_grad():
        expected = layer(sequence, mask, rotations, *others, **kwargs)[:, K:]
    kept = []
    following = small.blocks[1].register_forward_pre_hook(lambda _, args: kept.append(args[0]))
    try:
        assert relative_error(small.predict(patched), plain) > 1e-4
    finally:
        following.remove()
    assert relative_error(kept[0], gave[0]) > 1e-3
    assert relative_error(kept[0], expected) < 1e-5
